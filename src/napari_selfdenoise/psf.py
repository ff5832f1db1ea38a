"""Point spread functions: how the microscope blurs the specimen into the signal.

The network predicts a *phantom*, the light as it left the specimen; the signal is the
phantom convolved with a known kernel, and every likelihood applies to the signal. What
no lens can pass then cannot appear in it (Goncharova et al. 2020).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy import fft, ndimage, special
from torch import Tensor, nn

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.image import Image, require_denoisable
from napari_selfdenoise.io import read_image

LARGEST_RADIUS = 64
"""Pixels from the centre of a kernel to its border, at most."""

SOFTPLUS_BETA = 10.0
"""Sharpness of the lower bound, in 1 / spread of the image.

At the bound the phantom is lifted by 0.07 spreads, and 0.5 above it by 0.0007; 0.5
below, the slope is still 0.007. Twice as sharp, it would be gone there (5e-5), and
pixels that were once predicted too dark would learn nothing more.
"""

Kernel = NDArray[np.float64]
PixelSize = tuple[float, float] | None

Positivity = Annotated[
    Literal["softplus", "penalty", "none"],
    Field(
        title="Positivity",
        description="What keeps the deconvolved image from falling below the "
        "background: a smooth bound (softplus), a penalty in the loss (as published "
        "for DecoNoising), or nothing.",
    ),
]
PositivityWeight = Annotated[
    float,
    Field(
        ge=0,
        le=1000,
        title="Penalty weight",
        description="Weight of the penalty for light below the background; without "
        "effect unless positivity is by penalty.",
    ),
]
Background = Annotated[
    float | None,
    Field(
        title="Background",
        description="Pixel value where there is no light: the camera's offset. "
        "Automatic: the mean of the darkest 7 × 7 pixels.",
        json_schema_extra={"unit": "raw"},
    ),
]


class NoPSF(BaseModel):
    """No blur: what the network predicts is the signal itself."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="None")

    kind: Literal["none"] = "none"

    def kernel(self, pixel_size: PixelSize = None) -> Kernel:
        """Return the kernel that changes nothing: [[1]]."""
        return np.ones((1, 1))


class GaussianPSF(BaseModel):
    """Gaussian of a given width.

    A good likeness of the focus of most microscopes. The standard deviation of a
    widefield microscope is 0.225 × wavelength / numerical aperture, that of a confocal
    about 0.7 times as much. Too small leaves artefacts, too large smooths.
    Zhang et al. 2007; Goncharova et al. 2020 (1 pixel).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", title="Gaussian")

    kind: Literal["gaussian"] = "gaussian"
    sigma: float = Field(
        1.0,
        gt=0,
        le=5000,
        title="Standard deviation",
        description="Width of the Gaussian, in the unit beside it.",
    )
    unit: Literal["pixel", "µm", "nm"] = Field(
        "pixel",
        title="Unit of the width",
        description="Pixels, or a length that the image's pixel size turns into them.",
    )
    positivity: Positivity = "softplus"
    positivity_weight: PositivityWeight = 1.0
    background: Background = None

    def kernel(self, pixel_size: PixelSize = None) -> Kernel:
        """Gaussian integrated over each pixel, cut at 4 standard deviations.

        Parameters
        ----------
        pixel_size : (float, float), optional
            Height and width of a pixel in micrometres; not needed in pixels.

        Returns
        -------
        ndarray
            (Y, X), sides odd, sum 1.

        Raises
        ------
        RequestError
            If the pixel size is needed and not known, or the kernel too large.
        """
        sigma_y, sigma_x = self._sigma_px(pixel_size)
        return np.outer(_gaussian_profile(sigma_y), _gaussian_profile(sigma_x))

    def _sigma_px(self, pixel_size: PixelSize) -> tuple[float, float]:
        if self.unit == "pixel":
            return self.sigma, self.sigma
        sigma_um = self.sigma * (1.0 if self.unit == "µm" else 1e-3)
        height, width = _known(pixel_size, f"a width in {self.unit}")
        return sigma_um / height, sigma_um / width


class MeasuredPSF(BaseModel):
    """Measured with a fluorescent bead.

    The image of one bead, recorded with the same objective, wavelength and pixel size
    and well below saturation: its background is removed, it is centred, cropped and
    normalised. The bead should be smaller than a third of its image.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", title="Measured (bead)")

    kind: Literal["measured"] = "measured"
    file: str = Field(
        "",
        title="Bead image",
        description="TIFF with one bead; of a stack, the plane where it is brightest "
        "is taken.",
        json_schema_extra={"path": "image"},
    )
    energy: float = Field(
        0.995,
        ge=0.5,
        le=1,
        title="Light to keep",
        description="Share of the bead's light that the cropped kernel holds.",
    )
    symmetrise: bool = Field(
        True,
        title="Make symmetric",
        description="Average the kernel with its mirror images along both axes: less "
        "noise, but coma goes too.",
    )
    positivity: Positivity = "softplus"
    positivity_weight: PositivityWeight = 1.0
    background: Background = None

    def kernel(self, pixel_size: PixelSize = None) -> Kernel:
        """Kernel from the bead image.

        Parameters
        ----------
        pixel_size : (float, float), optional
            Height and width of a pixel of the image to denoise, in micrometres; where
            the bead's are known too, they must agree.

        Returns
        -------
        ndarray
            (Y, X), sides odd, sum 1.

        Raises
        ------
        RequestError
            If the file cannot be read, or does not show one whole bead.
        """
        if not self.file:
            raise RequestError(
                "No bead image was chosen for the measured point spread function.",
                "Choose a TIFF with one bead, or a Gaussian.",
            )
        bead = read_image(self.file)
        require_denoisable(bead)
        _require_same_pixels(bead, pixel_size)
        return measure_psf(_brightest_plane(bead), self.energy, self.symmetrise)


class OpticalPSF(BaseModel):
    """Calculated from the optics.

    The in-focus image of a point through an ideal objective (Airy pattern, scalar and
    paraxial), integrated over each pixel. Real objectives are a little wider.
    Born and Wolf, Principles of Optics, section 8.5.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", title="From the optics")

    kind: Literal["optical"] = "optical"
    numerical_aperture: float = Field(
        1.4,
        ge=0.02,
        le=1.7,
        title="Numerical aperture",
        description="As engraved on the objective.",
    )
    wavelength_nm: float = Field(
        520.0,
        ge=200,
        le=2000,
        title="Wavelength",
        description="Peak of the emission.",
        json_schema_extra={"unit": "nm"},
    )
    refractive_index: float = Field(
        1.515,
        ge=1,
        le=2,
        title="Refractive index",
        description="Of the immersion: air 1, water 1.33, glycerol 1.47, oil 1.515. "
        "It limits the numerical aperture; in focus it changes nothing else.",
    )
    pixel_size_nm: float | None = Field(
        None,
        gt=0,
        le=100_000,
        title="Pixel size",
        description="Side of a pixel in the specimen; automatic: as the image says.",
        json_schema_extra={"unit": "nm"},
    )
    confocal: bool = Field(
        False,
        title="Confocal",
        description="Excitation and detection both narrow the image, as with a small "
        "pinhole (below half an Airy disc): the pattern is squared.",
    )
    positivity: Positivity = "softplus"
    positivity_weight: PositivityWeight = 1.0
    background: Background = None

    @model_validator(mode="after")
    def _aperture_is_possible(self) -> OpticalPSF:
        if self.numerical_aperture >= self.refractive_index:
            raise ValueError(
                f"the numerical aperture ({self.numerical_aperture:g}) must be below "
                f"the refractive index of the immersion ({self.refractive_index:g})"
            )
        return self

    def kernel(self, pixel_size: PixelSize = None) -> Kernel:
        """Airy pattern up to its fourth dark ring (95 % of the light).

        Parameters
        ----------
        pixel_size : (float, float), optional
            Height and width of a pixel in micrometres; `pixel_size_nm` comes first.

        Returns
        -------
        ndarray
            (Y, X), sides odd, sum 1.

        Raises
        ------
        RequestError
            If the pixel size is not known, or the kernel too large.
        """
        if self.pixel_size_nm is not None:
            pixel_size = (self.pixel_size_nm / 1e3,) * 2
        height, width = _known(pixel_size, "a point spread function from the optics")
        # Optical units: the first dark ring lies at v = 3.83.
        v_per_um = 2e3 * math.pi * self.numerical_aperture / self.wavelength_nm
        return _airy_kernel(height * v_per_um, width * v_per_um, self.confocal)


PSF = Annotated[
    NoPSF | GaussianPSF | MeasuredPSF | OpticalPSF, Field(discriminator="kind")
]


def gaussian_sigma(numerical_aperture: float, wavelength_nm: float) -> float:
    """Standard deviation of the Gaussian nearest to a widefield focus, in nanometres.

    It has the curvature of the Airy pattern at its peak (Zhang et al. 2007).
    """
    return 0.225 * wavelength_nm / numerical_aperture


# Kernels ----------------------------------------------------------------------------


def _known(pixel_size: PixelSize, purpose: str) -> tuple[float, float]:
    if pixel_size is None:
        raise RequestError(
            f"The pixel size of the image is not known: {purpose} needs it.",
            "Set the pixel size of the image in micrometres, or choose a Gaussian in "
            "pixels.",
        )
    return pixel_size


def _require_radius(radius_px: float) -> int:
    radius = max(1, math.ceil(radius_px))
    if radius > LARGEST_RADIUS:
        raise RequestError(
            f"The point spread function reaches {radius} pixels from its centre; the "
            f"largest possible is {LARGEST_RADIUS}.",
            "Check its width and the pixel size, or bin the image.",
        )
    return radius


def _gaussian_profile(sigma_px: float) -> NDArray[np.float64]:
    # Integrated, not sampled: a narrow Gaussian would else miss what falls beside the
    # pixels' centres.
    radius = _require_radius(4 * sigma_px)
    edges = (np.arange(2 * radius + 2) - radius - 0.5) / (math.sqrt(2) * sigma_px)
    profile: NDArray[np.float64] = np.diff(special.erf(edges))
    profile /= profile.sum()
    return profile


_RIM_V = float(special.jn_zeros(1, 4)[-1])
"""Fourth dark ring of the Airy pattern, in optical units: cut there, nothing jumps."""


def _airy_kernel(height_v: float, width_v: float, confocal: bool) -> Kernel:
    """Airy pattern on pixels of a size in optical units, integrated over each."""
    (y, rows), (x, columns) = _subpixels(height_v), _subpixels(width_v)
    v = np.hypot(y[:, None], x[None, :])
    fine = np.where(v < _RIM_V, _airy(v) ** (2 if confocal else 1), 0)
    kernel: Kernel = fine.reshape(rows, -1, columns, len(x) // columns).sum((1, 3))
    kernel /= kernel.sum()
    return kernel


def _airy(v: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intensity at a distance of v optical units, 1 in the centre."""
    v = np.maximum(v, 1e-6)
    intensity: NDArray[np.float64] = (2 * special.j1(v) / v) ** 2
    return intensity


def _subpixels(size_v: float) -> tuple[NDArray[np.float64], int]:
    """Positions of finer samples along a row of pixels, and the number of pixels."""
    pixels = 2 * _require_radius(_RIM_V / size_v) + 1
    each = max(5, math.ceil(size_v / 0.15))  # 50 samples to the first full ring
    return (np.arange(pixels * each) + 0.5 - pixels * each / 2) * size_v / each, pixels


# Beads ------------------------------------------------------------------------------


class _Spot(NamedTuple):
    """A bead: its centre and the radius its light reaches, in pixels."""

    y: float
    x: float
    radius: int


def measure_psf(
    bead: NDArray[np.generic], energy: float = 0.995, symmetrise: bool = True
) -> Kernel:
    """Kernel from the image of one bead.

    The background is subtracted, light told from noise ring by ring, the centre of mass
    moved to the middle of a pixel, and what is left cropped and normalised.

    Parameters
    ----------
    bead : ndarray
        One bead, in focus, with some background around it; (Y, X), raw units.
    energy : float
        Share of the light that the kernel keeps.
    symmetrise : bool
        Average the kernel with its mirror images.

    Returns
    -------
    ndarray
        (Y, X), square, sides odd, sum 1.

    Raises
    ------
    RequestError
        If there is no bead, more than one, or one that is cut off.
    """
    pixels = np.asarray(bead, dtype=np.float64)
    _require_bead_image(pixels)
    level, noise = _level_and_noise(pixels)
    smooth = ndimage.gaussian_filter(pixels - level, 1)
    _require_one_bead(smooth, noise)
    spot = _find_spot(pixels - level, smooth, noise)
    level = _level_around(pixels, spot, level, noise)
    return _cut_out(pixels - level, spot, energy, symmetrise)


def _require_bead_image(pixels: NDArray[np.float64]) -> None:
    if pixels.ndim != 2 or min(pixels.shape) < 5:
        raise RequestError(
            f"The bead image has the shape {pixels.shape}; one plane of at least 5 × 5 "
            "pixels is needed.",
            "Choose the plane in which the bead is in focus.",
        )
    if not np.isfinite(pixels).all():
        raise RequestError(
            "The bead image holds NaN or infinite pixels.",
            "Crop it to the part that was recorded.",
        )


def _border(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = np.zeros(pixels.shape, dtype=bool)
    inside[1:-1, 1:-1] = True
    return pixels[~inside]


def _level_and_noise(pixels: NDArray[np.float64]) -> tuple[float, float]:
    """Background, and standard deviation of its noise, from the image's border."""
    border = _border(pixels)
    level = float(np.median(border))
    # Not the median of the deviations: where few photons fall, that is zero.
    return level, 1.2533 * float(np.abs(border - level).mean())


def _require_one_bead(smooth: NDArray[np.float64], noise: float) -> None:
    peak = float(smooth.max())
    # The smoothing leaves 0.28 of the noise; five such deviations come by chance once
    # in millions of pixels.
    if peak <= 1.4 * noise:
        raise RequestError(
            "No bead stands out from the background of the bead image.",
            "Choose an image with one bright bead in focus.",
        )
    if _peak_elsewhere(smooth) > peak / 2:
        raise RequestError(
            "The bead image shows more than one bead.",
            "Crop it around a single one, far from others.",
        )


def _peak_elsewhere(smooth: NDArray[np.float64]) -> float:
    """Brightest place outside twice the width of the brightest spot."""
    top = np.unravel_index(int(smooth.argmax()), smooth.shape)
    parts, _ = ndimage.label(smooth > smooth.max() / 2, np.ones((3, 3)))
    width = math.sqrt(int((parts == parts[top]).sum()) / math.pi)
    elsewhere = _distance(smooth.shape, float(top[0]), float(top[1])) > 2 * width + 2
    return float(smooth[elsewhere].max(initial=0))


def _distance(shape: tuple[int, ...], y: float, x: float) -> NDArray[np.float64]:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    distance: NDArray[np.float64] = np.hypot(rows - y, columns - x)
    return distance


def _find_spot(
    light: NDArray[np.float64], smooth: NDArray[np.float64], noise: float
) -> _Spot:
    y, x = (float(i) for i in np.unravel_index(int(smooth.argmax()), smooth.shape))
    spot = _Spot(y, x, 0)
    for _ in range(3):  # the disc that is weighed moves with its centre of mass
        spot = spot._replace(radius=_light_radius(light, spot, noise))
        inside = _distance(light.shape, spot.y, spot.x) <= spot.radius
        y, x = ndimage.center_of_mass(np.where(inside, light, 0))
        spot = spot._replace(y=float(y), x=float(x))
    return spot


def _light_radius(light: NDArray[np.float64], spot: _Spot, noise: float) -> int:
    """Radius up to which rings around a spot are brighter than noise allows."""
    distance = _distance(light.shape, spot.y, spot.x)
    room = _room(light.shape, spot)
    count = np.bincount(distance.astype(int).ravel())[: room + 1]
    total = np.bincount(distance.astype(int).ravel(), light.ravel())[: room + 1]
    ring, peak = total / count, float(light.max())
    if room < 2 or ring[-1] > max(0.02 * peak, 4 * noise / math.sqrt(count[-1])):
        raise RequestError(
            "The bead is cut off by the border of the bead image.",
            "Choose a larger part of the image around it.",
        )
    # The background is known no better than the border's pixels tell.
    error = noise * np.sqrt(1 / count + 1.6 / (2 * sum(light.shape)))
    return _last_ring(ring > np.maximum(4 * error, 2e-4 * peak))


def _room(shape: tuple[int, ...], spot: _Spot) -> int:
    """Radius of the largest disc around a spot that lies in the image."""
    y, x = round(spot.y), round(spot.x)
    return min(y, x, shape[0] - 1 - y, shape[1] - 1 - x)


def _last_ring(lit: NDArray[np.bool_]) -> int:
    """Radius where light ends; dark rings may lie between, but no wide dark gap."""
    radius = 1
    for ring in np.flatnonzero(lit):
        if ring + 1 - radius > max(2, radius // 2):
            break
        radius = max(radius, int(ring) + 1)
    return radius


def _level_around(
    pixels: NDArray[np.float64], spot: _Spot, level: float, noise: float
) -> float:
    """Background from all pixels around the bead: many more than the border's."""
    outside = pixels[_distance(pixels.shape, spot.y, spot.x) > spot.radius + 1]
    dark = outside[np.abs(outside - level) <= 3 * noise]
    return float(dark.mean()) if dark.size else level


def _cut_out(
    light: NDArray[np.float64], spot: _Spot, energy: float, symmetrise: bool
) -> Kernel:
    y, x = round(spot.y), round(spot.x)
    light = np.where(_distance(light.shape, spot.y, spot.x) <= spot.radius, light, 0)
    light = ndimage.shift(light, (y - spot.y, x - spot.x), order=5, mode="constant")
    half = min(spot.radius, _room(light.shape, spot))
    kernel = light[y - half : y + half + 1, x - half : x + half + 1]
    if symmetrise:
        kernel = (kernel + kernel[::-1]) / 2
        kernel = (kernel + kernel[:, ::-1]) / 2
    return _crop(kernel.clip(min=0), energy)


def _crop(kernel: Kernel, energy: float) -> Kernel:
    """Smallest centred square that holds a share of the light, with sum 1."""
    centre, wanted = len(kernel) // 2, energy * kernel.sum()
    for half in range(centre + 1):
        reach = slice(centre - half, centre + half + 1)
        if kernel[reach, reach].sum() >= wanted * (1 - 1e-12):
            break
    _require_radius(half)
    cropped: Kernel = kernel[reach, reach] / kernel[reach, reach].sum()
    return cropped


def _brightest_plane(bead: Image) -> NDArray[np.float32]:
    """The plane in focus: where the bead, a little smoothed, is brightest."""
    return max(
        (bead.read_plane(plane) for plane in bead.planes()),
        key=lambda pixels: float(ndimage.gaussian_filter(pixels, 1).max()),
    )


_MICROMETRES = {
    **dict.fromkeys(("µm", "μm", "um", "micron", "micrometer"), 1.0),
    **dict.fromkeys(("nm", "nanometer"), 1e-3),
}


def _require_same_pixels(bead: Image, pixel_size: PixelSize) -> None:
    axes = [bead.axes.index(axis) for axis in "YX"]
    units = [_MICROMETRES.get(bead.units[axis]) for axis in axes]
    if pixel_size is None or None in units:
        return
    steps = [bead.pixel_size[a] * (u or 0) for a, u in zip(axes, units, strict=True)]
    if not np.allclose(steps, pixel_size, rtol=0.05):
        raise RequestError(
            f"The bead was recorded with pixels of {steps[0]:.4g} × {steps[1]:.4g} µm, "
            f"the image with {pixel_size[0]:.4g} × {pixel_size[1]:.4g} µm.",
            "Record the bead like the image, or resample it to the image's pixels.",
        )


# Convolution ------------------------------------------------------------------------


class Convolution(nn.Module):
    """Blurs phantoms with one kernel; the size stays, borders are mirrored.

    By Fourier transform, whatever the kernel: on a CPU that is 10 to 50 times faster
    than a convolution layer with one channel, and the time hardly depends on the
    kernel. Always in float32; the kernel is a buffer, and no part of the weights.

    Parameters
    ----------
    kernel : ndarray
        (Y, X), sides odd. A single pixel leaves phantoms untouched.
    """

    kernel: Tensor

    def __init__(self, kernel: Kernel) -> None:
        super().__init__()
        values = torch.from_numpy(np.array(kernel, dtype=np.float32))
        self.register_buffer("kernel", values, persistent=False)

    @property
    def radius(self) -> int:
        """Pixels that a pixel of the signal looks to each side."""
        return max(self.kernel.shape) // 2

    def forward(self, phantom: Tensor) -> Tensor:
        """Signal of a phantom: (B, 1, Y, X) -> (B, 1, Y, X)."""
        if self.radius == 0:
            return phantom
        with torch.autocast(phantom.device.type, enabled=False):
            return _convolve(phantom.float(), self.kernel)


def _convolve(phantom: Tensor, kernel: Tensor) -> Tensor:
    padded, margins = phantom, [side // 2 for side in kernel.shape]
    for axis, margin in zip((-2, -1), margins, strict=True):
        padded = padded.index_select(axis, _mirrored(phantom, axis, margin))
    shape = [fft.next_fast_len(side, real=True) for side in padded.shape[-2:]]
    spectrum = torch.fft.rfft2(padded, s=shape) * _transfer(kernel, shape)
    blurred: Tensor = torch.fft.irfft2(spectrum, s=shape)
    for axis, margin in zip((-2, -1), margins, strict=True):
        blurred = blurred.narrow(axis, margin, phantom.shape[axis])
    return blurred


def _mirrored(values: Tensor, axis: int, margin: int) -> Tensor:
    """Indices along an axis with mirrored margins, of any width."""
    index = np.pad(np.arange(values.shape[axis]), margin, mode="symmetric")
    return torch.from_numpy(index).to(values.device)


def _transfer(kernel: Tensor, shape: Sequence[int]) -> Tensor:
    """Spectrum of a kernel whose centre lies at the origin of a plane."""
    (rows, columns), (height, width) = kernel.shape, shape
    plane = F.pad(kernel, (0, width - columns, 0, height - rows))
    centred = plane.roll((-(rows // 2), -(columns // 2)), (0, 1))
    spectrum: Tensor = torch.fft.rfft2(centred)
    return spectrum


# Positivity -------------------------------------------------------------------------


def darkest_level(planes: Sequence[NDArray[np.generic]]) -> float:
    """Mean of the darkest 7 × 7 pixels of all planes (Y, X), raw units.

    A safe floor for phantoms: below it no seven by seven pixels were ever observed,
    and as the least of many means it lies a little under the true background.
    """
    return min(
        float(ndimage.uniform_filter(np.asarray(plane, np.float64), 7).min())
        for plane in planes
    )


def positive(
    phantom: Tensor, background: Tensor | float, mode: str = "softplus"
) -> Tensor:
    """Phantom from the network's output, (B, 1, Y, X), normalised units.

    Fluorophores cannot be fewer than none. With "softplus" the phantom is above the
    background whatever the network says; bright values pass unchanged. In the other
    modes it is the output itself.

    Parameters
    ----------
    phantom : Tensor
        Output of the network.
    background : Tensor or float
        Level where there is no light, normalised units.
    mode : str
        `positivity` of the point spread function.
    """
    if mode != "softplus":
        return phantom
    above = F.softplus(phantom.float() - background, beta=SOFTPLUS_BETA)
    lifted: Tensor = background + above
    return lifted


def negativity(phantom: Tensor, background: Tensor | float) -> Tensor:
    """Mean depth of a phantom below the background: the penalty of the loss.

    Averaged over all pixels, hidden or not (Goncharova et al. 2020, eq. 3, where the
    background has been subtracted beforehand).
    """
    depth: Tensor = (background - phantom).clamp_min(0)
    return depth.mean()
