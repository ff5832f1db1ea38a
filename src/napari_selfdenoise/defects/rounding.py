"""Values that 32-bit floats, in which all is computed, round or cannot hold."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import Image, PlaneIndex

# Distance of 32-bit floats in units of what neighbouring pixels differ by.
_NOTICEABLE = 0.5  # from here on, rounding adds 2 % to the noise's variance
_TOO_COARSE = 4.0  # from here on, hardly anything but the rounding is left

_RANGE = (1e-15, 1e15)
"""What neighbouring pixels may differ by: their squares are sums of 32-bit floats."""

_LARGEST_POWER = {4: 37, 8: 300}
"""Largest power of ten that floats of so many bytes hold, with room to multiply."""

_SIDE = 96  # px; side of each part of a plane that is measured
_PLACES = 3  # such parts along an axis


class Rounding(NamedTuple):
    """How coarse an image becomes as 32-bit floats.

    Parameters
    ----------
    level : int or float
        A value in the middle of the others, as it is stored, raw units.
    step : float
        Distance of 32-bit floats there, raw units.
    differences : float
        What neighbouring pixels differ by, as a standard deviation, raw units.
    """

    level: int | float
    step: float
    differences: float

    @property
    def is_noticeable(self) -> bool:
        """Whether the result will be worse for it."""
        return self.step > _NOTICEABLE * self.differences

    @property
    def is_too_coarse(self) -> bool:
        """Whether hardly anything is left of the image."""
        return self.step > _TOO_COARSE * self.differences

    @property
    def error(self) -> RequestError:
        """The error that says what is lost, and what to try."""
        return RequestError(
            f"Fine differences are lost: values around {self.level:.4g} are rounded to "
            f"multiples of {self.step:.3g} (32-bit floats), but neighbouring pixels "
            f"differ by {self.differences:.3g} only.",
            f"Subtract {self.level} from the image first.",
        )


def measure_rounding(image: Image) -> Rounding | None:
    """Measure how coarse an image becomes as 32-bit floats; None where that is fine.

    Nine parts of three planes are measured. Those of one value do not count: they may
    never have been recorded. Of the others the median counts.

    Parameters
    ----------
    image : Image
        As it is stored.

    Returns
    -------
    Rounding or None
        Of the plane that loses most; None where the result does not suffer.
    """
    if np.can_cast(image.dtype, np.float32):
        return None
    found = [_usual(image, plane) for plane in _chosen(image)]
    known = [one for one in found if one is not None and one.is_noticeable]
    return max(known, key=_coarseness, default=None)


def rounding_notes(image: Image) -> list[str]:
    """Notes on what is lost of an image as 32-bit floats; empty where nothing is.

    Raises
    ------
    RequestError
        If hardly anything is left, or values are too large or too small.
    """
    if error := range_error(image):
        raise error
    found = measure_rounding(image)
    if found is None:
        return []
    if found.is_too_coarse:
        raise found.error
    return [str(found.error)]


def range_error(image: Image) -> RequestError | None:
    """Error that says what to multiply too large or too small values by.

    Parameters
    ----------
    image : Image
        As it is stored.

    Returns
    -------
    RequestError or None
        None where they are neither, or where all are alike.
    """
    if np.can_cast(image.dtype, np.float32) and image.dtype != np.float32:
        return None
    usual = _usual_difference(image)
    if usual is None or _RANGE[0] <= usual <= _RANGE[1]:
        return None
    size, power = "large" if usual > 1 else "small", -round(math.log10(usual))
    power = max(-_LARGEST_POWER[8], min(power, _LARGEST_POWER[8]))
    fits = abs(power) <= _LARGEST_POWER[4]
    first = "Multiply the image" if fits else "Make it 64-bit floats and multiply it"
    return RequestError(
        f"The values are too {size} to compute with: neighbouring pixels differ by "
        f"{usual:.2g}.",
        f"{first} by 1e{power}.",
    )


def subtracted(pixels: NDArray[Any], level: int | float) -> NDArray[np.float32]:
    """Return pixels less a value as 32-bit floats, so that no digit is lost.

    Parameters
    ----------
    pixels : ndarray
        As they are stored, raw units.
    level : int or float
        Whole where the pixels are, and in the range of their type.
    """
    if pixels.dtype.kind == "f":
        return (pixels - level).astype(np.float32)
    # 64-bit integers have no room for all differences, but for their absolute values.
    whole, shift = pixels.astype(np.uint64), np.uint64(int(level) % 2**64)
    above, below = (whole - shift), (shift - whole)
    return np.where(
        pixels >= level, above.astype(np.float32), -below.astype(np.float32)
    )


def _chosen(image: Image) -> set[PlaneIndex]:
    """Planes that are looked at."""
    planes = list(image.planes())
    return {planes[0], planes[len(planes) // 2], planes[-1]}


def _parts_of(image: Image, plane: PlaneIndex) -> Iterator[NDArray[Any]]:
    """Parts of a plane that are looked at, (Y, X), as they are stored."""
    rows, columns = (_parts(length) for length in image.plane_shape)
    return (image.read_stored(plane, r, c) for r in rows for c in columns)


def _usual_difference(image: Image) -> float | None:
    """What neighbours differ by in the usual part; None where all have one value.

    Parts in which most neighbours are alike, such as padding with a few odd pixels,
    count only where there are no others.
    """
    parts = (part for plane in _chosen(image) for part in _parts_of(image, plane))
    known = [found for part in parts if (found := _differences(part)).any()]
    typical = [found for found in known if np.median(np.abs(found))]
    stds = sorted(map(_std, typical or known))
    return stds[len(stds) // 2] if stds else None


def _usual(image: Image, plane: PlaneIndex) -> Rounding | None:
    """What is lost of the usual part of a plane; None where nothing is."""
    parts = _parts_of(image, plane)
    found = [_measure(pixels) for pixels in parts if _differences(pixels).any()]
    in_order = sorted(found, key=_coarseness)
    return in_order[len(in_order) // 2] if in_order else None


def _coarseness(found: Rounding | None) -> float:
    return 0.0 if found is None else found.step / found.differences


def _measure(pixels: NDArray[Any]) -> Rounding | None:
    """What is lost of a part of a plane, (Y, X); None where nothing is."""
    known = np.sort(pixels[np.isfinite(pixels)])
    differences = _differences(pixels)
    if not len(known) or not differences.any():
        return None
    level = known[len(known) // 2].item()
    with np.errstate(over="ignore", invalid="ignore"):
        step = float(np.spacing(np.abs(np.float32(level))))
    tiny = abs(level) < np.finfo(np.float32).tiny
    if tiny or not np.isfinite(step) or not np.mod(differences, step).any():
        return None
    return Rounding(level, step, _std(differences))


def _differences(pixels: NDArray[Any]) -> NDArray[np.float64]:
    """Between neighbours along rows; those that are numbers, (n,)."""
    if pixels.dtype.kind != "f":
        pixels = pixels.astype(np.int64)  # differences are right though values wrap
    with np.errstate(invalid="ignore", over="ignore"):
        found = np.diff(pixels, axis=1).astype(np.float64).ravel()
    return found[np.isfinite(found)]


def _std(differences: NDArray[np.float64]) -> float:
    """Of a pixel, from differences of two; a few large ones do not count."""
    sizes = np.abs(differences)
    if typical := 1.4826 * float(np.median(sizes)):
        return typical / 2**0.5
    largest = float(sizes.max())  # squares of the largest and the smallest overflow
    return largest * float(np.sqrt(np.mean((sizes / largest) ** 2))) / 2**0.5


def _parts(length: int) -> list[slice]:
    """Parts of an axis, evenly spread from its start to its end."""
    starts = np.linspace(0, max(0, length - _SIDE), _PLACES).astype(int).tolist()
    return [slice(start, min(start + _SIDE, length)) for start in sorted({*starts})]
