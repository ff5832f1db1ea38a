"""The part of an image that a viewer shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.images.image import Image
from napari_selfdenoise.images.planes import PlaneIndex

_PREVIEW_SIDE = 1024


@dataclass(frozen=True)
class FieldOfView:
    """A region of one plane; sent to a running training, it asks for a preview.

    Parameters
    ----------
    plane : tuple of int
        Position along every axis but Y and X.
    top, bottom, left, right : int
        Rows [top, bottom) and columns [left, right).
    """

    plane: PlaneIndex
    top: int
    bottom: int
    left: int
    right: int

    @property
    def part(self) -> tuple[slice, slice]:
        """Its rows and columns."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @classmethod
    def visible(
        cls,
        image: Image,
        point: Sequence[int],
        corners: NDArray[Any],
        most: int = _PREVIEW_SIDE,
    ) -> FieldOfView:
        """The part of an image that a viewer shows: its middle where it is large.

        Parameters
        ----------
        image : Image
            What is looked at.
        point : sequence of int
            Position shown along each axis.
        corners : ndarray
            First and last position shown along each axis, (2, axes).
        most : int
            Rows and columns of it, at most.
        """
        outer = [n for n, axis in enumerate(image.axes) if axis not in "YXS"]
        plane = tuple(int(np.clip(point[n], 0, image.shape[n] - 1)) for n in outer)
        spans = [
            _span(corners[:, image.axes.index(axis)], image.sizes[axis], most)
            for axis in "YX"
        ]
        return cls(plane, *spans[0], *spans[1])


def _span(ends: NDArray[Any], length: int, most: int) -> tuple[int, int]:
    """Part of an axis that is shown: its middle if it is long, all if none of it is."""
    low, high = int(np.clip(ends[0], 0, length)), int(np.clip(ends[1] + 1, 0, length))
    if high <= low:
        low, high = 0, length
    spare = max(0, high - low - most)
    low += spare // 2
    return low, min(high, low + most)
