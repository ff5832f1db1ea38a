"""Read HDF5: each array of numbers with two axes or more is an image."""

from __future__ import annotations

import math
import weakref
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_selfdenoise.images.axes import Steps
from napari_selfdenoise.images.foreign_text import parse_json
from napari_selfdenoise.images.formats.recorded import (
    LAZY_BYTES,
    Listed,
    Recorded,
    library,
    named_or_plane,
    native,
)
from napari_selfdenoise.images.laziness import require_bounded, stays_on_disk
from napari_selfdenoise.images.units import positive

_SIZE_UM = "element_size_um"
"""Attribute of Fiji's and others' files: size of a voxel along Z, Y and X."""


def images_in(path: Path) -> list[Listed]:
    """The arrays of an HDF5 file that may be images, by their place in it."""
    h5py, found = library("h5py", "HDF5"), []

    def add(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset) and _may_be_image(node):
            found.append(name)

    with h5py.File(path, "r") as file:
        file.visititems(add)
    if not found:
        raise ValueError("it holds no array of two axes or more")
    return [Listed(name, partial(_read, path, name)) for name in found]


def _may_be_image(node: Any) -> bool:
    if node.external:  # any file of this machine could be read so
        return False
    return node.ndim >= 2 and node.dtype.kind in "uifb" and node.size > 0


def _read(path: Path, name: str) -> Recorded:
    h5py = library("h5py", "HDF5")
    file = h5py.File(path, "r")
    node = file[name]
    require_bounded(node.shape, math.prod(node.chunks or ()) * node.dtype.itemsize)
    labels = named_or_plane(_labels(node), node.ndim)
    steps = _steps(node)
    if stays_on_disk(node.nbytes, LAZY_BYTES):
        import dask.array

        lazy = dask.array.from_array(node, lock=True)
        # Open as long as any array that dask makes of this one.
        weakref.finalize(node, file.close)
        return Recorded(lazy, labels, steps)
    with file:
        return Recorded(native(np.asarray(node[...])), labels, steps)


def _labels(node: Any) -> list[str]:
    """Labels of the axes: ilastik's or HDF5's own; "" where there are none."""
    with suppress(Exception):  # what cannot be understood is no label
        tags = parse_json(node.attrs["axistags"])["axes"]
        return [str(tag["key"]) for tag in tags]
    labels = [str(one.label) for one in node.dims]
    volume = node.ndim == 3 and not any(labels) and _SIZE_UM in node.attrs
    return ["z", "y", "x"] if volume else labels


def _steps(node: Any) -> Steps:
    with suppress(Exception):
        sizes = zip("ZYX", node.attrs[_SIZE_UM], strict=True)
        known = {axis: positive(size) for axis, size in sizes}
        return {axis: (size, "µm") for axis, size in known.items() if size}
    return {}
