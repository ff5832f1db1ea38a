"""What an image is recognised by, without reading all of a large one."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from napari_selfdenoise.images.image import Image

_SIDE = 64
_SQUARES = 1024
"""Squares that are looked at, of all planes together."""


def image_digest(image: Image) -> str:
    """Digits that images share only if shape, axes and a sample of pixels are equal.

    Images of up to four million pixels are read as a whole; of larger ones squares all
    over them. One that was changed in a few places alone may pass for what it was.
    """
    found = hashlib.sha256(f"{image.axes} {image.shape} {image.dtype}".encode())
    planes = list(image.planes())
    step = max(1, len(planes) // _SQUARES)
    whole = len(planes) * math.prod(image.plane_shape) <= _SQUARES * _SIDE**2
    count = 0 if whole else max(1, _SQUARES // len(planes))
    for number, plane in enumerate(planes[::step]):
        for rows, columns in _squares(image.plane_shape, count, number):
            found.update(image.read_stored(plane, rows, columns).tobytes())
            recorded = image.read_mask(plane, rows, columns)
            found.update(b"" if recorded is None else recorded.tobytes())
    return found.hexdigest()


def file_stamp(path: str | os.PathLike[str]) -> str:
    """Size and time of a file by which it is known, or of all files of a folder.

    Empty where there is none.
    """
    if not path:
        return ""
    path = Path(path)
    files = [path] if path.is_file() else path.rglob("*")
    count = size = newest = 0
    for file in files:
        with suppress(OSError):
            about = file.stat()
            count, size = count + 1, size + about.st_size
            newest = max(newest, about.st_mtime_ns)
    return f"{count} {size} {newest}" if count else ""


def _squares(
    shape: tuple[int, int], count: int, number: int
) -> Iterator[tuple[slice, slice]]:
    """Small squares all over a plane, always the same ones; 0 for the whole plane."""
    if not count:
        yield slice(0, shape[0]), slice(0, shape[1])
    rng = np.random.default_rng(number)
    for _ in range(count):
        corner = [int(rng.integers(max(1, n - _SIDE + 1))) for n in shape]
        yield slice(corner[0], corner[0] + _SIDE), slice(corner[1], corner[1] + _SIDE)
