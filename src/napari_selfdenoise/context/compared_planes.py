"""Planes of an image that are compared in pairs, each pair once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.context.plane_pairs import PairOfPlanes, PlaneWaves
from napari_selfdenoise.defects import CleanImage, CleanPlane
from napari_selfdenoise.images import PlaneIndex

KEPT = 48
"""Planes of which is kept what was measured: more than the mean of a scene has."""

_WHOLE_PIXELS = 2**22  # of larger planes, squares are compared
_SQUARES, _SQUARE = 2, 256  # along each axis; side in px


class ComparedPlanes:
    """How planes of an image are alike, two by two.

    Parameters
    ----------
    image : CleanImage
        Whose planes are compared when they are needed.
    known : mapping, optional
        Planes that were read, or the same region of each; others count as blank. All
        of the image if not given.
    """

    def __init__(
        self,
        image: CleanImage,
        known: Mapping[PlaneIndex, CleanPlane] | None = None,
    ) -> None:
        self._image, self._known = image, known
        self._waves: OrderedDict[PlaneIndex, PlaneWaves | None] = OrderedDict()
        self._pairs: dict[tuple[PlaneIndex, PlaneIndex], PairOfPlanes | None] = {}

    def pair(self, one: PlaneIndex, other: PlaneIndex) -> PairOfPlanes | None:
        """How two planes are alike; None where one of them is blank. Measured once."""
        first, second = sorted((one, other))
        if (first, second) not in self._pairs:
            waves = self.waves(first), self.waves(second)
            self._pairs[first, second] = (
                PairOfPlanes.of(waves[0], waves[1]) if waves[0] and waves[1] else None
            )
        return self._pairs[first, second]

    def waves(self, plane: PlaneIndex) -> PlaneWaves | None:
        """Waves of a plane; None where it is blank, or not known."""
        if plane not in self._waves:
            pixels = self._pixels(plane)
            self._waves[plane] = None if pixels is None else PlaneWaves.of(pixels)
            if len(self._waves) > KEPT:
                self._waves.popitem(last=False)
        self._waves.move_to_end(plane)
        return self._waves[plane]

    def _pixels(self, plane: PlaneIndex) -> NDArray[np.float32] | None:
        if self._known is not None:
            return self._known[plane].recorded if plane in self._known else None
        return None if self._image.is_blank(plane) else _sample(self._image, plane)


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
