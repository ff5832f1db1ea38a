"""The 2-D planes of an array with named axes: how many there are, and where."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

from napari_selfdenoise.errors import RequestError

UNNAMED_AXES = "IQRUVWP"
"""Letters for axes whose meaning is not known; all of them are samples.

The last one, P, is also that of positions where a file or layer names them so.
"""

PlaneIndex = tuple[int, ...]
"""Position along every axis but Y and X, in the order of the image's axes."""


class Planes:
    """What follows from the axes of an array.

    Attributes
    ----------
    data : array
        With a shape.
    axes : str
        One letter an axis, in the order of `data`.
    """

    data: Any
    axes: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return tuple(int(n) for n in self.data.shape)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.axes)

    @property
    def sizes(self) -> dict[str, int]:
        """Length of each axis by its letter."""
        return dict(zip(self.axes, self.shape, strict=True))

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Rows and columns of one plane."""
        return self.sizes["Y"], self.sizes["X"]

    @property
    def channels(self) -> int:
        """Number of channels; 1 where there is no channel axis."""
        return self.sizes.get("C", 1)

    @property
    def plane_count(self) -> int:
        """Number of planes."""
        return math.prod(self.shape) // max(1, math.prod(self.plane_shape))

    @property
    def outer_axes(self) -> str:
        """Axes that number the planes, which are all but Y and X, in order."""
        return "".join(a for a in self.axes if a not in "YX")

    def planes(self, channel: int | None = None) -> Iterator[PlaneIndex]:
        """Every plane of the image, or of one channel."""
        ranges = [
            (channel,) if axis == "C" and channel is not None else range(length)
            for axis, length in self.sizes.items()
            if axis not in "YX"
        ]
        return itertools.product(*ranges)

    def channel_of(self, plane: PlaneIndex) -> int:
        """Channel that a plane belongs to."""
        return plane[self.outer_axes.index("C")] if "C" in self.axes else 0

    def slices(
        self, plane: PlaneIndex, rows: slice = slice(None), columns: slice = slice(None)
    ) -> tuple[int | slice, ...]:
        """Index of a region of one plane in `data`, in the order of its axes."""
        outer = dict(zip(self.outer_axes, plane, strict=True))
        region = {"Y": rows, "X": columns}
        return tuple(region.get(a, outer.get(a, 0)) for a in self.axes)


def check_axes(axes: str, shape: tuple[int, ...]) -> None:
    """Refuse names of axes that do not fit an array.

    Parameters
    ----------
    axes : str
        One letter an axis.
    shape : tuple of int
        Of the array.

    Raises
    ------
    RequestError
        If Y or X is missing, or a letter is unknown or there twice.
    """
    if len(axes) != len(shape):
        raise RequestError(
            f"The array has {len(shape)} dimensions {shape}, but {len(axes)} axes "
            f"were named ({axes or 'none'}).",
            "Give one letter of TCZYXS for each dimension.",
        )
    if "Y" not in axes or "X" not in axes:
        raise RequestError(
            f"The array has the axes {axes or 'none'} and the shape {shape}; "
            "an image needs the two axes Y and X.",
            "Choose an image of two dimensions or more.",
        )
    unknown = set(axes) - set("TCZYXS" + UNNAMED_AXES)
    if unknown or len(set(axes)) != len(axes):
        raise RequestError(
            f"The axes {axes} were not understood.",
            "Use each of the letters T, C, Z, Y, X at most once.",
        )
