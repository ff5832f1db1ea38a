"""Trained models, which `training` makes, `prediction` uses and `model_file` keeps."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_selfdenoise.compute import autocast
from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.context import depth_axis, stack_axis
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import Image, Normalization, to_bins, to_pixels
from napari_selfdenoise.parts.networks import NetworkModule
from napari_selfdenoise.parts.noise_models import NoiseCurve, NoiseModule, NoiseUnits
from napari_selfdenoise.parts.psf import Optics

AnyModule = TypeVar("AnyModule", bound=nn.Module)


@dataclass(frozen=True, eq=False)
class LossHistory:
    """The loss along the training; both (n,)."""

    step: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    loss: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    @property
    def smoothed(self) -> NDArray[np.float64]:
        """Running mean of the loss, (n,): random patches make the loss itself jump."""
        mean, smooth = math.nan, np.empty_like(self.loss)
        for number, loss in enumerate(self.loss):
            share = max(0.1, 1 / (number + 1))
            mean = loss if number == 0 else (1 - share) * mean + share * loss
            smooth[number] = mean
        return smooth

    def appended(self, step: int, loss: float) -> LossHistory:
        """Return the history with one more entry, thinned by half beyond 2000.

        A loss that is no number is left out: the training then goes on from earlier
        weights.
        """
        if not math.isfinite(loss):
            return self
        steps, losses = np.append(self.step, step), np.append(self.loss, loss)
        every = 2 if len(steps) > 2000 else 1
        return LossHistory(steps[::every], losses[::every])


class NothingLearned(nn.Module):
    """Placeholder for the network of a channel with nothing to learn from."""


@dataclass(frozen=True, eq=False)
class ChannelModel:
    """Network, noise model and normalisation of one channel.

    Parameters
    ----------
    network : nn.Module
        (B, 1, Y, X) -> (B, outputs, Y, X), normalised units.
    noise : NoiseModule or None
        Trained noise model, normalised units; None where noise was not modelled.
    normalization : Normalization
        Raw units to normalised.
    noise_curve : NoiseCurve
        In raw units.
    optics : Optics or None
        From the network's first output to the signal; None without a point spread
        function.
    """

    network: nn.Module
    noise: NoiseModule | None
    normalization: Normalization
    noise_curve: NoiseCurve
    optics: Optics | None = None

    @classmethod
    def empty(cls) -> ChannelModel:
        """Return the model of a channel with nothing to learn from: it stays as is."""
        curve = NoiseCurve.gaussian(np.array([0.0, 1.0]), np.full(2, 1e-15))
        return cls(NothingLearned(), None, Normalization(0.0, 1.0), curve)

    @property
    def is_empty(self) -> bool:
        """Whether there was nothing to learn from, so that there is no network."""
        return isinstance(self.network, NothingLearned)

    def noise_units(self, std_floor: float = 1e-3) -> NoiseUnits:
        """Units of a noise model that is used with this network."""
        norm = self.normalization
        return NoiseUnits(norm.offset, norm.scale, std_floor)


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """The result of a training: networks, noise models, settings and provenance.

    Parameters
    ----------
    config : TrainingConfig
        As asked for.
    channels : tuple of ChannelModel
        One a channel of the image.
    history : LossHistory
        The loss along the training.
    provenance : dict
        Image, steps, seconds, device, precision, versions; JSON values.
    """

    config: TrainingConfig
    channels: tuple[ChannelModel, ...]
    history: LossHistory = field(default_factory=LossHistory)
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def noise_curves(self) -> tuple[NoiseCurve, ...]:
        """One noise curve a channel, in raw units."""
        return tuple(channel.noise_curve for channel in self.channels)

    @property
    def margin(self) -> int:
        """Margin in px that a tile is predicted with."""
        blurs = [c.optics.radius for c in self.channels if c.optics is not None]
        return self.config.receptive_field_radius + max(blurs, default=0)

    @property
    def precision(self) -> torch.dtype:
        """Number format that the model was trained in and predicts in."""
        name = self.provenance.get("precision", "float32")
        return torch.bfloat16 if name == "bfloat16" else torch.float32

    @property
    def hardly_trained(self) -> bool:
        """Whether the training ended after too few steps to learn much."""
        return "few_steps" in self.provenance

    def to(self, device: torch.device) -> TrainedModel:
        """Return the same model with its networks on another device."""
        channels = tuple(
            replace(
                channel,
                network=on_device(channel.network, device),
                optics=channel.optics.to(device) if channel.optics else None,
            )
            for channel in self.channels
        )
        return replace(self, channels=channels)

    def require_fits(self, image: Image) -> None:
        """Raise an error for an image that the model was not made for.

        Raises
        ------
        RequestError
            If the number of channels differs, or it is no stack where the model
            needs one.
        """
        if image.channels != len(self.channels):
            raise RequestError(
                f"The model was trained on {_counted(len(self.channels))}, but the "
                f"image has {image.channels}: {image.describe()}.",
                "Choose an image with the same channels, or train on this one.",
            )
        context = self.config.context
        if context.volumetric and not depth_axis(image):
            raise RequestError(
                "The model predicts each plane of a volume together with those above "
                f"and below, but the image is a single one: {image.describe()}.",
                "Choose a stack, or train on this image.",
            )
        if context.count and not stack_axis(image):
            raise RequestError(
                f"The model predicts each plane together with {context.count} others "
                f"around it, but the image is a single one: {image.describe()}.",
                "Choose a stack or a movie, or train on this image.",
            )


def _counted(channels: int) -> str:
    return f"{channels} channel{'s' if channels != 1 else ''}"


def on_device(network: AnyModule, device: torch.device) -> AnyModule:
    """Return a network on a device, its weights in the layout that is fastest there."""
    moved: nn.Module = network.to(device)
    return moved.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


class Outputs(NamedTuple):
    """Outputs of a network for a batch, normalised, float32.

    Parameters
    ----------
    mean : Tensor
        Mean of the signal, after the blur if there is one, (B, 1, Y, X).
    rest : Tensor
        The other outputs, which the signal head reads, (B, outputs - 1, Y, X).
    phantom : Tensor
        The image before the blur, (B, 1, Y, X); `mean` where there is none.
    """

    mean: Tensor
    rest: Tensor
    phantom: Tensor


def run(
    network: nn.Module,
    optics: Optics | None,
    images: Tensor,
    precision: torch.dtype,
    binning: int = 1,
    planes: int = 1,
) -> Outputs:
    """Outputs of a network for a batch (B, 1, Y, X), normalised.

    Parameters
    ----------
    network : nn.Module
        Of a channel.
    optics : Optics or None
        From its first output to the signal.
    images : Tensor
        (B, 1, Y, X); sides are multiples of the config's stride.
    precision : torch.dtype
        That of the convolutions.
    binning : int
        Side of the bins whose means the network gets.
    planes : int
        How many images that follow each other in the batch are a volume.
    """
    images = to_bins(images, binning) if binning > 1 else images
    images = images.contiguous(memory_format=torch.channels_last)
    with autocast(images.device, precision):
        # A network of single images need not know of planes.
        output: Tensor = network(images, planes) if planes > 1 else network(images)
    output = output.float()
    output = to_pixels(output, binning) if binning > 1 else output
    return _outputs(optics, output[:, :1], output[:, 1:])


def run_at(
    network: NetworkModule,
    optics: Optics | None,
    images: Tensor,
    precision: torch.dtype,
    positions: Tensor,
    planes: int = 1,
) -> Outputs:
    """Outputs as of `run`; all but the mean at some pixels only.

    Parameters
    ----------
    positions : Tensor
        Flat positions y * X + x, (B, N); with N = 0 there is the mean alone. In the
        outputs, `rest` is (B, N, outputs - 1).
    """
    images = images.contiguous(memory_format=torch.channels_last)
    with autocast(images.device, precision):
        mean, rest = network.at(images, positions, planes)
    return _outputs(optics, mean, rest)


def _outputs(optics: Optics | None, phantom: Tensor, rest: Tensor) -> Outputs:
    if optics is None:
        return Outputs(phantom, rest, phantom)
    phantom = optics.phantom(phantom)
    return Outputs(optics(phantom), rest, phantom)
