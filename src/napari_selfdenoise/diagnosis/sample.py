"""The part of an image that is diagnosed: few planes, and of large ones a square."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.defects import CleanImage, CleanPlane
from napari_selfdenoise.images import UNNAMED_AXES, Image, PlaneIndex

MOST_PIXELS = 2**20
"""Pixels of one channel that are read without their defects, at most."""

MOST_PLANES = 4

_LEAST_SIDE = 512
"""Side in px of the square of a plane, where there are several, at least."""

_MOST_SIDE = 4096
"""Side in px of the middle of a lazy plane that is looked at."""

_PLACES = 3
"""Places of the square along each axis that are compared."""

_LOOK = 128
"""Pixels along each axis of a place by which it is judged."""

_POOL = 4
"""Side of the squares of such pixels whose means are compared: less of it is noise."""

_ENDS = (0.005, 0.995)
"""Quantiles of these means, whose distance is the range of the signals."""

_LEAST_KNOWN = 0.9
"""Share of the pixels of a place that have to be recorded, if there is such a place."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Planes of one channel of an image, and of large ones a square.

    Parameters
    ----------
    image : Image
        These planes, all of them.
    clean : CleanImage
        The same, without defects.
    planes : list of CleanPlane
        Those that are not blank, each (Y, X), raw units.
    sequence : bool
        Whether planes may be frames of one scene: along time, or an axis without a
        name.
    whole : bool
        Whether it is all of the channel.
    part : str
        Which part of the planes it is, such as "rows 512 to 1535, columns 0 to 1023";
        empty where they are whole.
    """

    image: Image
    clean: CleanImage
    planes: list[CleanPlane]
    sequence: bool
    whole: bool
    part: str

    @classmethod
    def of(cls, image: Image, channel: int) -> Sample:
        """Choose and read a sample of a channel, counted from 0."""
        one = _only_channel(image, channel)
        chosen = _chosen_planes(one)
        rows, columns = _square(one, chosen)
        part = _picked(one, chosen, rows, columns)
        clean = CleanImage(part)
        planes = [clean.read(p) for p in part.planes() if not clean.is_blank(p)]
        full = part.plane_shape == one.plane_shape
        return cls(
            part,
            clean,
            [plane for plane in planes if plane.good.any()],
            _stack_axis(one) in ("T", *UNNAMED_AXES),
            full and part.plane_count == one.plane_count,
            "" if full else f"{_words('rows', rows)}, {_words('columns', columns)}",
        )

    @property
    def recorded(self) -> list[NDArray[np.float32]]:
        """Planes with NaN where nothing was recorded; outliers are replaced."""
        return [plane.recorded for plane in self.planes]


def thinned(image: Image, channel: int) -> list[NDArray[np.float64]]:
    """Every few rows and columns of some planes of a channel, as stored, (Y, X).

    Of large planes that are not in memory, those of the middle.

    NaN where a mask says that nothing was recorded.
    """
    one = _only_channel(image, channel)
    chosen = _chosen_planes(one)
    room = MOST_PIXELS // len(chosen)
    # Of a file, every row would be read from end to end: its middle has to do.
    most = max(one.plane_shape) if one.in_memory else _MOST_SIDE
    step = max(1, math.isqrt(math.prod(min(n, most) for n in one.plane_shape) // room))
    rows, columns = (_middle(n, most, step) for n in one.plane_shape)
    return [_read_thinned(one, plane, rows, columns) for plane in chosen]


def _middle(length: int, most: int, step: int) -> slice:
    """Every few entries of the middle of an axis."""
    start = max(0, (length - most) // 2)
    return slice(start, start + min(length, most), step)


def _read_thinned(
    image: Image, plane: PlaneIndex, rows: slice, columns: slice
) -> NDArray[np.float64]:
    pixels = image.read_exact(plane, rows, columns)
    mask = image.read_mask(plane, rows, columns)
    return pixels if mask is None else np.where(mask, pixels, np.nan)


def _only_channel(image: Image, channel: int) -> Image:
    if "C" not in image.axes:
        return image
    return _taken(image, "C", [channel])


def _taken(image: Image, axis: str, places: list[int]) -> Image:
    """Some entries of an axis, which stays."""
    number = image.axes.index(axis)
    select: Any = (*[slice(None)] * number, places)
    if places == list(range(places[0], places[-1] + 1)):
        select = (*[slice(None)] * number, slice(places[0], places[-1] + 1))
    mask = None if image.mask is None else image.mask[select]
    return replace(image, data=image.data[select], mask=mask)


def _stack_axis(image: Image) -> str:
    """The axis that planes are chosen along: time if there is one; empty for none."""
    long = [a for a in image.outer_axes if image.sizes[a] > 1 and a not in "CS"]
    return next((a for a in ("T", *UNNAMED_AXES, "Z") if a in long), "")


def _chosen_planes(image: Image) -> list[PlaneIndex]:
    """Planes to look at: three consecutive ones and the last; of depths, spread."""
    axis = _stack_axis(image)
    middle = {a: image.sizes[a] // 2 for a in image.outer_axes}
    if not axis:
        return [tuple(middle.values())]
    length = image.sizes[axis]
    places = [*range(min(length, MOST_PLANES - 1)), length - 1]
    if axis == "Z":
        places = np.linspace(0, length - 1, MOST_PLANES).astype(int).tolist()
    return [tuple((middle | {axis: p}).values()) for p in sorted(set(places))]


def _picked(
    image: Image, planes: list[PlaneIndex], rows: slice, columns: slice
) -> Image:
    """Squares of planes as an image, in the order of the axes I, Y, X."""
    axis = _stack_axis(image)
    data = np.stack([image.read_stored(p, rows, columns) for p in planes])
    masks = [image.read_mask(p, rows, columns) for p in planes]
    known = [mask for mask in masks if mask is not None]
    return Image(
        data,
        f"{axis or 'I'}YX",
        name=image.name,
        mask=np.stack(known) if known else None,
    )


def _square(image: Image, planes: list[PlaneIndex]) -> tuple[slice, slice]:
    """Rows and columns of the square with the widest range of signals."""
    room = max(_LEAST_SIDE, math.isqrt(MOST_PIXELS // len(planes)))
    axes = [_starts(length, room) for length in image.plane_shape]
    if math.prod(image.plane_shape) <= room**2:
        return slice(0, image.plane_shape[0]), slice(0, image.plane_shape[1])
    middle = planes[len(planes) // 2]
    places = [(y, x) for y in axes[0] for x in axes[1]]
    return max(places, key=lambda place: _range(image, middle, *place))


def _starts(length: int, room: int) -> list[slice]:
    side = min(length, room)
    starts = np.linspace(0, length - side, _PLACES).astype(int).tolist()
    return [slice(start, start + side) for start in sorted(set(starts))]


def _range(
    image: Image, plane: PlaneIndex, rows: slice, columns: slice
) -> tuple[bool, float]:
    """Whether enough of a place was recorded, and the range of its signals."""
    look = [
        slice(part.start, part.stop, max(1, (part.stop - part.start) // _LOOK))
        for part in (rows, columns)
    ]
    pixels, mask = image.read_exact(plane, *look), image.read_mask(plane, *look)
    known = np.isfinite(pixels) & (True if mask is None else mask)
    if not known.any():
        return False, 0.0
    values = pixels[known]
    common = np.unique(values, return_counts=True)[1].max() / pixels.size
    enough = known.mean() >= _LEAST_KNOWN and common < 1 - _LEAST_KNOWN
    low, high = np.quantile(_pooled(np.where(known, pixels, np.median(values))), _ENDS)
    return bool(enough), float(high - low)


def _pooled(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of squares of pixels (Y, X)."""
    rows, columns = (max(1, side // _POOL) for side in pixels.shape)
    tall, wide = pixels.shape[0] // rows, pixels.shape[1] // columns
    whole = pixels[: rows * tall, : columns * wide]
    return np.asarray(whole.reshape(rows, tall, columns, wide).mean((1, 3)))


def _words(name: str, part: slice) -> str:
    return f"{name} {part.start} to {part.stop - 1}"
