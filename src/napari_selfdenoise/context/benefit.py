"""Whether neighbouring planes or other channels help to predict the pixels of a plane.

Two linear predictions of a pixel that leave it out are compared, both fitted by least
squares: from its surroundings in the plane, and from those and the other planes. They
are fitted to one half of the pixels and judged on the other one, by the squared
distance to the observation: noise that is independent adds the same to both. Where the
mean of a still scene may be used, a third prediction has that as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from napari_selfdenoise.context.context_sources import ContextSources
from napari_selfdenoise.context.plane_pairs import PairOfPlanes, PlaneWaves
from napari_selfdenoise.defects import CleanPlane
from napari_selfdenoise.images import PlaneIndex

Array = NDArray[np.float64]

_PLANES = 8  # that are compared with those around
_PIXELS = 40_000  # of all of them
_SIDE = 512  # px; of larger planes the middle is read
_REACH = 2  # px; pixels are used one by one up to here
_WIDER = (9, 17, 33)  # px; sides of the squares whose means are used, too
_FEW, _OF_MANY = 10, (3, 9)  # of more planes than that, only these means and the pixel
_BLOCK = 16  # px; side of the squares that each half consists of

_WORTH = 0.003
"""Share of the squared distance by which planes around make it smaller, at least."""

_SURE = 3.0  # standard errors that it must be

_SHARED = 0.08
"""Correlation of the noise of planes that are used, on average, from which on they do
harm: one pair alone is measured too coarsely."""

_IMPOSSIBLE = 0.5
"""Squared distance that is left, over the least noise variance, below which others
predict the noise itself."""

_MOST_ALONE = 0.5
"""Share of the planes without context from which on none is used."""


class Benefit(NamedTuple):
    """What planes around, or other channels, add to the prediction of pixels.

    Parameters
    ----------
    gain : float
        Share by which the squared distance to the observation becomes smaller.
    standard_error : float
        Of that.
    shared_noise : float
        Correlation of the noise of planes that would be used.
    alone : float
        Share of the planes without enough that may be used.
    gain_of_mean, error_of_mean : float
        What the mean of the scene adds to that, and its standard error.
    gain_with_mean, error_with_mean : float
        What planes around add where the mean is known, and its standard error.
    """

    gain: float
    standard_error: float
    shared_noise: float
    alone: float
    gain_of_mean: float = 0.0
    error_of_mean: float = 0.0
    gain_with_mean: float = 0.0
    error_with_mean: float = 0.0

    @property
    def still(self) -> bool:
        """Whether the mean of the scene helps, as it does where nothing moves."""
        return self.gain_of_mean >= max(_WORTH, _SURE * self.error_of_mean)

    @property
    def mean_suffices(self) -> bool:
        """Whether the mean of the scene holds nearly all that planes around do."""
        least = max(_WORTH, _SURE * self.error_with_mean)
        return self.still and self.gain_with_mean < least

    @property
    def reason(self) -> str:
        """Why planes around are not used, in words that follow "as"; else empty."""
        if self.alone > _MOST_ALONE:
            return "those around it show other scenes, or share its noise"
        return self.why_not("those around it")

    def why_not(self, others: str) -> str:
        """Why others do not help, in words that follow "as"; empty where they do.

        Parameters
        ----------
        others : str
            What they are called.
        """
        if abs(self.shared_noise) > _SHARED:
            return f"{others} share its noise (correlation {self.shared_noise:.2f})"
        if self.gain < max(_WORTH, _SURE * self.standard_error):
            return f"{others} do not help to predict its pixels"
        return ""


class Around(Protocol):
    """What finds other planes that may help: neighbours, or other channels."""

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Rows and columns of a plane, or of what is known of each."""

    def of(self, plane: PlaneIndex) -> list[PlaneIndex | None]:
        """The others; None in place of those that may not be used."""

    def has_enough(self, plane: PlaneIndex) -> bool:
        """Whether there are as many as are needed."""

    def pair(self, one: PlaneIndex, other: PlaneIndex) -> PairOfPlanes | None:
        """How two planes are alike; None where one of them is blank."""

    def read(self, plane: PlaneIndex, rows: slice, columns: slice) -> CleanPlane:
        """Read a region of a plane."""

    def stack(
        self, plane: PlaneIndex, rows: slice, columns: slice
    ) -> NDArray[np.float32]:
        """Pixels of the others, and of the mean of the scene, (N, Y, X)."""


def measure_benefit(
    around: Around,
    planes: Sequence[PlaneIndex],
    seed: int = 0,
    beyond: ContextSources | None = None,
) -> Benefit:
    """Measure what others add to the prediction of the pixels of some planes.

    Parameters
    ----------
    around : Around
        Finds planes around them, or their other channels.
    planes : sequence of tuple of int
        Of one channel, none of them blank, in their order.
    seed : int
        Of the pixels that are chosen.
    beyond : ContextSources, optional
        What is known already, besides the plane itself.
    """
    chosen = planes[:: max(1, len(planes) // _PLANES)][:_PLANES]
    found = {plane: around.of(plane) for plane in chosen}
    complete = [plane for plane in chosen if around.has_enough(plane)]
    alone = 1 - len(complete) / max(1, len(chosen))
    if not complete:
        return Benefit(0.0, 0.0, 0.0, 1.0)
    rng = np.random.default_rng(seed)
    each = max(1, _PIXELS // len(complete))
    samples = [_sample(around, beyond, plane, each, rng) for plane in complete]
    sample = _Sample(*(np.concatenate(v) for v in zip(*samples, strict=True)))
    if sample.is_too_small:
        return Benefit(0.0, math.inf, 0.0, alone)
    gains, left = _gains(sample)
    of_planes, of_mean, with_mean = map(_with_error, gains)
    pairs = (around.pair(p, other) for p in complete for other in found[p] if other)
    shared = float(np.mean([pair.shared_noise for pair in pairs if pair]))
    if left < _IMPOSSIBLE * sample.noise.mean():
        shared = 1.0  # independent noise would be left, however good a prediction
    return Benefit(*of_planes, shared, alone, *of_mean, *with_mean)


def pooled(found: Sequence[Benefit]) -> Benefit:
    """What was measured of several images, as one: the mean of each figure.

    Parameters
    ----------
    found : sequence of Benefit
        At least one.
    """
    values = np.array(found)
    means = values.mean(0)
    errors = np.sqrt((values**2).sum(0)) / len(found)
    is_error = np.array(["error" in name for name in Benefit._fields])
    benefit = Benefit(*np.where(is_error, errors, means).tolist())
    return benefit._replace(shared_noise=float(values[:, 2].max()))


def _with_error(gains: Array) -> tuple[float, float]:
    """Mean of the gains of blocks and its standard error."""
    error = gains.std() / math.sqrt(max(1, len(gains) - 1))
    return float(gains.mean()), float(error)


class _Sample(NamedTuple):
    """Some pixels.

    Parameters
    ----------
    observed : ndarray
        (n,), raw units without their level.
    own, others, scene : ndarray
        What surrounds them in their plane and what else is known, in the others, and in
        the mean of the scene,
        (n, k), (n, l), (n, m); m is 0 where there is no such mean.
    block : ndarray
        Number of the square that they lie in, (n,).
    noise : ndarray
        Least variance of their noise, (n,), squared raw units.
    """

    observed: Array
    own: Array
    others: Array
    scene: Array
    block: NDArray[np.int64]
    noise: Array

    @property
    def is_too_small(self) -> bool:
        """Whether a half has fewer pixels than what is fitted to it has weights."""
        weights = sum(part.shape[1] for part in (self.own, self.others, self.scene))
        first = np.count_nonzero(self.block % 2 == 0)
        return bool(min(first, len(self.block) - first) < 2 * weights)


def _sample(
    around: Around,
    beyond: ContextSources | None,
    plane: PlaneIndex,
    count: int,
    rng: np.random.Generator,
) -> _Sample:
    """Some pixels of a plane and what surrounds them, there and in other planes."""
    rows, columns = (_middle(length) for length in around.plane_shape)
    clean = around.read(plane, rows, columns)
    inside = np.zeros(clean.good.shape, bool)
    inside[_REACH:-_REACH, _REACH:-_REACH] = True
    y, x = (clean.good & inside).nonzero()
    picked = np.sort(rng.permutation(len(y))[:count])
    y, x = y[picked], x[picked]
    pixels = clean.pixels.astype(float)
    level = float(np.median(pixels[clean.good]))
    own = [_features(pixels - level, y, x, hollow=True)]
    region = _inside(rows, columns, pixels)
    others, known = (
        _features_of(source.stack(plane, *region) - level if source else (), y, x)
        for source in (around, beyond)
    )
    planes = len(around.of(plane))
    noise = PlaneWaves.of(clean.recorded).least_noise_std ** 2
    width = -(-pixels.shape[1] // _BLOCK)
    return _Sample(
        pixels[y, x] - level,
        np.concatenate([*own, *known], axis=1),
        np.concatenate(others[:planes], axis=1),
        np.concatenate([np.empty((len(y), 0)), *others[planes:]], axis=1),
        (y // _BLOCK) * width + x // _BLOCK,
        np.full(len(y), noise),
    )


def _features_of(
    planes: Iterable[NDArray[np.float32]], y: NDArray[np.intp], x: NDArray[np.intp]
) -> list[Array]:
    """What surrounds pixels in each of some planes; less of it where they are many."""
    all_of_them = [np.nan_to_num(plane).astype(float) for plane in planes]
    few = len(all_of_them) <= _FEW
    reach, wider = (_REACH, _WIDER) if few else (0, _OF_MANY)
    return [_features(one, y, x, False, reach, wider) for one in all_of_them]


def _middle(length: int) -> slice:
    start = max(0, (length - _SIDE) // 2)
    return slice(start, start + _SIDE)


def _inside(rows: slice, columns: slice, pixels: Array) -> tuple[slice, slice]:
    """The part that pixels (Y, X) were read from."""
    starts = rows.start, columns.start
    y, x = (slice(at, at + n) for at, n in zip(starts, pixels.shape, strict=True))
    return y, x


def _features(
    pixels: Array,
    y: NDArray[np.intp],
    x: NDArray[np.intp],
    hollow: bool,
    reach: int = _REACH,
    wider: Sequence[int] = _WIDER,
) -> Array:
    """What surrounds pixels, (n, k), without them where it is hollow."""
    steps = range(-reach, reach + 1)
    own = pixels[y, x]
    near = [
        pixels[y + dy, x + dx] for dy in steps for dx in steps if dy or dx or not hollow
    ]
    wide = []
    for side in wider:
        mean = uniform_filter(pixels, side, mode="reflect")[y, x]
        # Mirrored pixels at borders count more than once: a small error there.
        wide.append((mean * side**2 - own) / (side**2 - 1) if hollow else mean)
    return np.stack([*near, *wide, np.ones_like(own)], axis=1)


def _gains(sample: _Sample) -> tuple[tuple[Array, Array, Array], float]:
    """Shares by which each block's squared distance is reduced, and what is left.

    By planes around; by the mean of the scene beyond that; by planes around beyond the
    mean. Left is the smallest squared distance, a mean.
    """
    half = sample.block % 2 == 0
    blocks = np.unique(sample.block, return_inverse=True)[1]
    count = np.bincount(blocks)
    own, others, scene = sample.own, sample.others, sample.scene
    plain, joint, mean, all_of_them = (
        _squared_residuals(np.concatenate(features, axis=1), sample.observed, half)
        for features in ([own], [own, others], [own, scene], [own, others, scene])
    )
    saved = plain - joint, joint - all_of_them, mean - all_of_them
    of_planes, of_mean, with_mean = (
        np.bincount(blocks, less) / count / plain.mean() for less in saved
    )
    left = min(joint.mean(), all_of_them.mean())
    return (of_planes, of_mean, with_mean), float(left)


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
