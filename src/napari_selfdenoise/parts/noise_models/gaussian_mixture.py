"""The Gaussian mixture noise model (PPN2V)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar, Literal

import torch
from pydantic import ConfigDict, Field
from torch import Tensor, nn

from napari_selfdenoise.parts.gaussian_mixtures import Mixture
from napari_selfdenoise.parts.noise_models.base import (
    NoiseConfig,
    NoiseModule,
    NoiseUnits,
)

_BINS = 32


class GaussianMixtureNoise(NoiseConfig):
    """A few Gaussians that change smoothly with the signal (PPN2V).

    Weights, means and variances are polynomials of the signal, centred as a whole.
    Fewer numbers than a histogram, so that fewer pairs are enough, and it says
    something beyond the signals it was fitted to. Prakash et al. 2020.
    """

    model_config = ConfigDict(title="Gaussian mixture (PPN2V)")

    kind: Literal["gaussian_mixture"] = "gaussian_mixture"
    any_variance: ClassVar[bool] = True
    components: int = Field(
        3,
        ge=1,
        le=5,
        title="Gaussians",
        description="Number of Gaussians that make up the noise at each signal.",
    )
    coefficients: int = Field(
        2,
        ge=2,
        le=4,
        title="Coefficients",
        description="Numbers that describe how each weight, mean and variance changes "
        "with the signal: 2 for a straight line.",
    )

    @property
    def free_numbers(self) -> int:
        """How many numbers a fit chooses: weights add up to 1, and means to 0."""
        return (3 * self.components - 2) * self.coefficients

    def build(self, units: NoiseUnits) -> GaussianMixtureModule:
        """Make the trainable noise model."""
        return GaussianMixtureModule(units, self.components, self.coefficients)


class GaussianMixtureModule(NoiseModule):
    """Polynomials of t, which is 0 at the lowest and 1 at the highest signal.

    The variance of each Gaussian is a sum of positive terms, weights are a softmax,
    and means are in units of a typical standard deviation, so that no step of the
    optimiser leads out of what is possible. Beyond the range the variance goes on
    along its line; weights and means stay.

    Parameters
    ----------
    units : NoiseUnits
        Of the image.
    components, coefficients : int
        Gaussians, and powers of t from 0 on.
    """

    rate = 3e-2
    range_: Tensor
    typical: Tensor

    def __init__(self, units: NoiseUnits, components: int, coefficients: int) -> None:
        super().__init__(units)
        self.components, self.coefficients = components, coefficients
        shape = (components, coefficients)
        self.weight = nn.Parameter(torch.zeros(shape))
        self.mean = nn.Parameter(torch.zeros(shape))
        self.log_variance = nn.Parameter(torch.zeros(shape))
        self.register_buffer("range_", torch.tensor([-1.0, 3.0]))
        self.register_buffer("typical", torch.tensor(0.3))
        self.start_from_line(0.08, 0.13, -1.0, 3.0)

    @torch.no_grad()
    def start_from_line(
        self, gain: float, offset: float, low: float, high: float
    ) -> None:
        """Begin at variance = gain * signal + offset, the Gaussians apart."""
        high = max(high, low + 1e-4 * max(1.0, abs(low)))
        middle = max(gain * 0.5 * (low + high) + offset, self.std_floor**2)
        dark = max(gain * low + offset, 1e-2 * middle) / middle
        rise = max(gain * (high - low), 1e-3 * middle) / middle
        self.range_.copy_(torch.tensor([low, high]))
        self.typical.fill_(math.sqrt(middle))
        apart = torch.linspace(-0.5, 0.5, self.components + 2)[1:-1]
        ends = math.sqrt(dark), math.sqrt(dark + rise)
        for value in (self.weight, self.mean):
            value.zero_()
        self.mean[:, 0] = apart * ends[0]
        self.mean[:, 1] = apart * (ends[1] - ends[0])
        self.log_variance.fill_(math.log(1e-2))
        self.log_variance[:, 0] = math.log(dark) + apart
        self.log_variance[:, 1] = math.log(rise) + apart

    def fit(
        self,
        signal: Tensor,
        observation: Tensor,
        weight: Tensor | None,
        generator: torch.Generator,
        *,
        steps: int = 600,
        rate: float | None = None,
    ) -> Iterator[None]:
        """Fit the model to pairs of signal and observation by maximum likelihood.

        Rare signals count more than their number: else dark background, which most
        pixels are, decides the noise of all that is bright. See `NoiseModule.fit`.
        """
        balance = _balance(signal)
        weight = balance if weight is None else balance * weight
        yield from super().fit(
            signal, observation, weight, generator, steps=steps, rate=rate
        )

    def residual_mixture(self, signal: Tensor) -> Mixture:
        """Distribution of observation - signal at signals of shape (...)."""
        low, high = self.range_
        t = ((signal - low) / (high - low)).unsqueeze(-1)
        powers = t.clamp(0, 1) ** torch.arange(self.coefficients, device=t.device)
        beyond = t - t.clamp(0, 1)  # (..., 1)
        log_weight = (powers @ self.weight.T).log_softmax(-1)
        mean = powers @ self.mean.T * self.typical
        terms = self.log_variance.clamp(-30, 30).exp()
        variance = powers @ terms.T + beyond * terms[:, 1]
        variance = torch.maximum(variance, 0.25 * terms[:, 0]) * self.typical**2
        log_std = 0.5 * variance.clamp_min(self.std_floor**2).log()
        return Mixture(log_weight, mean, log_std).centred()


def _balance(signal: Tensor) -> Tensor:
    """Weights (n,) that halve, in logarithms, how much more often a signal occurs."""
    low, high = signal.min(), signal.max()
    place = (signal - low) / (high - low).clamp_min(1e-6) * _BINS
    number = place.long().clamp(0, _BINS - 1)
    count = torch.bincount(number.cpu(), minlength=_BINS).clamp_min(1)
    weight = count.to(signal.device)[number].float().rsqrt()
    return weight / weight.mean()
