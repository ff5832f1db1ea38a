"""An image in a zarr and its smaller copies, written block by block."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.images.image import Image
from napari_selfdenoise.images.zarr_layout import ValueRange, Version, ZarrLayout

CHUNK_PX = 1024
"""Longest side of a chunk, which is read at once, by default."""

_BLOCK_PX = 2048
"""Side of what is in memory while copies are made, about."""

Position = tuple[int, ...]
"""Of a plane in a zarr, along the axes before rows and columns."""


class ZarrLevels:
    """The arrays of an OME-Zarr: an image, and copies of half the size and less.

    Parameters
    ----------
    group : zarr.Group
        That holds them.
    layout : ZarrLayout
        Of the image.
    version : "0.4" or "0.5"
        Of OME-Zarr.
    """

    def __init__(self, group: Any, layout: ZarrLayout, version: Version) -> None:
        self._group, self.layout, self._version = group, layout, version
        names = [str(n) for n, _ in enumerate(layout.levels())]
        self.arrays = [group[name] for name in names]

    @classmethod
    def create(
        cls, folder: Path, layout: ZarrLayout, version: Version, chunk: int = CHUNK_PX
    ) -> Self:
        """Make them in a folder, which is emptied; all pixels are zero."""
        import zarr

        number = 3 if version == "0.5" else 2
        group = zarr.open_group(str(folder), mode="w", zarr_format=number)
        for level, shape in enumerate(layout.levels()):
            _create_array(group, level, shape, layout, version, chunk)
        return cls(group, layout, version)

    @classmethod
    def reopen(cls, folder: Path, layout: ZarrLayout, version: Version) -> Self:
        """Open those that were made before.

        Raises
        ------
        KeyError, OSError, ValueError
            If they are not there, or are no zarr.
        """
        import zarr

        return cls(zarr.open_group(str(folder), mode="r+"), layout, version)

    @property
    def pixels(self) -> InImageOrder:
        """The image itself, to be read and written with its own order of axes."""
        return InImageOrder(self.arrays[0], self.layout.order)

    def write(self, image: Image) -> None:
        """Write the pixels of an image of this layout."""
        order = self.layout.order
        for position in np.ndindex(*self.layout.outer):
            for rows, columns in _blocks(self.arrays[0].shape, self._side):
                place = [*position, rows, columns]
                index = tuple(place[order.index(n)] for n in range(image.ndim))
                block = np.asarray(image.data[index])
                self.arrays[0][tuple(place)] = block.T if self._turned else block

    def complete(self, image: Image) -> None:
        """Make the copies, and say what the group holds, once all pixels are there."""
        ranges: dict[int, ValueRange] = {}
        for position in np.ndindex(*self.layout.outer):
            channel = self.layout.channel_at(position)
            found = ranges.setdefault(channel, ValueRange())
            self._copy_plane(position, found)
        self._group.attrs.update(self.layout.attributes(image, self._version, ranges))

    def _copy_plane(self, position: Position, found: ValueRange) -> None:
        """Make the copies of a plane; its values widen a range."""
        for level, array in enumerate(self.arrays):
            is_last = array is self.arrays[-1]
            if level and is_last:
                return
            for rows, columns in _blocks(array.shape, self._side):
                block = array[(*position, rows, columns)]
                if level == 0:
                    found.add(block)
                if not is_last:
                    half = halved(block)
                    place = _half(rows, half.shape[0]), _half(columns, half.shape[1])
                    self.arrays[level + 1][(*position, *place)] = half

    @property
    def _turned(self) -> bool:
        """Whether the image has its columns before its rows."""
        rows, columns = self.layout.order[-2:]
        return rows > columns

    @property
    def _side(self) -> int:
        """Side of a block: whole chunks, also of the next smaller copy."""
        chunk: int = max(self.arrays[0].chunks[-2:])
        return 2 * chunk * max(1, _BLOCK_PX // (2 * chunk))


class InImageOrder:
    """An array of a file, to be read and written with the axes of an image.

    Parameters
    ----------
    array : array
        Of the file.
    order : tuple of int
        The image's axis for each axis of the file.
    """

    def __init__(self, array: Any, order: tuple[int, ...]) -> None:
        self._array, self._order = array, order
        lengths = (array.shape[order.index(n)] for n in range(len(order)))
        self.shape: tuple[int, ...] = tuple(map(int, lengths))
        self.ndim, self.dtype = len(order), array.dtype

    def __len__(self) -> int:
        """Length of the first axis."""
        return self.shape[0]

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Pixels at numbers and slices, one an axis or fewer."""
        place = self._whole(index)
        read = np.asarray(self._array[self._in_file(place)])
        return read.transpose(np.argsort(self._kept(place)))

    def __setitem__(self, index: Any, values: Any) -> None:
        """Write pixels, or one value everywhere; as `__getitem__`."""
        place = self._whole(index)
        kept, values = self._kept(place), np.asarray(values, self.dtype)
        if values.ndim:
            lengths = [
                len(range(*part.indices(length)))
                for part, length in zip(place, self.shape, strict=True)
                if isinstance(part, slice)
            ]
            values = np.broadcast_to(values, lengths).transpose(kept)
        self._array[self._in_file(place)] = values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All pixels."""
        return self[...].astype(dtype or self.dtype, copy=bool(copy))

    def _whole(self, index: Any) -> tuple[int | slice, ...]:
        """An index with an entry for each axis of the image."""
        parts = list(index if isinstance(index, tuple) else (index,))
        if Ellipsis not in parts:
            parts.append(Ellipsis)
        at = parts.index(Ellipsis)
        parts[at : at + 1] = [slice(None)] * (self.ndim - len(parts) + 1)
        return tuple(parts)

    def _in_file(self, place: tuple[int | slice, ...]) -> tuple[int | slice, ...]:
        return tuple(place[axis] for axis in self._order)

    def _kept(self, place: tuple[int | slice, ...]) -> list[int]:
        """For each axis of the file that is no number: which of the image's that is."""
        kept = [n for n, part in enumerate(place) if isinstance(part, slice)]
        return [kept.index(axis) for axis in self._order if axis in kept]


def halved(plane: NDArray[Any]) -> NDArray[Any]:
    """Means of 2 × 2 pixels of a plane (Y, X), in its own type."""
    rows, columns = (n // 2 for n in plane.shape)
    squares = plane[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2)
    means = squares.mean((1, 3), dtype=np.float64)
    whole = np.issubdtype(plane.dtype, np.integer)
    found: NDArray[Any] = np.rint(means) if whole else means
    return found.astype(plane.dtype)


def _half(part: slice, length: int) -> slice:
    """Where the means of a part of an axis lie in the next smaller copy."""
    return slice(part.start // 2, part.start // 2 + length)


def _blocks(shape: tuple[int, ...], side: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of the blocks that a plane consists of."""
    for top in range(0, shape[-2], side):
        for left in range(0, shape[-1], side):
            yield slice(top, top + side), slice(left, left + side)


def _create_array(
    group: Any,
    level: int,
    shape: tuple[int, ...],
    layout: ZarrLayout,
    version: Version,
    chunk: int,
) -> None:
    names = [letter.lower() for letter in layout.sizes]
    keys = {"name": "v2", "separator": "/"} if version == "0.4" else None
    group.create_array(
        str(level),
        shape=shape,
        dtype=layout.dtype,
        chunks=(*(1 for _ in shape[:-2]), *(min(n, chunk) for n in shape[-2:])),
        chunk_key_encoding=keys,
        dimension_names=None if version == "0.4" else names,
    )
