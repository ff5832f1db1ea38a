"""The planes of an image that are learned from, read some at a time."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.context import stack_axis
from napari_selfdenoise.defects import (
    WHOLE_PIXELS,
    CleanImage,
    CleanPlane,
    spread_planes,
)
from napari_selfdenoise.images import PlaneIndex, Tile
from napari_selfdenoise.parts.masking import LARGEST_BIN
from napari_selfdenoise.training.pixel_summary import PixelSummary
from napari_selfdenoise.training.volume_patches import Place

MAX_TRAINING_PIXELS = 2**26
"""Pixels kept for training, a channel: 256 MiB of float32. More teaches no more."""

MIN_PATCH = 16

_PART_SIDE = 512
"""Side in px of the parts in which large planes are read, about."""

_AT_ONCE = 2**21
"""Pixels that are read at once, in threads, at most, but for a run more."""

_ALIGNED = 8
"""Corners of parts are at multiples of so many px, as those of JPEG's blocks are."""


class TrainingPlane(NamedTuple):
    """A plane to train on, or a region of one, and where it was read.

    Parameters
    ----------
    clean : CleanPlane
        (Y, X), raw units.
    image : CleanImage
        That it is of.
    plane : tuple of int
        Which plane.
    corner : tuple of int
        First row and column of the region.
    target : CleanPlane or None
        The same place of what is to be predicted, where that is another image.
    around : ndarray or None
        Its context, (N, Y, X), as of `ContextSources.stack`.
    noise_shares : ndarray or None
        As of `ContextSources.noise_shares`, (N,).
    """

    clean: CleanPlane
    image: CleanImage
    plane: PlaneIndex
    corner: tuple[int, int]
    target: CleanPlane | None = None
    around: NDArray[np.float32] | None = None
    noise_shares: NDArray[np.float32] | None = None

    @property
    def region(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Corner of the region, and how many rows and columns it has."""
        height, width = self.clean.pixels.shape
        return self.corner, (height, width)

    @property
    def place(self) -> Place:
        """What planes have in common that lie above each other."""
        return id(self.image), self.corner, self.clean.pixels.shape


class _Part(NamedTuple):
    """A plane of an image, or a part of one."""

    image: CleanImage
    tile: Tile

    @property
    def pixels(self) -> int:
        tile = self.tile
        return (tile.bottom - tile.top) * (tile.right - tile.left)

    @property
    def region(self) -> tuple[PlaneIndex, slice, slice]:
        """It, as `CleanImage.read` takes it."""
        return self.tile.plane, self.tile.rows, self.tile.columns

    def within(self, room: int, generator: np.random.Generator) -> Tile:
        """All of it where there is room, else a random square in it."""
        if self.pixels <= room:
            return self.tile
        tile, side = self.tile, math.isqrt(room)
        height, width = tile.bottom - tile.top, tile.right - tile.left
        rows, columns = min(side, height), min(side, width)
        y = tile.top + int(generator.integers(height - rows + 1))
        x = tile.left + int(generator.integers(width - columns + 1))
        return Tile(tile.plane, y, y + rows, x, x + columns)


class PlaneReader:
    """Reads the planes of one channel to train on, some at a time, in random order.

    Planes all over an image come first: all is decided by what is read to begin with.

    Blank planes are left out. Images that hold more than `MAX_TRAINING_PIXELS` are
    sampled: random planes, and of very large planes random regions, so that lazy
    images stay lazy.

    Parameters
    ----------
    images : sequence of CleanImage
        All of them.
    channel : int
        Which one.
    generator : numpy.random.Generator
        Draws planes and regions.
    patch_size : int
        Side of the patches, in pixels.
    run : int
        How many neighbouring planes are read together where not all are, at the same
        place.
    copies : int
        How many planes will be kept for each one, with its context.
    in_parts : bool
        Whether planes that are too large to be cleaned as a whole are read in parts.
    room : int, optional
        How many pixels may be kept, instead of `MAX_TRAINING_PIXELS`.

    Attributes
    ----------
    summary : PixelSummary
        What was read so far.
    """

    def __init__(
        self,
        images: Sequence[CleanImage],
        channel: int,
        generator: np.random.Generator,
        patch_size: int = MIN_PATCH,
        run: int = 1,
        copies: int = 1,
        in_parts: bool = False,
        room: int | None = None,
    ) -> None:
        self._least, self._generator = patch_size**2, generator
        parts = [
            part
            for image in images
            for plane in image.image.planes(channel)
            for part in _parts(image, plane, patch_size if in_parts else None)
        ]
        self._left = sum(part.pixels for part in parts)
        room = MAX_TRAINING_PIXELS if room is None else room
        self._room = min(MAX_TRAINING_PIXELS, room) // copies
        run = run if self._left > self._room else 1
        shuffled = [parts[n] for n in generator.permutation(len(parts))]
        spread = {(id(i), p) for i in images for p in spread_planes(i.image, channel)}
        if run == 1:
            shuffled.sort(key=lambda p: (id(p.image), p.tile.plane) not in spread)
        self._runs = deque(_in_runs(shuffled, run))
        self._found = False
        self.summary = PixelSummary(self.pixels_left)

    @property
    def pixels_left(self) -> int:
        """How many are still to be read, if none of them are blank."""
        return 0 if self.is_over else min(self._left, self._room)

    @property
    def runs_left(self) -> int:
        """How many times `read_run` still reads something, at most."""
        return 0 if self.is_over else len(self._runs)

    @property
    def is_over(self) -> bool:
        """Whether all is read, or as much as there is room for."""
        return not self._runs or (self._found and self._room < self._least)

    def read_run(self) -> list[TrainingPlane]:
        """Read some planes at the same place, those of the next that are not blank."""
        return self._read(self._next())

    def read(self, pixels: float = math.inf) -> list[TrainingPlane]:
        """Read so many pixels, or a run more; fewer where there are no more."""
        planes: list[TrainingPlane] = []
        while pixels > 0 and not self.is_over:
            parts: list[_Part] = []
            room = min(pixels, _AT_ONCE)
            while room > 0 and not self.is_over:
                if parts and self._room < self._least:
                    break
                together = self._next()
                parts += together
                room -= sum(part.pixels for part in together)
            read = self._read(parts)
            pixels -= sum(one.clean.pixels.size for one in read)
            planes += read
        return planes

    def _next(self) -> list[_Part]:
        """The next planes, all at a place that there is room for."""
        together = self._runs.popleft()
        self._left -= sum(part.pixels for part in together)
        place = together[0].within(self._room // len(together), self._generator)
        parts = [p._replace(tile=replace(place, plane=p.tile.plane)) for p in together]
        self._room -= sum(part.pixels for part in parts)
        return parts

    def _read(self, parts: Sequence[_Part]) -> list[TrainingPlane]:
        """Read planes, those that are not blank; the others leave their room."""
        read = [
            TrainingPlane(clean, image, tile.plane, (tile.top, tile.left))
            for _, some in itertools.groupby(parts, lambda part: id(part.image))
            for (image, tile), clean in _cleaned(list(some))
        ]
        found = [one for one in read if not one.image.is_blank(one.plane)]
        for one in found:
            self.summary.add((id(one.image), one.plane), one.clean)
        good = [one for one in found if one.clean.good.any()]
        self._room += sum(one.clean.pixels.size for one in read)
        self._room -= sum(one.clean.pixels.size for one in good)
        self._found |= bool(good)
        return good


def _cleaned(parts: Sequence[_Part]) -> Iterator[tuple[_Part, CleanPlane]]:
    """Parts of one image, as they are read: in threads, as many as memory allows."""
    image = parts[0].image
    pixels = math.prod(image.plane_shape)  # of small planes, all are read
    pixels = pixels if pixels <= WHOLE_PIXELS else parts[0].pixels
    step = max(1, _AT_ONCE // max(1, pixels))
    for start in range(0, len(parts), step):
        some = parts[start : start + step]
        yield from zip(some, image.read_all([p.region for p in some]), strict=True)


def _parts(
    image: CleanImage, plane: PlaneIndex, patch_size: int | None
) -> Iterator[_Part]:
    """A plane, or parts with room for patches where it is large; None for no parts."""
    height, width = image.plane_shape
    if patch_size is None or height * width <= WHOLE_PIXELS:
        yield _Part(image, Tile(plane, 0, height, 0, width))
        return
    # Bins that begin at each pixel, and aligned corners, take some pixels off a part.
    least = max(_PART_SIDE, patch_size + LARGEST_BIN + _ALIGNED)
    for top, bottom in _spans(height, least):
        for left, right in _spans(width, least):
            yield _Part(image, Tile(plane, top, bottom, left, right))


def _spans(length: int, least: int) -> list[tuple[int, int]]:
    """Parts of an axis, all about as long, from and to."""
    count = max(1, length // least)
    ends = [round(n * length / count / _ALIGNED) * _ALIGNED for n in range(count)]
    return list(zip(ends, [*ends[1:], length], strict=True))


def _in_runs(shuffled: Sequence[_Part], run: int) -> list[list[_Part]]:
    """Planes that are neighbours, in runs of `run`; the runs are in random order."""
    runs: dict[object, list[_Part]] = {}
    numbers: dict[int, int] = {}  # of the axis that planes follow each other along
    for image, _ in shuffled:
        if id(image) not in numbers:
            axis = stack_axis(image.image)
            numbers[id(image)] = image.image.outer_axes.index(axis) if axis else -1
    for part in shuffled:
        image, tile = part
        number = numbers[id(image)]
        first = tuple(
            n // run if at == number else n for at, n in enumerate(tile.plane)
        )
        runs.setdefault((id(image), replace(tile, plane=first)), []).append(part)
    return list(runs.values())
