"""Which planes of a stack make a volume, and which a plane is predicted with."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.defects import CleanImage
from napari_selfdenoise.images import (
    UNNAMED_AXES,
    Image,
    PlaneIndex,
    Tile,
    in_micrometres,
    read_padded,
)
from napari_selfdenoise.parts.context import FullVolume


def depth_axis(image: Image, wanted: str = "") -> str:
    """Letter of the axis along which planes make a volume; empty if there is none.

    Parameters
    ----------
    image : Image
        Of any axes.
    wanted : str
        Letter of the axis, if the image has it; else depth, axes without a name, and
        time, the first of them that is longer than one.
    """
    letters = f"{wanted}Z{UNNAMED_AXES}T"
    return next((a for a in letters if image.sizes.get(a, 1) > 1), "")


def plane_spacing(image: Image, axis: str) -> float | None:
    """Distance of planes in pixel widths; None where the image does not say it.

    Parameters
    ----------
    image : Image
        Whose pixel sizes are read.
    axis : str
        Along which the planes lie.
    """
    pixels = image.pixel_size_um
    place = image.axes.index(axis)
    factor = in_micrometres(image.units[place])
    if pixels is None or factor is None:
        return None
    return image.pixel_size[place] * factor / float(np.sqrt(pixels[0] * pixels[1]))


class Slab(NamedTuple):
    """Planes that follow each other in a volume, none of them blank.

    Parameters
    ----------
    planes : tuple of tuple of int
        In their order.
    start, stop : int
        Which of them are predicted, from the first to before the last; the others are
        their context.
    """

    planes: tuple[PlaneIndex, ...]
    start: int
    stop: int

    @property
    def predicted(self) -> tuple[PlaneIndex, ...]:
        """The planes that are predicted together."""
        return self.planes[self.start : self.stop]


class Volumes:
    """Finds the planes that planes of an image are predicted with, in three dimensions.

    A volume ends where the stack does, and before blank planes. Nothing takes the place
    of planes beyond: in patches that a network has learned from, nothing does either.

    Parameters
    ----------
    image : CleanImage
        Whose planes they are.
    context : FullVolume
        Along which axis they lie.
    radius : int
        How many planes away from a pixel its prediction depends on.
    merged : int
        How many planes the network's poolings merge into one, all together: where a
        slab begins must not change which ones.
    """

    def __init__(
        self, image: CleanImage, context: FullVolume, radius: int = 0, merged: int = 1
    ) -> None:
        self.image, self.radius, self.merged = image, radius, merged
        self.axis = depth_axis(image.image, context.axis)

    def place(self, plane: PlaneIndex) -> int:
        """Number of a plane along depth."""
        return plane[self._number] if self.axis else 0

    def moved(self, plane: PlaneIndex, place: int) -> PlaneIndex:
        """The plane at another place along depth."""
        if not self.axis:
            return plane
        return (*plane[: self._number], place, *plane[self._number + 1 :])

    def slab(self, plane: PlaneIndex, most: int = 1) -> Slab:
        """The slab that a plane is predicted in, the same for all that are predicted.

        Parameters
        ----------
        plane : tuple of int
            Not blank.
        most : int
            How many planes are predicted together, at most.
        """
        place = self.place(plane)
        begin, end = self._ends(plane, most)
        first = max(begin, place // most * most)
        stop = min(end, place // most * most + most)
        low = max(begin, first - self.radius)
        low -= (low - begin) % self.merged
        high = min(end, stop + self.radius)
        # Both planes of a pair, but for an odd one at the end of the volume.
        high = min(end, high + (begin - high) % self.merged)
        planes = tuple(self.moved(plane, at) for at in range(low, high))
        return Slab(planes, first - low, stop - low)

    def read_around(self, tile: Tile, margin: int, stride: int) -> NDArray[np.float32]:
        """Padded pixels of the planes that a tile is predicted with, as `read_padded`.

        Returns
        -------
        ndarray
            (Z, Y, X), raw units; NaN in the place of the tile's own plane.
        """
        slab = self.slab(tile.plane)
        planes = self.read_padded(slab, tile, margin, stride)
        planes[slab.start] = np.nan
        return planes

    def read_padded(
        self, slab: Slab, tile: Tile, margin: int, stride: int
    ) -> NDArray[np.float32]:
        """Padded pixels of a tile in all planes of a slab, (Z, Y, X), raw units."""
        return np.stack(
            [
                read_padded(self.image, replace(tile, plane=one), margin, stride)[0]
                for one in slab.planes
            ]
        )

    @property
    def _number(self) -> int:
        """Place of the axis among those that number planes."""
        return self.image.image.outer_axes.index(self.axis)

    def _ends(self, plane: PlaneIndex, most: int) -> tuple[int, int]:
        """First place of the volume, and the one after its last, as far as it matters.

        All of it where planes are merged: which ones depends on where it begins.
        """
        if not self.axis:
            return 0, 1
        place, count = self.place(plane), self.image.image.sizes[self.axis]
        reach = self.radius + most + self.merged if self.merged == 1 else count
        begin, end = place, place + 1
        while begin > max(0, place - reach) and self._shows(plane, begin - 1):
            begin -= 1
        while end < min(count, place + reach + 1) and self._shows(plane, end):
            end += 1
        return begin, end

    def _shows(self, plane: PlaneIndex, place: int) -> bool:
        return not self.image.is_blank(self.moved(plane, place))
