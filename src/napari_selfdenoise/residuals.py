"""What the residuals of hidden pixels say of the noise."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdenoise.masking import neighbour_sum
from napari_selfdenoise.sampling import Normalization

Array = NDArray[np.float64]

_BINS = 32


class Hidden(NamedTuple):
    """Hidden pixels, normalised: prediction, observation, weight; each (...)."""

    signal: Tensor
    observation: Tensor
    weight: Tensor

    def detached(self, most: int) -> Hidden:
        """Return some of the numbers, at most about `most`, flat, without history."""
        every = max(1, self.signal.numel() // most)
        return Hidden(*(values.detach().ravel()[::every] for values in self))


def smoothness(signal: Tensor) -> Tensor:
    """How well a prediction knows each pixel: high where its surroundings are flat.

    A residual holds the noise and the prediction's own error. Noise depends on the
    signal alone, the error on the structure around; so, at each signal, residuals
    from flat surroundings tell the noise best. A prediction that is blind to a pixel
    has weights that are, too: they favour no noise.

    Parameters
    ----------
    signal : Tensor
        Prediction, (B, 1, Y, X), normalised.

    Returns
    -------
    Tensor
        Positive weights, (B, 1, Y, X).
    """
    count = _around(torch.ones_like(signal))
    mean = _around(signal) / count
    variance = (_around(signal.square()) / count - mean.square()).clamp_min(0)
    return 1 / (variance + 0.1 * variance.mean() + 1e-6)


def levelled(signal: Tensor, weight: Tensor, groups: int = 32) -> Tensor:
    """Scale weights to a mean of one in each of `groups` of like signal.

    Else bright pixels, which lie in structures, would count for nothing.

    Parameters
    ----------
    signal, weight : Tensor
        Of hidden pixels, (B, N).

    Returns
    -------
    Tensor
        (B, N).
    """
    order = signal.detach().ravel().argsort()
    size = max(1, len(order) // groups)
    chunks = torch.split(weight.ravel()[order], size)
    level = torch.empty_like(weight.ravel())
    level[order] = torch.cat([chunk / chunk.mean() for chunk in chunks])
    return level.view_as(weight)


def _around(values: Tensor) -> Tensor:
    return neighbour_sum(neighbour_sum(values))  # 5 x 5


@dataclass(frozen=True, eq=False)
class Residuals:
    """Residuals of hidden pixels and the prediction's own share in them, raw units.

    Parameters
    ----------
    signal, residual, weight : ndarray
        Prediction, observation - prediction, and weight of n pixels, (n,).
    own_signal, own : ndarray
        Variance of the prediction itself at increasing signals, (m,); empty where it
        was not probed.
    """

    signal: Array
    residual: Array
    weight: Array
    own_signal: Array
    own: Array

    @classmethod
    def of(
        cls,
        remembered: Iterable[Hidden],
        probed: Iterable[Hidden],
        normalization: Normalization,
    ) -> Residuals:
        """Bring hidden pixels, and how far noise moved their prediction, together."""
        signal, residual, weight = _raw(remembered, normalization)
        moved_signal, moved, moved_weight = _raw(probed, normalization)
        own = (
            binned(moved_signal, moved, moved_weight)
            if len(moved)
            else (np.zeros(0), np.zeros(0))
        )
        return cls(signal, residual, weight, *own)

    def own_variance(self, signal: Array) -> Array:
        """Variance of the prediction itself, interpolated at signals (n,)."""
        if not len(self.own):
            return np.zeros_like(signal)
        return np.interp(signal, self.own_signal, self.own)

    def noise_share(self, signal: Array) -> Array:
        """Share of the noise in the residuals' variance at signals (n,).

        At least a quarter: what is left is the prediction's own.
        """
        centre, variance = binned(self.signal, self.residual, self.weight)
        share = 1 - self.own_variance(centre) / np.maximum(variance, 1e-30)
        return np.asarray(np.interp(signal, centre, np.clip(share, 0.25, 1.0)))

    def scatter(self) -> tuple[Array, Array]:
        """Signal and noise std as measured in bins of equally many pixels."""
        signal, variance = binned(self.signal, self.residual, self.weight)
        return signal, np.sqrt(variance * self.noise_share(signal))


def _raw(
    hidden: Iterable[Hidden], normalization: Normalization
) -> tuple[Array, Array, Array]:
    """Signal, difference and weight of hidden pixels in raw units, each (n,)."""
    parts = list(hidden)
    if not parts:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    signal, other, weight = (
        torch.cat(values).double().cpu().numpy() for values in zip(*parts, strict=True)
    )
    raw = signal * normalization.scale + normalization.offset
    return raw, (other - signal) * normalization.scale, weight


def binned(
    signal: Array, difference: Array, weight: Array, bins: int = _BINS
) -> tuple[Array, Array]:
    """Weighted mean square of differences in bins of equally many pixels.

    Parameters
    ----------
    signal, difference, weight : ndarray
        Each (n,).
    bins : int
        Fewer are made of fewer than 64 pixels a bin.

    Returns
    -------
    signal, mean_square : ndarray
        Of each bin, increasing, each (bins,).
    """
    count = min(bins, max(1, len(signal) // 64))
    groups = np.array_split(np.argsort(signal), count)
    centre = np.array([np.average(signal[g], weights=weight[g]) for g in groups])
    square = [np.average(difference[g] ** 2, weights=weight[g]) for g in groups]
    return centre, np.array(square)
