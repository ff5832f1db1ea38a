"""Cutting a plane into tiles whose predictions meet without a seam.

Each tile is predicted with a margin at least as wide as the receptive field radius, and
all tiles start at multiples of the network's stride. So a pixel's prediction does not
depend on the tile it lies in, and nothing needs blending.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.images.planes import PlaneIndex


class Planes(Protocol):
    """Anything that planes can be read from, whole or in part."""

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Rows and columns of one plane."""

    def read_plane(
        self, plane: PlaneIndex, rows: slice, columns: slice
    ) -> NDArray[np.float32]:
        """Pixels of a region of one plane, (Y, X), raw units."""


@dataclass(frozen=True)
class Tile:
    """A rectangle of one plane, rows [top, bottom) and columns [left, right)."""

    plane: PlaneIndex
    top: int
    bottom: int
    left: int
    right: int

    @property
    def rows(self) -> slice:
        """Rows of the tile."""
        return slice(self.top, self.bottom)

    @property
    def columns(self) -> slice:
        """Columns of the tile."""
        return slice(self.left, self.right)


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def tile_grid(
    plane: PlaneIndex, shape: tuple[int, int], tile: int, stride: int
) -> Iterator[Tile]:
    """Tiles that cover a plane of `shape`, of about `tile` pixels a side."""
    yield from parts_of(Tile(plane, 0, shape[0], 0, shape[1]), tile, stride)


def parts_of(whole: Tile, side: int, stride: int) -> Iterator[Tile]:
    """Tiles that cover another one, of about `side` pixels a side."""
    step = _round_up(side, stride)
    for top in range(whole.top, whole.bottom, step):
        for left in range(whole.left, whole.right, step):
            bottom, right = min(top + step, whole.bottom), min(left + step, whole.right)
            yield Tile(whole.plane, top, bottom, left, right)


def read_padded(
    image: Planes, tile: Tile, margin: int, stride: int, fill: float | None = None
) -> tuple[NDArray[np.float32], tuple[slice, slice]]:
    """Pixels of a tile and its margin, and where the tile lies in them.

    Beyond the borders of the image its pixels are reflected, or `fill` where it is
    given: networks that are blind by construction must not get a pixel by its mirror.

    Returns
    -------
    padded : ndarray
        (Y, X), raw units, sides multiples of `stride`.
    inner : tuple of slice
        The tile within it.
    """
    height, width = image.plane_shape
    rows, pad_y, inner_y = _clip(tile.rows, margin, stride, height)
    columns, pad_x, inner_x = _clip(tile.columns, margin, stride, width)
    region = image.read_plane(tile.plane, rows, columns)
    if fill is None:
        padded = np.pad(region, (pad_y, pad_x), mode="reflect")
    else:
        padded = np.pad(region, (pad_y, pad_x), constant_values=fill)
    return padded, (inner_y, inner_x)


def sources(
    tile: Tile, shape: tuple[int, int], margin: int, stride: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and column in the image of each row and column that `read_padded` gives.

    Mirrored ones have those of their originals.
    """
    found = []
    for span, length in zip((tile.rows, tile.columns), shape, strict=True):
        inside, pad, _ = _clip(span, margin, stride, length)
        found.append(np.pad(np.arange(inside.start, inside.stop), pad, mode="reflect"))
    return found[0], found[1]


def _clip(
    tile: slice, margin: int, stride: int, length: int
) -> tuple[slice, tuple[int, int], slice]:
    """Along one axis: what lies inside the image, the missing ends, and the tile."""
    low = (tile.start - margin) // stride * stride
    high = _round_up(tile.stop + margin, stride)
    inside = slice(max(low, 0), min(high, length))
    missing = (inside.start - low, high - inside.stop)
    return inside, missing, slice(tile.start - low, tile.stop - low)
