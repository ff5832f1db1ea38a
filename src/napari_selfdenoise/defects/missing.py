"""Pixels that were never recorded: NaN, padding of one value, blank frames.

Registration and stitching fill what they have no pixels for with one value. Such a
region ends abruptly: beside it, its value is rare. A background that a camera has cut
off, or that has hardly any photons, fades out: beside it, its value is frequent.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

BLANK = 0.999
"""Share of the pixels of one value from which on a plane is blank."""

SATURATED = 0.95
"""Share of the pixels at the highest value from which on a plane is lost."""

# Where 45 % of the pixels are missing at random, less is left: results were then worse
# than the raw image, and their stated error far too small.
_AROUND = 5  # px; side of the square around a recorded pixel
_LEAST_AROUND = 0.57  # share of that square that was recorded, on average, at least

# Regions may have more gaps than a plane: the network also learns from the rest of it.
_REGION = 21  # px; side of a region
_LEAST_IN_REGION = 0.45  # share of the square that was recorded, mean over a region
_ALONE = 0.3  # the same for a single pixel; at a corner it is 0.36

REACH = 8 + _REGION // 2 + _AROUND // 2
"""Distance in px up to which other pixels decide if one is missing."""

_BLOCK = 3
"""Side in px of the smallest constant region."""

_CLOSED = 5
"""Side in px of the closing: single pixels in a region that differ are no content."""

_RING = 3
"""Width in px of the ring around a region that its value is compared with."""

_LOOSE = 0.1
"""Share of the pixels beside padding that have its value, at most."""

_LEAST = 6
"""Pixels of a region, at least: a corner goes on as one value, whatever it is."""

_SMALL = 100
"""Pixels of a region up to which it must differ from what is beside it."""

_FAR = 5.0
"""By how many stds of what is beside it."""

_MOST_VALUES = 8
_MOST_REGIONS = 500


def is_blank(pixels: Array) -> bool:
    """Whether a plane (Y, X) holds next to nothing: all of one value, or saturated."""
    known = pixels[np.isfinite(pixels)]
    if not len(known):
        return True
    most = float((known == np.median(known)).mean())
    return most >= BLANK or float((known == known.max()).mean()) >= SATURATED


def is_full_of_gaps(gone: Flags) -> bool:
    """Whether recorded pixels have, on average, too few recorded ones around them.

    Parameters
    ----------
    gone : ndarray
        True where nothing was recorded, (Y, X). What lies beyond the borders does not
        count as missing.
    """
    if not gone.any() or gone.all():
        return False
    return float(np.mean(_recorded_around(~gone)[~gone])) < _LEAST_AROUND


def find_lone(gone: Flags) -> Flags:
    """Find recorded pixels amid gaps, (Y, X); `gone` as above."""
    if not gone.any() or gone.all():
        return np.zeros_like(gone)
    recorded = (~gone).astype(np.float32)
    share = _recorded_around(~gone)
    around = np.where(gone, np.float32(0), share)
    total, count = (
        ndimage.uniform_filter(values, _REGION, mode="constant")
        for values in (around, recorded)
    )
    amid_gaps = (total < _LEAST_IN_REGION * count) | (share < _ALONE)
    lone: Flags = ~gone & amid_gaps
    return lone


def _recorded_around(recorded: Flags) -> NDArray[np.float32]:
    """Share of the square around each pixel that was recorded, (Y, X)."""
    found, possible = (
        ndimage.uniform_filter(values, _AROUND, mode="constant")
        for values in (recorded.astype(np.float32), np.ones(recorded.shape, np.float32))
    )
    share: NDArray[np.float32] = found / possible
    return share


def find_padding(pixels: Array) -> Flags:
    """Find regions of one value that end abruptly.

    Parameters
    ----------
    pixels : ndarray
        Observation, (Y, X), raw units; may hold NaN.

    Returns
    -------
    ndarray
        True where nothing was recorded, (Y, X).
    """
    found = np.zeros(pixels.shape, np.bool_)
    constant = _constant(pixels)
    if not constant.any():
        return found
    highest, middle = np.nanmax(pixels), np.nanmedian(pixels)
    for value in _frequent(pixels[constant]):
        # What is saturated lies in what is bright; padding in white does not.
        least = (value + middle) / 2 if value == highest else None
        for place, region in _regions(constant & (pixels == value)):
            if _ends_abruptly(pixels[place], region, value, least):
                found[place] |= region
    return found


def _constant(pixels: Array) -> Flags:
    """Pixels in a square block of one value; borders go on as they end."""
    margin = _BLOCK - 1
    padded = np.pad(pixels, margin, mode="edge")
    # True where a block starts: the same along all its rows, and down its column.
    across, down = padded[:, 1:] == padded[:, :-1], padded[1:] == padded[:-1]
    width, height = (side - margin for side in padded.shape[::-1])
    starts = np.ones((height, width), np.bool_)
    for y in range(_BLOCK):
        for x in range(margin):
            starts &= across[y : y + height, x : x + width]
    for y in range(margin):
        starts &= down[y : y + height, :width]
    if not starts.any():
        return np.zeros(pixels.shape, np.bool_)
    whole = np.zeros(padded.shape, np.bool_)
    for y, x in np.ndindex(_BLOCK, _BLOCK):
        whole[y : y + height, x : x + width] |= starts
    return whole[margin:-margin, margin:-margin]


def _frequent(values: Array) -> Array:
    """The most frequent values, the most frequent first."""
    different, counts = np.unique(values, return_counts=True)
    return different[np.argsort(-counts)[:_MOST_VALUES]]


def _regions(flags: Flags) -> Iterator[tuple[tuple[slice, ...], Flags]]:
    """Closed regions of flags, each with its place and some of what is around it."""
    # Separable filters close a square many times faster than binary morphology.
    grown = ndimage.maximum_filter(flags, _CLOSED, mode="nearest")
    closed = ndimage.minimum_filter(grown, _CLOSED, mode="nearest")
    labels, count = ndimage.label(closed)
    if count > _MOST_REGIONS:
        return
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        place = tuple(
            slice(max(0, part.start - _RING), part.stop + _RING) for part in box
        )
        yield place, labels[place] == number


def _ends_abruptly(
    pixels: Array, region: Flags, value: float, saturated: float | None
) -> bool:
    """Whether the value of a region is rare beside it, and it is not saturated.

    It is where most of the pixels next to it are brighter than a level.
    """
    if region.sum() < _LEAST:
        return False
    if saturated is not None:
        next_to = pixels[ndimage.binary_dilation(region) & ~region]
        if len(next_to) and np.nanmedian(next_to) > saturated:
            return False
    square = np.ones((2 * _RING + 1, 2 * _RING + 1))
    ring = pixels[ndimage.binary_dilation(region, square) & ~region]
    ring = ring[np.isfinite(ring)]
    if not len(ring) or (ring == value).mean() > _LOOSE:
        return False
    if region.sum() > _SMALL:
        return True
    middle = np.median(ring)
    std = 1.4826 * np.median(np.abs(ring - middle))
    steps = np.diff(np.unique(ring))
    # Among few photons, three by three pixels of one value are nothing special.
    least = float(steps.min()) if len(steps) else 0.0
    return bool(abs(value - middle) > _FAR * max(std, least))
