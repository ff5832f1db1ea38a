"""Pairs of signal and observation that noise models are fitted to."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import Normalization
from napari_selfdenoise.parts.noise_models import binned_means

Array = NDArray[np.float64]

MAX_PAIRS = 4_000_000
"""Pairs that a noise model is fitted to; more tell no more."""

FEW_PAIRS = 20_000
"""Pairs below which a noise model is uncertain."""

_LEAST_PAIRS = 256
_BALANCED = 32
"""Parts of the signal range that are balanced against each other."""

_SCORED = 2**16
_SCORED_SHARE = 0.05


class Pairs(NamedTuple):
    """Signals and observations, in no particular order, each (n,)."""

    signal: Array
    observation: Array

    @classmethod
    def of(
        cls,
        signal: Array,
        observation: Array,
        own: Array,
        clip: tuple[float, float],
        rng: np.random.Generator,
    ) -> Pairs:
        """Choose pairs at random, without the variance of the signal itself."""
        signal, observation = np.ravel(signal), np.ravel(observation)
        _require_pairs(signal, observation)
        low, high = np.percentile(signal, clip)
        inside = np.flatnonzero((signal >= low) & (signal <= high))
        chosen = rng.permutation(inside)[:MAX_PAIRS]
        s = signal[chosen].astype(np.float64)
        y = observation[chosen].astype(np.float64)
        own = np.broadcast_to(np.ravel(own), signal.shape)[chosen]
        return cls(s, _without_own(s, y, own))

    def split(self) -> tuple[Pairs, Pairs]:
        """Pairs to fit, and pairs to score the fit with; the same where few."""
        count = min(_SCORED, int(_SCORED_SHARE * len(self.signal)))
        if len(self.signal) < FEW_PAIRS:
            return self, self
        fitted, held_out = slice(count, None), slice(count)
        return (
            Pairs(self.signal[fitted], self.observation[fitted]),
            Pairs(self.signal[held_out], self.observation[held_out]),
        )


def balance(signal: Array) -> Array:
    """Weights (n,) that halve, in logarithms, how much more often a signal occurs.

    Else dark background, which most pixels are, decides the line of all that is bright.
    """
    low, high = float(signal.min()), float(signal.max())
    if high <= low:
        return np.ones_like(signal)
    number = ((signal - low) / (high - low) * _BALANCED).astype(np.intp)
    count = np.bincount(number, minlength=_BALANCED + 1)
    return np.asarray(1 / np.sqrt(count[number]))


def _require_pairs(signal: Array, observation: Array) -> None:
    if signal.shape != observation.shape:
        raise RequestError(
            f"There are {signal.size} signals for {observation.size} observations.",
            "Give one signal for each observation.",
        )
    if signal.size < _LEAST_PAIRS:
        raise RequestError(
            f"{signal.size} pixels are too few to fit noise to; at least "
            f"{_LEAST_PAIRS} are needed.",
            "Use larger or more frames.",
        )
    if not (np.isfinite(signal).all() and np.isfinite(observation).all()):
        raise RequestError(
            "Some pixels are NaN or infinite; every pixel must be a number.",
            "Crop the images to where all pixels were recorded.",
        )


def _without_own(signal: Array, observation: Array, own: Array) -> Array:
    """Shrink residuals by the share of their variance that is the signal's own.

    The noise's variance is what a bin of like signal has beyond the mean of the
    signal's own; at least a quarter is left.
    """
    if not np.any(own):
        return observation
    residual, one = observation - signal, np.ones_like(signal)
    centre, total, _ = binned_means(signal, residual**2, one)
    _, part, _ = binned_means(signal, own, one)
    noise = np.interp(signal, centre, np.maximum(total - part, 0.25 * total))
    kept = noise / np.maximum(noise + own, 1e-300)
    return np.asarray(signal + residual * np.sqrt(np.maximum(kept, 0.0)))


def std_floor(pairs: Pairs, norm: Normalization, step: float) -> float:
    """Std of rounding to a step, or 3 % of the median noise; normalised."""
    residual = pairs.observation - pairs.signal
    typical = 0.03 * 1.48 * float(np.median(np.abs(residual)))
    rounding = step / math.sqrt(12)
    return max(rounding / norm.scale, typical / norm.scale, 1e-6)


def least_std(pairs: Pairs, floor: float, norm: Normalization) -> float:
    """Smallest noise std that was measured, raw units: a line may fall to nothing."""
    squared = (pairs.observation - pairs.signal) ** 2
    _, variance, _ = binned_means(pairs.signal, squared, np.ones_like(squared))
    return max(floor * norm.scale, math.sqrt(0.9 * float(variance.min())))


def grey_step(observation: Array) -> float:
    """Step between grey values of whole numbers; 0 for others."""
    values = np.unique(observation[:65536])
    if len(values) < 2 or not np.array_equal(values, np.round(values)):
        return 0.0
    return float(np.diff(values).min())
