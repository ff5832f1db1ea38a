"""The planes around a plane of a stack, and which take the place of unusable ones.

Their pixels are made as bright as the plane, and moved back to where it shows the same.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.context.compared_planes import KEPT, ComparedPlanes
from napari_selfdenoise.context.motion import (
    Motion,
    measure_motion,
    moved_back,
    noise_share,
)
from napari_selfdenoise.context.plane_pairs import Brightness, PairOfPlanes
from napari_selfdenoise.context.scene_mean import (
    mean_of,
    most_that_fit,
    places_of_scene,
)
from napari_selfdenoise.defects import CleanImage, CleanPlane
from napari_selfdenoise.images import (
    UNNAMED_AXES,
    Image,
    PlaneIndex,
)
from napari_selfdenoise.parts.context import NeighbouringPlanes

_FURTHER = 2  # planes beyond the furthest neighbour that may take another's place
_SMALL_PIXELS = 2**20


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
        Whose planes are compared when they are needed.
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
        pixels = int(np.prod(image.plane_shape))
        self._of_scene = most_that_fit(context.still_planes or 0, pixels)
        kept = max(2 * kept if pixels <= _SMALL_PIXELS else kept, self._of_scene + 1)
        image.kept_planes = max(image.kept_planes, kept)
        self._compared = ComparedPlanes(image, known)
        self._follows = context.motion
        self._motions: OrderedDict[PlaneIndex, dict[PlaneIndex, Motion]] = OrderedDict()

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

    def has_enough(self, plane: PlaneIndex) -> bool:
        """Whether all neighbours of a plane were found."""
        return None not in self.of(plane)

    def of_scene(self, plane: PlaneIndex) -> list[PlaneIndex]:
        """Planes whose mean is used as well, if the scene stands still."""
        if not self.axis or not self._of_scene:
            return []
        length = self.image.image.sizes[self.axis]
        usable = partial(self._is_usable, plane)
        found = places_of_scene(plane[self._number], length, self._of_scene, usable)
        return [self._moved(plane, at) for at in found]

    def stack(
        self, plane: PlaneIndex, rows: slice, columns: slice
    ) -> NDArray[np.float32]:
        """Pixels of the neighbours of a plane where they show what some of it does.

        They are as bright as the plane, and what moved between them is moved back.

        Returns
        -------
        ndarray
            (2 k, Y, X), or (2 k + 1, Y, X) with the mean of the scene, raw units; NaN
            where there is no plane, and where the scene came into the image later.
        """
        nothing = np.full(
            (rows.stop - rows.start, columns.stop - columns.start), np.nan, np.float32
        )
        motions = self._motions_of(plane)
        found = [
            nothing
            if other is None
            else self._neighbour(plane, other, motions.get(other), rows, columns)
            for other in self.of(plane)
        ]
        if self._of_scene:
            planes = [
                self._neighbour(plane, other, None, rows, columns)
                for other in self.of_scene(plane)
            ]
            mean = mean_of(planes)
            found.append(nothing if mean is None else mean)
        return np.stack(found)

    def noise_shares(self, plane: PlaneIndex) -> NDArray[np.float32]:
        """Std of the noise of what `stack` gives, over that of the plane, one each."""
        motions = self._motions_of(plane)
        shares = np.ones(2 * self.count, np.float32)
        for number, other in enumerate(self.of(plane)):
            if other is not None:
                motion = motions.get(other)
                moved = noise_share(motion.steps) if motion else 1.0
                shares[number] = moved * self._brightness(plane, other).gain
        if not self._of_scene:
            return shares
        gains = [self._brightness(plane, o).gain for o in self.of_scene(plane)]
        of_mean = math.hypot(*gains) / len(gains) if gains else 1.0
        return np.append(shares, np.float32(of_mean))

    def sequence(self, plane: PlaneIndex) -> PlaneIndex:
        """Sort key by which planes that are compared follow each other."""
        if not self.axis:
            return plane
        number = self._number
        return (*plane[:number], *plane[number + 1 :], plane[number])

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Rows and columns of what is known of each plane."""
        if not self._known:
            return self.image.plane_shape
        height, width = next(iter(self._known.values())).pixels.shape
        return height, width

    def read(self, plane: PlaneIndex, rows: slice, columns: slice) -> CleanPlane:
        """Read a region of a plane, or of what is known of it."""
        if self._known is not None:
            return self._known[plane].part(rows, columns)
        return self.image.read(plane, rows, columns)

    def pair(self, one: PlaneIndex, other: PlaneIndex) -> PairOfPlanes | None:
        """How two planes are alike; None where one of them is blank."""
        return self._compared.pair(one, other)

    @property
    def _number(self) -> int:
        """Place of the axis among those that number planes."""
        return self.image.image.outer_axes.index(self.axis)

    def _neighbour(
        self,
        plane: PlaneIndex,
        other: PlaneIndex,
        motion: Motion | None,
        rows: slice,
        columns: slice,
    ) -> NDArray[np.float32]:
        """Pixels (Y, X) of one neighbour, as `stack` gives them."""
        brightness = self._brightness(plane, other)
        if motion is None:
            return brightness.matched(self.read(other, rows, columns).pixels)
        steps = motion.at(rows, columns)
        shape = self.plane_shape
        part, corner = [], []
        for span, apart, length in zip((rows, columns), steps, shape, strict=True):
            first = max(0, span.start + math.floor(float(apart.min())))
            last = min(length, span.stop + math.ceil(float(apart.max())) + 1)
            corner.append(min(first, length - 1))
            part.append(slice(corner[-1], max(last, corner[-1] + 1)))
        pixels = brightness.matched(self.read(other, *part).pixels)
        return moved_back(pixels, (corner[0], corner[1]), steps, rows, columns)

    def _brightness(self, plane: PlaneIndex, other: PlaneIndex) -> Brightness:
        """How bright a plane is where another shows the same."""
        pair = self.pair(plane, other)
        found = pair.brightness if pair else Brightness()
        return found if plane < other else found.reversed()

    def _motions_of(self, plane: PlaneIndex) -> dict[PlaneIndex, Motion]:
        """How far the scene of a plane has moved in its neighbours."""
        if not self._follows:
            return {}
        if plane not in self._motions:
            others = list(dict.fromkeys(p for p in self.of(plane) if p is not None))
            pixels = [self._whole(other) for other in others]
            found = measure_motion(self._whole(plane), pixels) if others else []
            self._motions[plane] = dict(zip(others, found, strict=True))
            if len(self._motions) > KEPT:
                self._motions.popitem(last=False)
        return self._motions[plane]

    def _whole(self, plane: PlaneIndex) -> NDArray[np.float32]:
        """All that is known of a plane, (Y, X), raw units; what is bad is filled."""
        if self._known is not None:
            return self._known[plane].pixels
        return self.image.read(plane).pixels

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
