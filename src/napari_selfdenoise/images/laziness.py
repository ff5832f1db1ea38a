"""From what size on images stay on disk, and what no file may declare."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

_SHARE = 8
"""One part in so many of the memory that a run may take is for an image itself."""

_LARGEST_PIECE = 2**31
"""Bytes that are read and unpacked at once at most."""

_LONGEST_AXIS = 2**24
"""Pixels, planes or frames along an axis at most."""

_most: ContextVar[int | None] = ContextVar("most", default=None)


def stays_on_disk(size: int, usual: int) -> bool:
    """Whether an image of so many bytes is to be read bit by bit.

    Parameters
    ----------
    size : int
        Bytes of its pixels.
    usual : int
        Bytes up to which images are read at once where memory is not limited.
    """
    most = _most.get()
    return size > (usual if most is None else min(usual, most))


def require_bounded(shape: Sequence[int], piece_bytes: int, pieces: int = 1) -> None:
    """Refuse sizes that a file declares but no image has: nothing is allocated yet.

    Parameters
    ----------
    shape : sequence of int
        Of the image.
    piece_bytes : int
        Of what is read at once: a chunk, a tile, or the whole image.
    pieces : int
        How many there are.

    Raises
    ------
    ValueError
        With the beginning of a sentence.
    """
    if min(shape, default=0) < 0 or max(shape, default=0) > _LONGEST_AXIS:
        raise ValueError(f"an axis is {max(shape)} long, 2**24 at most is read")
    if pieces > _LONGEST_AXIS:
        raise ValueError(f"it is cut into {pieces} pieces, 2**24 at most are read")
    if piece_bytes > _LARGEST_PIECE:
        size = piece_bytes / 2**30
        raise ValueError(f"{size:.3g} GB must be unpacked at once, 2 GB are at most")


@contextmanager
def within_memory(max_memory: int | None) -> Iterator[None]:
    """Read images in the block so that they leave room in so many bytes of memory."""
    token = _most.set(None if max_memory is None else max_memory // _SHARE)
    try:
        yield
    finally:
        _most.reset(token)
