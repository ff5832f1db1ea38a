"""Errors of estimates, measured from the noisy image alone (SURE).

An estimate that is close to the observation may be good, or may have copied the noise.
Stein's lemma separates the two: the noise that an estimate holds is the noise's
variance times the estimate's slope, how far it follows when its own pixel is moved. The
variance may change with the signal. Stein 1981; Ramani et al. 2008 (slopes from random
signs).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.images import Normalization, bins_by_signal, means_of_bins
from napari_selfdenoise.noise import Differences, squared_noise
from napari_selfdenoise.parts.noise_models import NoiseCurve

Array = NDArray[np.float64]

CAUTION = 1.05
"""Noise that is counted with, over the noise that was measured.

Differences of neighbours miss what neighbours share: 2 to 6 % of the noise of confocal
and two-photon frames. Counting with too little mixes too much of the observation in,
which costs more than too little of it.
"""

OBSERVATION = "raw pixels"
"""Name of the estimate that is the observation itself."""

_MENTIONED = 0.05
"""Share of the raw pixels in a result from which on it is mentioned."""

_LEAST_WEIGHT = 0.02
"""Smaller weights are set to zero: they do not pay for their passes."""

_STEADY = 300
"""Pixels of the whole image that the weights of one signal are mixed with."""

_BINS = 32

_ROUNDS = 5
"""Times that the network's reaction is brought to the noise that was found."""


@dataclass(frozen=True)
class Blend:
    """What a result is made of, and how far it is from the signal.

    Parameters
    ----------
    parts : tuple of str
        Names of the K estimates.
    weights : tuple of float
        Of each, averaged over the image; their sum is one.
    error : float or None
        Estimated root mean squared error, raw units; None where it cannot be estimated.
    signal, table : tuple
        Where the weights change with the signal: J signals, raw units, and the weights
        at each, (J, K).
    noise : float or None
        Root mean squared noise of the observation, raw units; None where it is not
        known.
    """

    parts: tuple[str, ...]
    weights: tuple[float, ...]
    error: float | None = None
    signal: tuple[float, ...] = (0.0,)
    table: tuple[tuple[float, ...], ...] = ()
    noise: float | None = None

    @property
    def raw_share(self) -> float:
        """Share of the observation itself, noise and all, in the result."""
        return dict(zip(self.parts, self.weights, strict=True)).get(OBSERVATION, 0.0)

    def at(self, signal: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Weights of the parts that are used, by name, for signals of any shape."""
        columns = np.transpose(self.table or (self.weights,))
        return {
            part: np.interp(signal, self.signal, column).astype(np.float32)
            for part, column in zip(self.parts, columns, strict=True)
            if column.any()
        }

    def __str__(self) -> str:
        """Such as "0.94 average of 8 orientations, 0.06 raw pixels"."""
        pairs = zip(self.weights, self.parts, strict=True)
        found = [(weight, part) for weight, part in pairs if weight >= 0.005]
        text = ", ".join(f"{weight:.2f} {part}" for weight, part in found)
        text = found[0][1] if len(found) == 1 else text
        return text if self.error is None else f"{text}; error about {self.error:.3g}"


def in_words(blends: Sequence[Blend]) -> str:
    """Text of how good the result is; empty where that is not known."""
    if not blends:
        return ""
    mean, share = _mean(blends), raw_share_in_words(blends)
    if mean.error is None:
        return share
    before = "" if mean.noise is None else f" (noise before: ± {mean.noise:.2g})"
    remaining = f"Typical remaining error: ± {mean.error:.2g} grey values{before}."
    return f"{remaining} {share}".rstrip()


def raw_share_in_words(blends: Sequence[Blend]) -> str:
    """Text of how much of the observation is in the result; empty where little."""
    if not blends:
        return ""
    mean = _mean(blends)
    kept = dict(zip(mean.parts, mean.weights, strict=True)).get(OBSERVATION, 0.0)
    if kept < _MENTIONED:
        return ""
    return f"The result keeps {kept:.0%} of the raw pixel values."


def summary(blends: Sequence[Blend]) -> str:
    """Text of what many planes are made of on average; empty where there are none."""
    return str(_mean(blends)) if blends else ""


def _mean(blends: Sequence[Blend]) -> Blend:
    """The average of the blends of many planes."""
    parts = tuple(dict.fromkeys(part for one in blends for part in one.parts))
    known = [dict(zip(one.parts, one.weights, strict=True)) for one in blends]
    weights = tuple(
        sum(one.get(part, 0.0) for one in known) / len(known) for part in parts
    )
    judged = [one for one in blends if one.error is not None]
    error = _root_mean_square([one.error for one in judged])
    noise = _root_mean_square([one.noise for one in judged])
    return Blend(parts, weights, error, noise=noise)


def _root_mean_square(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.sqrt(np.mean(np.square(known))) if known else None


class Risk:
    """Squared errors of some estimates and of their blends, summed over pixels.

    Parameters
    ----------
    count : int
        Number of estimates, K.
    """

    def __init__(self, count: int) -> None:
        self.count, self.pixels = count, 0.0
        self._gram = np.zeros((count, count))
        self._held = np.zeros(count)
        self._noise = 0.0

    def add(
        self, residuals: Array, slopes: Array, variance: Array, share: Array
    ) -> None:
        """Take some pixels in.

        Parameters
        ----------
        residuals : ndarray
            Estimates less the observation, (K, n), raw units.
        slopes : ndarray
            Change of each estimate with its own pixel, (K, n): 1 for the observation
            itself. Right on average is enough.
        variance : ndarray
            Of the noise at each pixel, (n,), raw units squared.
        share : ndarray
            What each pixel counts, (n,).
        """
        self.pixels += float(share.sum())
        self._gram += (residuals * share) @ residuals.T
        self._held += slopes @ (variance * share)
        self._noise += float(variance @ share)

    def merge(self, other: Risk, times: float = 1.0) -> None:
        """Take in the pixels of another, each so many times."""
        self.pixels += times * other.pixels
        self._gram += times * other._gram
        self._held += times * other._held
        self._noise += times * other._noise

    @property
    def variance(self) -> float:
        """Mean variance of the noise, raw units squared."""
        return self._noise / self.pixels

    def error(self, weights: Array, caution: float = 1.0) -> float:
        """Mean squared error of a blend with weights (K,), raw units squared.

        An estimate of it: it scatters around the truth, and may fall below zero.
        """
        gram, held = self._means(caution)
        squared = weights @ gram @ weights + 2 * held @ weights
        return float(squared - caution * self.variance)

    def best(self, caution: float = CAUTION) -> Array:
        """Weights (K,) of the blend with the smallest error: none negative, sum one.

        Parameters
        ----------
        caution : float
            How much more noise is counted with than was given.
        """
        weights = _smallest(*self._means(caution))
        weights[weights < _LEAST_WEIGHT] = 0
        return np.asarray(weights / weights.sum())

    def _means(self, caution: float) -> tuple[Array, Array]:
        return self._gram / self.pixels, caution * self._held / self.pixels


class Levels:
    """Risks at some signals, between which a blend changes gradually.

    The error of an average of two blends is at most the average of theirs, so that
    weights which are best at either signal are good between.

    Parameters
    ----------
    signal : ndarray
        Increasing, (J,), raw units.
    count : int
        Number of estimates, K.
    """

    def __init__(self, signal: Array, count: int) -> None:
        self.signal = signal
        self.risks = [Risk(count) for _ in signal]

    def add(
        self, signal: Array, residuals: Array, slopes: Array, variance: Array
    ) -> None:
        """Take pixels of a known signal (n,) in; the rest as for `Risk.add`."""
        place = np.interp(signal, self.signal, np.arange(len(self.signal)))
        for number, risk in enumerate(self.risks):
            share = 1 - np.abs(place - number)
            near = share > 0
            parts = residuals[:, near], slopes[:, near], variance[near]
            risk.add(*parts, share[near])

    def blend(self, parts: tuple[str, ...]) -> Blend:
        """Choose the blend with the smallest error, its parts named."""
        whole = Risk(len(parts))
        for risk in self.risks:
            whole.merge(risk)
        table = np.stack([_steadied(risk, whole).best() for risk in self.risks])
        pixels = np.array([risk.pixels for risk in self.risks])
        squared = sum(
            risk.pixels * risk.error(weights)
            for risk, weights in zip(self.risks, table, strict=True)
            if risk.pixels
        )
        return Blend(
            parts,
            tuple((pixels @ table / whole.pixels).tolist()),
            math.sqrt(squared / whole.pixels) if squared > 0 else None,
            tuple(self.signal.tolist()),
            tuple(map(tuple, table.tolist())),
            math.sqrt(whole.variance),
        )


def _steadied(risk: Risk, whole: Risk) -> Risk:
    """Add pixels of the whole, brought to the noise here: few pixels say little."""
    if not risk.pixels:
        return whole
    steadied = Risk(whole.count)
    steadied.merge(risk)
    steadied.merge(whole, _STEADY / whole.pixels * risk.variance / whole.variance)
    return steadied


def _smallest(gram: Array, held: Array) -> Array:
    """Minimise w · gram · w + 2 held · w over weights; by trying all sets, exactly."""
    count = len(held)
    # Views that are all but equal would make it singular.
    gram = gram + 1e-9 * np.trace(gram) * np.eye(count) + 1e-30 * np.eye(count)
    best: Array = np.eye(count)[0]
    least = math.inf
    for size in range(1, count + 1):
        for chosen in map(list, itertools.combinations(range(count), size)):
            weights = np.zeros(count)
            weights[chosen] = _balanced(gram[np.ix_(chosen, chosen)], held[chosen])
            error = float(weights @ gram @ weights + 2 * held @ weights)
            if weights.min() >= 0 and error < least:
                best, least = weights, error
    return best


def _balanced(gram: Array, held: Array) -> Array:
    """Weights of sum one at which the error is stationary, of either sign."""
    towards = np.linalg.solve(gram, np.stack([np.ones_like(held), held], axis=1))
    equal, against = towards.T
    return np.asarray(equal * ((1 + against.sum()) / equal.sum()) - against)


def measured_noise(
    differences: Sequence[Differences], assumed: NoiseCurve
) -> NoiseCurve:
    """Noise curve of one image, from differences of its neighbouring residuals.

    Parameters
    ----------
    differences : sequence of Differences
        In raw units; the reaction is that to noise of the assumed strength.
    assumed : NoiseCurve
        Noise of the image that the network was trained on. It is returned where there
        are too few differences.
    """
    found = assumed
    for _ in range(_ROUNDS):
        parts = [_rescaled(part, found, assumed) for part in differences]
        signal, squared = squared_noise(parts, Normalization(0.0, 1.0))
        if not len(signal):
            return assumed
        found = _binned(signal, squared)
    return found


def _binned(signal: Array, squared: Array) -> NoiseCurve:
    groups = bins_by_signal(signal, _BINS)
    centre, variance = (means_of_bins(groups, values) for values in (signal, squared))
    return NoiseCurve.gaussian(centre, np.sqrt(np.maximum(variance, 1e-30)))


def _rescaled(part: Differences, found: NoiseCurve, assumed: NoiseCurve) -> Differences:
    """Bring the reaction to that to the noise that was found: it grows with it."""
    signal = part.signal.cpu().numpy()
    ratio = (found.std_at(signal) / assumed.std_at(signal)) ** 2
    factor = part.reaction.new_tensor(ratio)[:, None]
    return part._replace(reaction=part.reaction * factor)
