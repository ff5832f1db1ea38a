"""Some planes of an image: those in view, a stack, or frames from one to another."""

from __future__ import annotations

import math
import re

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images.image import Image
from napari_selfdenoise.images.planes import PlaneIndex

IN_VIEW, STACK = "what I see", "this stack"
"""Choices that depend on the plane that is shown."""

LARGE_PLANE = 2**22
"""Pixels from which on only the part of a plane that is in view may be denoised."""

_FRAMES = re.compile(r"(?:frames?\s*)?(\d+)(?:\s*(?:-|–|to|\.\.)\s*(\d+))?")
"""Frames as they are typed: "7", "3-20", "frames 3 to 20"."""


def is_large(plane_shape: tuple[int, int]) -> bool:
    """Whether planes are so large that a part of one may be what is wanted."""
    return math.prod(plane_shape) > LARGE_PLANE


def chosen_planes(image: Image, choice: str, shown: PlaneIndex) -> list[PlaneIndex]:
    """Planes of an image that a choice means, with all their channels.

    Parameters
    ----------
    image : Image
        Whose planes.
    choice : str
        `IN_VIEW`, `STACK` (all planes along its last axis, such as Z, at the time that
        is shown), or frames along its first axis, counted from 0: "3 to 20".
    shown : tuple of int
        The plane in view.

    Raises
    ------
    RequestError
        If it is no such choice, or there are no such frames.
    """
    axes = [n for n, axis in enumerate(image.outer_axes) if axis != "C"]
    long = [n for n in axes if image.sizes[image.outer_axes[n]] > 1]
    if choice in (IN_VIEW, STACK):
        fixed = axes if choice == IN_VIEW else long[:-1]
        return [p for p in image.planes() if all(p[n] == shown[n] for n in fixed)]
    first, last = _frames(image, choice, long)
    return [p for p in image.planes() if not long or first <= p[long[0]] <= last]


def _frames(image: Image, typed: str, long: list[int]) -> tuple[int, int]:
    found = _FRAMES.fullmatch(typed.strip())
    count = image.sizes[image.outer_axes[long[0]]] if long else 1
    if found is None:
        raise RequestError(
            f"{typed!r} names no frames.", "Type such as 3 to 20, counted from 0."
        )
    first, last = int(found[1]), int(found[2] or found[1])
    if not first <= last < count:
        raise RequestError(
            f"There are no frames {typed.strip()}: there are {count}, counted from 0.",
            f"Choose among 0 to {count - 1}.",
        )
    return first, last
