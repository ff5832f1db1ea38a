"""What a network makes of one tile: its orientations, and its passes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdenoise.context import ContextPlanes
from napari_selfdenoise.defects import CleanImage
from napari_selfdenoise.images import (
    UNTURNED,
    Tile,
    Turn,
    read_padded,
    sources,
    turned,
    turned_back,
)
from napari_selfdenoise.model import TrainedModel, run
from napari_selfdenoise.parts.context import NeighbouringPlanes, joined
from napari_selfdenoise.parts.masking import Mask, RandomMask

Estimates = dict[str, NDArray[np.float32]]
"""Images of a tile by name, (Y, X) or (samples, Y, X), raw units."""

Inner = tuple[slice, slice]
"""Rows and columns of a tile in its padded pixels."""

_BLOCK_FILL = RandomMask()


class Views(NamedTuple):
    """What all orientations of a tile give, turned back, normalised.

    Parameters
    ----------
    first : Tensor
        Mean of the signal from the image as it lies, (Y, X).
    mean : Tensor
        All outputs, averaged over the orientations, (C, Y, X).
    scatter: Tensor
        Variance of the mean of the signal between the orientations, (Y, X); 0 where
        there is one alone.
    """

    first: Tensor
    mean: Tensor
    scatter: Tensor


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
        context = self.config.context
        self._around = (
            ContextPlanes(image, context)
            if isinstance(context, NeighbouringPlanes)
            else None
        )
        self._context: tuple[Tile, Tensor] | None = None

    @property
    def turns(self) -> tuple[Turn, ...]:
        """Orientations that are averaged, the image as it lies first."""
        return self.config.masking.orientations if self.config.flips else (UNTURNED,)

    # What is read ---------------------------------------------------------------------

    def read(self, tile: Tile) -> tuple[Tensor, Inner]:
        """Raw pixels of a padded tile, (1, 1, Y, X), and the tile's place in them."""
        fill = self.normalization.offset if self.config.network.blind else None
        stride = self.config.stride
        padded, inner = read_padded(self.image, tile, self.margin, stride, fill)
        return torch.from_numpy(padded)[None, None].to(self.device), inner

    def context(self, tile: Tile) -> Tensor | None:
        """Padded pixels of the planes around a tile's, (1, 2 k, Y, X), normalised.

        NaN where there is none; None without context.
        """
        if self._around is None:
            return None
        if self._context is None or self._context[0] != tile:
            planes = self._around.read_padded(tile, self.margin, self.config.stride)
            raw = torch.from_numpy(planes)[None].to(self.device)
            self._context = tile, self.normalization.apply(raw)
        return self._context[1]

    def noise_shares(self, tile: Tile) -> Tensor | float:
        """Noise std of the planes around over that of the plane, (2 k, 1, 1)."""
        if self._around is None:
            return 1.0
        shares = torch.from_numpy(self._around.noise_shares(tile.plane))
        return shares.to(self.device)[:, None, None]

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
        return self._run(joined(filled, context))[None, :1]

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
            yield 1.0, turned_back(self._run(joined(image, context)), turn)
            return
        lattice = self._lattice(tile)
        gathered: Tensor | None = None
        for number, (y, x) in enumerate(np.ndindex(rows, columns), 1):
            targets = turned(lattice == y * columns + x, turn)
            outputs = self._run(joined(self._masked(image, targets), context))
            if gathered is None:
                gathered = torch.zeros_like(outputs)
            gathered = torch.where(targets[0], outputs, gathered)
            last = number == rows * columns
            yield (
                number / (rows * columns),
                turned_back(gathered, turn) if last else None,
            )

    def _lattice(self, tile: Tile) -> Tensor:
        """Number of the pass in which each pixel is masked, (1, 1, Y, X)."""
        rows, columns = self.config.masking.lattice
        y, x = self.places(tile)
        number = (y % rows)[:, None] * columns + (x % columns)[None, :]
        return torch.from_numpy(number)[None, None].to(self.device)

    def _masked(self, image: Tensor, targets: Tensor) -> Tensor:
        masking = self.config.masking
        mask = Mask(masking.masked_for(targets), torch.zeros((1, 0), dtype=torch.long))
        return masking.apply(image, mask, self.generator)

    def _run(self, image: Tensor) -> Tensor:
        """Outputs of one pass: mean, rest, phantom, (C, Y, X), normalised."""
        channel, size = self.channel, self.config.masking.binning
        with torch.no_grad():
            outputs = run(channel.network, channel.optics, image, self.precision, size)
        return torch.cat(outputs if channel.optics else outputs[:2], dim=1)[0]


class Scatter:
    """Variance of a few tensors of one shape, which lie close to zero."""

    def __init__(self) -> None:
        self._count = 0
        self._sum = self._squares = torch.zeros(())

    def add(self, values: Tensor) -> None:
        """Add one."""
        self._count += 1
        self._sum = values + self._sum.to(values)
        self._squares = values.square() + self._squares.to(values)

    def variance(self) -> Tensor:
        """Return the variance between all that were added; 0 of one alone."""
        if self._count < 2:
            return torch.zeros_like(self._sum)
        apart = self._squares - self._sum.square() / self._count
        return apart.clamp_min(0) / (self._count - 1)


class PairwiseMean:
    """Mean of 2^n tensors, pair by pair: equal values come back to the bit."""

    def __init__(self) -> None:
        self._halves: list[tuple[int, Tensor]] = []

    def add(self, values: Tensor) -> None:
        """Add one; at most n + 1 are kept at a time."""
        count = 1
        while self._halves and self._halves[-1][0] == count:
            values, count = (self._halves.pop()[1] + values) / 2, 2 * count
        self._halves.append((count, values))

    def value(self) -> Tensor:
        """Return the mean of all that were added."""
        ((_, values),) = self._halves
        return values
