"""The planes around a plane of a stack, and which take the place of unusable ones."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.context.plane_pairs import PairOfPlanes, PlaneWaves
from napari_selfdenoise.defects import CleanImage, CleanPlane
from napari_selfdenoise.images import (
    UNNAMED_AXES,
    Image,
    PlaneIndex,
    Tile,
    read_padded,
)
from napari_selfdenoise.parts.context import NeighbouringPlanes

_KEPT = 32  # planes whose waves are kept
_FURTHER = 2  # planes beyond the furthest neighbour that may take another's place
_WHOLE_PIXELS = 2**22  # of larger planes, squares are compared
_SMALL_PIXELS = 2**20
_SQUARES, _SQUARE = 2, 256  # along each axis; side in px


def stack_axis(image: Image, wanted: str = "") -> str:
    """Letter of the axis along which planes are neighbours; empty if there is none.

    Parameters
    ----------
    image : Image
        Of any axes.
    wanted : str
        Letter of the axis, if the image has it; else time, depth, and axes without a
        name, the first of them that is longer than one.
    """
    letters = f"{wanted}TZ{UNNAMED_AXES}"
    return next((a for a in letters if image.sizes.get(a, 1) > 1), "")


def neighbour_places(
    place: int, count: int, usable: Callable[[int], bool]
) -> list[int | None]:
    """Places along an axis of the neighbours of one plane, `count` to each side.

    One that is not usable is replaced by the one as far away on the other side, else by
    the nearest that is usable; never by the plane itself, whose noise it would show.

    Parameters
    ----------
    place : int
        Of the plane.
    count : int
        Neighbours to each side.
    usable : callable
        Whether there is a plane at a place that may be a neighbour.

    Returns
    -------
    list of int or None
        From the furthest before to the furthest after; None where none is usable.
    """
    steps = [step for step in range(-count, count + 1) if step]
    reach = range(1, count + 1 + _FURTHER)
    # Nearest first; those before it where equally near.
    nearest = [place + side * step for step in reach for side in (-1, 1)]
    return [
        next((p for p in (place + step, place - step, *nearest) if usable(p)), None)
        for step in steps
    ]


class ContextPlanes:
    """Finds the neighbours of planes of an image that may be their context.

    Parameters
    ----------
    image : CleanImage
        Whose planes are compared as they are asked for.
    context : NeighbouringPlanes
        How many, and along which axis.
    known : mapping, optional
        Planes that were read, or the same region of each; others do not count. All of
        the image if not given.
    """

    def __init__(
        self,
        image: CleanImage,
        context: NeighbouringPlanes,
        known: Mapping[PlaneIndex, CleanPlane] | None = None,
    ) -> None:
        self.image, self.count, self._known = image, context.planes, known
        self.axis = stack_axis(image.image, context.axis)
        # Twice as many where they are small: planes are denoised outwards, in turns.
        kept = 2 * self.count + 2
        small = np.prod(image.plane_shape) <= _SMALL_PIXELS
        image.kept_planes = max(image.kept_planes, 2 * kept if small else kept)
        self._waves: OrderedDict[PlaneIndex, PlaneWaves | None] = OrderedDict()
        self._pairs: dict[tuple[PlaneIndex, PlaneIndex], PairOfPlanes | None] = {}

    def of(self, plane: PlaneIndex) -> list[PlaneIndex | None]:
        """Neighbours of a plane; as `neighbour_places`."""
        if not self.axis:
            return [None] * (2 * self.count)
        place = plane[self._number]
        usable = partial(self._is_usable, plane)
        return [
            None if at is None else self._moved(plane, at)
            for at in neighbour_places(place, self.count, usable)
        ]

    def read_padded(self, tile: Tile, margin: int, stride: int) -> NDArray[np.float32]:
        """Padded pixels of the planes around that of a tile, as `read_padded`.

        Returns
        -------
        ndarray
            (2 k, Y, X), raw units; NaN where there is no plane.
        """
        found = [
            None
            if plane is None
            else read_padded(self.image, replace(tile, plane=plane), margin, stride)[0]
            for plane in self.of(tile.plane)
        ]
        like, _ = read_padded(self.image, tile, margin, stride)
        nothing = np.full_like(like, np.nan)
        return np.stack([nothing if one is None else one for one in found])

    def sequence(self, plane: PlaneIndex) -> PlaneIndex:
        """Sort key by which planes that are compared follow each other."""
        if not self.axis:
            return plane
        number = self._number
        return (*plane[:number], *plane[number + 1 :], plane[number])

    def read(self, plane: PlaneIndex, rows: slice, columns: slice) -> CleanPlane:
        """Read a region of a plane, or of what is known of it."""
        if self._known is not None:
            return self._known[plane].part(rows, columns)
        return self.image.read(plane, rows, columns)

    def pair(self, one: PlaneIndex, other: PlaneIndex) -> PairOfPlanes | None:
        """How two planes are alike; None where one of them is blank. Measured once."""
        first, second = sorted((one, other))
        if (first, second) not in self._pairs:
            waves = self._waves_of(first), self._waves_of(second)
            self._pairs[first, second] = (
                PairOfPlanes.of(waves[0], waves[1]) if waves[0] and waves[1] else None
            )
        return self._pairs[first, second]

    @property
    def _number(self) -> int:
        """Place of the axis among those that number planes."""
        return self.image.image.outer_axes.index(self.axis)

    def _moved(self, plane: PlaneIndex, place: int) -> PlaneIndex:
        """The plane at another place along the axis."""
        return (*plane[: self._number], place, *plane[self._number + 1 :])

    def _is_usable(self, plane: PlaneIndex, place: int) -> bool:
        """Whether there is another plane at a place that may help to predict one."""
        if place == plane[self._number]:
            return False
        if not 0 <= place < self.image.image.sizes[self.axis]:
            return False
        pair = self.pair(plane, self._moved(plane, place))
        return pair is not None and pair.usable

    def _waves_of(self, plane: PlaneIndex) -> PlaneWaves | None:
        """Waves of a plane; None where it is blank, or not known."""
        if plane not in self._waves:
            pixels = self._pixels(plane)
            self._waves[plane] = None if pixels is None else PlaneWaves.of(pixels)
            if len(self._waves) > _KEPT:
                self._waves.popitem(last=False)
        self._waves.move_to_end(plane)
        return self._waves[plane]

    def _pixels(self, plane: PlaneIndex) -> NDArray[np.float32] | None:
        if self._known is not None:
            return self._known[plane].recorded if plane in self._known else None
        return None if self.image.is_blank(plane) else _sample(self.image, plane)


def _sample(image: CleanImage, plane: PlaneIndex) -> NDArray[np.float32]:
    """A plane, or squares all over a large one below each other, (Y, X), raw units."""
    height, width = image.plane_shape
    if height * width <= _WHOLE_PIXELS:
        return image.read(plane).recorded
    side = min(_SQUARE, height, width)
    starts = (
        np.linspace(0, length - side, _SQUARES).astype(int)
        for length in (height, width)
    )
    tops, lefts = (values.tolist() for values in starts)
    squares = [
        image.read(plane, slice(y, y + side), slice(x, x + side)).recorded
        for y in tops
        for x in lefts
    ]
    return np.concatenate(squares)
