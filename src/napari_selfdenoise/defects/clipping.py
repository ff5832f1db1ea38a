"""Pixels at the ends of what could be recorded, and single photons.

A value that is cut off is no noise with a mean of zero: what is learned from it is
biased. Counts of photons end at zero by nature, and are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CLIPPING_PIXELS = 2**22
"""Pixels that are looked at, at most."""

_LOW = 0.01  # share of the pixels at the lowest value from which a message is due
_HIGH = 1e-3  # share of the pixels at the highest value from which a message is due

_HEAP = 3.0
"""Pixels at the last value, divided by those at the next ones, if some are clipped."""

_NEXT = 5
"""Number of the next values."""

_FEW_PHOTONS = 5.0
"""Photons a pixel up to which counted photons are distinguished from grey values."""

_POISSON = (0.8, 1.25)
"""Ratio of the variance to the mean of counted photons, but for chance and structure.
"""

_HALF_NORMAL = 0.4
"""Mean of a Gaussian whose lower half is cut off at its middle, in its stds."""


@dataclass(frozen=True)
class Clipping:
    """Shares of the pixels that are clipped at either end, raw units.

    Parameters
    ----------
    lowest, highest : float
        Values at the ends.
    low, high : float
        Shares of the pixels that were cut off there: 0 where none were.
    bias : float
        By how much dark regions come out too bright, at most.
    photons : float or None
        Mean number a pixel where single photons were counted, else None.
    """

    lowest: float
    highest: float
    low: float
    high: float
    bias: float
    photons: float | None

    def __str__(self) -> str:
        """Sentences on what it does to the result; empty where it does nothing."""
        sentences = []
        if self.photons is not None:
            sentences.append(
                f"Single photons were counted, {self.photons:.2g} a pixel: brightness "
                "is kept, and the noise is that of light alone."
            )
        if self.low:
            sentences.append(
                f"Dark regions may come out too bright, by up to {self.bias:.2g}. "
                f"{100 * self.low:.2g} % of the pixels have the lowest value, "
                f"{self.lowest:g}: darker ones may be cut off. Raise the "
                "camera's offset."
            )
        if self.high:
            sentences.append(
                "Saturated regions come out too dark. "
                f"{100 * self.high:.2g} % of the pixels are saturated at "
                f"{self.highest:g}. Expose less."
            )
        return " ".join(sentences)


def measure_clipping(planes: Sequence[NDArray[np.float32]]) -> Clipping:
    """Measure how many pixels are clipped, and whether single photons were counted.

    Parameters
    ----------
    planes : sequence of ndarray
        Observations, each (Y, X), raw units; NaN where nothing was recorded.
    """
    every = max(1, sum(plane.size for plane in planes) // CLIPPING_PIXELS)
    rows = [np.asarray(plane[::every], np.float64) for plane in planes]
    pixels = np.concatenate([row[np.isfinite(row)] for row in rows])
    values, counts = np.unique(pixels, return_counts=True)
    photons = _photons(rows, values)
    low = _heap(counts) if photons is None else 0.0
    high = _heap(counts[::-1])
    low, high = (
        share if share >= least else 0.0
        for share, least in ((low, _LOW), (high, _HIGH))
    )
    bias = _HALF_NORMAL * _dark_std(rows, values[0]) if low else 0.0
    low = low if bias else 0.0  # all others are far above: no noise was cut off
    return Clipping(float(values[0]), float(values[-1]), low, high, bias, photons)


def _heap(counts: NDArray[np.intp]) -> float:
    """Share of the pixels at the first of the values, if they heap up there."""
    if len(counts) <= _NEXT:
        return 0.0
    heaps = counts[0] > _HEAP * counts[1 : 1 + _NEXT].mean()
    return float(counts[0] / counts.sum()) if heaps else 0.0


def _photons(rows: Sequence[Array], values: Array) -> float | None:
    """Mean number of photons a pixel; None where values are no such counts."""
    if values[0] != 0 or not np.array_equal(values, np.round(values)):
        return None
    step = float(np.diff(values).min(initial=np.inf))
    mean = float(np.mean([np.nanmean(row) for row in rows])) / step
    if not 0 < mean <= _FEW_PHOTONS or (values % step).any():
        return None
    # Of neighbours, so that structure counts for little.
    squared = [np.nanmean(np.diff(row, axis=1) ** 2) / 2 for row in rows]
    ratio = float(np.mean(squared)) / step**2 / mean
    return mean if _POISSON[0] <= ratio <= _POISSON[1] else None


def _dark_std(rows: Sequence[Array], lowest: float) -> float:
    """Std of the noise where it is cut off at its middle, by its upper half."""
    above = np.concatenate(
        [(row[:, 1:] - lowest)[row[:, :-1] == lowest] for row in rows]
    )
    above = above[np.isfinite(above) & (above > 0)]
    return float(np.median(above)) / 0.6745 if len(above) else 0.0
