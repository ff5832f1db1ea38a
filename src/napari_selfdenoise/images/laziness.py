"""From what size on images stay on disk while they are read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_SHARE = 8
"""One part in so many of the memory that a run may take is for an image itself."""

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


@contextmanager
def within_memory(max_memory: int | None) -> Iterator[None]:
    """Read images in the block so that they leave room in so many bytes of memory."""
    token = _most.set(None if max_memory is None else max_memory // _SHARE)
    try:
        yield
    finally:
        _most.reset(token)
