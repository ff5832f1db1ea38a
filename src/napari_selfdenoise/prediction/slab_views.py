"""Views of a tile of all planes of a slab at once, kept until they are needed."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

from napari_selfdenoise.compute import to_device
from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.context import Slab, Volumes
from napari_selfdenoise.defects import CleanImage
from napari_selfdenoise.images import (
    Normalization,
    PlaneIndex,
    Tile,
    Turn,
    turned,
    turned_back,
)
from napari_selfdenoise.prediction.views import PairwiseMean, Scatter, Views

MOST_PLANES = 8
"""Planes that are predicted at once: those around them are computed for all."""

_KEPT_BYTES = 2**32
_BYTES = 16  # of what is kept of a pixel, about

_LATTICE_STEP = 4
"""By how many passes the masks of neighbouring planes are apart: so that a masked pixel
has none above and below it, nor above those at its sides."""

Inner = tuple[slice, slice]


class _Network(Protocol):
    """What runs the network of a channel."""

    image: CleanImage
    config: TrainingConfig
    normalization: Normalization
    device: torch.device
    generator: torch.Generator
    margin: int

    @property
    def turns(self) -> tuple[Turn, ...]: ...
    def lattice(self, tile: Tile) -> Tensor: ...
    def masked(self, image: Tensor, targets: Tensor) -> Tensor: ...
    def run(self, images: Tensor, planes: int = 1) -> Tensor: ...


class SlabViews:
    """Predicts a tile in all planes of a slab, in all views and passes.

    Each plane is predicted with those around it. Of planes that follow each other these
    are mostly the same: so as many as memory allows are predicted at once, and kept.

    Parameters
    ----------
    network : TileViews
        Runs the network.
    volumes : Volumes
        Of the image.
    """

    def __init__(self, network: _Network, volumes: Volumes) -> None:
        self.network, self.volumes = network, volumes
        area = math.prod(network.image.plane_shape)
        # Two slabs: planes are denoised outwards, in turns.
        room = _KEPT_BYTES // (2 * _BYTES * area)
        self.most = max(1, min(MOST_PLANES, room))
        self._kept: OrderedDict[object, dict[PlaneIndex, Views]] = OrderedDict()

    def together(self, plane: PlaneIndex) -> tuple[PlaneIndex, ...]:
        """Planes that are predicted together with one, itself among them."""
        return self.volumes.slab(plane, self.most).predicted

    def views(
        self, tile: Tile, inner: Inner, masked: bool
    ) -> Iterator[tuple[float, Views | None]]:
        """Predict all orientations of a tile; as `TileViews.views`."""
        slab = self.volumes.slab(tile.plane, self.most)
        place = tile.top, tile.bottom, tile.left, tile.right
        wanted = tuple((part.start, part.stop) for part in inner)
        key = slab.predicted, place, wanted, masked
        if key not in self._kept:
            for share, found in self._predict(slab, tile, inner, masked):
                if found is None:
                    yield share, None
                else:
                    self._keep(key, found)
        views = self._kept[key][tile.plane]
        yield 1.0, Views(*(values.to(self.network.device) for values in views))

    def _keep(self, key: object, found: dict[PlaneIndex, Views]) -> None:
        self._kept[key] = found
        while len(self._kept) > 1 and self._bytes() > _KEPT_BYTES:
            self._kept.popitem(last=False)

    def _bytes(self) -> int:
        views = (view for found in self._kept.values() for view in found.values())
        return sum(values.nbytes for view in views for values in view)

    def _predict(
        self, slab: Slab, tile: Tile, inner: Inner, masked: bool
    ) -> Iterator[tuple[float, dict[PlaneIndex, Views] | None]]:
        """Views of all planes that a slab predicts, on the CPU, with the last share."""
        network = self.network
        size = network.margin, network.config.stride
        raw = to_device(self.volumes.read_padded(slab, tile, *size), network.device)
        image = network.normalization.apply(raw.unsqueeze(1))
        mean, scatter, first = PairwiseMean(), Scatter(), torch.zeros(0)
        turns = network.turns
        for number, turn in enumerate(turns):
            for share, outputs in self._passes(image, slab, tile, turn, masked):
                if outputs is not None:
                    outputs = outputs[slab.start : slab.stop][(..., *inner)]
                    first = first if number else outputs[:, 0].clone()
                    mean.add(outputs)
                    scatter.add(outputs[:, 0] - first)
                yield (number + share) / (len(turns) + 1), None
        parts = (first, mean.value(), scatter.variance())
        planes = zip(*(values.cpu().unbind(0) for values in parts), strict=True)
        found = (Views(*(v.clone() for v in one)) for one in planes)
        yield 1.0, dict(zip(slab.predicted, found, strict=True))

    def _passes(
        self, image: Tensor, slab: Slab, tile: Tile, turn: Turn, masked: bool
    ) -> Iterator[tuple[float, Tensor | None]]:
        """Outputs of one view, (Z, C, Y, X), in several passes where pixels are masked.

        Yields the share of the passes that is done and, with the last one, outputs.
        """
        network, image = self.network, turned(image, turn)
        count = math.prod(network.config.masking.lattice)
        if not masked or count == 1:
            yield 1.0, turned_back(network.run(image, len(image)), turn)
            return
        network.generator.manual_seed(network.config.seed + self._place(slab))
        number = self._numbers(slab, tile, count)
        gathered: Tensor | None = None
        for one in range(count):
            targets = turned(number == one, turn)
            outputs = network.run(network.masked(image, targets), len(image))
            if gathered is None:
                gathered = torch.zeros_like(outputs)
            gathered = torch.where(targets, outputs, gathered)
            done = one + 1 == count
            yield (one + 1) / count, turned_back(gathered, turn) if done else None

    def _place(self, slab: Slab) -> int:
        return self.volumes.place(slab.planes[0])

    def _numbers(self, slab: Slab, tile: Tile, count: int) -> Tensor:
        """Number of the pass in which each pixel is masked, (Z, 1, Y, X)."""
        lattice = self.network.lattice(tile)
        place = torch.arange(len(slab.planes), device=lattice.device)
        place = (place + self._place(slab)) * _LATTICE_STEP
        return (lattice + place[:, None, None, None]) % count
