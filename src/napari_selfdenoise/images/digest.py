"""What an image is recognised by, without reading all of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

from napari_selfdenoise.images.image import Image

_SIDE = 64
_SQUARES = 16
_PLANES = 16


def image_digest(image: Image) -> str:
    """Digits that images share only if shape, axes and a sample of pixels are equal.

    The sample is a megapixel at most: an image that was changed in one corner alone may
    pass for what it was.
    """
    found = hashlib.sha256(f"{image.axes} {image.shape} {image.dtype}".encode())
    planes = list(image.planes())
    step = max(1, len(planes) // _PLANES)
    for plane in [*planes[::step][:_PLANES], planes[-1]]:
        for rows, columns in _squares(image.plane_shape):
            found.update(image.read_stored(plane, rows, columns).tobytes())
            recorded = image.read_mask(plane, rows, columns)
            found.update(b"" if recorded is None else recorded.tobytes())
    return found.hexdigest()


def _squares(shape: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    """Small squares all over a plane, always the same."""
    rng = np.random.default_rng(0)
    for _ in range(_SQUARES):
        corner = [int(rng.integers(max(1, n - _SIDE + 1))) for n in shape]
        yield slice(corner[0], corner[0] + _SIDE), slice(corner[1], corner[1] + _SIDE)
