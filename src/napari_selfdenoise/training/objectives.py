"""What teaches the network: a loss for each phase of a training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.noise import MaskedPixels
from napari_selfdenoise.parts.gaussian_mixtures import Mixture
from napari_selfdenoise.parts.likelihood import log_marginal
from napari_selfdenoise.training.masked_prediction import MaskedPrediction
from napari_selfdenoise.training.noise_learning import NoiseLearner


class Objective(Protocol):
    """A loss of masked pixels."""

    @property
    def teaches_noise(self) -> bool:
        """Whether the noise model learns by it, too."""
        ...

    def loss(self, predicted: MaskedPrediction) -> Tensor:
        """Mean over the masked pixels, a scalar."""
        ...


@dataclass(frozen=True, eq=False)
class SquaredError:
    """Squared error of the mean; the likelihood teaches the prior's spread alone.

    Parameters
    ----------
    likelihood : MarginalLikelihood
        Of the observations.

    References
    ----------
    Krull et al. 2019, Noise2Void.
    """

    likelihood: MarginalLikelihood

    @property
    def teaches_noise(self) -> bool:
        """It does not: the mean would be held back where the noise is strong."""
        return False

    def loss(self, predicted: MaskedPrediction) -> Tensor:
        """Mean over the masked pixels, a scalar."""
        squared = _squared_error(predicted.masked)
        if not self.likelihood.config.signal.spreads:
            return squared.mean()
        of_spread = self.likelihood.of_spread(predicted)
        return squared.mean() + of_spread


@dataclass(frozen=True, eq=False)
class Likelihood:
    """Marginal likelihood of the observations, given what surrounds them.

    Parameters
    ----------
    likelihood : MarginalLikelihood
        Of the observations.

    References
    ----------
    Krull et al. 2020, Probabilistic Noise2Void; Khademi et al. 2021 (equation 9).
    """

    likelihood: MarginalLikelihood

    @property
    def teaches_noise(self) -> bool:
        """Whether the noise model learns by it, too."""
        return self.likelihood.teaches_all

    def loss(self, predicted: MaskedPrediction) -> Tensor:
        """Mean over the masked pixels, a scalar."""
        likelihood, prior = self.likelihood, predicted.prior
        if likelihood.teaches_all:
            nll = likelihood.nll(prior, predicted.masked.observation)
            return nll + likelihood.uncertainty(prior)
        squared = _squared_error(predicted.masked)
        of_spread = likelihood.of_spread(predicted)
        # In squares weighed by their variance the mean stays true whatever the noise's
        # shape: a likelihood of another skewness would shift it.
        weight = likelihood.predicted_variance(prior).sqrt()
        return (0.5 * squared / weight).mean() / weight.mean() + of_spread


def _squared_error(masked: MaskedPixels) -> Tensor:
    return (masked.observation - masked.signal).square()


@dataclass(frozen=True, eq=False)
class MarginalLikelihood:
    """Negative log likelihood of observations, the unknown signal integrated out.

    Parameters
    ----------
    config : TrainingConfig
        Its signal head and noise model are used.
    learner : NoiseLearner
        Holds the noise model as it is now.
    """

    config: TrainingConfig
    learner: NoiseLearner

    @property
    def teaches_all(self) -> bool:
        """Whether, as published, it teaches mean, spread and noise model together."""
        config = self.config
        return not config.signal.spreads or config.noise_model.uncertainty_weight > 0

    def of_spread(self, predicted: MaskedPrediction) -> Tensor:
        """Negative log likelihood that moves neither the mean nor the noise model.

        Only the sum of the prior's and the noise's variance shows in the data: learned
        together, one could grow at the other's expense.
        """
        masked, prior = predicted.masked, predicted.prior
        shift = masked.signal - masked.signal.detach()
        held = prior._replace(mean=prior.mean - shift.unsqueeze(-1))
        noise = self.learner.module
        if noise is None or self.config.per_image or not self.learner.follows_gradient:
            return self.nll(held, masked.observation)
        noise.requires_grad_(False)
        try:
            return self.nll(held, masked.observation)
        finally:
            noise.requires_grad_(True)

    def nll(self, prior: Mixture, observation: Tensor) -> Tensor:
        """Mean; where a spread is learned, weighed by it (Seitzer et al. 2022).

        A likelihood pulls the mean by the inverse variance: hardly where the network is
        unsure, and off a cliff where it is too sure.
        """
        noise = None if self.config.per_image else self.learner.module
        nll = -log_marginal(prior, noise, observation)
        if not self.config.signal.spreads:
            return nll.mean()
        weight = self.predicted_variance(prior).sqrt()
        return (weight * nll).mean() / weight.mean()

    @torch.no_grad()
    def predicted_variance(self, prior: Mixture) -> Tensor:
        """Variance of the observations given their surroundings, (B, N)."""
        variance = prior.variance()
        noise = self.learner.module
        if noise is None or self.config.per_image:
            return variance
        return variance + noise.std(prior.expectation()).square()

    def uncertainty(self, prior: Mixture) -> Tensor:
        """Price of a wide prior (Khademi et al. 2021, equation 9), a scalar."""
        weight = self.config.noise_model.uncertainty_weight
        if not weight or not self.config.signal.spreads:
            return prior.mean.new_zeros(())
        return weight * prior.variance().clamp_min(1e-12).sqrt().mean()
