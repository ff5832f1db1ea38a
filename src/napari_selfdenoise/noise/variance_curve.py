"""The noise's variance as a function of the signal, behind predictions that err.

A prediction is smoother than the signal: it is brighter than the darkest pixels and
darker than the brightest ones, so that at each predicted signal unlike ones are mixed.
But the noise of a masked block of pixels does not enter its own prediction. So blocks
are grouped by the prediction, and the mean of what was observed in a group is the mean
of its signal, whatever the prediction errs by: the prediction is an instrumental
variable, and a line through the means of the groups is not bent by its errors.

Cameras add read noise, which knows no signal, shot noise in proportion to it, and
differences between pixels in proportion to its square (Janesick 2007, the
photon-transfer curve). What a camera does otherwise, such as clipping, is a smooth
departure from that parabola, as large as the groups give evidence for.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.polynomial import polynomial
from numpy.typing import NDArray

from napari_selfdenoise.images import Normalization, bins_by_signal, means_of_bins
from napari_selfdenoise.noise.block_contrasts import Differences, squared_noise

Array = NDArray[np.float64]

_GROUPS = 32
_ENDS = 4  # groups that the darkest and the brightest one are split into
_LEAST_BLOCKS = 256  # of a group
_OVERFLOW = 1e100  # squares of squares are needed

_REPEATED = 4.0
"""How often a block is measured on average, at most: repeats are not independent."""

_SYSTEMATIC = 0.02
"""Error of a group's variance, as a share of it, however many blocks it holds."""

_EVIDENCE = 9.0
"""Drop of chi-square from which on the parabola has one more coefficient."""

_OUTLYING = 3.0
"""Standard errors from which on a group counts less in the parabola."""

_REACHES = (0.05, 0.15, 0.5)
"""How far a departure reaches, on the scale of `VarianceCurve._place`."""

_SIZES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
"""Std of departures: of the logarithm of the variance over the parabola's."""

_ROUNDS = 20
"""Times that a fit is repeated, as outlying groups show in it: more change nothing."""

_LEAST_SHARE = 0.25
"""Of the variance at the nearest measured signal, that there is beyond, at least."""

_MARKS = 512
"""Signals at which the range is counted in noise stds."""


@dataclass(frozen=True, eq=False)
class VarianceCurve:
    """Variance of the noise at each signal, raw units.

    Parameters
    ----------
    signal, measured : ndarray
        Mean signal of groups of blocks, increasing, and their noise variance, (n,).
    parabola : ndarray
        Constant, slope and curvature over the signal above the darkest group, in units
        of the span of all groups, (3,).
    departure : ndarray
        Weight of each group's place in the logarithm of the variance over that of the
        parabola, (n,).
    reach : float
        How far departures reach, in shares of the span, counted in noise stds.
    """

    signal: Array
    measured: Array
    parabola: Array
    departure: Array
    reach: float

    @classmethod
    def of(
        cls, parts: Sequence[Differences], normalization: Normalization
    ) -> VarianceCurve | None:
        """Fit the variance to contrasts of images whose noise is alike.

        Parameters
        ----------
        parts : sequence of Differences
            Normalised.
        normalization : Normalization
            Theirs.

        Returns
        -------
        VarianceCurve or None
            None where there are too few blocks.
        """
        signal, squared = squared_noise(parts, normalization)
        if not len(signal):
            return None
        residual = torch.cat([part.mean_residual for part in parts])
        raw = residual.cpu().double().numpy() * normalization.scale
        return cls.fit(signal[::3], raw, squared.reshape(-1, 3).mean(1))

    @classmethod
    def fit(
        cls, predicted: Array, mean_residual: Array, squared: Array
    ) -> VarianceCurve | None:
        """Fit the variance to masked blocks of pixels.

        Parameters
        ----------
        predicted, mean_residual : ndarray
            Means of the predictions and of the residuals of each block, (n,).
        squared : ndarray
            Squared noise of each block, whose mean is the variance, (n,).

        Returns
        -------
        VarianceCurve or None
            None where there are too few blocks.
        """
        # A training that is thrown off predicts what cannot be computed with.
        sound = np.isfinite(predicted + mean_residual) & (squared < _OVERFLOW)
        if sound.sum() < 2 * _LEAST_BLOCKS:
            return None
        groups = _Groups.of(predicted[sound], mean_residual[sound], squared[sound])
        parabola, none = groups.parabola(), np.zeros_like(groups.signal)
        smooth = cls(groups.signal, groups.variance, parabola, none, _REACHES[0])
        value = smooth._by_parabola(groups.signal, groups.spread)
        ratio = _log_ratio(groups.variance, value)
        found = _departure(smooth._place(groups.signal), ratio, groups.error)
        return cls(groups.signal, groups.variance, parabola, *found)

    def at(self, signal: Array) -> Array:
        """Variance of the noise at signals (n,), raw units."""
        places = self._place(signal), self._place(self.signal)
        departure = _kernel(*places, self.reach) @ self.departure
        return np.asarray(self._by_parabola(signal) * np.exp(departure))

    def knots(self, low: float, high: float, count: int = 256) -> Array:
        """Increasing signals, dense where the noise is weak.

        Parameters
        ----------
        low, high : float
            Range that they span at least; and all signals that were measured.
        count : int
            How many, but for equal ones.
        """
        ends = min(low, float(self.signal[0])), max(high, float(self.signal[-1]))
        marks = np.union1d(np.linspace(*ends, _MARKS), self.signal)
        first, last = self._place(np.array(ends)).tolist()
        place = np.linspace(first, last, count)
        return np.unique(np.interp(place, self._place(marks), marks))

    def _by_parabola(self, signal: Array, spread: Array | float = 0.0) -> Array:
        """Mean variance, without departures, of signals that spread around some."""
        span = _span(self.signal)
        value = polynomial.polyval((signal - self.signal[0]) / span, self.parabola)
        value = value + self.parabola[2] * spread / span**2
        return np.asarray(np.maximum(value, self._least(signal)))

    def _least(self, signal: Array) -> Array:
        """Variance that a parabola has at least: its extrapolation may be wrong."""
        nearest = np.interp(signal, self.signal, self.measured)
        usual = float(np.median(self.measured))
        return np.maximum(_LEAST_SHARE * nearest, max(1e-6 * usual, 1e-30))

    def _place(self, signal: Array) -> Array:
        """Signals counted in noise stds, scaled to 0 to 1 where they were measured."""
        low, span = float(self.signal[0]), _span(self.signal)
        marks = low + span * np.linspace(0, 1, _MARKS)
        steps = 1 / np.sqrt(self._by_parabola((marks[1:] + marks[:-1]) / 2))
        counted = np.concatenate(([0.0], np.cumsum(steps)))
        inside = np.interp(signal, marks, counted / counted[-1])
        beyond = (signal - np.clip(signal, low, low + span)) / span
        return np.asarray(inside + beyond)


def _span(signal: Array) -> float:
    return max(float(np.ptp(signal)), 1e-12 * float(np.abs(signal).max()), 1e-30)


@dataclass(frozen=True, eq=False)
class _Groups:
    """Means over groups of blocks, by increasing signal.

    Parameters
    ----------
    signal, spread : ndarray
        Mean and variance of the signal, (n,).
    variance, error : ndarray
        Noise variance, and its standard error as a share of it, (n,).
    """

    signal: Array
    spread: Array
    variance: Array
    error: Array

    @classmethod
    def of(cls, predicted: Array, mean_residual: Array, squared: Array) -> _Groups:
        """Group blocks by their prediction; like `VarianceCurve.fit`."""
        observed, bins = predicted + mean_residual, _bins(predicted)
        count = np.array([float(len(each)) for each in bins])
        moments = np.stack([observed, observed**2, squared, squared**2], axis=1)
        means = _increasing(means_of_bins(bins, moments), count)
        return cls._from_moments(*means)

    @classmethod
    def _from_moments(cls, moments: Array, count: Array) -> _Groups:
        signal, second, variance, fourth = moments.T
        # A quarter of the noise is left in the mean of four pixels.
        spread = np.maximum(second - signal**2 - variance / 4, 0)
        scatter = np.median(fourth / np.maximum(variance, 1e-30) ** 2) - 1
        error = np.sqrt(max(scatter, 0.1) * _REPEATED / count + _SYSTEMATIC**2)
        return cls(signal, spread, variance, error)

    def parabola(self) -> Array:
        """Constant, slope and curvature, as many of them as there is evidence for."""
        best = _Fit.of(self, 0)
        for degree in range(1, min(3, len(self.signal))):
            fit = _Fit.of(self, degree)
            # Saturation is no parabola.
            if fit.misfit < best.misfit - _EVIDENCE and fit.coefficients[2] >= 0:
                best = fit
        return best.coefficients


@dataclass(frozen=True, eq=False)
class _Fit:
    """A polynomial through the variances of groups.

    Parameters
    ----------
    coefficients : ndarray
        Constant, slope and curvature, (3,).
    misfit : float
        Sum of squared deviations of logarithms, in standard errors; large ones count
        linearly.
    """

    coefficients: Array
    misfit: float

    @classmethod
    def of(cls, groups: _Groups, degree: int) -> _Fit:
        """Fit by weighted least squares; errors go with the fitted variance."""
        span = _span(groups.signal)
        t = (groups.signal - groups.signal[0]) / span
        powers = np.stack([t**0, t, t**2 + groups.spread / span**2], axis=1)
        powers = powers[:, : degree + 1]
        median = float(np.median(groups.variance))
        least = max(1e-3 * median, 1e-30)
        value = np.full_like(t, max(median, least))  # no noise at all has none
        found = np.zeros(3)
        for _ in range(_ROUNDS):
            error = groups.error * value
            away = _log_ratio(groups.variance, value) / groups.error
            weight = np.sqrt(np.minimum(1, _OUTLYING / np.maximum(abs(away), 1e-9)))
            # Deviations of logarithms: a group twice too high counts as one half as
            # high as it should be.
            target = value + away * error
            rows = powers * (weight / error)[:, None]
            solved = np.linalg.lstsq(rows, target * weight / error, rcond=None)[0]
            found[: degree + 1] = solved
            value = np.maximum(powers @ solved, least)
        away = np.abs(_log_ratio(groups.variance, value)) / groups.error
        linear = _OUTLYING * (2 * away - _OUTLYING)
        misfit = np.where(away < _OUTLYING, away**2, linear).sum()
        return cls(found, float(misfit))


def _log_ratio(variance: Array, value: Array) -> Array:
    """Logarithm of a measured variance over a fitted one; no noise is a thousandth."""
    return np.asarray(np.log(np.maximum(variance / value, 1e-3)))


def _bins(predicted: Array) -> list[NDArray[np.intp]]:
    """Groups of equally many blocks of like prediction, the outer ones split."""
    first, *middle, last = bins_by_signal(predicted, _GROUPS, _LEAST_BLOCKS)
    split = max(1, min(_ENDS, len(last) // _LEAST_BLOCKS))
    dark, bright = (np.array_split(end, split) for end in (first, last))
    return [*dark, *middle, *bright]


def _increasing(moments: Array, count: Array) -> tuple[Array, Array]:
    """Pool neighbouring groups until each is brighter than the one before.

    Parameters
    ----------
    moments : ndarray
        Of each group (n, 4): mean and mean square of the signal, and of the squares.
    count : ndarray
        Blocks of each group, (n,).
    """
    pooled: list[tuple[Array, float]] = []
    for each, number in zip(moments, count, strict=True):
        while pooled and _alike(*pooled[-1], each):
            before, others = pooled.pop()
            total = others + number
            each, number = (before * others + each * number) / total, total
        pooled.append((each, float(number)))
    return np.array([p[0] for p in pooled]), np.array([p[1] for p in pooled])


def _alike(before: Array, count: float, after: Array) -> bool:
    """Whether a group is not brighter than the one before, but for chance."""
    variance = max(before[1] - before[0] ** 2, 0.0)
    return bool(after[0] < before[0] + 2 * math.sqrt(_REPEATED * variance / count))


def _kernel(first: Array, second: Array, reach: float) -> Array:
    """Covariance of departures over their variance: a smoother one overshoots."""
    return np.asarray(np.exp(-np.abs(first[:, None] - second) / reach))


def _departure(place: Array, ratio: Array, error: Array) -> tuple[Array, float]:
    """Weights of groups in a Gaussian process, and its reach, of largest evidence.

    What a prediction misses of the structure adds to a variance and never takes from
    it: so groups that lie far above the others count less.
    """
    trusted = error
    for _ in range(_ROUNDS):
        size, reach = _likeliest(place, ratio, trusted)
        kernel = size**2 * _kernel(place, place, reach)
        weights = np.linalg.solve(kernel + np.diag(trusted**2), ratio)
        above = (ratio - kernel @ weights) / error
        trusted = error * np.sqrt(np.maximum(1, above / _OUTLYING))
    return np.asarray(size**2 * weights), reach


def _likeliest(place: Array, ratio: Array, error: Array) -> tuple[float, float]:
    """Size and reach of departures (n,), of largest evidence."""
    evidence = partial(_evidence, place, ratio, error)
    choices = itertools.product(_SIZES, _REACHES)
    return min(choices, key=lambda choice: evidence(*choice))


def _evidence(
    place: Array, ratio: Array, error: Array, size: float, reach: float
) -> float:
    """Negative logarithm of the probability of departures (n,), twice."""
    covariance = size**2 * _kernel(place, place, reach) + np.diag(error**2)
    explained = float(ratio @ np.linalg.solve(covariance, ratio))
    return explained + float(np.linalg.slogdet(covariance)[1])
