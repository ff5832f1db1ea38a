"""Whether neighbouring planes help to predict the pixels of a plane.

Two linear predictions of a pixel that leave it out are compared, both fitted by least
squares: from its surroundings in the plane, and from those and the planes around. They
are fitted to one half of the pixels and judged on the other one, by the squared
distance to the observation: noise that is independent adds the same to both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from napari_selfdenoise.context.context_planes import ContextPlanes
from napari_selfdenoise.images import PlaneIndex

Array = NDArray[np.float64]

_PLANES = 8  # that are compared with those around
_PIXELS = 40_000  # of all of them
_SIDE = 512  # px; of larger planes the middle is read
_REACH = 2  # px; pixels are used one by one up to here
_WIDER = (9, 17, 33)  # px; sides of the squares whose means are used, too
_BLOCK = 16  # px; side of the squares that each half consists of

_WORTH = 0.003
"""Share of the squared distance by which planes around make it smaller, at least."""

_SURE = 3.0  # standard errors that it must be

_SHARED = 0.08
"""Correlation of the noise of planes that are used, on average, from which on they do
harm: one pair alone is measured too coarsely."""

_MOST_ALONE = 0.5
"""Share of the planes without context from which on none is used."""


class Benefit(NamedTuple):
    """What planes around add to the prediction of pixels.

    Parameters
    ----------
    gain : float
        Share by which the squared distance to the observation becomes smaller.
    standard_error : float
        Of that.
    shared_noise : float
        Correlation of the noise of planes that would be used.
    alone : float
        Share of the planes without any that may be used.
    """

    gain: float
    standard_error: float
    shared_noise: float
    alone: float

    @property
    def reason(self) -> str:
        """Why planes around are not used, in words that follow "as"; else empty."""
        if self.alone > _MOST_ALONE:
            return "those around it show other scenes, or share its noise"
        if self.shared_noise > _SHARED:
            return (
                f"those around it share its noise (correlation {self.shared_noise:.2f})"
            )
        if self.gain < max(_WORTH, _SURE * self.standard_error):
            return "those around it do not help to predict its pixels"
        return ""


def measure_benefit(
    around: ContextPlanes, planes: Sequence[PlaneIndex], seed: int = 0
) -> Benefit:
    """Measure what planes around add to the prediction of the pixels of some planes.

    Parameters
    ----------
    around : ContextPlanes
        Of the image.
    planes : sequence of tuple of int
        Of one channel, none of them blank, in their order.
    seed : int
        Of the pixels that are chosen.
    """
    chosen = planes[:: max(1, len(planes) // _PLANES)][:_PLANES]
    found = {plane: around.of(plane) for plane in chosen}
    complete = [plane for plane in chosen if None not in found[plane]]
    alone = 1 - len(complete) / max(1, len(chosen))
    if not complete:
        return Benefit(0.0, 0.0, 0.0, 1.0)
    rng = np.random.default_rng(seed)
    each = max(1, _PIXELS // len(complete))
    samples = [_sample(around, plane, each, rng) for plane in complete]
    gains = _gains(_Sample(*(np.concatenate(v) for v in zip(*samples, strict=True))))
    error = float(gains.std() / math.sqrt(max(1, len(gains) - 1)))
    pairs = (around.pair(p, other) for p in complete for other in found[p] if other)
    shared = [pair.shared_noise for pair in pairs if pair]
    return Benefit(float(gains.mean()), error, float(np.mean(shared)), alone)


class _Sample(NamedTuple):
    """Some pixels.

    Parameters
    ----------
    observed : ndarray
        (n,), raw units without their level.
    own, others : ndarray
        What surrounds them in their plane and in the others, (n, k), (n, l).
    block : ndarray
        Number of the square that they lie in, (n,).
    """

    observed: Array
    own: Array
    others: Array
    block: NDArray[np.int64]


def _sample(
    around: ContextPlanes, plane: PlaneIndex, count: int, rng: np.random.Generator
) -> _Sample:
    """Some pixels of a plane and what surrounds them, there and in planes around."""
    rows, columns = (_middle(length) for length in around.image.plane_shape)
    clean = around.read(plane, rows, columns)
    inside = np.zeros(clean.good.shape, bool)
    inside[_REACH:-_REACH, _REACH:-_REACH] = True
    y, x = (clean.good & inside).nonzero()
    picked = np.sort(rng.permutation(len(y))[:count])
    y, x = y[picked], x[picked]
    pixels = clean.pixels.astype(float)
    level = float(np.median(pixels[clean.good]))
    found = np.nan_to_num(around.stack(plane, *_inside(rows, columns, pixels)) - level)
    others = [_features(p.astype(float), y, x, hollow=False) for p in found]
    width = -(-pixels.shape[1] // _BLOCK)
    return _Sample(
        pixels[y, x] - level,
        _features(pixels - level, y, x, hollow=True),
        np.concatenate(others, axis=1),
        (y // _BLOCK) * width + x // _BLOCK,
    )


def _middle(length: int) -> slice:
    start = max(0, (length - _SIDE) // 2)
    return slice(start, start + _SIDE)


def _inside(rows: slice, columns: slice, pixels: Array) -> tuple[slice, slice]:
    """The part that pixels (Y, X) were read from."""
    starts = rows.start, columns.start
    y, x = (slice(at, at + n) for at, n in zip(starts, pixels.shape, strict=True))
    return y, x


def _features(
    pixels: Array, y: NDArray[np.intp], x: NDArray[np.intp], hollow: bool
) -> Array:
    """What surrounds pixels, (n, k), without them where it is hollow."""
    steps = range(-_REACH, _REACH + 1)
    own = pixels[y, x]
    near = [
        pixels[y + dy, x + dx] for dy in steps for dx in steps if dy or dx or not hollow
    ]
    wide = []
    for side in _WIDER:
        mean = uniform_filter(pixels, side, mode="reflect")[y, x]
        # Mirrored pixels at borders count more than once: a small error there.
        wide.append((mean * side**2 - own) / (side**2 - 1) if hollow else mean)
    return np.stack([*near, *wide, np.ones_like(own)], axis=1)


def _gains(sample: _Sample) -> Array:
    """Share by which planes around reduce the squared distance, in each block."""
    half = sample.block % 2 == 0
    blocks = np.unique(sample.block, return_inverse=True)[1]
    both = np.concatenate([sample.own, sample.others], axis=1)
    plain, joint = (
        _squared_residuals(features, sample.observed, half)
        for features in (sample.own, both)
    )
    saved, count = (np.bincount(blocks, v) for v in (plain - joint, np.ones(len(half))))
    gains: Array = saved / count / plain.mean()
    return gains


def _squared_residuals(
    features: Array, observed: Array, half: NDArray[np.bool_]
) -> Array:
    """Squared residuals (n,) of fits to the other half of the pixels each."""
    found = np.zeros(len(observed))
    for fitted, judged in ((half, ~half), (~half, half)):
        a, b = features[fitted], observed[fitted]
        square = a.T @ a
        ridge = 1e-6 * np.trace(square) / len(square) * np.eye(len(square))
        weights = np.linalg.solve(square + ridge, a.T @ b)
        found[judged] = (observed[judged] - features[judged] @ weights) ** 2
    return found
