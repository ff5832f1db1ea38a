"""A model on the device that computes, which leaves that of the user where it is."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch

from napari_selfdenoise.model import ChannelModel, TrainedModel


def copied_to(model: TrainedModel, device: torch.device) -> TrainedModel:
    """Return a model on a device; what lay elsewhere is copied, not moved.

    A device may be lost, and a model that lies on it with it.
    """
    channels = tuple(_apart(channel, device) for channel in model.channels)
    return replace(model, channels=channels).to(device)


def _apart(channel: ChannelModel, device: torch.device) -> ChannelModel:
    """The channel, with weights of its own where they lie elsewhere."""
    weights = next(channel.network.parameters(), None)
    if weights is None or weights.device == device:
        return channel
    return replace(channel, network=copy.deepcopy(channel.network))
