"""An image in ever coarser steps, for viewers: large ones are shown without a delay."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

HUGE_PLANE = 2**24
"""Pixels of a plane from which on a viewer takes long to show it all at once."""

_COARSEST = 1024
"""Rows or columns of the coarsest level, at most."""


def levels(array: Any, axes: str) -> list[Any]:
    """Return an array, and every 2nd, every 4th, … row and column of it.

    Nothing is copied or read: what is written to the array shows in all of them.

    Parameters
    ----------
    array : array
        With Y and X among its axes.
    axes : str
        Letters of its last axes; there may be others in front.

    Examples
    --------
    >>> [level.shape for level in levels(np.zeros((2, 4096, 2000)), "TYX")]
    [(2, 4096, 2000), (2, 2048, 1000), (2, 1024, 500)]
    """
    places = [array.ndim - len(axes) + axes.index(axis) for axis in "YX"]
    longest = max(array.shape[place] for place in places)
    count = max(0, math.ceil(math.log2(longest / _COARSEST)))
    return [array, *(_every(array, places, 2**n) for n in range(1, count + 1))]


def is_huge(plane_shape: tuple[int, int]) -> bool:
    """Whether planes are so large that a viewer should be given `levels`."""
    return math.prod(plane_shape) > HUGE_PLANE


def _every(array: Any, places: list[int], step: int) -> Any:
    steps = [step if place in places else 1 for place in range(array.ndim)]
    if isinstance(array, np.ndarray):
        return array[tuple(slice(None, None, one) for one in steps)]
    return _Coarse(array, steps)


class _Coarse:
    """Every n-th pixel of what can be sliced like an array, read on demand.

    Parameters
    ----------
    array : array
        Of which pixels are left out.
    steps : list of int
        Along each of its axes.
    """

    def __init__(self, array: Any, steps: list[int]) -> None:
        self._array, self._steps = array, steps
        self.dtype, self.ndim = array.dtype, array.ndim
        lengths = zip(array.shape, steps, strict=True)
        self.shape: tuple[int, ...] = tuple(
            -(-length // step) for length, step in lengths
        )
        self.size = math.prod(self.shape)

    def __getitem__(self, index: Any) -> Any:
        """Pixels at an index of numbers and slices of the first axes, in steps of one.

        "..." may stand at the end.
        """
        parts = index if isinstance(index, tuple) else (index,)
        parts = tuple(part for part in parts if part is not Ellipsis)
        parts += (slice(None),) * (self.ndim - len(parts))
        named = zip(parts, self._steps, self.shape, strict=True)
        return self._array[tuple(_in_steps(*one) for one in named)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All of them."""
        pixels = np.asarray(self[...], dtype or self.dtype)
        return pixels.copy() if copy else pixels

    def __len__(self) -> int:
        """Length of the first axis."""
        return self.shape[0]


def _in_steps(part: Any, step: int, length: int) -> Any:
    """A number or slice of every n-th pixel, counted in pixels."""
    if not isinstance(part, slice):
        return range(length)[part] * step
    first, last, _ = part.indices(length)
    return slice(first * step, max(first, last) * step, step)
