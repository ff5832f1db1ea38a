"""What all noise models have in common."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from napari_selfdenoise.parts.gaussian_mixtures import Mixture
from napari_selfdenoise.parts.noise_models.lines import variance_line

Array = NDArray[np.float64]

_LOG_TWO_PI = math.log(2 * math.pi)
_BATCH = 8192
_LOOK = 2**16
_ENOUGH = 2**19
"""Pairs that are looked at before a fit: their likelihood, and their variance."""


class NoiseUnits(NamedTuple):
    """Units of a noise model: raw = normalised * scale + offset, and the least std.

    Parameters
    ----------
    offset, scale : float
        The normalisation.
    std_floor : float
        Smallest standard deviation, in normalised units: without it a likelihood
        goes to infinity on constant background.
    """

    offset: float
    scale: float
    std_floor: float

    def normalise(self, raw: float) -> float:
        """Raw units to normalised."""
        return (raw - self.offset) / self.scale


class NoiseConfig(BaseModel):
    """Settings of a noise model, which build the module that is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    is_modelled: ClassVar[bool] = True
    """Whether there is a noise model at all, and so a likelihood."""

    is_given: ClassVar[bool] = False
    """Whether it was measured before the training, and nothing is learned."""

    follows_gradient: ClassVar[bool] = True
    """Whether it can be learned with the network, by the likelihood."""

    any_variance: ClassVar[bool] = False
    """Whether a calibration may set its variance at each signal to what it measured."""

    @property
    def uncertainty_weight(self) -> float:
        """How strongly training prefers small uncertainty of the prediction."""
        return 0.0

    @property
    def fits_each_image(self) -> bool:
        """Whether it is fitted to each image when that is predicted."""
        return False

    @property
    def free_numbers(self) -> int:
        """How many numbers a fit chooses."""
        module = self.build(NoiseUnits(0.0, 1.0, 1e-3))
        return 0 if module is None else sum(v.numel() for v in module.parameters())

    def build(self, units: NoiseUnits) -> NoiseModule | None:
        """Make the module; None where the noise is not modelled."""
        raise NotImplementedError


class NoiseModule(nn.Module):
    """The trainable side of a noise model, in normalised units.

    Parameters
    ----------
    units : NoiseUnits
        Of the image.
    """

    closed_form: bool = True
    """Whether `residual_mixture` is the model itself, in few Gaussians."""

    differentiable: bool = True
    """Whether there are parameters that a gradient teaches."""

    rate: float = 1e-2
    """Learning rate at the start of a fit."""

    signal_range: tuple[float, float] | None = None
    """Lowest and highest signal that it was measured at, raw units, if it was."""

    def __init__(self, units: NoiseUnits) -> None:
        super().__init__()
        self.units = units
        self.std_floor = units.std_floor
        self.log_floor = math.log(units.std_floor)
        self._frozen = False

    @property
    def frozen(self) -> bool:
        """Whether the model no longer learns."""
        learning = any(value.requires_grad for value in self.parameters())
        return self._frozen or (self.differentiable and not learning)

    def freeze(self, frozen: bool = True) -> None:
        """Keep the model as it is from now on, or let it learn again."""
        self._frozen = frozen
        self.requires_grad_(not frozen)

    @property
    def device(self) -> torch.device:
        """Where the module lives."""
        for value in (*self.parameters(), *self.buffers()):
            return value.device
        return torch.device("cpu")

    def residual_mixture(self, signal: Tensor) -> Mixture:
        """Distribution of observation - signal at signals of shape (...).

        Its mean is zero: noise adds no light.
        """
        raise TypeError(f"{type(self).__name__} has no residual distribution")

    def log_likelihood(self, signal: Tensor, observation: Tensor) -> Tensor:
        """Log density of observations given signals, both (...), in float32."""
        residual = observation - signal
        return self.residual_mixture(signal).log_density(residual)

    def std(self, signal: Tensor) -> Tensor:
        """Standard deviation of the observation at signals (...)."""
        return self.residual_mixture(signal).variance().sqrt()

    def line(self) -> tuple[float, float] | None:
        """Gain and offset of variance = gain * signal + offset, where it is a line."""
        return None

    @torch.no_grad()
    def renoise(
        self, signal: Tensor, observation: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Add noise of the model's width once more to observations (...)."""
        std = self.std(signal)
        normal = torch.randn(std.shape, generator=generator, device=std.device)
        return observation + std * normal

    def start_from_line(
        self, gain: float, offset: float, low: float, high: float
    ) -> None:
        """Begin at variance = gain * signal + offset.

        Parameters
        ----------
        gain, offset : float
            Normalised, gain not below 0.
        low, high : float
            Signals that the line was fitted to, normalised.
        """

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

        Parameters
        ----------
        signal, observation, weight : Tensor
            Flat pairs and what each counts, (n,), normalised.
        generator : torch.Generator
            Draws the pairs of each step; on their device.
        steps : int
            Of the optimiser; it may be left early.
        rate : float
            Learning rate at the start, the model's own if not given; it falls to zero.
        """
        if self.frozen:
            return
        rate = rate or self.rate
        weight = torch.ones_like(signal) if weight is None else weight
        self._start(signal, observation, weight)
        optimizer = torch.optim.Adam(self.parameters(), lr=rate)
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = rate * (1 - step / steps)
            chosen = torch.randint(
                len(signal), (_BATCH,), generator=generator, device=signal.device
            )
            likelihood = self.log_likelihood(signal[chosen], observation[chosen])
            loss = -(weight[chosen] * likelihood).sum() / weight[chosen].sum()
            _step(optimizer, loss)
            yield

    @torch.no_grad()
    def _start(self, signal: Tensor, observation: Tensor, weight: Tensor) -> None:
        """Begin at a line, where that is better than what is known already."""
        gain, offset = variance_line(*pairs_as_arrays(signal, observation, weight))
        thin = max(1, len(signal) // _LOOK)
        signal, observation, weight = (
            values[::thin] for values in (signal, observation, weight)
        )
        residual = observation - signal
        variance = (gain * signal + offset).clamp_min(self.std_floor**2)
        by_line = -0.5 * (variance.log() + residual.square() / variance + _LOG_TWO_PI)
        known = self.log_likelihood(signal, observation)
        if not bool((weight * known).sum() > (weight * by_line).sum()):
            low, high = _range(signal)
            self.start_from_line(gain, offset, low, high)


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """Take a step along the clipped gradient, unless that is not finite."""
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    if bool(nn.utils.clip_grad_norm_(parameters, 1.0).isfinite()):
        optimizer.step()


def pairs_as_arrays(
    signal: Tensor, observation: Tensor, weight: Tensor
) -> tuple[Array, Array, Array]:
    """Signal, squared residual and weight of some hundred thousand pairs, (n,)."""
    thin = max(1, len(signal) // _ENOUGH)
    squared = (observation - signal).square()
    s, r, w = (v[::thin].double().cpu().numpy() for v in (signal, squared, weight))
    return s, r, w


def _range(signal: Tensor) -> tuple[float, float]:
    """Signals that nearly all of some (n,) lie between."""
    ends = signal.new_tensor([0.005, 0.995])
    low, high = signal[:: max(1, len(signal) // _LOOK)].quantile(ends).tolist()
    return low, high
