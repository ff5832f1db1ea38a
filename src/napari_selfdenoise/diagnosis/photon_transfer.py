"""The photon-transfer line: how the noise variance of an image grows with its signal.

A camera's noise variance is gain * (signal - offset) + read variance: counted light on
top of what its electronics add. Images are cut into blocks of 8 x 8 pixels, which are
taken apart into cosine waves. Optics blur, so short waves hold little but noise: their
power is the variance, and the block's mean the signal. Three biases are avoided:

- Structure adds power. So in each range of the signal the blocks with the least power
  in long waves are chosen, which tells nothing of their short ones; and ranges whose
  variance is off the line count less.
- Noise in the signal flattens a line. So blocks are sorted by one half of their pixels,
  such as a checkerboard, and their signal is the mean of the other half.
- Where frames of a static scene are at hand, differences between them hold no
  structure, and all waves count.
- Where neighbours share noise, short waves hold less of it: how much less follows from
  the correlation that was measured.

After Janesick 2007 (photon transfer) and Ponomarenko et al. 2007 (flattest blocks).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn

from napari_selfdenoise.diagnosis.blocks import (
    CHANGING,
    LONG,
    SHORT,
    SIDE,
    cut,
    held,
)
from napari_selfdenoise.images import means_of_bins
from napari_selfdenoise.noise.correlation import NoiseCorrelation

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Planes = Sequence[NDArray[np.float32]]
Source = Literal["repeated frames", "neighbouring frames", "one frame"]

_NO_BLOCKS: Array = np.empty((0, SIDE, SIDE))
_MOST_BLOCKS = 2**15
_LEAST_BLOCKS = 64

_BINS = 48
"""Ranges of the signal into which blocks are halved: of equal numbers, and as few hold
what is bright, of equal width as well."""

_BIN_BLOCKS = 16
"""Blocks of a range, at least."""

_FLATTEST = 0.5
"""Share of the blocks of a range that is measured, of one frame."""

_DARKEST = 0.01
"""Share of the blocks that may be darker than what counts as the darkest signal."""

_LEAST_SHARE = 0.01
"""Variance that a range has by the line, over the usual one, at least."""

_ROUNDS = 20
_OFF = 2.0
"""Standard errors from which on a range of the signal counts less for the line."""

_CERTAIN = 3.0
"""Standard errors by which the gain must differ from 0 to speak of counted light."""


@dataclass(frozen=True, eq=False)
class PhotonTransfer:
    """The line variance = gain * signal + constant, and what follows from it.

    Parameters
    ----------
    gain, gain_error : float
        Grey values per photo-electron, and the standard error.
    constant : float
        Variance that the line has at a signal of 0, raw units squared.
    darkest : float
        Darkest signal there is, raw units: the guess of the camera's offset, as no
        signal lies below it.
    dark_variance, dark_variance_error : float
        Variance of the noise at the darkest signal by the line, raw units squared: the
        read variance, or more where even the darkest pixels received light.
    signal, variance, error : ndarray
        Ranges of the signal, the noise variance that was measured in each, and its
        standard error, (n,), raw units.
    source : str
        "repeated frames", "neighbouring frames" or "one frame".
    """

    gain: float
    gain_error: float
    constant: float
    darkest: float
    dark_variance: float
    dark_variance_error: float
    signal: Array
    variance: Array
    error: Array
    source: Source

    @property
    def grows(self) -> bool:
        """Whether noise grows with the signal, as that of counted light."""
        return self.gain > _CERTAIN * self.gain_error

    @property
    def offset(self) -> tuple[float, float]:
        """Lowest and highest offset that the line allows, raw units.

        It is no higher than the darkest signal, and no lower than where the variance
        would be 0.
        """
        lowest = -self.constant / self.gain if self.grows else -math.inf
        return min(lowest, self.darkest), self.darkest

    @property
    def read_noise(self) -> float:
        """Noise std at the darkest signal, raw units: the read noise, at most."""
        return math.sqrt(max(self.dark_variance, 0.0))

    @property
    def read_noise_error(self) -> float:
        """Standard error of `read_noise`, raw units."""
        return self.dark_variance_error / (2 * max(self.read_noise, 1e-30))

    @property
    def read_noise_electrons(self) -> float | None:
        """`read_noise` in photo-electrons; None where the gain is not known."""
        return self.read_noise / self.gain if self.grows else None

    def variance_at(self, signal: Array | float) -> Array:
        """Variance of the noise by the line, raw units squared; above 0."""
        least = 0.1 * float(self.variance.min())
        slope = self.gain if self.grows else 0.0
        level = self.constant if self.grows else float(np.median(self.variance))
        return np.asarray(np.maximum(slope * np.asarray(signal) + level, least))


def measure_photon_transfer(
    planes: Planes,
    *,
    frames: bool = False,
    static: bool = False,
    correlation: NoiseCorrelation | None = None,
) -> PhotonTransfer | None:
    """Measure the photon-transfer line.

    Parameters
    ----------
    planes : sequence of ndarray
        Observations, each (Y, X), raw units; NaN where nothing was recorded.
    frames : bool
        Whether planes follow each other in time, so that differences between them hold
        little structure.
    static : bool
        Whether these show a static scene, so that differences hold none.
    correlation : NoiseCorrelation, optional
        How neighbours share noise; not at all if not given.

    Returns
    -------
    PhotonTransfer or None
        None where there are too few whole blocks, or no noise in them.

    References
    ----------
    Janesick 2007, Photon Transfer (variance of differences between frames).
    Ponomarenko et al. 2007 (flattest blocks of cosine waves).
    """
    paired = (frames or static) and len(planes) > 1
    half = _half(correlation)
    blocks = _of_pairs(planes, half) if paired else _of_planes(planes, half)
    waves = CHANGING if paired and static else SHORT
    share = 1.0 if paired and static else _FLATTEST
    ranges = _ranges(blocks, waves, share, held(correlation)[waves].mean())
    if ranges is None:
        return None
    source: Source = "one frame"
    if paired:
        source = "repeated frames" if static else "neighbouring frames"
    return _line(ranges, _darkest(blocks), source)


class _Blocks(NamedTuple):
    """Blocks of pixels, raw units.

    Parameters
    ----------
    key, signal : ndarray
        Means of either half of the pixels: one sorts the blocks, (n,).
    power : ndarray
        Squares of their waves, (n, 8, 8).
    """

    key: Array
    signal: Array
    power: Array


class _Ranges(NamedTuple):
    """Ranges of the signal, raw units.

    Parameters
    ----------
    signal, variance : ndarray
        Mean signal, and variance of the noise, (n,).
    relative : ndarray
        Standard error of the variance as a share of it, (n,).
    """

    signal: Array
    variance: Array
    relative: Array


class _Fit(NamedTuple):
    """A line through variances: slope, value at a central signal, their covariance."""

    centre: float
    ends: Array
    covariance: Array

    def at(self, signal: float) -> tuple[float, float]:
        """Value at a signal, and its standard error."""
        place = np.array([signal - self.centre, 1.0])
        error = math.sqrt(float(place @ self.covariance @ place))
        return float(place @ self.ends), error


def _half(correlation: NoiseCorrelation | None) -> Flags:
    """Half of a block's pixels that shares no noise with the other one, (8, 8).

    A checkerboard, or every other line along which noise is shared. Where that is so
    along both axes there is no such half.
    """
    row, column = np.indices((SIDE, SIDE))
    shared = correlation is not None and (
        bool(correlation.extent_y),
        bool(correlation.extent_x),
    )
    if shared == (False, True):
        return np.asarray(row % 2 == 1)
    if shared == (True, False):
        return np.asarray(column % 2 == 1)
    return np.asarray((row + column) % 2 == 1)


def _of_planes(planes: Planes, half: Flags) -> _Blocks:
    """Blocks of planes one by one."""
    most = max(1, _MOST_BLOCKS // max(1, len(planes)))
    blocks = [_NO_BLOCKS, *(cut(plane, most=most)[0] for plane in planes)]
    joined = np.concatenate(blocks)
    return _described(joined, joined, half)


def _of_pairs(planes: Planes, half: Flags) -> _Blocks:
    """Blocks of consecutive planes: of their mean, and of their difference."""
    most = max(1, _MOST_BLOCKS // (len(planes) - 1))
    signal, noise = [_NO_BLOCKS], [_NO_BLOCKS]
    for one, other in itertools.pairwise(planes):
        first, second = cut(one, other, most=most)
        signal.append((first + second) / 2)
        noise.append((first - second) / math.sqrt(2))
    return _described(np.concatenate(signal), np.concatenate(noise), half)


def _described(signal: Array, noise: Array, half: Flags) -> _Blocks:
    key, mean = signal[:, half].mean(1), signal[:, ~half].mean(1)
    return _Blocks(key, mean, dctn(noise, axes=(1, 2), norm="ortho") ** 2)


def _ranges(
    blocks: _Blocks, waves: NDArray[np.bool_], share: float, held_power: float
) -> _Ranges | None:
    """Variance in ranges of the signal; None where there are too few blocks."""
    if len(blocks.key) < _LEAST_BLOCKS:
        return None
    variance = blocks.power[:, waves].mean(1) / held_power
    long = blocks.power[:, LONG].mean(1)
    groups = [
        group[np.argsort(long[group])[: max(2, round(share * len(group)))]]
        for group in _by_signal(blocks.key)
    ]
    signal, level = (means_of_bins(groups, v) for v in (blocks.signal, variance))
    pixels = np.array([len(group) * int(waves.sum()) for group in groups])
    if not np.median(level) > 0:
        return None
    # Few photons scatter more than Gaussian noise does.
    scatter = np.array([variance[g].std() / math.sqrt(len(g)) for g in groups])
    relative = np.maximum(scatter / np.maximum(level, 1e-30), np.sqrt(2 / pixels))
    return _Ranges(signal, level, relative)


def _by_signal(key: Array) -> list[NDArray[np.intp]]:
    """Blocks of like signal, from dark to bright: halved until they are alike."""
    order = np.argsort(key)
    width = float(np.ptp(key)) / _BINS
    waiting, found = [order], []
    while waiting:
        group = waiting.pop()
        wide = key[group[-1]] - key[group[0]] > width
        if len(group) >= 2 * _BIN_BLOCKS and (wide or len(group) > len(key) / _BINS):
            middle = len(group) // 2
            waiting += [group[middle:], group[:middle]]
        else:
            found.append(group)
    return found


def _darkest(blocks: _Blocks) -> float:
    """Darkest signal: no block's own noise makes it darker, but for chance."""
    return float(np.quantile(blocks.signal, _DARKEST))


def _line(ranges: _Ranges, darkest: float, source: Source) -> PhotonTransfer:
    """The photon-transfer line through ranges of the signal."""
    fit = _fit(ranges)
    slope, level = fit.ends.tolist()
    away = ranges.signal - fit.centre
    usual = np.maximum(slope * away + level, _LEAST_SHARE * np.median(ranges.variance))
    return PhotonTransfer(
        slope,
        math.sqrt(fit.covariance[0, 0]),
        fit.at(0.0)[0],
        darkest,
        *fit.at(darkest),
        ranges.signal,
        ranges.variance,
        usual * ranges.relative,
        source,
    )


def _fit(ranges: _Ranges) -> _Fit:
    """Robust line: ranges off it count less, as structure adds to their variance."""
    centre = float(ranges.signal.mean())
    # Of signals far below 1, a pseudo-inverse takes the slope for nothing.
    width = float(np.ptp(ranges.signal)) or 1.0
    away_from = (ranges.signal - centre) / width
    columns = np.stack([away_from, np.ones_like(away_from)], 1)
    middle = float(np.median(ranges.variance))
    ends, covariance, scale = np.array([0.0, middle]), np.zeros((2, 2)), 1.0
    for _ in range(_ROUNDS):
        error = np.maximum(columns @ ends, _LEAST_SHARE * middle) * ranges.relative
        away = np.abs(ranges.variance - columns @ ends) / error
        scale = max(1.0, 1.4826 * float(np.median(away)))
        weight = np.minimum(1, _OFF * scale / np.maximum(away, 1e-30)) / error**2
        covariance = np.linalg.pinv(columns.T @ (weight[:, None] * columns))
        ends = covariance @ (columns.T @ (weight * ranges.variance))
    units = np.array([1 / width, 1.0])
    return _Fit(centre, ends * units, covariance * np.outer(units, units) * scale**2)
