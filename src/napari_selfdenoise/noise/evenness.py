"""Whether noise is as strong where an image is bright as where it is dark.

Bright pixels may be rare: few cells on an empty background. So pixels are grouped by
equal ranges of the signal, not by equal numbers, and a pixel's signal is the mean of
the 5 x 5 px around it, as spots are smaller than a block. The noise is measured by
differences along both axes: they hold little of structure that optics have blurred, or
of edges along an axis, and where noise is Gaussian and independent they know nothing of
that mean. Medians leave out more of the structure.

Counted light is noisier in proportion to its signal. So a line is laid through the
variance of all ranges, and where few pixels are bright its error says so.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d, uniform_filter

Array = NDArray[np.float64]
Planes = Sequence[NDArray[np.float32]]

_AROUND = 5
"""Side in px of the square whose mean is a pixel's signal."""

_RANGES = 12
"""Ranges of the signal, at most."""

_LEAST = 100
"""Pixels in each range, at least."""

_DARKEST = 1e-3
"""Share of the pixels that may be darker than the first range begins."""

_MOST_PIXELS = 2**20
"""Pixels that are measured, at most: a thousandth of them gives a std to 7 %."""

_TO_STD = 0.6745
"""Median of the absolute value of Gaussian noise of std 1."""

_LEAST_SHARE = 0.3
"""Variance of the darkest range by the line, over the mean of all, at least."""


class _Filter(NamedTuple):
    """Differences along an axis, of variance 1 for noise of variance 1.

    Parameters
    ----------
    taps : ndarray
        Weights of neighbouring pixels, (n,), of sum 0.
    pixels : float
        How many pixels give the median of this filter as precisely as one independent
        value gives a variance: neighbours share differences, and a median scatters 1.35
        times more.
    """

    taps: Array
    pixels: float


_SECOND = _Filter(np.array([1, -2, 1]) / math.sqrt(6), 1.35 * 3.8)
_FOURTH = _Filter(np.array([1, -4, 6, -4, 1]) / math.sqrt(70), 1.35 * 6.9)
"""Second differences give a smaller error, fourth ones hold less structure."""


@dataclass(frozen=True)
class Evenness:
    """Noise in ranges of the signal, from dark to bright.

    Parameters
    ----------
    signal, std : ndarray
        Mean signal of each range and the noise std there, (n,), raw units.
    pixels : ndarray
        Number of pixels of each range, (n,).
    error : ndarray
        Standard error of each std, as a share of it, were noise even, (n,).
    """

    signal: Array
    std: Array
    pixels: NDArray[np.intp]
    error: Array

    def growth(self) -> tuple[float, float]:
        """How much more noise variance the brightest range has than the darkest.

        Returns
        -------
        float
            By a line through all ranges, as a share of the darkest one's variance.
        float
            Standard error of that, were noise even.
        """
        variance, usual = self.std**2, self._usual**2
        weight = 1 / (2 * self.error * usual) ** 2
        centre = float(np.average(self.signal, weights=weight))
        level = float(np.average(variance, weights=weight))
        away, span = self.signal - centre, float(self.signal[-1] - self.signal[0])
        spread = float((weight * away**2).sum())
        slope = float((weight * away * (variance - level)).sum()) / spread
        darkest = max(level + slope * float(away[0]), _LEAST_SHARE * level)
        return slope * span / darkest, span / math.sqrt(spread) / usual

    def ratio(self) -> float:
        """Noise std at one end of the signals, divided by that at the other, at most.

        Two standard errors count: infinite where all pixels have about one signal.
        """
        if len(self.std) < 2:
            return math.inf
        growth, error = self.growth()
        brighter, darker = 1 + growth + 2 * error, 1 + growth - 2 * error
        return math.sqrt(max(brighter, 1 / max(darker, 1e-6)))

    def outlying(self) -> float:
        """Noise std of the noisiest range, divided by that of most pixels, at least.

        That is, less two and a half standard errors.
        """
        return float((self.std * (1 - 2.5 * self.error)).max()) / self._usual

    def structure(self) -> float:
        """Variance of the signal over that of the noise where most pixels are."""
        centre = np.average(self.signal, weights=self.pixels)
        squared = (self.signal - centre) ** 2
        return float(np.average(squared, weights=self.pixels)) / self._usual**2

    @property
    def _usual(self) -> float:
        """Noise std in the range of most pixels."""
        return float(self.std[self.pixels.argmax()])


def measure_evenness(planes: Planes) -> Evenness | None:
    """Measure noise in ranges of the signal.

    Takes a fraction of a second: of many pixels, some are looked at.

    Parameters
    ----------
    planes : sequence of ndarray
        Observations, each (Y, X), raw units; NaN where nothing was recorded.

    Returns
    -------
    Evenness or None
        None where there are too few pixels, or no noise in most of them.
    """
    parts = _middles(planes)
    found = (_measured(parts, differences) for differences in (_SECOND, _FOURTH))
    # Structure is taken for noise: the filter that finds less is nearer to the truth.
    known = [evenness for evenness in found if evenness is not None]
    return min(known, key=Evenness.ratio) if known else None


def _middles(planes: Planes) -> list[Array]:
    """The middle rows of each plane, (rows, X), as many as there is room for.

    Counted from the median of all, as differences of large numbers lose digits.
    """
    room = max(1, _MOST_PIXELS // len(planes))
    parts = []
    for plane in planes:
        rows = min(len(plane), max(2 * _AROUND, room // plane.shape[1]))
        top = (len(plane) - rows) // 2
        parts.append(plane[top : top + rows].astype(np.float64))
    known = [part[np.isfinite(part)] for part in parts]
    middles = [float(np.median(values)) for values in known if len(values)]
    centre = float(np.median(middles)) if middles else 0.0
    return [part - centre for part in parts if min(part.shape) >= _AROUND]


def _measured(parts: Sequence[Array], differences: _Filter) -> Evenness | None:
    """Noise in ranges of the signal, by one filter."""
    pairs = [_signal_and_noise(part, differences.taps) for part in parts]
    signal = np.concatenate([np.empty(0), *(pair[0] for pair in pairs)])
    noise = np.concatenate([np.empty(0), *(pair[1] for pair in pairs)])
    if len(signal) < _LEAST:
        return None
    order = np.argsort(signal)
    signal, noise = signal[order], noise[order]
    starts = _ranges(signal)
    groups = [slice(a, b) for a, b in itertools.pairwise(starts)]
    std = np.array([np.median(noise[group]) for group in groups]) / _TO_STD
    pixels = np.diff(starts)
    if not std[pixels.argmax()] > 0:
        return None
    means = np.array([signal[group].mean() for group in groups])
    return Evenness(means, std, pixels, np.sqrt(differences.pixels / pixels))


def _signal_and_noise(pixels: Array, taps: Array) -> tuple[Array, Array]:
    """Mean around each pixel and size of its difference, where all is known: (n,)."""
    whole = uniform_filter(np.isfinite(pixels).astype(np.float32), _AROUND) > 0.999
    pixels = np.nan_to_num(pixels)
    noise = np.abs(convolve1d(convolve1d(pixels, taps, 0), taps, 1))
    margin = _AROUND // 2
    inner = slice(margin, -margin), slice(margin, -margin)
    whole = whole[inner]
    return uniform_filter(pixels, _AROUND)[inner][whole], noise[inner][whole]


def _ranges(signal: Array) -> NDArray[np.intp]:
    """Where ranges of sorted signals begin, and the end; none has too few pixels."""
    low, high = signal[int(_DARKEST * len(signal))], signal[-1]
    edges = np.searchsorted(signal, np.linspace(low, high, _RANGES + 1)[1:-1])
    starts = [len(signal)]
    for edge in edges[::-1].tolist():
        if min(edge, starts[-1] - edge) >= _LEAST:
            starts.append(edge)
    return np.array([0, *starts[::-1]])
