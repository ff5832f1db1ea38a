"""How alike neighbouring residuals are, along rows, columns and both diagonals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

DIRECTIONS = {
    "x": (0, 1),
    "y": (1, 0),
    "the falling diagonal": (1, 1),
    "the rising diagonal": (1, -1),
}
"""Steps in rows and columns, by what a sentence calls the direction."""

REACH = 8
"""Largest distance in px."""

SIGNIFICANT = 4.0
"""Standard errors beyond which chance is ruled out: one in 16 000, on either side.

With 32 correlations that is one false alarm in 500 images.
"""

_LEAST = 0.03
"""Correlation below which it does not matter, however certain it is."""


@dataclass(frozen=True)
class Autocorrelation:
    """Correlation of residuals 1 to 8 pixels apart.

    Parameters
    ----------
    rho : dict
        Correlations by direction (`DIRECTIONS`), REACH each; NaN where there are no
        such pixels. Diagonal steps are counted, not their length.
    error : dict
        Standard error of each if noise is white: one over the root of the pairs.
    """

    rho: dict[str, tuple[float, ...]]
    error: dict[str, tuple[float, ...]]

    def significant(self, sign: int = 1) -> dict[str, tuple[float, int]]:
        """Directions with certain correlation: its strongest value, and its distance.

        Parameters
        ----------
        sign : int
            1 for neighbours that are alike, -1 for such that differ.
        """
        found = {}
        for name, values in self.rho.items():
            least = np.maximum(SIGNIFICANT * np.array(self.error[name]), _LEAST)
            over = np.where(sign * np.array(values) > least, sign * np.array(values), 0)
            if over.any():
                place = int(np.argmax(over))
                found[name] = float(values[place]), place + 1
        return found

    @property
    def lags(self) -> tuple[int, ...]:
        """Distances of the correlations, in px."""
        return tuple(range(1, REACH + 1))

    @property
    def largest_error(self) -> float:
        """Largest standard error of all correlations that were measured."""
        known = np.array(list(self.error.values()))
        return float(known[np.isfinite(known)].max(initial=0.0))

    @property
    def white(self) -> bool:
        """Whether no correlation is certain, of either sign."""
        return not (self.significant() or self.significant(-1))


def autocorrelation(planes: Iterable[Array]) -> Autocorrelation:
    """Correlate residuals with those 1 to 8 pixels away.

    Parameters
    ----------
    planes : iterable of ndarray
        Standardised residuals, each (Y, X); NaN where left out.
    """
    names = list(DIRECTIONS)
    total, count = np.zeros((len(names), REACH)), np.zeros((len(names), REACH))
    squared, pixels = 0.0, 0
    for plane in planes:
        known = np.isfinite(plane)
        squared += float(np.nansum(plane**2))
        pixels += int(known.sum())
        for row, name in enumerate(names):
            for lag in range(1, REACH + 1):
                each = products(plane, name, lag)
                total[row, lag - 1] += np.nansum(each)
                count[row, lag - 1] += np.isfinite(each).sum()
    variance = squared / max(1, pixels) or np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        rho, error = total / count / variance, 1 / np.sqrt(count)
    return Autocorrelation(
        {name: tuple(values.tolist()) for name, values in zip(names, rho, strict=True)},
        {name: tuple(e.tolist()) for name, e in zip(names, error, strict=True)},
    )


def products(plane: Array, direction: str, lag: int = 1) -> Array:
    """Each residual times the one `lag` steps away, (Y - dy, X - |dx|).

    Parameters
    ----------
    plane : ndarray
        Residuals, (Y, X).
    direction : str
        Of `DIRECTIONS`.
    lag : int
        Number of steps.
    """
    dy, dx = (lag * step for step in DIRECTIONS[direction])
    height, width = plane.shape
    if dy >= height or abs(dx) >= width:
        return np.empty((0, 0))
    left, right = max(0, -dx), width - max(0, dx)
    first = plane[: height - dy, left:right]
    second = plane[dy:, left + dx : right + dx]
    return first * second
