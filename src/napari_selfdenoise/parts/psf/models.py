"""Point spread functions: how the microscope blurs the specimen into the signal.

The network predicts a *phantom*, the light as it left the specimen; the signal is the
phantom convolved with a known kernel, and every likelihood applies to the signal. What
no lens can pass then cannot appear in it (Goncharova et al. 2020).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from scipy import ndimage

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import in_micrometres
from napari_selfdenoise.parts.chosen_file import ChosenFile
from napari_selfdenoise.parts.psf.bead import bead_light, in_focus, kernel_of
from napari_selfdenoise.parts.psf.kernels import (
    Kernel,
    PixelSize,
    airy_kernel,
    gaussian_kernel,
)

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
        json_schema_extra={"unit": "counts"},
    ),
]


class NoPSF(BaseModel):
    """No blur: what the network predicts is the signal itself."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="None")

    kind: Literal["none"] = "none"
    blurs: ClassVar[bool] = False

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
    blurs: ClassVar[bool] = True
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
        return gaussian_kernel(*self._sigma_px(pixel_size))

    def _sigma_px(self, pixel_size: PixelSize) -> tuple[float, float]:
        if self.unit == "pixel":
            return self.sigma, self.sigma
        sigma_um = self.sigma * (in_micrometres(self.unit) or 1.0)
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
    blurs: ClassVar[bool] = True
    file: ChosenFile = Field(
        None,
        title="Bead image",
        description="TIFF with one bead; of a stack, the plane where it is brightest "
        "is taken.",
        json_schema_extra={"path": "image", "taken_from": "image"},
    )
    values: tuple[tuple[float, ...], ...] | None = Field(
        None,
        title="Bead",
        description="Light of the bead, from the file or taken from a layer.",
        json_schema_extra={"hidden": True},
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

    @field_validator("values")
    @classmethod
    def _is_square(
        cls, values: tuple[tuple[float, ...], ...] | None
    ) -> tuple[tuple[float, ...], ...] | None:
        if values is None:
            return None
        side = len(values)
        if side % 2 == 0 or {len(row) for row in values} != {side}:
            raise ValueError("the light of a bead needs to be a square of odd sides")
        if not np.isfinite(values).all() or np.max(values) <= 0:
            raise ValueError("the light of a bead needs to be finite, and some of it")
        return values

    @classmethod
    def taken(cls, bead: ArrayLike) -> Self:
        """Measure a bead that is at hand, and keep its light instead of a file.

        Parameters
        ----------
        bead : array_like
            One bead in focus, (Y, X), or planes of which one is, (planes, Y, X); of
            those the one where it is brightest is taken.

        Raises
        ------
        RequestError
            If it does not show one whole bead.
        """
        pixels = np.asarray(bead)
        if pixels.ndim == 3 and len(pixels):
            pixels = in_focus(pixels)
        light = bead_light(pixels)
        rows = (light / light.max()).tolist()
        return cls(values=tuple(tuple(float(f"{v:.6g}") for v in row) for row in rows))

    def kernel(self, pixel_size: PixelSize = None) -> Kernel:
        """Kernel from the light of the bead.

        Parameters
        ----------
        pixel_size : (float, float), optional
            Not needed: a bead has the pixels of the image.

        Returns
        -------
        ndarray
            (Y, X), sides odd, sum 1.

        Raises
        ------
        RequestError
            If there is no bead: no file is named, or `resolve_files` has not read it.
        """
        if self.values:
            return kernel_of(np.array(self.values), self.energy, self.symmetrise)
        if self.file is not None:
            raise RequestError(
                f"The bead image {self.file} has not been read.",
                "Read it with `resolve_files`.",
            )
        raise RequestError(
            "No bead image was chosen for the measured point spread function.",
            "Choose a TIFF with one bead, or a Gaussian.",
        )


class OpticalPSF(BaseModel):
    """Calculated from the optics.

    The in-focus image of a point through an ideal objective (Airy pattern, scalar and
    paraxial), integrated over each pixel. Real objectives are a little wider.
    Born and Wolf, Principles of Optics, section 8.5.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", title="From the optics")

    kind: Literal["optical"] = "optical"
    blurs: ClassVar[bool] = True
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
        return airy_kernel(height * v_per_um, width * v_per_um, self.confocal)


PSF = Annotated[
    NoPSF | GaussianPSF | MeasuredPSF | OpticalPSF, Field(discriminator="kind")
]


def darkest_level(planes: Sequence[NDArray[np.generic]]) -> float:
    """Mean of the darkest 7 × 7 pixels of all planes (Y, X), raw units.

    A safe floor for phantoms: below it no seven by seven pixels were ever observed,
    and as the least of many means it lies a little under the true background.
    """
    return min(
        float(ndimage.uniform_filter(np.asarray(plane, np.float64), 7).min())
        for plane in planes
    )


def _known(pixel_size: PixelSize, purpose: str) -> tuple[float, float]:
    if pixel_size is None:
        raise RequestError(
            f"The pixel size of the image is not known: {purpose} needs it.",
            "Set the pixel size of the image in micrometres, or choose a Gaussian in "
            "pixels.",
        )
    return pixel_size
