"""How far the context alone leaves the signal open, as held-out pixels show it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

Array = NDArray[np.float64]

LEAST_PIXELS = 2048
"""Held-out pixels below which nothing is fitted: noise would decide."""

_LEAST = 0.005
"""Smallest variance of a prior, in variances of the noise: no context is an average of
more than some hundred pixels."""

_ROUNDS = 8

_FARTHEST = 6.0
"""Residuals count up to so many standard deviations: a hot pixel that was not found
would widen all intervals."""


class Context(NamedTuple):
    """What is known of pixels from their context alone; arrays of one shape.

    Parameters
    ----------
    mean : ndarray
        Signal as the context has it, raw units.
    noise : ndarray
        Variance of the noise at that signal, squared raw units; as the others.
    views : ndarray
        Variance of the mean between the orientations of the image.
    prior : ndarray
        Variance of the prior as the signal head has it; 0 for a head without.
    """

    mean: Array
    noise: Array
    views: Array
    prior: Array

    def at(self, pixels: NDArray[Any]) -> Context:
        """Return some of the pixels, by flags or numbers, as flat arrays."""
        return Context(*(values[pixels] for values in self))


class ContextSpread(NamedTuple):
    """Variance of the signal given its context: a weighted sum of what foretells it.

    A single factor on the variance of a signal head is not enough: a head learns its
    width from noise that is ten times as strong, and from single orientations, and
    comes out far too narrow in flat regions. There, the context is a mean of noisy
    pixels, whose variance is a share of the noise's.

    Parameters
    ----------
    of_noise, of_views, of_prior : float
        Weights of the variances in `Context`.
    """

    of_noise: float
    of_views: float
    of_prior: float

    def variance(self, context: Context) -> Array:
        """Variance of the signal given the context, squared raw units."""
        foretold = (
            self.of_noise * context.noise
            + self.of_views * context.views
            + self.of_prior * context.prior
        )
        return np.asarray(np.maximum(foretold, _LEAST * context.noise))

    def std_of_estimate(self, context: Context, share: Array) -> Array:
        """Standard deviation of the signal around an estimate, raw units.

        Parameters
        ----------
        context : Context
            Of its pixels.
        share : ndarray
            Weight of the context in the estimate, 0 to 1; the rest is the pixel's.
        """
        left, own = self.variance(context), context.noise
        return np.asarray(np.sqrt(share**2 * left + (1 - share) ** 2 * own))


def fit_spread(context: Context, observed: Array) -> ContextSpread | None:
    """Fit the spread so that residuals are as large as it and the noise say.

    The squared residual of a pixel that was held out has the expectation of both
    variances: that of the signal around its context's mean, and the noise's. Weighted
    by what it would have for Gaussians; no weight is below zero.

    Parameters
    ----------
    context : Context
        Of n held-out pixels, (n,).
    observed : ndarray
        Their observation, (n,), raw units.

    Returns
    -------
    ContextSpread or None
        None where there are too few pixels to tell.
    """
    if len(observed) < LEAST_PIXELS:
        return None
    columns = np.stack([context.noise, context.views, context.prior], axis=1)
    squared, spread = (observed - context.mean) ** 2, ContextSpread(1.0, 0.0, 0.0)
    for _ in range(_ROUNDS):
        total = np.maximum(spread.variance(context) + context.noise, 1e-30)
        excess = np.minimum(squared, _FARTHEST**2 * total) - context.noise
        spread = ContextSpread(*_weights(columns / total[:, None], excess / total))
    return spread


def _weights(columns: Array, target: Array) -> list[float]:
    """Weights, none below zero, of columns (n, k) whose sum is nearest to (n,)."""
    size = np.sqrt((columns**2).mean(0))
    used = size > 0
    rotation, short = np.linalg.qr(columns[:, used] / size[used])
    weights = np.zeros(columns.shape[1])
    weights[used] = nnls(short, rotation.T @ target)[0] / size[used]
    return [float(weight) for weight in weights]
