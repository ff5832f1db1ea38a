"""How planes are cut: into chunks, which are stored whole, and those into tiles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from napari_selfdenoise.images import CHUNK_PX, PlaneIndex, Tile, parts_of, tile_grid


class Grid(NamedTuple):
    """Sides of chunks and tiles; all begin at multiples of the network's stride.

    Parameters
    ----------
    side : int
        Of a tile, in pixels, about.
    stride : int
        What corners are multiples of.
    chunk : int
        Side of a chunk, in pixels: a whole number of tiles, until tiles are halved.
    """

    side: int
    stride: int
    chunk: int

    @classmethod
    def of(cls, side: int, stride: int) -> Grid:
        """Grid of tiles of about a side, in chunks that are about as large as usual."""
        step = -(-side // stride) * stride
        return cls(side, stride, step * max(1, CHUNK_PX // step))

    def chunks(self, plane: PlaneIndex, shape: tuple[int, int]) -> Iterator[Tile]:
        """The chunks that a plane (Y, X) consists of."""
        return tile_grid(plane, shape, self.chunk, self.stride)

    def parts(self, chunk: Tile) -> list[Tile]:
        """The tiles that a chunk consists of."""
        return list(parts_of(chunk, self.side, self.stride))

    def tiles(self, plane: PlaneIndex, shape: tuple[int, int]) -> list[Tile]:
        """All tiles of a plane (Y, X), chunk by chunk."""
        return [t for chunk in self.chunks(plane, shape) for t in self.parts(chunk)]

    def suits(self, usual: Grid) -> bool:
        """Whether it can have been made for a network whose usual grid is known.

        Tiles of an earlier run may be smaller, where there was less memory.
        """
        sound = 0 < self.side <= max(self.chunk, usual.side) and self.chunk > 0
        return sound and self.stride == usual.stride and self.chunk % self.stride == 0

    def halved(self) -> Grid:
        """The same chunks in smaller tiles."""
        return self._replace(side=self.side // 2)
