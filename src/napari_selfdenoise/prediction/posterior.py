"""The posterior of each pixel, given its surroundings and its own value."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.parts.gaussian_mixtures import Mixture
from napari_selfdenoise.parts.likelihood import (
    draw,
    in_chunks,
    mode,
    posterior,
    without_noise,
)
from napari_selfdenoise.parts.noise_models import NoiseModule
from napari_selfdenoise.prediction.image_noise import ImageNoise
from napari_selfdenoise.prediction.own_share import own_share

# Numbers that the posterior of a pixel takes where the noise is no Gaussian mixture.
_SAMPLED_WIDTH = 7


class PosteriorOfTile:
    """Combines predictions with observations by Bayes' rule.

    Parameters
    ----------
    noise : ImageNoise
        Of the plane that the tiles belong to.

    References
    ----------
    Krull et al. 2020; Khademi et al. 2021.
    """

    def __init__(self, noise: ImageNoise) -> None:
        self.noise, self.views = noise, noise.views

    def estimates(self, outputs: Tensor, observed: Tensor) -> dict[str, Tensor]:
        """Mean or mode, std and samples of each pixel's posterior, raw units.

        Parameters
        ----------
        outputs : Tensor
            Of the network, (C, Y, X), normalised.
        observed : Tensor
            Observation, (Y, X), normalised.

        Returns
        -------
        dict
            "denoised", "posterior_std" and "trust", the share of the context in the
            estimate, (Y, X); where the estimator draws samples, "posterior_samples",
            (samples, Y, X).
        """
        norm, estimator = self.views.normalization, self.views.config.estimator
        flat, shape = outputs.flatten(1).T, observed.shape  # (n, C)

        def fuse(prior: Mixture, observation: Tensor) -> tuple[Tensor, ...]:
            known = posterior(prior, self.noise.module, observation)
            pick = mode if estimator.takes_mode else Mixture.expectation
            generator = self.views.generator
            drawn = [draw(known, generator) for _ in range(estimator.count)]
            spread = known.variance()
            context = 1 - own_share(prior.variance(), spread)
            return pick(known), spread.sqrt(), context, *drawn

        value, std, context, *drawn = in_chunks(
            fuse,
            lambda part: self._prior(flat[part]),
            observed.flatten(),
            self._numbers_a_pixel(),
        )
        found = {
            "denoised": norm.invert(value),
            "posterior_std": std * norm.scale,
            "trust": context,
        }
        if drawn:
            found["posterior_samples"] = norm.invert(torch.stack(drawn))
        return {name: v.reshape(*v.shape[:-1], *shape) for name, v in found.items()}

    def prior_variance(self, outputs: Tensor) -> Tensor:
        """Variance of each pixel's prior as the signal head has it, squared raw units.

        Parameters
        ----------
        outputs : Tensor
            Of the network, (C, Y, X), normalised.

        Returns
        -------
        Tensor
            (Y, X); 0 for a head that gives points.
        """
        if not self.views.config.signal.spreads:
            return torch.zeros_like(outputs[0])
        flat = outputs.flatten(1).T
        (variance,) = in_chunks(
            lambda prior, _: (prior.variance(),),
            lambda part: self._prior(flat[part]),
            flat[:, 0],
            max(8, self.views.config.signal.outputs),
        )
        return variance.view_as(outputs[0]) * self.views.normalization.scale**2

    def _prior(self, outputs: Tensor) -> Mixture:
        """Prior of pixels, from outputs (n, C)."""
        noise = self.noise
        return prior_of(outputs, self.views.config, noise.module, noise.temperature)

    def _numbers_a_pixel(self) -> int:
        """How many numbers the posterior of one pixel takes."""
        closed = self.noise.module.closed_form
        width = self.noise.curve.weights.shape[1] if closed else _SAMPLED_WIDTH
        return max(8, self.views.config.signal.outputs * width)


def prior_of(
    outputs: Tensor, config: TrainingConfig, noise: NoiseModule, temperature: float
) -> Mixture:
    """Prior of pixels, (n, M), normalised: their signal given their context.

    Parameters
    ----------
    outputs : Tensor
        Of the network, (n, C), normalised.
    config : TrainingConfig
        Whose signal head reads them.
    noise : NoiseModule
        Of the plane; taken out of the total variance where it is fitted to each image.
    temperature : float
        By which the total variance is wrong on average, as in `ImageNoise`.
    """
    prior = config.signal.prior(outputs[:, 0], outputs[:, 1 : config.signal.outputs])
    if not config.per_image:
        return prior
    log_std = prior.log_std + 0.5 * math.log(temperature)
    return without_noise(prior._replace(log_std=log_std), noise)
