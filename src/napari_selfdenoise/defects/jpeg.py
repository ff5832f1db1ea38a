"""Traces of JPEG: cosine waves of 8 x 8 pixels, rounded to steps.

Each wave of a block has a step of its own. Where an image went through JPEG, waves are
whole numbers of steps, but for the rounding of pixels; else they can have any value.
What is rounded is shared by all pixels of a block, noise and all.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn

Array = NDArray[np.float64]

_SIDE = 8
_STEPS = np.arange(3, 64)
"""Steps that are tried, in grey values: smaller ones do no harm."""

_WHOLE = 0.8
"""Share of pixels that are whole numbers, at least: filled ones need not be."""

_LIKELY = 3
"""Places along each axis at which blocks may start, of eight, that are tried."""

_MOST_BLOCKS = 1024
_FEWEST = 48
"""Waves that are not zero, at least: with fewer, steps appear by chance."""

_SHARP = 0.6
"""Mean cosine of the waves' distance from whole steps: 0 for waves of any value, 0.8
and more for those of JPEG, as pixels were rounded."""

_MOST_WAVES = 12
_LEAST_WAVES = 4
"""Long waves that are looked at, and how many of them have to be rounded."""


def went_through_jpeg(planes: Sequence[NDArray[np.float32]]) -> bool:
    """Whether planes, each (Y, X), were compressed by JPEG, cut out of it or not.

    Images of other than whole grey values, such as scaled ones, are not recognised.
    """
    plane = max(planes, key=lambda one: one.size)
    if min(plane.shape) < 3 * _SIDE or np.nanmax(plane) - np.nanmin(plane) > 255:
        return False
    if (plane == np.round(plane)).mean() < _WHOLE:
        return False
    starts = {(0, 0), *itertools.product(_starts(plane), _starts(plane.T))}
    return any(_rounded(_blocks(plane[y:, x:])) for y, x in starts)


def _starts(plane: NDArray[np.float32]) -> list[int]:
    """Rows of a plane (Y, X) where blocks may start: cut-outs begin anywhere.

    Across the border of two blocks, neighbours differ more than within one.
    """
    steps = np.nan_to_num(np.abs(np.diff(plane, axis=0))).mean(1)
    means = [steps[phase::_SIDE].mean() for phase in range(_SIDE)]
    return [(int(phase) + 1) % _SIDE for phase in np.argsort(means)[-_LIKELY:]]


def _blocks(plane: NDArray[np.float32]) -> Array:
    """Cosine waves of some blocks of whole values side by side, (n, 8, 8)."""
    rows, columns = (side // _SIDE for side in plane.shape)
    cells = plane[: rows * _SIDE, : columns * _SIDE].astype(np.float64)
    cells = cells.reshape(rows, _SIDE, columns, _SIDE).swapaxes(1, 2)
    cells = cells.reshape(-1, _SIDE, _SIDE)
    cells = cells[(cells == np.round(cells)).all((1, 2))]
    chosen = cells[:: max(1, len(cells) // _MOST_BLOCKS)]
    return np.asarray(dctn(chosen, axes=(1, 2), norm="ortho"))


def _rounded(waves: Array) -> bool:
    """Whether the waves of blocks (n, 8, 8) are whole numbers of steps."""
    order = np.add.outer(np.arange(_SIDE), np.arange(_SIDE)).ravel().argsort()
    found = 0
    for wave in order[1 : 1 + _MOST_WAVES]:
        found += _has_step(waves.reshape(len(waves), -1)[:, wave])
    return found >= _LEAST_WAVES


def _has_step(values: Array) -> bool:
    """Whether one wave's values (n,) lie at whole numbers of a step."""
    for step in _STEPS:
        far = values[np.abs(values) > step / 2]
        if len(far) < _FEWEST:
            return False
        if np.cos(2 * np.pi * far / step).mean() > _SHARP:
            return True
    return False
