"""Parts of a scene that moved between repeated frames.

Noise of single pixels is as strong in long cosine waves of a block as in short ones;
what moves is smooth, as optics blur, and adds to the long ones. Over all frames of one
block even slow or faint motion stands out.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn

from napari_selfdenoise.parts.noise_models import binned_means

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.intp]

SIDE = 8
"""Side of a block in px: pixels for a calibration are chosen in such blocks."""

_Y, _X = np.mgrid[:SIDE, :SIDE]
_FAMILIES = (
    (_Y == 0) & (_X >= 1) & (_X <= 3),
    (_X == 0) & (_Y >= 1) & (_Y <= 3),
    (_Y >= 1) & (_X >= 1) & (_Y + _X <= 3),
)
"""Long waves along rows, along columns and along both: noise that lines share, which
is no motion, is in one of them alone."""

_SHORT = _Y + _X >= 9

_MORE = 1.3
_CHANCE = 5.0
"""Power of long waves over that of short ones, as a multiple of its median over the
scene, from which on a block has moved; and standard errors in addition."""

_LEAST_BLOCKS = 16
_MOST_FRAMES = 32
_BINS = 64


def moved_pixels(residual: Array, places: Indices, width: int, signal: Array) -> Flags:
    """Pixels of blocks in which something moved, (n,).

    Parameters
    ----------
    residual : ndarray
        Observation less signal of each frame, (frames, n), raw units.
    places : ndarray
        Where the pixels are in the raveled frame, (n,), increasing.
    width : int
        Pixels in a row of the frame.
    signal : ndarray
        Mean signal of each pixel, (n,), raw units.
    """
    moved = np.zeros(len(places), np.bool_)
    blocks = _whole_blocks(places, width)
    if len(blocks) < _LEAST_BLOCKS:
        return moved
    # At one noise level: a bright corner of a block would look like a long wave.
    level = _noise_std(residual, signal)
    ratios = np.sort(_power_ratios(residual / level, blocks), axis=0)[1]
    independent = _FAMILIES[0].sum() * min(len(residual) - 1, _MOST_FRAMES)
    moved[blocks[ratios > _MORE + _CHANCE * math.sqrt(2 / independent)]] = True
    return moved


def _noise_std(residual: Array, signal: Array) -> Array:
    """Noise std at the signal of each pixel, (n,)."""
    squared = (residual**2).mean(0)
    centre, variance, _ = binned_means(signal, squared, np.ones_like(signal), _BINS)
    return np.sqrt(np.maximum(np.interp(signal, centre, variance), 1e-300))


def _power_ratios(residual: Array, blocks: Indices) -> Array:
    """Power of the long waves of each block over that of its short ones, (3, blocks).

    In units of the median over the scene, as neighbours may share noise.
    """
    power = np.zeros((len(blocks), SIDE, SIDE))
    for frame in residual[:: -(-len(residual) // _MOST_FRAMES)]:
        cells = frame[blocks].reshape(-1, SIDE, SIDE)
        power += dctn(cells, axes=(1, 2), norm="ortho") ** 2
    short = power[:, _SHORT].mean(1)
    short = np.maximum(short, 0.5 * np.median(short))
    ratios = np.stack([power[:, family].mean(1) for family in _FAMILIES])
    ratios /= np.maximum(short, 1e-300)
    return np.asarray(ratios / np.maximum(np.median(ratios, 1, keepdims=True), 1.0))


def _whole_blocks(places: Indices, width: int) -> Indices:
    """Indices among the pixels of each block that is whole, (blocks, 64)."""
    row, column = places // width, places % width
    number = row // SIDE * (-(-width // SIDE)) + column // SIDE
    order = np.argsort(number, kind="stable")
    _, first, count = np.unique(number[order], return_index=True, return_counts=True)
    whole = first[count == SIDE**2]
    return np.asarray(order[whole[:, None] + np.arange(SIDE**2)])
