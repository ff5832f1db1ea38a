"""A line through the variance of noise: Poisson-Gaussian fits."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import weighted_means_by_signal
from napari_selfdenoise.parts.noise_models import variance_line

Array = NDArray[np.float64]

_GROUPS = 2**14


def fit_poisson_gaussian(
    signal: Array,
    observation: Array,
    *,
    weight: Array | None = None,
    prior_variance: Array | float | None = None,
    cuts: tuple[float, float] = (0.02, 0.97),
) -> tuple[float, float]:
    """Fit variance = a * signal + b by maximum likelihood (Nelder-Mead).

    Khademi et al. 2021, sections 3 and 4. The start is a weighted least-squares line
    and the search is for the variance at two signals, so that units do not matter.

    Parameters
    ----------
    signal, observation : ndarray
        Predictions and what was observed, (n,), raw units.
    weight : ndarray, optional
        What each pair counts, (n,).
    prior_variance : ndarray or float, optional
        Variance of the prediction itself, (n,) or one for all: part of the residuals,
        not of the noise.
    cuts : tuple of float
        Quantiles of the signal outside which pairs are left out. The paper cuts by the
        observation; that truncates the noise at both ends, and a and b come out wrong.

    Returns
    -------
    a, b : float
        Of raw units. b may be negative. Where the signal varies too little to tell a
        from 0, a is 0 and b is the variance.
    """
    arrays = _kept(signal, observation, weight, prior_variance, cuts)
    pairs = _Grouped.of(*arrays)
    level = float(np.average(pairs.squared - pairs.prior, weights=pairs.weight))
    a, b = variance_line(pairs.signal, pairs.squared - pairs.prior, pairs.weight)
    if level <= 0 or a <= pairs.uncertainty_of_a(level):
        return 0.0, max(level, 0.0)
    low, high = pairs.ends()
    start = np.array([a * low + b, a * high + b]) / level
    found = minimize(
        lambda ends: pairs.nll(*_through(ends * level, low, high), 1e-3 * level),
        np.maximum(start, 1e-2),
        method="Nelder-Mead",
        options={"xatol": 1e-5, "fatol": 1e-10, "maxiter": 400},
    )
    a, b = _through(found.x * level, low, high)
    return (a, b) if a > 0 else (0.0, level)


def _through(ends: Array, low: float, high: float) -> tuple[float, float]:
    """The line with two values at two signals: slope and constant."""
    slope = float(ends[1] - ends[0]) / (high - low)
    return slope, float(ends[0]) - slope * low


def _kept(
    signal: Array,
    observation: Array,
    weight: Array | None,
    prior_variance: Array | float | None,
    cuts: tuple[float, float],
) -> tuple[Array, Array, Array, Array]:
    """Signal, squared residual, weight and prior variance of the pairs to fit."""
    signal, observation = np.asarray(signal, float), np.asarray(observation, float)
    if signal.size == 0:
        raise RequestError(
            "There are no pixels to fit noise to.", "Choose an image that holds pixels."
        )
    low, high = np.quantile(signal, cuts)
    inside = (signal >= low) & (signal <= high)
    prior = 0.0 if prior_variance is None else prior_variance
    shape = signal.shape
    values = (
        signal,
        (observation - signal) ** 2,
        np.ones(shape) if weight is None else np.broadcast_to(weight, shape),
        np.broadcast_to(np.asarray(prior, float), shape),
    )
    s, r, w, v = (np.asarray(array[inside], float) for array in values)
    return s, r, w, v


class _Grouped(NamedTuple):
    """Means over pairs of like signal: fits to them are as good, and quicker."""

    signal: Array
    squared: Array
    weight: Array
    prior: Array
    number: int

    @classmethod
    def of(cls, signal: Array, squared: Array, weight: Array, prior: Array) -> _Grouped:
        groups = min(_GROUPS, len(signal))
        (s, r, v), total = weighted_means_by_signal(
            signal, (signal, squared, prior), weight, groups
        )
        return cls(s, r, total / total.mean(), v, len(signal))

    def nll(self, a: float, b: float, least: float) -> float:
        """Mean of squared residual / variance + log variance."""
        variance = np.maximum(a * self.signal + b, least) + self.prior
        each = self.squared / variance + np.log(variance)
        return float(np.average(each, weights=self.weight))

    def ends(self) -> tuple[float, float]:
        """Two signals far apart, but not the rarest."""
        low, high = np.quantile(self.signal, (0.1, 0.9))
        if high <= low:
            low, high = self.signal.min(), self.signal.max()
        return float(low), float(high)

    def uncertainty_of_a(self, level: float) -> float:
        """Standard error of the slope of a variance that is about `level`."""
        middle = np.average(self.signal, weights=self.weight)
        spread = np.average((self.signal - middle) ** 2, weights=self.weight)
        if spread <= (1e-9 * abs(middle)) ** 2:
            return math.inf
        total = level + float(np.average(self.prior, weights=self.weight))
        return total * math.sqrt(2 / (self.number * spread))
