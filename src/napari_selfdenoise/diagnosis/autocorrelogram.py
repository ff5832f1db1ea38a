"""Correlation of the noise with that of its neighbours, in four directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.evaluation import DIRECTIONS
from napari_selfdenoise.noise.correlation import REACH, NoiseCorrelation

FARTHEST = 3
"""Largest lag in px."""

_CERTAIN = 3.3
"""Standard errors from which on a correlation is no chance, but for 1 in 1000."""

_LEAST = 0.04
"""Size of a correlation that is worth mentioning."""


class Shared(NamedTuple):
    """A direction along which neighbours share noise.

    Parameters
    ----------
    axis : str
        "x" or "y".
    reach : int
        Distance in px up to which it is shared.
    correlation : float
        With the next pixel: below zero where neighbours differ more than by chance.
    """

    axis: str
    reach: int
    correlation: float


@dataclass(frozen=True, eq=False)
class Autocorrelogram:
    """Correlation of the noise at lags -3 to 3 px along x, y and both diagonals.

    Parameters
    ----------
    lags : ndarray
        Lags in px, (7,).
    rho : dict of str to ndarray
        Correlation at each lag, (7,), by direction (`evaluation.DIRECTIONS`). As
        measured: in flat parts, where a little of the structure may be left.
    error : float
        Standard error of each, by chance.
    pixels : int
        Number of pixels it was measured on; 0 where no part was fit.
    shared : tuple of Shared
        Axes along which noise is shared, not structure: empty where it is independent,
        or in doubt.
    frames : bool
        Whether differences between frames were measured.
    """

    lags: NDArray[np.intp]
    rho: dict[str, NDArray[np.float64]]
    error: float
    pixels: int
    shared: tuple[Shared, ...]
    frames: bool

    @property
    def significant(self) -> dict[str, NDArray[np.bool_]]:
        """Whether each correlation is further from 0 than by chance, by direction.

        Structure that is left does that as well: `shared` alone is about the noise.
        """
        least = _CERTAIN * self.error
        return {
            name: (np.abs(rho) > least) & (self.lags != 0)
            for name, rho in self.rho.items()
        }

    @property
    def weak(self) -> str:
        """Direction of the next pixel that is alike, or unlike, beyond chance.

        Too little to mask neighbours; empty where there is none, or noise is shared.
        """
        direction = max(self.rho, key=lambda name: abs(self.next_pixel(name)))
        least = max(_LEAST, _CERTAIN * self.error)
        certain = abs(self.next_pixel(direction)) > least
        return direction if certain and not self.shared else ""

    def next_pixel(self, direction: str) -> float:
        """Correlation with the next pixel along a direction."""
        return float(self.rho[direction][FARTHEST + 1])


def autocorrelogram(correlation: NoiseCorrelation) -> Autocorrelogram:
    """Return the correlations along four directions.

    Parameters
    ----------
    correlation : NoiseCorrelation
        As `measure_correlation` measures it, and decides what of it is noise.
    """
    lags = np.arange(-FARTHEST, FARTHEST + 1)
    rho = {
        name: correlation.rho[REACH + y * lags, REACH + x * lags]
        for name, (y, x) in DIRECTIONS.items()
    }
    reach = {"x": correlation.extent_x, "y": correlation.extent_y}
    shared = tuple(
        Shared(axis, far, float(rho[axis][FARTHEST + 1]))
        for axis, far in reach.items()
        if far
    )
    return Autocorrelogram(
        lags,
        rho,
        correlation.standard_error,
        correlation.pixels,
        shared,
        correlation.frames,
    )
