"""Whether frames are replicates of a static scene.

Differences between frames of a static scene are noise alone, as strong in long cosine
waves as in short ones. What moves is smooth, as optics blur: it adds to long waves.
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

from napari_selfdenoise.diagnosis.blocks import LONG, SHORT, cut, held
from napari_selfdenoise.images import bins_by_signal
from napari_selfdenoise.noise.correlation import NoiseCorrelation

Array = NDArray[np.float64]
Kind = Literal["static", "drifting", "moving", "unrelated"]

_FAR = 3.5
"""Power of the long waves of a difference over that of noise, from which on a block
has changed: noise of single photons stays below."""

_CHANGED = 0.01
"""Share of the blocks that may have changed though nothing moved."""

_BRIGHTER = 25.0
"""Square of the change of a block's mean over that of noise, from which on the block is
brighter or darker: by 5 standard deviations."""

_BRIGHTENED = 0.005
"""Share of the blocks that may be brighter or darker: in nine static series from public
data and simulations it was at most 0.0005."""

_MORE = 1.15
"""Power of long waves over that of noise, on average over all blocks, at most."""

_SLOW_CHANGED = 0.03
_SLOW_MORE = 1.6
"""The same of frames far apart, where consecutive ones show a static scene: over 50
frames of a fixed slide the power grew from 1.1 to 1.4, as the stage drifts."""

_DRIFT = 0.15
"""Change of the mean brightness that is too much, in noise stds."""

_ALIKE = 0.5
"""Correlation of the blocks' means of one frame with the next one's, at least, if they
show one scene; and where there is no structure to compare, none is needed."""

_LEAST_BLOCKS = 16
_MOST_BLOCKS = 2048


@dataclass(frozen=True)
class Frames:
    """How frames differ from each other.

    Parameters
    ----------
    kind : str
        "static": replicates of one scene; "drifting": so from frame to frame, but it
        changes slowly; "moving"; "unrelated": of different scenes.
    changed : float
        Share of the blocks of 8 x 8 px that changed by more than noise, at most.
    drift : float
        Change of the median brightness between two frames, in noise stds, at most.
    """

    kind: Kind
    changed: float
    drift: float

    @property
    def static(self) -> bool:
        """Whether differences between consecutive frames are noise alone."""
        return self.kind in ("static", "drifting")


def compare_frames(
    planes: Sequence[NDArray[np.float32]], correlation: NoiseCorrelation | None = None
) -> Frames | None:
    """Compare each plane with each other one.

    All but the last are consecutive; that one may be far away in time, where more has
    moved.

    Parameters
    ----------
    planes : sequence of ndarray
        Observations, each (Y, X), raw units; NaN where nothing was recorded.
    correlation : NoiseCorrelation, optional
        How neighbours share noise.

    Returns
    -------
    Frames or None
        None where there are too few whole blocks in two planes, or no noise.
    """
    power = held(correlation)
    # The last plane may be far away in time.
    close = planes[:-1] if len(planes) > 2 else planes
    near = [_compared(*pair, power) for pair in itertools.pairwise(close)]
    every = [_compared(*pair, power) for pair in itertools.combinations(planes, 2)]
    if not any(near):
        return None
    changed, _, drift, alike, brighter = np.array([one for one in every if one]).T
    still = _still(near, _CHANGED, _MORE)
    kind: Kind = "moving" if np.median(alike) >= _ALIKE else "unrelated"
    even = drift.max() <= _DRIFT and brighter.max() <= _BRIGHTENED
    if still and even and _still(every, _CHANGED, _MORE):
        kind = "static"
    elif still and _still(every, _SLOW_CHANGED, _SLOW_MORE):
        kind = "drifting"
    return Frames(kind, float(changed.max()), float(drift.max()))


def _still(pairs: Sequence[_Pair | None], changed: float, more: float) -> bool:
    """Whether no pair of planes changed by more than this."""
    return all(one.changed <= changed and one.more <= more for one in pairs if one)


class _Pair(NamedTuple):
    """Changed blocks, mean power, drift, likeness and brighter blocks of two planes."""

    changed: float
    more: float
    drift: float
    alike: float
    brighter: float


def _compared(
    one: NDArray[np.float32], other: NDArray[np.float32], power: Array
) -> _Pair | None:
    """How two planes differ; None where they cannot be compared."""
    if one.shape != other.shape:
        return None
    blocks, others = cut(one, other, most=_MOST_BLOCKS)
    if len(blocks) < _LEAST_BLOCKS:
        return None
    waves = dctn((others - blocks) / math.sqrt(2), axes=(1, 2), norm="ortho") ** 2
    short = waves[:, SHORT].mean(1) / power[SHORT].mean()
    long = waves[:, LONG].mean(1) / power[LONG].mean()
    noise = _by_signal((blocks + others).mean((1, 2)), short)
    if not noise.min() > 0:
        return None
    means = blocks.mean((1, 2)), others.mean((1, 2))
    drift = abs(float(np.median(means[1] - means[0]))) / math.sqrt(float(noise.mean()))
    share = float((long > _FAR * noise).mean())
    mean = waves[:, 0, 0] / power[0, 0]
    return _Pair(
        share,
        float(long.mean() / noise.mean()),
        drift,
        _likeness(*means),
        float((mean > _BRIGHTER * noise).mean()),
    )


def _by_signal(signal: Array, variance: Array) -> Array:
    """Mean variance of the blocks of like signal, for each block."""
    found = np.zeros_like(variance)
    for group in bins_by_signal(signal, 16, least=_LEAST_BLOCKS):
        found[group] = variance[group].mean()
    return found


def _likeness(one: Array, other: Array) -> float:
    """Correlation of the blocks' means."""
    if not (np.ptp(one) > 0 and np.ptp(other) > 0):
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])
