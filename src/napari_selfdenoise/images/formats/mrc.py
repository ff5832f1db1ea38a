"""Read MRC: electron micrographs, tilt series, volumes."""

from __future__ import annotations

import bz2
import gzip
import math
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_selfdenoise.images.axes import Steps
from napari_selfdenoise.images.formats.recorded import (
    LAZY_BYTES,
    Listed,
    Recorded,
    library,
    native,
)
from napari_selfdenoise.images.laziness import require_bounded, stays_on_disk
from napari_selfdenoise.images.units import positive

_PLAIN = (".mrc", ".mrcs", ".st", ".ali", ".rec", ".map", ".ccp4")
_ZIPPED = (".gz", ".bz2")
_HEADER = 1024
_LAST_MODE = 101
_PIXEL_BYTES = 4
"""Size of the header, number of the last type of pixels, and their usual size."""

SUFFIXES = (*_PLAIN, *(f"{end}{zipped}" for end in _PLAIN for zipped in _ZIPPED))


def images_in(path: Path) -> list[Listed]:
    """The one image of an MRC file."""
    return [Listed("", lambda: _read(path))]


def _read(path: Path) -> Recorded:
    mrcfile = library("mrcfile", "MRC")
    zipped = path.suffix.lower() in _ZIPPED
    _require_bounded(path)
    if not zipped and stays_on_disk(path.stat().st_size, LAZY_BYTES):
        with mrcfile.mmap(path, permissive=True) as mrc:  # its array outlives it
            return _recorded(mrc)
    with mrcfile.open(path, permissive=True) as mrc:
        found = _recorded(mrc)
    return replace(found, data=native(found.data))


def _require_bounded(path: Path) -> None:
    """Refuse sizes in the header before anything of that size is made."""
    openers: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open}
    with openers.get(path.suffix.lower(), open)(path, "rb") as file:
        header = file.read(_HEADER)
    for order in "<>":  # the wrong one gives sizes that are refused, or too small ones
        columns, rows, sections, mode = struct.unpack(f"{order}4i", header[:16])
        (extended,) = struct.unpack(f"{order}i", header[92:96])
        if 0 <= mode <= _LAST_MODE:
            shape = sections, rows, columns
            size = math.prod(shape) * _PIXEL_BYTES
            zipped = path.suffix.lower() in _ZIPPED
            require_bounded(shape, max(extended, size if zipped else 0))


def _recorded(mrc: Any) -> Recorded:
    data = mrc.data
    if data is None:
        raise ValueError("its header is not that of an MRC file, or it is cut short")
    sections = "Z" if mrc.is_volume() or mrc.is_volume_stack() else "I"
    axes = ("Q", sections, "Y", "X")[-data.ndim :]
    return Recorded(data, axes, _steps(mrc.voxel_size))


def _steps(voxel: Any) -> Steps:
    """Voxel size, in Å; 0 where it is not known."""
    sizes = {axis: positive(voxel[axis.lower()]) for axis in "ZYX"}
    return {axis: (size, "Å") for axis, size in sizes.items() if size}
