"""Residuals of masked pixels, from which noise is learned."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdenoise.images import Normalization, bins_by_signal
from napari_selfdenoise.noise.block_contrasts import Differences, squared_noise
from napari_selfdenoise.parts.masking import neighbour_sum

Array = NDArray[np.float64]

_BINS = 32


class MaskedPixels(NamedTuple):
    """Masked pixels, normalised: prediction, observation, weight; each (...)."""

    signal: Tensor
    observation: Tensor
    weight: Tensor

    def detached(self, most: int) -> MaskedPixels:
        """Return a copy of at most about `most` of the pixels, flat, no gradients."""
        every = max(1, self.signal.numel() // most)
        flat = (values.detach().ravel()[::every] for values in self)
        return MaskedPixels(*(values.clone() for values in flat))


def smoothness(signal: Tensor) -> Tensor:
    """Weights of residuals: high where the prediction around a pixel is flat.

    A residual holds the noise and the prediction's own error. Noise depends on the
    signal alone, the error on the structure around; so, at each signal, residuals
    from flat surroundings show the noise best. The weights of a blind prediction do not
    depend on the pixel either, so they favour no noise.

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


def balanced(signal: Tensor, weight: Tensor, groups: int = 32) -> Tensor:
    """Scale weights to a mean of one in each of `groups` of like signal.

    Else bright pixels, which lie in structures, would count for nothing.

    Parameters
    ----------
    signal, weight : Tensor
        Of masked pixels, (B, N).

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
    """Residuals of masked pixels and the prediction's own share in them, raw units.

    Parameters
    ----------
    signal, residual, weight : ndarray
        Prediction, observation - prediction, and weight of n pixels, (n,).
    own_signal, own : ndarray
        Variance of the prediction itself at increasing signals, (m,); empty where it
        was not probed.
    noise_signal, noise : ndarray
        Variance of the noise from differences of residuals, at increasing signals,
        (k,); empty where it was not measured.
    """

    signal: Array
    residual: Array
    weight: Array
    own_signal: Array
    own: Array
    noise_signal: Array = field(default_factory=lambda: np.zeros(0))
    noise: Array = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def of(
        cls,
        masked: Iterable[MaskedPixels],
        probed: Iterable[MaskedPixels],
        normalization: Normalization,
        differences: Iterable[Differences] = (),
    ) -> Residuals:
        """Join batches of masked pixels, and changes of predictions by added noise."""
        signal, residual, weight = _raw(masked, normalization)
        moved_signal, moved, moved_weight = _raw(probed, normalization)
        own = (
            binned(moved_signal, moved, moved_weight)
            if len(moved)
            else (np.zeros(0), np.zeros(0))
        )
        found, squared = squared_noise(differences, normalization)
        noise = binned(found, np.sqrt(squared)) if len(found) else (found, squared)
        return cls(signal, residual, weight, *own, *noise)

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
        variance = np.maximum(variance, 1e-30)
        if len(self.noise):
            share = np.interp(centre, self.noise_signal, self.noise) / variance
        else:
            share = np.minimum(1 - self.own_variance(centre) / variance, 1.0)
        return np.asarray(np.interp(signal, centre, np.clip(share, 0.25, 2.0)))

    def bias(self, signal: Array) -> Array:
        """Mean of the residuals at signals (n,): zero, if all of them were noise.

        A likelihood whose noise model has another skewness than the noise shifts the
        prediction.
        """
        centre, mean = _bins(self.signal, self.residual, self.weight, _BINS)
        return np.asarray(np.interp(signal, centre, mean))

    def scatter(self) -> tuple[Array, Array]:
        """Signal and noise std as measured in bins of equally many pixels."""
        signal, variance = binned(self.signal, self.residual, self.weight)
        return signal, np.sqrt(variance * self.noise_share(signal))


def _raw(
    masked: Iterable[MaskedPixels], normalization: Normalization
) -> tuple[Array, Array, Array]:
    """Signal, difference and weight of masked pixels in raw units, each (n,)."""
    parts = list(masked)
    if not parts:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    signal, other, weight = (
        torch.cat(values).double().cpu().numpy() for values in zip(*parts, strict=True)
    )
    raw = signal * normalization.scale + normalization.offset
    return raw, (other - signal) * normalization.scale, weight


def binned(
    signal: Array,
    difference: Array,
    weight: Array | None = None,
    bins: int = _BINS,
) -> tuple[Array, Array]:
    """Weighted mean square of differences in bins of equally many pixels.

    Parameters
    ----------
    signal, difference, weight : ndarray
        Each (n,); all weigh the same if not given.
    bins : int
        Fewer are made of fewer than 64 pixels a bin.

    Returns
    -------
    signal, mean_square : ndarray
        Of each bin, increasing, each (bins,).
    """
    weight = np.ones_like(signal) if weight is None else weight
    return _bins(signal, difference**2, weight, bins)


def _bins(
    signal: Array, values: Array, weight: Array, bins: int
) -> tuple[Array, Array]:
    """Weighted means of signal and values in bins of equally many pixels."""
    groups = bins_by_signal(signal, bins, least=64)
    centre, mean = (
        np.array([np.average(v[group], weights=weight[group]) for group in groups])
        for v in (signal, values)
    )
    return centre, mean
