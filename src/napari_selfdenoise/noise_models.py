"""Noise models: how an observation scatters around the signal.

Inside training all values are normalised; `NoiseCurve` says the same in the image's
raw units and is what the plots draw, the prediction uses and the model file keeps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

Array = NDArray[np.float64]

_LOG_TWO_PI = math.log(2 * math.pi)
_KNOTS = 256


class Mixture(NamedTuple):
    """Gaussian mixtures of the residual, one a signal value; each (..., K)."""

    log_weight: Tensor
    mean: Tensor
    log_std: Tensor

    def centred(self) -> Mixture:
        """The same mixtures shifted to a mean of zero: noise adds no light."""
        shift = (self.log_weight.exp() * self.mean).sum(-1, keepdim=True)
        return self._replace(mean=self.mean - shift)

    def log_density(self, residual: Tensor) -> Tensor:
        """Log density at residuals of shape (...)."""
        scaled = (residual.unsqueeze(-1) - self.mean) * (-self.log_std).exp()
        each = self.log_weight - self.log_std - 0.5 * (scaled.square() + _LOG_TWO_PI)
        return each.logsumexp(-1)


class NoiseModule(nn.Module):
    """The trainable side of a noise model, in normalised units.

    Parameters
    ----------
    std_floor : float
        Smallest standard deviation, in normalised units: without it a likelihood
        goes to infinity on constant background.
    """

    def __init__(self, std_floor: float) -> None:
        super().__init__()
        self.std_floor = std_floor
        self.log_floor = math.log(std_floor)

    def residual_mixture(self, signal: Tensor) -> Mixture:
        """Distribution of observation - signal at signals of shape (...)."""
        raise TypeError(f"{type(self).__name__} has no residual distribution")

    def renoise(
        self, signal: Tensor, observation: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Add noise of the model's width once more to observations (...)."""
        mixture = self.residual_mixture(signal)
        spread = (2 * mixture.log_std).exp() + mixture.mean.square()
        std = (mixture.log_weight.exp() * spread).sum(-1).sqrt()
        luck = torch.randn(std.shape, generator=generator, device=std.device)
        return observation + std * luck

    def log_likelihood(self, signal: Tensor, observation: Tensor) -> Tensor:
        """Log density of observations given signals, both (...), in float32."""
        residual = observation - signal
        return self.residual_mixture(signal).log_density(residual)


class UnmodelledNoise(BaseModel):
    """Not modelled (squared error).

    The network learns by squared error alone (Noise2Void, Krull et al. 2019). The
    noise curve is then measured from the residuals of hidden pixels.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", title="Not modelled (squared error)"
    )

    kind: Literal["unmodelled"] = "unmodelled"

    def build(self, std_floor: float) -> None:
        """Nothing is trained."""


class PoissonGaussianNoise(BaseModel):
    """Shot noise and read noise (Poisson-Gaussian).

    Gaussian with variance a * signal + b, both learned with the network; b may be
    negative where the camera's offset is left in the signal. Khademi et al. 2021.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", title="Shot and read noise (Poisson-Gaussian)"
    )

    kind: Literal["poisson_gaussian"] = "poisson_gaussian"

    def build(self, std_floor: float) -> PoissonGaussianModule:
        """Make the trainable noise model."""
        return PoissonGaussianModule(std_floor)


class PoissonGaussianModule(NoiseModule):
    """Variance = gain * signal + offset, in normalised units.

    It is learned as a variance above zero at a dark signal and a slope above zero from
    there, so that no clamp can hide a pixel from the gradient. Predictions darker than
    that signal are taken for errors: the line may have crossed zero there.
    """

    dark: Tensor

    def __init__(self, std_floor: float) -> None:
        super().__init__(std_floor)
        # Tenths of the logarithms of dark variance and gain: cameras differ by factors
        # of thousands, and each step of the optimiser goes a fixed way.
        self.tenths = nn.Parameter(torch.tensor([-0.3, -0.25]))
        self.register_buffer("dark", torch.tensor(0.0))

    def line(self) -> tuple[float, float]:
        """Gain and offset, in normalised units."""
        dark_variance, gain = (10 * self.tenths.detach()).exp().tolist()
        return gain, dark_variance - gain * float(self.dark)

    def residual_mixture(self, signal: Tensor) -> Mixture:
        """Distribution of observation - signal at signals of shape (...)."""
        above = (signal - self.dark).unsqueeze(-1)
        dark_variance, gain = (10 * self.tenths).exp()
        known = dark_variance + gain * above.clamp_min(0)
        variance = torch.where(above > 0, known, dark_variance.detach())
        variance = variance.clamp_min(math.exp(2 * self.log_floor))
        zero = torch.zeros_like(variance)
        return Mixture(zero, zero, 0.5 * variance.log())

    def log_likelihood(self, signal: Tensor, observation: Tensor) -> Tensor:
        """Log density of observations given signals, both (...), in float32."""
        if self.training:
            # The darkest 2 % are left out, as in Khademi et al. 2021.
            darkest = signal.detach().ravel().nan_to_num().quantile(0.02)
            self.dark.lerp_(darkest, 0.1)
        return super().log_likelihood(signal, observation)


class NoiseNetwork(BaseModel):
    """Learned from the image (N-net).

    A small network maps the predicted signal to the distribution of the noise: 1 to 3
    Gaussians with weights, means and widths of their own, centred as a whole.
    Two or three also describe skewed noise. Ollion et al. 2021.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", title="Learned from the image (N-net)"
    )

    kind: Literal["network"] = "network"
    components: int = Field(
        1,
        ge=1,
        le=3,
        title="Gaussians",
        description="Number of Gaussians that make up the noise at each signal: 1 for "
        "symmetric noise, 2 or 3 for skewed noise.",
    )
    width: int = Field(
        64,
        ge=4,
        le=256,
        title="Noise network width",
        description="Number of features in each layer of the noise network.",
        json_schema_extra={"unit": "channels"},
    )

    def build(self, std_floor: float) -> NoiseNetworkModule:
        """Make the trainable noise model."""
        return NoiseNetworkModule(std_floor, self.components, self.width)


class NoiseNetworkModule(NoiseModule):
    """The network that `NoiseNetwork` describes.

    It is a function of one number, so each step evaluates it on a grid of knots and
    interpolates: the result of a network on every masked pixel at a hundredth of the
    cost.
    """

    def __init__(self, std_floor: float, components: int, width: int) -> None:
        super().__init__(std_floor)
        self.components = components
        layers: list[nn.Module] = []
        for block in range(3):
            inputs = width if block else 1
            layers += [nn.Linear(inputs, width), nn.Tanh()]
            layers += [nn.Linear(width, width), nn.LeakyReLU(0.1)]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(width, 3 * components)
        with torch.no_grad():
            self.head.weight.mul_(0.1)
            # Equal Gaussians would stay equal: start them apart.
            self.head.bias.copy_(
                torch.linspace(-1, 1, 3 * components) * (components > 1)
            )

    def mixture_on(self, knots: Tensor) -> Mixture:
        """Evaluate the network itself, on signals of shape (n,)."""
        weight, mean, log_std = self.head(self.body(knots[:, None])).chunk(3, dim=-1)
        log_std = self.log_floor + nn.functional.softplus(log_std - self.log_floor)
        return Mixture(weight.log_softmax(-1), mean, log_std).centred()

    def residual_mixture(self, signal: Tensor) -> Mixture:
        """Distribution of observation - signal at signals of shape (...)."""
        low, high = signal.detach().min(), signal.detach().max()
        span = (high - low).clamp_min(1e-3)
        knots = low + span * torch.linspace(0, 1, _KNOTS, device=signal.device)
        table = torch.cat(self.mixture_on(knots), dim=-1)  # (n, 3 K)
        position = ((signal - low) / span * (_KNOTS - 1)).clamp(0, _KNOTS - 1)
        left = position.detach().floor().clamp_max(_KNOTS - 2)
        row = left.nan_to_num().long()  # a diverged training must say so itself
        values = torch.lerp(table[row], table[row + 1], (position - left).unsqueeze(-1))
        weight, mean, log_std = values.chunk(3, dim=-1)
        return Mixture(weight.log_softmax(-1), mean, log_std).centred()


NoiseModel = Annotated[
    UnmodelledNoise | PoissonGaussianNoise | NoiseNetwork, Field(discriminator="kind")
]


@dataclass(frozen=True, eq=False)
class NoiseCurve:
    """How observations scatter around each signal, in the image's raw units.

    At each of n signals the residual (observation - signal) is a mixture of K
    Gaussians with mean zero.

    Parameters
    ----------
    signal : ndarray
        Increasing grid, (n,).
    weights, means, stds : ndarray
        Of the Gaussians, (n, K).
    poisson_gaussian : tuple of float, optional
        a and b of variance = a * signal + b, where the noise model learned them.
    """

    signal: Array
    weights: Array
    means: Array
    stds: Array
    poisson_gaussian: tuple[float, float] | None = None

    @classmethod
    def gaussian(cls, signal: Array, std: Array) -> NoiseCurve:
        """Return the curve of one Gaussian a signal, from grids (n,)."""
        one, column = np.ones((len(signal), 1)), np.asarray(std, float)[:, None]
        return cls(np.asarray(signal, float), one, 0 * one, column)

    def less(self, variance: Array) -> NoiseCurve:
        """Return the curve with a variance (n,) taken out, of at most three quarters.

        Residuals of a prediction hold its own variance beside the noise's.
        """
        kept = np.sqrt(np.maximum(1 - variance / self.std**2, 0.25))[:, None]
        return replace(self, means=self.means * kept, stds=self.stds * kept)

    @property
    def std(self) -> Array:
        """Standard deviation of the whole mixture at each signal, (n,)."""
        mean = (self.weights * self.means).sum(1, keepdims=True)
        spread = self.stds**2 + (self.means - mean) ** 2
        return np.asarray(np.sqrt((self.weights * spread).sum(1)))

    def std_at(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        """Noise standard deviation at each pixel, clamped to the ends of the grid."""
        return np.interp(signal, self.signal, self.std).astype(np.float32)

    def density(self, residual: Array) -> Array:
        """Probability density of the residuals (m,) at each signal, (m, n)."""
        scaled = (residual[:, None, None] - self.means) / self.stds
        each = np.exp(-0.5 * scaled**2) / (self.stds * math.sqrt(2 * math.pi))
        return np.asarray((self.weights * each).sum(-1))

    def to_json(self) -> dict[str, Any]:
        """Plain lists, for the model file."""
        return {
            "signal": self.signal.tolist(),
            "weights": self.weights.tolist(),
            "means": self.means.tolist(),
            "stds": self.stds.tolist(),
            "poisson_gaussian": self.poisson_gaussian,
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> NoiseCurve:
        """Inverse of `to_json`."""
        signal, weights, means, stds = (
            np.array(content[key], float)
            for key in ("signal", "weights", "means", "stds")
        )
        fitted = content["poisson_gaussian"]
        fit = (fitted[0], fitted[1]) if fitted else None
        return cls(signal, weights, means, stds, fit)


@torch.no_grad()
def raw_curve(
    module: NoiseModule, low: float, high: float, offset: float, scale: float
) -> NoiseCurve:
    """Tabulate a trained noise model in raw units.

    Parameters
    ----------
    module : NoiseModule
        In normalised units: raw = normalised * scale + offset.
    low, high : float
        Range of the signal, normalised.
    offset, scale : float
        The normalisation.
    """
    device = next(module.parameters()).device
    knots = torch.linspace(low, max(high, low + 1e-3), _KNOTS, device=device)
    mixture = module.residual_mixture(knots)
    log_weight, mean, log_std = (v.double().cpu().numpy() for v in mixture)
    signal = knots.double().cpu().numpy() * scale + offset
    fitted = None
    if isinstance(module, PoissonGaussianModule):
        gain, constant = module.line()
        fitted = (gain * scale, constant * scale**2 - gain * scale * offset)
    return NoiseCurve(
        signal, np.exp(log_weight), mean * scale, np.exp(log_std) * scale, fitted
    )


@dataclass(frozen=True, eq=False)
class NoiseDistribution:
    """Probability density of residuals at each signal, as an image.

    Parameters
    ----------
    density : ndarray
        (residual, signal), one over raw units.
    origin : tuple of float
        Residual and signal of the first pixel, raw units.
    steps : tuple of float
        Residual and signal from pixel to pixel, raw units.
    """

    density: NDArray[np.float32]
    origin: tuple[float, float]
    steps: tuple[float, float]


def noise_distribution(
    curve: NoiseCurve, residuals: int = 201, signals: int = 256
) -> NoiseDistribution:
    """Draw a noise curve as an image, out to four standard deviations.

    Parameters
    ----------
    curve : NoiseCurve
        In raw units.
    residuals, signals : int
        Rows and columns of the image.
    """
    signal = np.linspace(curve.signal[0], curve.signal[-1], signals)
    at_signal = [
        np.stack([np.interp(signal, curve.signal, column) for column in values.T], 1)
        for values in (curve.weights, curve.means, curve.stds)
    ]
    even = replace(
        curve,
        signal=signal,
        weights=at_signal[0],
        means=at_signal[1],
        stds=at_signal[2],
    )
    reach = 4 * float(even.std.max())
    residual = np.linspace(-reach, reach, residuals)
    return NoiseDistribution(
        even.density(residual).astype(np.float32),
        (-reach, float(signal[0])),
        (2 * reach / (residuals - 1), float(signal[-1] - signal[0]) / (signals - 1)),
    )
