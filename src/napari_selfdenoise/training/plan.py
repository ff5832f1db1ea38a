"""The plan of a training: all that follows the image, the machine and the files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from napari_selfdenoise.compute import resolve_precision
from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.noise import NoiseLevel
from napari_selfdenoise.training.channel_choice import resolve_channels
from napari_selfdenoise.training.findings import describe_data, describe_supervision
from napari_selfdenoise.training.messages import Message, MessageKind
from napari_selfdenoise.training.patches import resolve_patch_size
from napari_selfdenoise.training.resolve import (
    resolve_context,
    resolve_masking,
    resolve_objective,
    resolve_width,
)
from napari_selfdenoise.training.training_data import TrainingData


@dataclass(frozen=True, eq=False)
class TrainingPlan:
    """What is trained, decided once; everything after only reads it.

    Parameters
    ----------
    config : TrainingConfig
        Nothing in it is automatic any more, and files are values.
    patch_size : int
        Side of the patches, in pixels; in bins, where pixels are binned.
    device : torch.device
        Where to compute.
    dtype : torch.dtype
        Number format of the convolutions.
    kernel : ndarray
        Point spread function, (Y, X); 1 x 1 where there is none.
    noise_levels : tuple of NoiseLevel or None
        Of each channel, raw units, where SURE is to teach the network.
    messages : tuple of Message
        Why it was decided so, and what the user should know.
    on_data : tuple of str
        What was found of what was read so far, in sentences; some may be empty.
    """

    config: TrainingConfig
    patch_size: int
    device: torch.device
    dtype: torch.dtype
    kernel: NDArray[np.float64]
    noise_levels: tuple[NoiseLevel | None, ...]
    messages: tuple[Message, ...]
    on_data: tuple[str, ...] = ()

    @property
    def finding(self) -> str:
        """What was found of the image and decided by it, in sentences."""
        decided = (m.text for m in self.messages if m.kind is MessageKind.FINDING)
        return " ".join(filter(None, (*self.on_data, *decided)))

    @property
    def warnings(self) -> list[str]:
        """What may be wrong with the result."""
        return [m.text for m in self.messages if m.kind is MessageKind.WARNING]


def make_plan(
    data: TrainingData, config: TrainingConfig, device: torch.device
) -> TrainingPlan:
    """Decide what follows the image and the machine.

    Parameters
    ----------
    data : TrainingData
        What is learned from; its noise is measured.
    config : TrainingConfig
        As the user chose it; files are values already.
    device : torch.device
        Where to compute.

    Raises
    ------
    RequestError
        If an image is too small, or its pixel size is needed and not known.
    """
    recorded = data.recorded()
    config, on_context = resolve_context(config, data)
    config, on_channels = resolve_channels(config, data)
    config, on_masking = resolve_masking(config, data.clean, recorded)
    config, on_width = resolve_width(config, data.least_pixels)
    config, levels, on_objective = resolve_objective(config, recorded)
    size, on_size = resolve_patch_size(
        config.patch_size, data.images, config.network.stride, config.masking.binning
    )
    found = (
        describe_supervision(config),
        on_context,
        on_channels,
        on_masking,
        on_width,
        on_objective,
    )
    messages = [Message(MessageKind.FINDING, text) for text in found if text]
    messages += [Message(MessageKind.WARNING, on_size)] if on_size else []
    messages += [Message(MessageKind.WARNING, text) for text in data.pairing]
    return TrainingPlan(
        config,
        size,
        device,
        resolve_precision(device, config.precision),
        config.psf.kernel(data.images[0].pixel_size_um),
        levels,
        tuple(messages),
        tuple(describe_data(data, config)),
    )
