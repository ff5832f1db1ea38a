"""Signal heads: one value for the signal of each pixel, or how it is distributed.

A head reads the network's outputs as a distribution of the signal, given the context of
a pixel: the prior. The first output is the mean, and the only one that a point spread
function blurs. The second is its standard deviation; any others give its shape. So the
width is learned as fast with many Gaussians as with one.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from napari_selfdenoise.parts.gaussian_mixtures import Mixture, equal_weights

_START = 0.1
"""Std that priors start with: a tenth of the image's spread."""

_SHARPEST = 4.0
"""Largest difference of a component's log std from that of another's start."""

_LEAST = 1e-3  # smallest std of a prior, normalised
_MOST = 30.0  # largest std of a prior, normalised

_CALM = 0.1
"""Factor of the outputs that give the shape, so that mean and width are learned first.

Both heads start close to a Gaussian. With shapes as fast as the rest, posteriors lost a
fifth to a half of their gain in short trainings.
"""


class SignalHead(BaseModel):
    """What all signal heads have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    spreads: ClassVar[bool] = True
    """Whether the head says how sure the network is."""

    points: ClassVar[bool] = False
    """Whether its distributions consist of points without a width."""

    @property
    def outputs(self) -> int:
        """Number of network outputs a pixel."""
        raise NotImplementedError

    def prior(self, mean: Tensor, rest: Tensor) -> Mixture:
        """Distribution of the signal given the context.

        Parameters
        ----------
        mean : Tensor
            First output, blurred where there is a point spread function, (...).
        rest : Tensor
            The other outputs, (..., outputs - 1).

        Returns
        -------
        Mixture
            (..., M), with `mean` as its expectation.
        """
        raise NotImplementedError


class PointSignal(SignalHead):
    """One value a pixel: the mean of the signal given its context.

    The least to learn, and all that a squared error asks for. A point has no posterior.
    Krull et al. 2019, Noise2Void.
    """

    model_config = ConfigDict(title="Point (mean)")

    kind: Literal["point"] = "point"
    spreads: ClassVar[bool] = False
    points: ClassVar[bool] = True

    @property
    def outputs(self) -> int:
        """Number of network outputs a pixel."""
        return 1

    def prior(self, mean: Tensor, rest: Tensor) -> Mixture:
        """Distribution of the signal given the context: all in one point."""
        point = mean.unsqueeze(-1)
        return Mixture(torch.zeros_like(point), point, _no_width(point))


class GaussianSignal(SignalHead):
    """Mean and variance of the signal given its context.

    One Gaussian a pixel; the pixel's own value then moves the mean (posterior).
    At edges, where the signal is either dark or bright, one Gaussian is too wide.
    Laine et al. 2019; Khademi et al. 2021.
    """

    model_config = ConfigDict(title="Gaussian (mean, variance)")

    kind: Literal["gaussian"] = "gaussian"

    @property
    def outputs(self) -> int:
        """Number of network outputs a pixel."""
        return 2

    def prior(self, mean: Tensor, rest: Tensor) -> Mixture:
        """Distribution of the signal given the context: one Gaussian."""
        point = mean.unsqueeze(-1)
        return Mixture(torch.zeros_like(point), point, _log_std(rest))


class MixtureSignal(SignalHead):
    """A few Gaussians: the signal may be one of several things given its context.

    Three do what 800 samples do, at a hundredth of the memory, and in closed form
    against Gaussian noise models.
    """

    model_config = ConfigDict(title="Mixture of Gaussians")

    kind: Literal["mixture"] = "mixture"
    components: int = Field(
        3,
        ge=2,
        le=5,
        title="Components",
        description="Number of Gaussians that make up the signal's distribution at "
        "each pixel.",
    )

    @property
    def outputs(self) -> int:
        """Number of network outputs a pixel."""
        return 2 + 3 * self.components

    def prior(self, mean: Tensor, rest: Tensor) -> Mixture:
        """Distribution of the signal given the context: a mixture of Gaussians."""
        std, shape = rest[..., :1], _CALM * rest[..., 1:]
        weight, offset, width = shape.chunk(3, dim=-1)
        apart = torch.linspace(-0.5, 0.5, self.components, device=rest.device)
        narrow = width.clamp(-_SHARPEST, _SHARPEST)
        around = Mixture(weight.log_softmax(-1), offset + apart, narrow)
        return _scaled(around, mean, _log_std(std))


class SampledSignal(SignalHead):
    """Samples of the signal given its context (PN2V).

    The network's outputs are the samples. Any shape of distribution and any noise
    model, at a price in memory: 800 samples take 3.2 kB a pixel.
    Krull et al. 2020, Probabilistic Noise2Void.
    """

    model_config = ConfigDict(title="Samples (PN2V)")

    kind: Literal["sampled"] = "sampled"
    points: ClassVar[bool] = True
    samples: int = Field(
        800,
        ge=2,
        le=4096,
        title="Samples",
        description="Number of samples a pixel; 800 as published.",
    )

    @property
    def outputs(self) -> int:
        """Number of network outputs a pixel."""
        return 2 + self.samples

    def prior(self, mean: Tensor, rest: Tensor) -> Mixture:
        """Distribution of the signal given the context: points that count alike."""
        std, shape = rest[..., :1], _CALM * rest[..., 1:]
        places = (torch.arange(self.samples, device=rest.device) + 0.5) / self.samples
        samples = shape + torch.special.ndtri(places)
        points = Mixture(equal_weights(samples), samples, _no_width(samples))
        return _scaled(points, mean, _log_std(std))


Signal = Annotated[
    PointSignal | GaussianSignal | MixtureSignal | SampledSignal,
    Field(discriminator="kind"),
]


def _scaled(shape: Mixture, mean: Tensor, log_std: Tensor) -> Mixture:
    """The mixture of a shape, (..., M), whose mean is (...), and log std (..., 1)."""
    centred = shape.centred()
    wider = log_std - 0.5 * centred.variance().clamp_min(1e-8).log().unsqueeze(-1)
    place = mean.unsqueeze(-1) + centred.mean * wider.exp()
    return Mixture(centred.log_weight, place, centred.log_std + wider)


def _no_width(like: Tensor) -> Tensor:
    return torch.full_like(like, -torch.inf)


def _log_std(output: Tensor) -> Tensor:
    # The std itself, of either sign, as in Khademi et al. 2021: a logarithm that has
    # once become small hardly feels a gradient any more.
    std = (output + _START).clamp(-_MOST, _MOST)
    return 0.5 * (std.square() + _LEAST**2).log()
