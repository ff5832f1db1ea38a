"""Previews of a training while it runs: the part that a viewer shows, denoised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_selfdenoise.config import PlanesReach
from napari_selfdenoise.context import ContextSources, Volumes
from napari_selfdenoise.defects import CleanImage
from napari_selfdenoise.images import FieldOfView, Image, Tile, read_padded
from napari_selfdenoise.parts.context import FullVolume
from napari_selfdenoise.training.channel_trainer import ChannelTrainer


@dataclass(frozen=True, eq=False)
class Preview:
    """A field of view as the network denoises it now, (Y, X), raw units."""

    field: FieldOfView
    denoised: NDArray[np.float32]

    def write_to(self, array: Any, image: Image) -> None:
        """Put it in its place in an array with the image's shape and axes."""
        f = self.field
        index = image.slices(f.plane, slice(f.top, f.bottom), slice(f.left, f.right))
        columns_first = image.axes.index("X") < image.axes.index("Y")
        array[index] = self.denoised.T if columns_first else self.denoised


def show(
    place: FieldOfView, image: CleanImage, trainers: Mapping[int, ChannelTrainer]
) -> Preview:
    """Denoise a part of an image as the averaged networks are now.

    Parameters
    ----------
    place : FieldOfView
        Which part.
    image : CleanImage
        What is trained on.
    trainers : mapping of int to ChannelTrainer
        Of the channels that are not empty, by their number.
    """
    rows, columns = slice(place.top, place.bottom), slice(place.left, place.right)
    raw = image.image.read_plane(place.plane, rows, columns)
    trainer = trainers.get(image.image.channel_of(place.plane))
    if trainer is None or image.is_blank(place.plane):
        return Preview(place, raw)
    config, norm = trainer.config, trainer.normalization
    tile = Tile(place.plane, place.top, place.bottom, place.left, place.right)
    margin = config.receptive_field_radius + (
        trainer.optics.radius if trainer.optics else 0
    )
    fill = norm.offset if config.network.blind else None
    padded, inner = read_padded(image, tile, margin, config.stride, fill)
    observed = norm.apply(torch.from_numpy(padded)[None, None].to(trainer.device))
    context = None
    sources = ContextSources.of(image, config.context, config.channels)
    if sources:
        planes = torch.from_numpy(sources.read_padded(tile, margin, config.stride))
        context = norm.apply(planes[None].to(trainer.device))
    if isinstance(config.context, FullVolume):
        volumes = Volumes(image, config.context, *PlanesReach.of(config))
        planes = torch.from_numpy(volumes.read_around(tile, margin, config.stride))
        context = norm.apply(planes[None].to(trainer.device))
    denoised = norm.invert(trainer.denoised(observed, context))[0, 0].cpu().numpy()
    missing = image.read(place.plane, rows, columns).missing
    return Preview(place, np.where(missing, raw, denoised[inner]))
