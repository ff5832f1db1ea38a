"""Turning images by quarter turns and mirrors, and back."""

from __future__ import annotations

from torch import Tensor

Turn = tuple[bool, bool, bool]
"""Transpose, flip rows, flip columns."""

UNTURNED: Turn = (False, False, False)

ROTATIONS: tuple[Turn, ...] = (
    UNTURNED,
    (True, False, True),
    (False, True, True),
    (True, True, False),
)
"""By no, one, two and three quarter turns."""


def turned(image: Tensor, turn: Turn) -> Tensor:
    """Transpose, then flip, the last two axes."""
    transpose, *flips = turn
    axes = [axis for axis, flip in zip((-2, -1), flips, strict=True) if flip]
    image = image.transpose(-1, -2) if transpose else image
    return image.flip(axes) if axes else image


def turned_back(image: Tensor, turn: Turn) -> Tensor:
    """Undo `turned`."""
    transpose, *flips = turn
    axes = [axis for axis, flip in zip((-2, -1), flips, strict=True) if flip]
    back = image.flip(axes) if axes else image
    return back.transpose(-1, -2) if transpose else back
