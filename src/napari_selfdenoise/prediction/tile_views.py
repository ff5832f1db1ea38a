"""What a network makes of one tile: its orientations, and its passes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdenoise.compute import to_device
from napari_selfdenoise.config import PlanesReach
from napari_selfdenoise.context import ContextSources, Volumes
from napari_selfdenoise.defects import CleanImage
from napari_selfdenoise.images import (
    ROTATIONS,
    UNTURNED,
    PlaneIndex,
    Tile,
    Turn,
    read_padded,
    sources,
    turned,
    turned_back,
)
from napari_selfdenoise.model import TrainedModel, run
from napari_selfdenoise.parts.context import (
    FullVolume,
    NetworkInput,
)
from napari_selfdenoise.parts.masking import Mask, RandomMask
from napari_selfdenoise.prediction.slab_views import SlabViews
from napari_selfdenoise.prediction.views import PairwiseMean, Scatter, Views

Estimates = dict[str, NDArray[np.float32]]
"""Images of a tile by name, (Y, X) or (samples, Y, X), raw units."""

Inner = tuple[slice, slice]
"""Rows and columns of a tile in its padded pixels."""

_BLOCK_FILL = RandomMask()


class TileViews:
    """Predicts tiles of the planes of one channel, in all views and passes.

    Parameters
    ----------
    image : CleanImage
        What is denoised.
    model : TrainedModel
        On the device.
    channel : int
        Which of its channels the planes belong to.
    device : torch.device
        Where to compute.
    generator : torch.Generator
        For samples, and fills that are random.
    margin : int
        How far around a tile is read, in pixels.

    Attributes
    ----------
    all_turns : bool
        Whether mirrored images are averaged as well, and not only turned ones.
    """

    def __init__(
        self,
        image: CleanImage,
        model: TrainedModel,
        channel: int,
        device: torch.device,
        generator: torch.Generator,
        margin: int,
    ) -> None:
        self.image, self.config, self.device = image, model.config, device
        self.channel, self.normalization = (
            model.channels[channel],
            model.channels[channel].normalization,
        )
        self.precision, self.hardly_trained = model.precision, model.hardly_trained
        self.generator, self.margin = generator, margin
        self.all_turns = False
        context = self.config.context
        self._around = ContextSources.of(image, context, self.config.channels)
        self._volumes = (
            Volumes(image, context, *PlanesReach.of(self.config))
            if isinstance(context, FullVolume)
            else None
        )
        self._slabs = SlabViews(self, self._volumes) if self._volumes else None
        self._context: tuple[Tile, Tensor] | None = None
        self._recorded: Tensor | None = None

    @property
    def turns(self) -> tuple[Turn, ...]:
        """Orientations that are averaged, the image as it lies first."""
        every = self.config.masking.orientations if self.config.flips else (UNTURNED,)
        return every if self.all_turns or len(every) <= len(ROTATIONS) else ROTATIONS

    @property
    def has_more_turns(self) -> bool:
        """Whether there are more orientations, and tiles may have more of them."""
        every = len(self.config.masking.orientations) if self.config.flips else 1
        return len(self.turns) < every and self._slabs is None

    def together(self, plane: PlaneIndex) -> tuple[PlaneIndex, ...]:
        """Planes that are predicted at once, and by the same choices."""
        return self._slabs.together(plane) if self._slabs else (plane,)

    # What is read ---------------------------------------------------------------------

    def read(self, tile: Tile) -> tuple[Tensor, Inner]:
        """Raw pixels of a padded tile, (1, 1, Y, X), and the tile's place in them."""
        fill = self.normalization.offset if self.config.network.blind else None
        stride = self.config.stride
        padded, inner = read_padded(self.image, tile, self.margin, stride, fill)
        self._recorded = to_device(padded, self.device)[None, None]
        return self._recorded, inner

    def context(self, tile: Tile) -> Tensor | None:
        """Padded pixels of the planes around a tile's, (1, N, Y, X), normalised.

        NaN where there is none; None without context. Of a volume, (1, Z, Y, X), NaN in
        the tile's own place.
        """
        if self._around is None and self._volumes is None:
            return None
        if self._context is None or self._context[0] != tile:
            planes = self._read_around(tile)
            raw = to_device(planes, self.device)[None]
            self._context = tile, self.normalization.apply(raw)
        return self._context[1]

    def lacks_channels(self, plane: PlaneIndex) -> bool:
        """Whether a channel that would help to predict a plane may not be used."""
        return self._around is not None and self._around.lacks_channels(plane)

    def noise_shares(self, tile: Tile) -> Tensor | float:
        """Noise std of the planes around over that of the plane, (N, 1, 1)."""
        if self._around is None:
            return 1.0
        shares = torch.from_numpy(self._around.noise_shares(tile.plane))
        return shares.to(self.device)[:, None, None]

    def _read_around(self, tile: Tile) -> NDArray[np.float32]:
        """Padded pixels of the planes of `context`, (N, Y, X), raw units."""
        size = self.margin, self.config.stride
        if self._volumes:
            return self._volumes.read_around(tile, *size)
        assert self._around is not None
        return self._around.read_padded(tile, *size)

    def places(self, tile: Tile) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows and columns of the image that the padded pixels of a tile come from."""
        shape, stride = self.image.plane_shape, self.config.stride
        return sources(tile, shape, self.margin, stride)

    def good(self, tile: Tile) -> NDArray[np.bool_]:
        """False at the defects of a tile, (Y, X)."""
        return self.image.read(tile.plane, tile.rows, tile.columns).good

    def recorded(self, tile: Tile) -> NDArray[np.float32]:
        """Observation of a tile, (Y, X), raw units, NaN where nothing was recorded."""
        return self.image.read(tile.plane, tile.rows, tile.columns).recorded

    # What is predicted ----------------------------------------------------------------

    def views(
        self, raw: Tensor, tile: Tile, inner: Inner, masked: bool
    ) -> Iterator[tuple[float, Views | None]]:
        """Predict all orientations of a tile.

        Parameters
        ----------
        raw : Tensor
            Padded pixels of the tile, (1, 1, Y, X), raw units.
        tile : Tile
            Which one it is.
        inner : tuple of slice
            What is wanted of the padded pixels.
        masked : bool
            Whether each pixel is masked in its own prediction, in several passes.

        Yields
        ------
        float
            Share that is done.
        Views or None
            With the last share, not before.
        """
        if self._slabs and raw is self._recorded:
            yield from self._slabs.views(tile, inner, masked)
            return
        mean, scatter, first = PairwiseMean(), Scatter(), torch.zeros(0)
        for number, turn in enumerate(self.turns):
            for share, outputs in self._passes(raw, tile, turn, masked):
                if outputs is not None:
                    outputs = outputs[(..., *inner)]
                    first = first if number else outputs[0].clone()
                    mean.add(outputs)
                    scatter.add(outputs[0] - first)
                if number + share < len(self.turns):
                    yield (number + share) / len(self.turns), None
        yield 1.0, Views(first, mean.value(), scatter.variance())

    def unturned(self, raw: Tensor, tile: Tile, masked: bool) -> Tensor:
        """Outputs of the image as it lies, (C, Y, X), normalised; as `views`."""
        for _, outputs in self._passes(raw, tile, UNTURNED, masked):
            found = outputs
        assert found is not None
        return found

    def without(
        self, raw: Tensor, pixels: Tensor, context: Tensor | None = None
    ) -> Tensor:
        """Mean predicted with some pixels (Y, X) masked: (1, 1, Y, X), normalised."""
        mask = Mask(pixels[None, None], torch.zeros((1, 0), dtype=torch.long))
        image = self.normalization.apply(raw)
        filled = _BLOCK_FILL.apply(image, mask, self.generator)
        return self._run(filled, context)[None, :1]

    def _passes(
        self, raw: Tensor, tile: Tile, turn: Turn, masked: bool
    ) -> Iterator[tuple[float, Tensor | None]]:
        """Outputs of one view, in several passes where each pixel is masked.

        Yields the share of the passes that is done and, with the last one, outputs
        turned back: mean, rest, phantom, (C, Y, X).
        """
        image = turned(self.normalization.apply(raw), turn)
        context = self.context(tile)
        context = None if context is None else turned(context, turn)
        rows, columns = self.config.masking.lattice
        if not masked or rows * columns == 1:
            yield 1.0, turned_back(self._run(image, context), turn)
            return
        lattice = self.lattice(tile)
        gathered: Tensor | None = None
        for number, (y, x) in enumerate(np.ndindex(rows, columns), 1):
            targets = turned(lattice == y * columns + x, turn)
            outputs = self._run(self.masked(image, targets), context)
            if gathered is None:
                gathered = torch.zeros_like(outputs)
            gathered = torch.where(targets[0], outputs, gathered)
            last = number == rows * columns
            yield (
                number / (rows * columns),
                turned_back(gathered, turn) if last else None,
            )

    def lattice(self, tile: Tile) -> Tensor:
        """Number of the pass in which each pixel is masked, (1, 1, Y, X)."""
        rows, columns = self.config.masking.lattice
        y, x = self.places(tile)
        number = (y % rows)[:, None] * columns + (x % columns)[None, :]
        return torch.from_numpy(number)[None, None].to(self.device)

    def masked(self, image: Tensor, targets: Tensor) -> Tensor:
        """Images (B, 1, Y, X) whose targets, True in the same shape, are masked."""
        masking = self.config.masking
        mask = Mask(masking.masked_for(targets), torch.zeros((1, 0), dtype=torch.long))
        return masking.apply(image, mask, self.generator)

    def _run(self, image: Tensor, context: Tensor | None) -> Tensor:
        """Outputs of one pass: mean, rest, phantom, (C, Y, X), normalised."""
        volumetric = self.config.context.volumetric
        images, planes, place = NetworkInput.of(image, context, volumetric)
        return self.run(images, planes)[place][0]

    def run(self, images: Tensor, planes: int = 1) -> Tensor:
        """Outputs of one pass: mean, rest, phantom, (B, C, Y, X), normalised.

        Parameters
        ----------
        images : Tensor
            With their context as channels, (B, N, Y, X).
        planes : int
            How many images are a volume.
        """
        net, optics = self.channel.network, self.channel.optics
        size = self.config.masking.binning
        with torch.no_grad():
            outputs = run(net, optics, images, self.precision, size, planes)
        return torch.cat(outputs if optics else outputs[:2], dim=1)
