"""Gaussian mixtures of one variable, many at once: of noise, of signals, of both."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

_LOG_TWO_PI = math.log(2 * math.pi)


class Mixture(NamedTuple):
    """Gaussian mixtures, one for each of many pixels or signals; each (..., K).

    Parameters
    ----------
    log_weight : Tensor
        Logarithms of the weights, which add up to one.
    mean, log_std : Tensor
        Of the components. A component of no width has a log_std of minus infinity: it
        has moments, but no density.
    """

    log_weight: Tensor
    mean: Tensor
    log_std: Tensor

    def centred(self) -> Mixture:
        """The same mixtures shifted to a mean of zero: noise adds no light."""
        return self._replace(mean=self.mean - self.expectation().unsqueeze(-1))

    def expectation(self) -> Tensor:
        """Mean of each whole mixture, (...)."""
        return (self.log_weight.exp() * self.mean).sum(-1)

    def variance(self) -> Tensor:
        """Variance of each whole mixture, (...)."""
        apart = self.mean - self.expectation().unsqueeze(-1)
        spread = (2 * self.log_std).exp() + apart.square()
        return (self.log_weight.exp() * spread).sum(-1)

    def log_density(self, value: Tensor) -> Tensor:
        """Log density at values of shape (...)."""
        return log_normal(value.unsqueeze(-1), self).logsumexp(-1)


def log_normal(value: Tensor, mixture: Mixture) -> Tensor:
    """Log of weight times density of each component at values (..., 1) -> (..., K)."""
    scaled = (value - mixture.mean) * (-mixture.log_std).exp()
    return mixture.log_weight - mixture.log_std - 0.5 * (scaled.square() + _LOG_TWO_PI)


def equal_weights(like: Tensor) -> Tensor:
    """Log weights of components (..., K) that count alike."""
    return torch.full_like(like, -math.log(like.shape[-1]))
