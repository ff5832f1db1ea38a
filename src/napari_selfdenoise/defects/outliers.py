"""Single pixels that stick out: cosmic rays, zingers, hot and dead pixels.

A pixel is an outlier where it is further from its neighbours than noise explains, and
sharper than any optics: light that is spread by a lens raises the neighbours, too.
Both are told by ranks and medians, which a few extreme values cannot move.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label, maximum_filter, median_filter, minimum_filter
from scipy.ndimage import maximum as ndimage_maximum
from scipy.ndimage import minimum as ndimage_minimum

from napari_selfdenoise.images import bins_by_signal, means_of_bins

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

FARTHEST = 6.0
"""Noise stds by which a pixel may differ from its neighbours.

With 6, one pixel in a million of clean micrographs is taken for an outlier.
"""

SHARPEST = 4.0
"""How far a pixel may stick out of its brightest neighbours, over what these stick out
of the rest: 1.2 for a spot of 0.8 px (std), 3 for one of 0.6 px, below all optics."""

RANK = 3
"""Which of the brightest neighbours counts: outliers come in pairs and lines, too."""

ROUNDS = 5
"""Rounds of the search: each takes the ends off lines of outliers."""

RADIUS = 2
"""Distance of the neighbours that are compared, along each axis, in px."""

REACH = ROUNDS * RADIUS + 6
"""Distance in px up to which other pixels decide if one is an outlier."""

_BINS = 16  # brightness levels at which the noise is measured, at most
_BIN_PIXELS = 64  # pixels of each level, at least

_UNCERTAIN = 2.0
"""Margin for the error of a noise std that n pixels give, times the root of n."""

_TAIL = 10.0
_TAIL_STDS = 1.2816
"""Percentile of the differences that the noise is measured by, and where a Gaussian has
it: outliers beyond it do not count."""

_BRIGHT = 0.3
"""Share of the range of levels above which the growth of the noise is measured."""

_LEAST_NEIGHBOURS = 8

_HIGH = 40.0
"""Noise stds by which clusters stick out."""

_CLUSTER = 12
"""Pixels of a cluster, at most: the median of 5 x 5 pixels must be that of others."""

# Clusters end abruptly; spots of 0.66 px (std) and more do not.
_PLATEAU = 0.2  # height of a cluster's lowest pixel over that of its highest, at least
_CLIFF = 10.0  # height of its lowest pixel over that of the pixels around, at least,
_SLACK = 3.0  # but for so many noise stds

_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.bool_)

_OFFSETS = tuple(
    (y, x)
    for y in range(-RADIUS, RADIUS + 1)
    for x in range(-RADIUS, RADIUS + 1)
    if (y, x) != (0, 0)
)


@dataclass(frozen=True, eq=False)
class Scatter:
    """How far pixels of a plane lie from the median of their neighbours, raw units.

    Parameters
    ----------
    level : ndarray
        Median of the neighbours, increasing, (n,).
    above, below : ndarray
        Standard deviation to either side at each level, (n,).
    gain, falling_gain : float
        Growth of the variance as the level rises, and as it falls, which is that of an
        inverted image: what one photo-electron counts, or more.
    """

    level: Array
    above: Array
    below: Array
    gain: float
    falling_gain: float

    @classmethod
    def measure(cls, pixels: Array, known: Flags) -> Scatter:
        """Measure the scatter of the known pixels of a plane or a part; both (Y, X)."""
        median = median_filter(pixels, 3, mode="reflect")
        level, difference = median[known], (pixels - median)[known]
        groups = bins_by_signal(level, _BINS, least=_BIN_PIXELS)
        centre = means_of_bins(groups, level)
        tails = np.array(
            [
                np.percentile(difference[group], (_TAIL, 50.0, 100 - _TAIL))
                for group in groups
            ]
        )
        # Of few pixels the noise is uncertain: rather too strong than too weak.
        margin = 1 + _UNCERTAIN / np.sqrt([len(group) for group in groups])
        below, above = np.diff(tails, axis=1).T / _TAIL_STDS * margin
        gain = _growth(centre, above)
        falling_gain = _growth(-centre[::-1], below[::-1])
        # A photon is no outlier where there are few: nor is one step of the camera.
        step = _grey_step(pixels[known])
        above = np.maximum(above, max(gain, step))
        below = np.maximum(below, max(falling_gain, step))
        return cls(centre, above, below, gain, falling_gain)

    def least(self, sign: int) -> float:
        """Smallest standard deviation to the side of a sign."""
        return float((self.above if sign > 0 else self.below).min())

    def at(self, level: Array, sign: int) -> Array:
        """Standard deviation to the side of a sign, at levels of any shape."""
        std = np.interp(level, self.level, self.above if sign > 0 else self.below)
        # Brighter than almost all of the plane, light still brings its noise.
        beyond = self.gain * np.maximum(level - self.level[-1], 0)
        beyond += self.falling_gain * np.maximum(self.level[0] - level, 0)
        return np.asarray(np.sqrt(std**2 + beyond))


def _growth(level: Array, std: Array) -> float:
    """Slope of the variance over the level; 0 where it does not grow."""
    bright = level > level[0] + _BRIGHT * (level[-1] - level[0])
    if not bright.any():
        return 0.0
    slopes = (std[bright] ** 2 - std[0] ** 2) / (level[bright] - level[0])
    return max(0.0, float(np.median(slopes)))


def _grey_step(pixels: Array) -> float:
    """Smallest difference of some pixels' values: the step of an integer image."""
    steps = np.diff(np.unique(pixels[: 2**16]))
    return float(steps.min()) if len(steps) else 0.0


def find_outliers(pixels: Array, missing: Flags, scatter: Scatter) -> Flags:
    """Return True for pixels that differ from their neighbours as outliers do.

    Parameters
    ----------
    pixels : ndarray
        Observation, (Y, X), raw units, missing pixels filled.
    missing : ndarray
        Pixels that were not recorded and say nothing, (Y, X).
    scatter : Scatter
        Of the plane.

    Returns
    -------
    ndarray
        (Y, X).
    """
    found = np.zeros(pixels.shape, np.bool_)
    if min(pixels.shape) <= 2 * RADIUS:  # too narrow to have neighbours
        return found
    for sign in (1, -1):
        raised = sign * pixels
        suspect = _suspects(raised, scatter, sign) & ~missing
        if suspect.any():
            found |= _singles(raised, suspect, missing, scatter, sign)
            found |= _clusters(raised, found | missing, scatter, sign)
    return found


def _suspects(raised: Array, scatter: Scatter, sign: int) -> Flags:
    """Pixels far above one of their direct neighbours: a quick look, (Y, X)."""
    padded = np.pad(raised, 1, mode="reflect")
    lowest, total = raised.copy(), np.zeros_like(raised)
    for place in (
        (slice(None, -2), slice(1, -1)),
        (slice(2, None), slice(1, -1)),
        (slice(1, -1), slice(None, -2)),
        (slice(1, -1), slice(2, None)),
    ):
        np.minimum(lowest, padded[place], out=lowest)
        total += padded[place]
    above = raised - lowest
    suspect: Flags = above > FARTHEST * scatter.least(sign)
    rows, columns = np.nonzero(suspect)
    # The darkest of four neighbours alone: the mean of all holds what sticks out.
    limit = FARTHEST * scatter.at(sign * lowest[rows, columns], sign)
    suspect[rows, columns] = above[rows, columns] > limit
    return suspect


def _singles(
    raised: Array, suspect: Flags, missing: Flags, scatter: Scatter, sign: int
) -> Flags:
    """Suspects that stick out of all but some of their neighbours, (Y, X)."""
    found = np.zeros(raised.shape, np.bool_)
    for _ in range(ROUNDS):
        rows, columns = np.nonzero(suspect & ~found)
        around = np.sort(_neighbours(raised, found | missing, rows, columns), axis=1)
        count = np.isfinite(around).sum(1)
        every = np.arange(len(rows))
        bright = around[every, np.maximum(count - RANK, 0)]
        middle = around[every, np.maximum(count - 1, 0) // 2]
        above = raised[rows, columns] - bright
        limit = FARTHEST * scatter.at(sign * middle, sign)
        new = (above > limit) & (above > SHARPEST * (bright - middle))
        new &= count >= _LEAST_NEIGHBOURS
        if not new.any():
            break
        found[rows[new], columns[new]] = True
    return found


def _clusters(raised: Array, known: Flags, scatter: Scatter, sign: int) -> Flags:
    """Small groups of pixels, all far above everything beside them, (Y, X)."""
    edge = raised - minimum_filter(raised, footprint=_CROSS, mode="reflect")
    steep: Flags = maximum_filter(edge > _HIGH * scatter.least(sign), 3) & ~known
    if not steep.any():
        return steep
    rows, columns = np.nonzero(steep)
    around = _neighbours(raised, known, rows, columns)
    alone = np.isnan(around).all(axis=1)  # amid gaps there is nothing to compare with
    around[alone] = raised[rows[alone], columns[alone], None]
    level = np.nanmedian(around, axis=1)
    std = scatter.at(sign * level, sign)
    chosen = raised[rows, columns] - level > _HIGH * std
    high = np.zeros_like(known)
    high[rows[chosen], columns[chosen]] = True
    labels, count = label(high, np.ones((3, 3)))
    if not count:
        return high
    # Of each cluster: the level around it, its ends, and the highest pixel beside it.
    number = labels[rows[chosen], columns[chosen]]
    every = np.arange(1, count + 1)
    ground = np.asarray(ndimage_minimum(level[chosen], number, every))
    noise = np.asarray(ndimage_minimum(std[chosen], number, every))
    lowest, highest = (
        np.asarray(end(raised, labels, every)) - ground
        for end in (ndimage_minimum, ndimage_maximum)
    )
    outside = maximum_filter(np.where(high | known, -np.inf, raised), 3, mode="reflect")
    neighbour = np.asarray(ndimage_maximum(outside, labels, every)) - ground
    alone = np.bincount(number)[1:] <= _CLUSTER
    alone &= lowest > _PLATEAU * highest
    alone &= neighbour < lowest / _CLIFF + _SLACK * noise
    return np.asarray(np.concatenate([[False], alone])[labels])


def _neighbours(
    pixels: Array, left_out: Flags, rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> Array:
    """Neighbours of n pixels (n, 24), NaN where left out or beyond the borders."""
    padded = np.pad(np.where(left_out, np.nan, pixels), RADIUS, constant_values=np.nan)
    found = np.empty((len(rows), len(_OFFSETS)))
    for number, (dy, dx) in enumerate(_OFFSETS):
        found[:, number] = padded[rows + RADIUS + dy, columns + RADIUS + dx]
    return found
