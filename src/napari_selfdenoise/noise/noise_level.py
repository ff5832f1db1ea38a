"""Noise std of an image, and whether its noise is Gaussian, independent and even.

Small blocks are taken apart into waves. Long waves tell how much structure a block
holds, short ones hold hardly anything but noise; and where noise is independent and
Gaussian, the two know nothing of each other. So the blocks with the least power in long
waves are chosen, and their short waves are measured: no block is preferred for its own
noise. After Ponomarenko et al. 2007.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idctn
from scipy.ndimage import maximum_filter, minimum_filter

from napari_selfdenoise.images import bins_by_signal
from napari_selfdenoise.noise.evenness import Evenness, measure_evenness

Array = NDArray[np.float64]

_TOO_FEW = "there are too few pixels to measure the noise; it is learned instead"

_SIDE = 8
_WAVES = np.add.outer(np.arange(_SIDE), np.arange(_SIDE))
_LONG = (_WAVES >= 1) & (_WAVES <= 4)
_MIDDLE = (_WAVES >= 5) & (_WAVES <= 7)
_SHORT = _WAVES >= 8

_MOST_BLOCKS = 2**17
_FLATTEST = 0.1
"""Share of the blocks that is measured: more hold structure, fewer tell less."""

_GROUP = 256
_LEAST_GROUPS = 4  # groups of blocks by signal, at least: else there are too few pixels
_GROUPS = 8  # groups of blocks by signal, at most

_STRUCTURED = 1.3
"""Power of long waves over that of short ones from which on blocks are not flat.

The flattest tenth of noise alone has 0.5 to 0.6; with 1.3, stds are 2 to 5 % too high.
"""

_SPAN = 0.5
"""Share of the range of signals that flat groups must span."""

_EVEN = 1.06
"""Ratio of noise stds up to which noise is the same everywhere, but for chance.

Of noise that was added to photographs, groups by signal differ by 1 to 3 %, and planes
by 1 to 9 %, by structure; in micrographs, groups differ by 20 % to a factor of 20.
"""

_ERRORS = 4
"""Standard errors that chance may add."""

_GROWTH = {10.0: 1.35, 0.3: 1.22, 0.0: 1.1}
"""Ratio of the noise stds at both ends of the signals, at most. The keys are the ratio
of the signal's variance to the noise's from which on it holds.

Where noise is stronger than the structure, a growth by a seventh cost 1.3 dB, and SURE
gains nothing even where it is right. Where structure stands out it still gained 0.2 dB
at a growth by a fifth, and structure is easily taken for noise: of 111 photographs with
Gaussian noise of std 5 to 25 whose groups are even, 6 have more. Of 618 scenes of
counted light, none is taken for even.
"""

_OUTLYING = 1.5
"""Noise std of the noisiest range over that of most pixels, at least, but for chance.
"""

# Single photons, 5 a pixel, have 0.27 and 0.12; 20 a pixel have 0.15 and 0.04.
_SKEW = 0.2  # size of the skewness of Gaussian noise, at most
_EXCESS = 0.3  # size of its excess kurtosis, at most

_SPIKE = 5.0  # noise stds by which a spike differs from its neighbours, at least
_CALM = 6.0  # noise stds by which the neighbours of a spike differ, at most

_SPIKES = 1e-4
"""Share of the pixels that may be spikes."""

_SAMPLE_PIXELS = 2**22
"""Pixels among which spikes are looked for."""

_ALONE = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], np.bool_)


@dataclass(frozen=True)
class NoiseLevel:
    """Noise of a set of planes, raw units.

    Parameters
    ----------
    std : float
        Standard deviation in all flat blocks.
    signal, by_signal : tuple of float
        Mean signals of groups of blocks, increasing, and the noise std of each.
    flat : tuple of bool
        Whether a group has flat blocks: else structure adds to its std.
    by_plane : tuple of float
        Noise std of a plane with little noise, and of one with much: the 10th and 90th
        percentile.
    longer : float
        As `std`, from longer waves: the same where neighbours share no noise.
    error, plane_error : float
        Standard errors of a group's std and of a plane's, as a share of it.
    skewness, excess : float
        Third and fourth standardised moments of the noise, less those of a Gaussian.
    spikes : float
        Share of the pixels that stick out of all their neighbours, which are calm.
    evenness : Evenness or None
        Noise in ranges of the signal, rare bright pixels included; None if unknown.
    """

    std: float
    signal: tuple[float, ...]
    by_signal: tuple[float, ...]
    flat: tuple[bool, ...]
    by_plane: tuple[float, ...]
    longer: float
    error: float
    plane_error: float
    skewness: float
    excess: float
    spikes: float
    evenness: Evenness | None

    def why_not_simple(self) -> str:
        """Reason why the noise is not Gaussian, independent, and the same everywhere.

        Returns
        -------
        str
            A clause; empty where it is.
        """
        if len(self.by_signal) < _LEAST_GROUPS:
            return _TOO_FEW
        if not self.white:
            return "neighbours share noise, or fine structure looks like noise"
        if not self._spans():
            return (
                "there is too much structure to measure how strong the noise is; that "
                "is learned instead"
            )
        known = self._of_flat(self.by_signal)
        if _differ(known, self.error):
            return _brighter(known)
        if _differ(self.by_plane, self.plane_error):
            return (
                f"noise is not equally strong in all planes ({_range(self.by_plane)})"
            )
        if abs(self.skewness) > _SKEW or abs(self.excess) > _EXCESS:
            return "noise is not Gaussian"
        if self.spikes > _SPIKES:
            return "single pixels differ from their neighbours by more than noise"
        return self._why_rare_differ()

    def _why_rare_differ(self) -> str:
        """Reason why rare pixels may have other noise; empty where they do not."""
        known = self.evenness
        if known is None:
            return _TOO_FEW
        structure = known.structure()
        most = next(most for least, most in _GROWTH.items() if structure >= least)
        if known.ratio() <= most and known.outlying() <= _OUTLYING:
            return ""
        growth, error = known.growth() if len(known.std) > 1 else (0.0, 0.0)
        if abs(growth) > 2 * error or known.outlying() > _OUTLYING:
            return _brighter(known.std)
        return "too few pixels are bright to measure how strong their noise is"

    def _spans(self) -> bool:
        """Whether flat groups reach from dim to bright signals."""
        known = self._of_flat(self.signal)
        whole = self.signal[-1] - self.signal[0]
        return len(known) > 1 and known[-1] - known[0] >= _SPAN * whole

    def _of_flat(self, values: Sequence[float]) -> list[float]:
        """Values of the groups that have flat blocks."""
        return [value for value, flat in zip(values, self.flat, strict=True) if flat]

    @property
    def white(self) -> bool:
        """Whether long and short waves have the same noise."""
        return not _differ((self.std, self.longer), self.error)


def measure_level(planes: Sequence[NDArray[np.float32]]) -> NoiseLevel | None:
    """Measure the noise of planes, which may hold any structure.

    Takes a second at most: large images and long stacks are sampled.

    Parameters
    ----------
    planes : sequence of ndarray
        Observations, each (Y, X), raw units.

    Returns
    -------
    NoiseLevel or None
        None where there are too few blocks of 8 x 8 pixels, or no noise at all.

    References
    ----------
    Ponomarenko et al. 2007 (flattest blocks of cosine waves).
    """
    most = max(1, _MOST_BLOCKS // max(1, len(planes)))
    blocks = [_Blocks.of(_cut(plane, most)) for plane in planes]
    whole = _Blocks.joined(blocks)
    if len(whole.mean) < _GROUP:
        return None
    count = min(round(len(whole.mean) / _GROUP), _GROUPS)
    groups = [whole.chosen(g) for g in bins_by_signal(whole.mean, count)]
    level = _Blocks.joined([g for g in groups if g.flattest().is_flat] or groups)
    flat, groups = level.flattest(), [group.flattest() for group in groups]
    if not flat.std > 0:
        return None
    alone = [part.flattest() for part in blocks if len(part.mean)]
    little, much = np.quantile([part.std for part in alone], (0.1, 0.9)).tolist()
    return NoiseLevel(
        flat.std,
        tuple(float(group.mean.mean()) for group in groups),
        tuple(group.std for group in groups),
        tuple(group.is_flat for group in groups),
        (little, much),
        flat.longer,
        max(group.error for group in groups),
        max(part.error for part in alone),
        *flat.shape,
        _spikes(planes, flat.std),
        measure_evenness(planes),
    )


def _differ(stds: Sequence[float], error: float) -> bool:
    """Whether stds with an error differ by more than chance and structure explain."""
    return max(stds) > _EVEN * (1 + _ERRORS * error) * min(stds)


def _range(stds: Sequence[float] | Array) -> str:
    return f"std {min(stds):.3g} to {max(stds):.3g}"


def _brighter(stds: Sequence[float] | Array) -> str:
    """Reason that noise differs with the signal; stds from dark to bright."""
    if stds[-1] > stds[0]:
        return f"bright regions are noisier ({_range(stds)}), as usual for photons"
    return f"noise is not equally strong everywhere ({_range(stds)})"


@dataclass(frozen=True)
class _Blocks:
    """What is known of n blocks, each (n,).

    Parameters
    ----------
    mean : ndarray
        Mean of the pixels.
    long, middle, short : ndarray
        Mean power of waves.
    third, fourth : ndarray
        Mean third and fourth power of the pixels without long waves.
    """

    mean: Array
    long: Array
    middle: Array
    short: Array
    third: Array
    fourth: Array

    @classmethod
    def of(cls, pixels: NDArray[np.float32]) -> _Blocks:
        """Take blocks (n, 8, 8) apart."""
        waves = dctn(pixels.astype(np.float64), axes=(1, 2), norm="ortho")
        power = waves**2
        parts = (power[:, band].mean(1) for band in (_LONG, _MIDDLE, _SHORT))
        fine = idctn(waves * (_MIDDLE | _SHORT), axes=(1, 2), norm="ortho")
        moments = ((fine**order).mean((1, 2)) for order in (3, 4))
        return cls(waves[:, 0, 0] / _SIDE, *parts, *moments)

    @classmethod
    def joined(cls, parts: Sequence[_Blocks]) -> _Blocks:
        """Put the blocks of several planes together."""
        values = zip(*(vars(part).values() for part in parts), strict=True)
        return cls(*map(np.concatenate, values))

    def chosen(self, index: NDArray[np.intp]) -> _Blocks:
        """Return some of the blocks."""
        return _Blocks(*(values[index] for values in vars(self).values()))

    def flattest(self) -> _Blocks:
        """Return the blocks that hold the least structure."""
        count = max(1, round(_FLATTEST * len(self.mean)))
        return self.chosen(np.argpartition(self.long, count - 1)[:count])

    @property
    def std(self) -> float:
        """Noise std of pixels, by the power of short waves."""
        return math.sqrt(self.short.mean())

    @property
    def is_flat(self) -> bool:
        """Whether there is little but noise, if these are the flattest blocks."""
        return bool(self.long.mean() <= _STRUCTURED * self.short.mean())

    @property
    def longer(self) -> float:
        """Noise std of pixels, by the power of waves of middle length."""
        return math.sqrt(self.middle.mean())

    @property
    def error(self) -> float:
        """Standard error of `std`, as a share of it."""
        return 1 / math.sqrt(2 * int(_SHORT.sum()) * len(self.short))

    @property
    def shape(self) -> tuple[float, float]:
        """Skewness and excess kurtosis of the pixels without long waves."""
        power = self.middle * _MIDDLE.sum() + self.short * _SHORT.sum()
        variance = float(power.mean()) / _SIDE**2
        third, fourth = float(self.third.mean()), float(self.fourth.mean())
        return third / variance**1.5, fourth / variance**2 - 3


def _cut(plane: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    """At most `most` blocks of a plane, at random but always alike: (n, 8, 8)."""
    rows, columns = (side // _SIDE for side in plane.shape)
    cells = plane[: rows * _SIDE, : columns * _SIDE]
    cells = cells.reshape(rows, _SIDE, columns, _SIDE).swapaxes(1, 2)
    places = np.arange(rows * columns)
    if len(places) > most:
        places = np.random.default_rng(0).permutation(places)[:most]
    blocks: NDArray[np.float32] = cells[places // columns, places % columns]
    return blocks[np.isfinite(blocks).all((1, 2))]


def _spikes(planes: Sequence[NDArray[np.float32]], std: float) -> float:
    """Share of pixels that stick out of all their neighbours, such as hot pixels."""
    room = max(1, _SAMPLE_PIXELS // len(planes))
    found = total = 0
    for plane in planes:
        part = plane[: -(-room // plane.shape[1])]
        part = np.where(np.isfinite(part), part, np.nanmedian(part))
        high = maximum_filter(part, footprint=_ALONE)
        low = minimum_filter(part, footprint=_ALONE)
        spike = np.maximum(part - high, low - part) > _SPIKE * std
        found += int((spike & (high - low < _CALM * std)).sum())
        total += part.size
    return found / total
