"""The mean of the planes of a still scene, without the plane that is predicted.

Where nothing moves, the mean of n planes has an n-th of a plane's noise variance. It is
one more channel of the network: that learns how far to follow it, and where it may not.

At each pixel, the largest and the smallest values are left out of it: what moved
through a still scene is in few of the planes, and would leave a faint trail in all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

_MOST_PIXELS = 2**25
"""Of all planes together that are averaged: they are kept in memory."""

_TRIMMED = 0.2
"""Share of the planes whose values are left out at each end. The mean of Gaussian noise
has 6 % more variance then; a fifth of the planes may show something else."""


def places_of_scene(
    place: int, length: int, most: int, usable: Callable[[int], bool]
) -> list[int]:
    """Places along an axis of the planes that are averaged, nearest first.

    Parameters
    ----------
    place : int
        Of the plane that is predicted; it is not one of them.
    length : int
        Of the axis.
    most : int
        How many are found at most.
    usable : callable
        Whether the plane at a place shows the scene and shares no noise.
    """
    found: list[int] = []
    nearest = sorted(range(length), key=lambda at: (abs(at - place), at))
    for at in nearest[1 : 2 * most + 1]:
        if len(found) == most:
            break
        if usable(at):
            found.append(at)
    return found


def most_that_fit(wanted: int, pixels: int) -> int:
    """How many planes of a number of pixels may be averaged, of those wanted."""
    return max(1, min(wanted, _MOST_PIXELS // max(1, pixels))) if wanted else 0


def mean_of(planes: Sequence[NDArray[np.float32]]) -> NDArray[np.float32] | None:
    """Mean of planes (Y, X) of one shape, trimmed at each pixel; None without any."""
    if not planes:
        return None
    left_out = int(_TRIMMED * len(planes))
    stack = np.stack(planes)
    if left_out:
        stack.partition((left_out, len(planes) - left_out - 1), axis=0)
        stack = stack[left_out : len(planes) - left_out]
    return np.asarray(stack.mean(0, dtype=np.float64), np.float32)
