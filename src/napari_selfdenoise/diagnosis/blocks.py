"""Blocks of 8 x 8 pixels and the power of their cosine waves."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from napari_selfdenoise.noise.correlation import REACH, NoiseCorrelation

Array = NDArray[np.float64]

SIDE = 8
"""Side of a block in px."""

WAVES = np.add.outer(np.arange(SIDE), np.arange(SIDE))
"""How short each wave of a block is, (8, 8): 0 is the mean."""

LONG = (WAVES >= 1) & (WAVES <= 5)
SHORT = WAVES >= 9
SHORTEST = WAVES >= 10
CHANGING = WAVES >= 1
"""Waves of blocks, (8, 8): those with structure, those with little, with the least, and
all but the mean."""

_LEAST_HELD = 0.02
"""Power of a wave, at least, for noise of variance 1: less is not measured."""


def cut(*planes: NDArray[np.floating[Any]], most: int) -> Array:
    """At most `most` blocks of planes of one shape, at random but always alike.

    Places where a plane has NaN, or all planes have one value, are left out.

    Parameters
    ----------
    *planes : ndarray
        Each (Y, X).
    most : int
        Number of places.

    Returns
    -------
    ndarray
        Blocks of each plane in the same n places, (planes, n, 8, 8).
    """
    rows, columns = (side // SIDE for side in planes[0].shape)
    places = np.arange(rows * columns)
    if len(places) > most:
        places = np.random.default_rng(0).permutation(places)[:most]
    found = np.stack([_at(plane, rows, columns, places) for plane in planes])
    whole = np.isfinite(found).all((0, 2, 3))
    return np.asarray(found[:, whole & (np.ptp(found, (2, 3)) > 0).any(0)])


def _at(
    plane: NDArray[np.floating[Any]],
    rows: int,
    columns: int,
    places: NDArray[np.intp],
) -> Array:
    """Blocks at places, counted along rows, (n, 8, 8)."""
    cells = plane[: rows * SIDE, : columns * SIDE]
    cells = cells.reshape(rows, SIDE, columns, SIDE).swapaxes(1, 2)
    return cells[places // max(1, columns), places % max(1, columns)].astype(np.float64)


def held(correlation: NoiseCorrelation | None) -> Array:
    """Mean power of each cosine wave of a block, for noise of variance 1, (8, 8).

    1 where neighbours share no noise: it is the sum over all pairs of pixels of their
    correlation times the wave at both.
    """
    if correlation is None or not (correlation.extent_y or correlation.extent_x):
        return np.ones((SIDE, SIDE))
    waves = dct(np.eye(SIDE), axis=0, norm="ortho")
    overlap = np.stack([np.correlate(wave, wave, "full") for wave in waves])
    near = slice(REACH - SIDE + 1, REACH + SIDE)
    power = overlap @ correlation.rho[near, near] @ overlap.T
    return np.asarray(np.maximum(power, _LEAST_HELD))
