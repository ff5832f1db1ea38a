"""What a denoising has taken away: the noisy image less the denoised one."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.defects import CleanImage, measure_clipping
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import Image, PlaneIndex, bins_by_signal, means_of_bins
from napari_selfdenoise.long_work import run_to_end
from napari_selfdenoise.parts.noise_models import NoiseCurve

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

MOST_PLANES = 16
"""Planes that a check reads, evenly spaced; more would change nothing."""

MOST_PIXELS = 2**23
"""Pixels that a check reads, in as many planes as they fill."""

_SIDE = 2048  # px; of larger planes the middle is measured
_LINES = 2.0
"""Variance of the medians of lines, over that by chance, if lines have offsets."""

_LEAST_IN_LINE = 32

_ENDS = 3.0
"""Stds from the darkest or brightest possible value up to which noise is cut off."""

_BIAS_OF_STD = 0.4  # of noise whose lower half is cut off: `Clipping.bias` over its std
_BINS = 32
_LEAST_IN_BIN = 400
_FAR = 5.0
"""Stds at which residuals are cut: what lies beyond is no matter of neighbours."""


@dataclass(frozen=True, eq=False)
class ResidualPlane:
    """The residual of one plane.

    Parameters
    ----------
    residual : ndarray
        Observation less prediction, raw units, (Y, X); NaN where a pixel is left out.
    denoised : ndarray
        Prediction, raw units, (Y, X); finite.
    recorded : ndarray
        False where nothing was recorded, (Y, X).
    channel : int
        That the plane belongs to.
    """

    residual: Array
    denoised: Array
    recorded: Flags
    channel: int = 0

    @property
    def good(self) -> Flags:
        """True where the residual is known, (Y, X)."""
        return np.isfinite(self.residual)

    def standardised(self, curve: NoiseCurve | None = None) -> Array:
        """Residual over the noise std at its signal, mean zero, (Y, X).

        NaN as in the residual; values beyond five stds are cut.

        Parameters
        ----------
        curve : NoiseCurve, optional
            Of the noise, raw units; by default the std of residuals of like signal.
        """
        std = self.noise_std(curve)
        known = std > 0
        scaled = np.divide(
            self.residual, std, out=np.full_like(std, np.nan), where=known
        )
        if not np.isfinite(scaled).any():
            return scaled
        return np.asarray(np.clip(scaled - np.nanmean(scaled), -_FAR, _FAR))

    def noise_std(self, curve: NoiseCurve | None = None) -> Array:
        """Noise std at each pixel, raw units, (Y, X); the parameter is as above."""
        if curve is not None:
            return curve.std_at(self.denoised.astype(np.float32)).astype(np.float64)
        signal, residual = self.denoised[self.good], self.residual[self.good]
        bins = bins_by_signal(signal, _BINS, _LEAST_IN_BIN)
        centre, mean, squared = (
            means_of_bins(bins, values) for values in (signal, residual, residual**2)
        )
        std = np.sqrt(np.maximum(squared - mean**2, 0.0))
        return np.asarray(np.interp(self.denoised, centre, std))

    def without_lines(self) -> ResidualPlane:
        """Return it less what whole rows or columns are too bright or too dark by.

        Where that is no more than chance, nothing is subtracted.
        """
        residual = self.residual
        for axis in (1, 0):
            known = np.isfinite(residual)
            lines = known.sum(axis) > _LEAST_IN_LINE
            values = residual[lines] if axis else residual[:, lines]
            if not values.size:
                continue
            middle = np.zeros(lines.shape)
            middle[lines] = np.nanmedian(values, axis)
            by_chance = np.pi / 2 * np.nanvar(values) / residual.shape[axis]
            if middle[lines].var() > _LINES * by_chance:
                residual = residual - np.expand_dims(middle, axis)
        return replace(self, residual=residual)


def residual_planes(noisy: Image, denoised: Image) -> list[ResidualPlane]:
    """Residuals of at most 16 planes, of each at most the middle 2048 × 2048 pixels.

    Missing pixels, outliers and clipped pixels are left out, as are planes that are
    blank or were not changed.

    Parameters
    ----------
    noisy, denoised : Image
        With equally many planes of one size.

    Raises
    ------
    RequestError
        If they do not fit, or no pixel is left.
    """
    require_pair(noisy, denoised)
    clean = CleanImage(noisy, subtract=False)
    pairs = list(zip(noisy.planes(), denoised.planes(), strict=True))
    size = min(_SIDE, noisy.plane_shape[0]) * min(_SIDE, noisy.plane_shape[1])
    every = -(-len(pairs) // max(1, min(MOST_PLANES, MOST_PIXELS // size)))
    part = _middle(noisy.plane_shape)
    found = [
        plane
        for source, target in pairs[::every]
        if (plane := _residual(clean, denoised, source, target, part)) is not None
    ]
    if not found:
        raise RequestError(
            "Nothing was removed: the two images are equal, blank or not recorded.",
            "Give the noisy image, and what became of it.",
        )
    return found


def residual_image(noisy: Image, denoised: Image) -> Image:
    """Return the residual of a whole image; NaN where a pixel is left out.

    Parameters
    ----------
    noisy, denoised : Image
        As for `residual_planes`.

    Returns
    -------
    Image
        With the axes of the noisy image, float32, raw units.

    Raises
    ------
    RequestError
        If they do not fit.
    """
    return run_to_end(residual_steps(noisy, denoised))


def residual_steps(noisy: Image, denoised: Image) -> Generator[float, object, Image]:
    """Do as `residual_image`; yields after each plane the share that is done."""
    require_pair(noisy, denoised)
    clean, whole = CleanImage(noisy, subtract=False), (slice(None), slice(None))
    data = np.full(noisy.shape, np.nan, np.float32)
    pairs = list(zip(noisy.planes(), denoised.planes(), strict=True))
    for done, (source, target) in enumerate(pairs, 1):
        plane = _residual(clean, denoised, source, target, whole)
        if plane is not None:
            values = plane.residual.astype(np.float32)
            data[noisy.slices(source)] = noisy.as_stored(values)
        yield done / len(pairs)
    named = noisy.with_data(data, f"{noisy.name} residual")
    return replace(named, look=None)  # differences, not intensities


def require_pair(noisy: Image, denoised: Image) -> None:
    """Raise an error unless two images have equally many planes of one size."""
    counts = noisy.plane_count, denoised.plane_count
    if counts[0] == counts[1] and noisy.plane_shape == denoised.plane_shape:
        return
    raise RequestError(
        f"The noisy image has {counts[0]} planes of {_size(noisy)} and the denoised "
        f"one {counts[1]} of {_size(denoised)}.",
        "Give the image that was denoised; --frame picks one of a stack.",
    )


def _size(image: Image) -> str:
    return " × ".join(map(str, image.plane_shape))


def _middle(shape: Sequence[int]) -> tuple[slice, slice]:
    starts = [max(0, (side - _SIDE) // 2) for side in shape]
    rows, columns = (slice(start, start + _SIDE) for start in starts)
    return rows, columns


def _residual(
    clean: CleanImage,
    denoised: Image,
    source: PlaneIndex,
    target: PlaneIndex,
    part: tuple[slice, slice],
) -> ResidualPlane | None:
    """Residual of a part of a plane; None where there is nothing to measure."""
    if clean.is_blank(source):
        return None
    noisy = clean.read(source, *part)
    prediction = denoised.read_plane(target, *part).astype(np.float64)
    known = noisy.good & np.isfinite(prediction)
    known &= ~_cut_off(noisy.recorded, prediction)
    if not known.any():
        return None
    pixels = noisy.pixels.astype(np.float64)
    residual = np.where(known, pixels - np.where(known, prediction, 0), np.nan)
    if not np.nanmax(np.abs(residual)) > 0:
        return None
    finite = np.where(np.isfinite(prediction), prediction, np.median(prediction[known]))
    channel = clean.image.channel_of(source)
    return ResidualPlane(residual, finite, ~noisy.missing, channel)


def _cut_off(recorded: NDArray[np.float32], prediction: Array) -> Flags:
    """Pixels whose noise was cut off at an end, (Y, X): clipped, or close to it.

    Where a part of the noise is cut off, the mean of what is left follows the signal.
    """
    found = measure_clipping([recorded])
    cut = np.zeros(recorded.shape, np.bool_)
    if found.low:
        dark_std = found.bias / _BIAS_OF_STD
        cut |= (recorded <= found.lowest) | (
            prediction < found.lowest + _ENDS * dark_std
        )
    if found.high:
        below = recorded < found.highest
        residual = recorded[below] - prediction[below]
        std = float(np.sqrt(np.nanmean(residual**2))) if below.any() else 0.0
        cut |= ~below | (prediction > found.highest - _ENDS * std)
    return cut


def scaled_planes(
    planes: Sequence[ResidualPlane], curves: Sequence[NoiseCurve] | None
) -> Iterator[Array]:
    """Yield the standardised residual of each plane, by the curve of its channel."""
    for plane in planes:
        yield plane.standardised(curves[plane.channel] if curves else None)
