"""Whether two planes share noise, and whether they show one scene.

Planes are compared in cosine waves of small blocks. Optics blur: the shortest waves
hold noise, and structure only where it is sharp. So in the blocks with the least
structure in common, what two planes have in common in the shortest waves is noise:
frames that were written twice, averaged while they were taken, or compressed as a
movie.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn
from scipy.ndimage import uniform_filter

Array = NDArray[np.float64]

SIDE = 8  # px; side of the blocks

_ORDER = np.add.outer(np.arange(SIDE), np.arange(SIDE))
_SHORT = _ORDER >= SIDE + 1
_MIDDLE = (_ORDER >= 3) & (_ORDER <= 6)

_FLAT = 0.25
"""Share of the blocks that noise is compared in: those with the least in common."""

_SHARED = 0.1
"""Correlation of the noise of two planes up to which it does no harm: a network can
then predict a hundredth of a pixel's noise."""

_CHANCE = 3.0  # standard errors that a correlation may reach by chance

_ALIKE = 0.25
"""Correlation of the blocks' signals, at least, of planes that show one scene. Between
fields of view of one slide it was below 0.1."""

_AROUND = 7
"""Side in blocks of the squares whose mean is subtracted before: different scenes may
have a bright middle in common, and that is all."""

_LEAST_STRUCTURE = 0.3
"""Variance of the blocks' signals over that of their noise, at least, for planes to
show a scene that can be compared."""

_BRIGHTER = 3.0  # standard errors that a change of brightness must exceed
_MOST_BRIGHTER = 8.0  # times

_MOST_SIDE = 64  # blocks; of larger planes the middle is compared
_LEAST_BLOCKS = 16


class PlaneWaves(NamedTuple):
    """Blocks of a plane as means and cosine waves; NaN where not all was recorded.

    Parameters
    ----------
    means : ndarray
        Of the blocks, (rows, columns), raw units.
    waves : ndarray
        Their cosine waves, orthonormal, (rows, columns, 8, 8), raw units.
    """

    means: Array
    waves: Array

    @classmethod
    def of(cls, plane: NDArray[np.float32]) -> PlaneWaves:
        """Cut a plane (Y, X) into blocks; those of equal planes lie alike."""
        rows, columns = (side // SIDE for side in plane.shape)
        whole = plane[: rows * SIDE, : columns * SIDE].astype(np.float64)
        blocks = whole.reshape(rows, SIDE, columns, SIDE).swapaxes(1, 2)
        blocks = blocks[_middle(rows, columns), _middle(columns, rows)]
        return cls(blocks.mean((2, 3)), dctn(blocks, axes=(2, 3), norm="ortho"))

    @property
    def noise_std(self) -> float:
        """Std of the noise, as the shortest waves of all blocks show it, raw units."""
        known = self.waves[np.isfinite(self.means)]
        return math.sqrt((known[:, _SHORT] ** 2).mean()) if len(known) else 0.0

    @property
    def range(self) -> tuple[float, float]:
        """How dark and how bright blocks are, but for a few, raw units."""
        known = self.means[np.isfinite(self.means)]
        if not known.size:
            return 0.0, 0.0
        low, high = np.percentile(known, (1, 99))
        return float(low), float(high)

    @property
    def least_noise_std(self) -> float:
        """As `noise_std`, of the quarter of the blocks with the least."""
        known = self.waves[np.isfinite(self.means)]
        powers = (known[:, _SHORT] ** 2).mean(1)
        return math.sqrt(np.quantile(powers, _FLAT)) if len(known) else 0.0


class Brightness(NamedTuple):
    """How bright a plane is where another one shows the same.

    Parameters
    ----------
    gain : float
        Its signal over that of the other one.
    offset : float
        What it is brighter by beyond that, raw units.
    """

    gain: float = 1.0
    offset: float = 0.0

    def reversed(self) -> Brightness:
        """How bright the other one is where this one shows the same."""
        return Brightness(1 / self.gain, -self.offset / self.gain)

    def matched(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Pixels of the other plane as bright as they would be in this one."""
        if self == Brightness():
            return pixels
        return np.float32(self.gain) * pixels + np.float32(self.offset)

    def __str__(self) -> str:
        sign = "-" if self.offset < 0 else "+"
        return f"{self.gain:.3g} × value {sign} {abs(self.offset):.3g}"


class PairOfPlanes(NamedTuple):
    """How two planes are alike.

    Parameters
    ----------
    shared_noise : float
        Correlation of their noise.
    chance : float
        Correlation that independent noise may have by chance.
    likeness : float
        Correlation of what they show; 1 where they show nothing.
    blocks : int
        How many were compared.
    brightness : Brightness
        Of the first where the second shows the same.
    """

    shared_noise: float
    chance: float
    likeness: float
    blocks: int = 0
    brightness: Brightness = Brightness()

    @classmethod
    def of(cls, one: PlaneWaves, other: PlaneWaves) -> PairOfPlanes:
        """Compare two planes; too small ones count as independent and alike."""
        known = np.isfinite(one.means) & np.isfinite(other.means)
        if np.count_nonzero(known) < _LEAST_BLOCKS:
            same = np.array_equal(one.waves, other.waves, equal_nan=True)
            return cls(float(same), 0.0, 1.0)
        first, second = ((_local(p.means, known), p.waves[known]) for p in (one, other))
        shared, chance = _shared(first[1], second[1])
        signals = _signals(*first, *second)
        count, likeness = int(np.count_nonzero(known)), _likeness(signals)
        means = one.means[known], other.means[known]
        return cls(shared, chance, likeness, count, _brightness(*means, signals))

    @property
    def independent(self) -> bool:
        """Whether their noise is independent, as far as can be measured."""
        return self.shared_noise <= max(_SHARED, self.chance)

    @property
    def unrelated(self) -> bool:
        """Whether their noise is neither alike nor opposite.

        Dyes that were unmixed have noise that is opposite. Too small ones are not known
        to be independent.
        """
        known = self.blocks >= _LEAST_BLOCKS
        return known and abs(self.shared_noise) <= max(_SHARED, self.chance)

    @property
    def usable(self) -> bool:
        """Whether one may help to predict the other."""
        by_chance = _CHANCE / math.sqrt(max(1, self.blocks))
        alike = self.likeness >= min(1.0, max(_ALIKE, by_chance))
        return self.independent and alike


def share_noise(one: PlaneWaves, others: Sequence[PlaneWaves]) -> bool:
    """Whether other planes together predict the noise of one, if each hardly does.

    As where the mean over many channels was subtracted from each. The shortest waves of
    one are fitted by those of the others, in the blocks with the least in common.

    Parameters
    ----------
    one : PlaneWaves
        Whose noise is to be independent.
    others : sequence of PlaneWaves
        At least one.
    """
    known = np.isfinite(one.means)
    for other in others:
        known &= np.isfinite(other.means)
    own, rest = one.waves[known], [other.waves[known] for other in others]
    alike = [np.abs(_correlations(own[:, _MIDDLE], w[:, _MIDDLE])) for w in rest]
    count = max(_LEAST_BLOCKS // 2, round(_FLAT * len(own)))
    flat = np.argsort(np.max(alike, axis=0), kind="stable")[:count]
    target, *inputs = (_standardized(w[flat][:, _SHORT]) for w in (own, *rest))
    excess = len(target) - 2 * len(inputs)
    if excess <= 0:
        return True  # too few waves say that they are independent
    a = np.stack(inputs, axis=1)
    fitted = a @ np.linalg.lstsq(a, target, rcond=None)[0]
    share = float((fitted * target).mean() / max((target**2).mean(), 1e-30))
    share -= len(inputs) / len(target)  # what any fit explains by chance
    chance = _CHANCE * math.sqrt(2 * len(inputs)) / len(target)
    return share > max(_SHARED**2, chance)


def _standardized(waves: Array) -> Array:
    """Waves of blocks (n, k) so that all blocks count alike, flat."""
    power = np.sqrt((waves**2).mean(1, keepdims=True))
    return np.asarray(waves / np.where(power > 0, power, np.inf)).ravel()


def _shared(one: Array, other: Array) -> tuple[float, float]:
    """Correlation of the noise of blocks (n, 8, 8), and what may be chance."""
    middle = _correlations(one[:, _MIDDLE], other[:, _MIDDLE])
    count = max(_LEAST_BLOCKS // 2, round(_FLAT * len(one)))
    flat = np.argsort(np.abs(middle), kind="stable")[:count]
    first, second = one[flat][:, _SHORT], other[flat][:, _SHORT]
    # Blocks count alike: those of much light have noise of their own strength.
    scale = np.sqrt((first**2).mean(1) * (second**2).mean(1))
    noisy = scale > 0
    if not noisy.any():
        return 1.0, 0.0  # nothing says that they are independent
    found = (first * second).mean(1)[noisy] / scale[noisy]
    return float(found.mean()), _CHANCE / math.sqrt(noisy.sum() * _SHORT.sum())


def _correlations(one: Array, other: Array) -> Array:
    """Correlation of the waves (n, k) of each block; 0 where one has none."""
    power = np.sqrt((one**2).sum(1) * (other**2).sum(1))
    return np.asarray((one * other).sum(1) / np.where(power > 0, power, np.inf))


class _Signals(NamedTuple):
    """Variances of the signals of blocks of two planes, and what they share.

    Without noise; None where one of them shows hardly anything.
    """

    first: float
    second: float
    both: float
    correlation: float  # with the noise


def _signals(one: Array, waves: Array, other: Array, others: Array) -> _Signals | None:
    """From the means of blocks (n,), 0 on average, and their waves (n, 8, 8)."""
    noises = [(w[:, _SHORT] ** 2).mean() / SIDE**2 for w in (waves, others)]
    powers = [float((m**2).mean()) for m in (one, other)]
    first, second = (power - n for power, n in zip(powers, noises, strict=True))
    if any(
        signal <= _LEAST_STRUCTURE * noise
        for signal, noise in zip((first, second), noises, strict=True)
    ):
        return None
    both = float((one * other).mean())
    return _Signals(first, second, both, both / math.sqrt(powers[0] * powers[1]))


def _likeness(signals: _Signals | None) -> float:
    """Correlation of the signals of blocks, without their noise."""
    if signals is None:
        return 1.0
    both = signals.both / math.sqrt(signals.first * signals.second)
    return float(np.clip(both, -1, 1))


def _brightness(one: Array, other: Array, signals: _Signals | None) -> Brightness:
    """Brightness of blocks of means (n,) where others show the same."""
    gain = 1.0
    if signals and _likeness(signals) >= _ALIKE:
        gain = math.sqrt(signals.first / signals.second)
        error = math.sqrt(max(0.0, 1 - signals.correlation**2) / len(one))
        unclear = abs(math.log(gain)) < _BRIGHTER * error
        gain = 1.0 if unclear else min(max(gain, 1 / _MOST_BRIGHTER), _MOST_BRIGHTER)
    return Brightness(gain, float(np.median(one - gain * other)))


def _local(means: Array, known: NDArray[np.bool_]) -> Array:
    """Means (rows, columns) without those of the blocks around, where known, (n,)."""
    sums, counts = (
        uniform_filter(values.astype(float), _AROUND, mode="constant")
        for values in (np.where(known, means, 0.0), known)
    )
    return np.asarray(means[known] - sums[known] / counts[known])


def _middle(length: int, other: int) -> slice:
    """The middle of an axis of blocks, longer where the other one is short."""
    most = max(_MOST_SIDE, _MOST_SIDE**2 // max(1, other))
    start = max(0, (length - most) // 2)
    return slice(start, start + min(length, most))
