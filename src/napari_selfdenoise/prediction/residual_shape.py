"""How residuals of held-out pixels are distributed, apart from their width."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.prediction.context_spread import Array, Context

_BINS = 16
"""Of the signal: the noise of few photons is skewed, that of many is not."""

_LEAST = 500
"""Residuals that a bin holds, at least: its quantiles are then known to two percent."""

_RARE = 0.005
"""Share of the residuals on either side that is rare."""

_FAR = 2.0
"""How far beyond the rare ones is odd: 5.2 standard deviations of Gaussian noise."""

_OUTLYING = 6.0
"""Residuals count up to so many standard deviations towards the width."""


@dataclass(frozen=True, eq=False)
class ResidualShape:
    """Distributions of residuals of standard deviation one, in bins of the signal.

    Widths are left out on purpose: a shape that has learned them would make any
    interval look right.

    Parameters
    ----------
    signal : ndarray
        Mean signal of each bin, increasing, (bins,), raw units.
    residuals : ndarray
        Sorted, (bins, n).
    """

    signal: Array
    residuals: Array

    @classmethod
    def of(cls, context: Context, variance: Array, observed: Array) -> ResidualShape:
        """The shape of the residuals of n pixels.

        Parameters
        ----------
        context : Context
            Of the pixels, (n,).
        variance : ndarray
            Of their signal given the context, (n,), squared raw units.
        observed : ndarray
            (n,), raw units.
        """
        order = np.argsort(context.mean, kind="stable")
        size = max(len(order) // _BINS, min(len(order), _LEAST))
        bins = order[: len(order) // size * size].reshape(-1, size)
        scaled = _scaled(context, variance, observed)[bins]
        within = np.clip(scaled, -_OUTLYING, _OUTLYING)
        width = np.sqrt((within**2).mean(1, keepdims=True))
        return cls(context.mean[bins].mean(1), np.sort(scaled / width, axis=1))

    def probability_below(
        self, context: Context, variance: Array, observed: Array
    ) -> Array:
        """Probability of a smaller observation than the one that was made, (n,).

        The parameters are those of `of`. Between the bins it is interpolated.
        """
        scaled = _scaled(context, variance, observed)
        each = np.stack([_share_below(one, scaled) for one in self.residuals])
        place = np.interp(context.mean, self.signal, np.arange(len(self.signal)))
        first = np.minimum(place.astype(int), max(len(self.signal) - 2, 0))
        next_one = np.minimum(first + 1, len(self.signal) - 1)
        pixel, weight = np.arange(len(scaled)), place - first
        low, high = each[first, pixel], each[next_one, pixel]
        return np.asarray((1 - weight) * low + weight * high)

    def is_odd(
        self, context: Context, variance: Array, observed: Array
    ) -> NDArray[np.bool_]:
        """Whether observations lie far beyond what noise of this shape reaches.

        The parameters are those of `of`, but may have any shape, which is returned.
        """
        scaled = _scaled(context, variance, observed)
        ends = np.quantile(self.residuals, (_RARE, 1 - _RARE), axis=1)
        low, high = (np.interp(context.mean, self.signal, end) for end in ends)
        return np.asarray((scaled < _FAR * low) | (scaled > _FAR * high))


def _scaled(context: Context, variance: Array, observed: Array) -> Array:
    std = np.sqrt(np.maximum(context.noise + variance, 1e-30))
    return np.asarray((observed - context.mean) / std)


def _share_below(residuals: Array, values: Array) -> Array:
    """Share of sorted residuals that are smaller; equal ones count half."""
    sides = (np.searchsorted(residuals, values, side) for side in ("left", "right"))
    return np.asarray(sum(sides) / (2 * len(residuals)))
