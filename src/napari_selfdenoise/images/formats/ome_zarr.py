"""Read OME-Zarr 0.1 to 0.5: one image, a plate, or several images; full resolution."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images.axes import Steps, axis_letters
from napari_selfdenoise.images.formats.recorded import (
    LAZY_BYTES,
    Listed,
    Recorded,
    colour,
    named_or_plane,
    native,
)
from napari_selfdenoise.images.laziness import require_bounded, stays_on_disk
from napari_selfdenoise.images.stored_axes import of_zarr, with_own_letters
from napari_selfdenoise.images.units import positive, unit_symbol

_MARKS = ("zarr.json", ".zattrs", ".zgroup", ".zarray")
"""Files that a folder has which is a zarr."""

_OLD_AXES = ("t", "c", "z", "y", "x")
"""Axes of the versions that do not name them."""


def is_zarr(path: Path) -> bool:
    """Whether a folder is a zarr, by what lies in it."""
    return path.is_dir() and any((path / mark).exists() for mark in _MARKS)


def images_in(path: Path) -> list[Listed]:
    """The images of a zarr: those of a plate by well and field, others by name."""
    node = _open(path)
    if not hasattr(node, "group_keys"):
        return [Listed("", partial(_read_array, path))]
    places = list(_images_below(node))
    if not places:
        raise RequestError(
            f"{path.name} is a zarr without images: no OME-Zarr metadata was found.",
            "Choose the folder that has them, or one array in it.",
        )
    return [Listed(place, partial(_read, path, place)) for place in places]


def _open(path: Path) -> Any:
    import zarr

    return zarr.open(str(path), mode="r")


def _about(node: Any) -> Mapping[str, Any]:
    """OME's metadata of a group; since 0.5 they have a name."""
    attributes = dict(node.attrs)
    found: Mapping[str, Any] = attributes.get("ome", attributes)
    return found


def _images_below(node: Any) -> Iterator[str]:
    """Places of the images in a group; "" for the group itself."""
    about = _about(node)
    if "multiscales" in about:
        yield ""
    elif "plate" in about:
        for well in about["plate"].get("wells", []):
            yield from _fields(node, str(well["path"]))
    else:
        names = _listed_series(node) or sorted(node.group_keys(), key=_as_number)
        yield from (n for n in names if "multiscales" in _about(node[n]))


def _fields(node: Any, well: str) -> Iterator[str]:
    images = _about(node[well])["well"]["images"]
    yield from (f"{well}/{image['path']}" for image in images)


def _listed_series(node: Any) -> list[str]:
    """Images in the order of their file, where bioformats2raw has written it down."""
    if "OME" not in node:
        return []
    return [str(name) for name in _about(node["OME"]).get("series", [])]


def _as_number(name: str) -> tuple[int, str]:
    return (int(name) if name.isdecimal() else 2**31, name)


def _read(path: Path, place: str) -> Recorded:
    if PurePosixPath(place).is_absolute() or ".." in PurePosixPath(place).parts:
        raise ValueError(f"an image lies outside of it: {place}")
    group = _open(path / place)
    about = _about(group)
    image = about["multiscales"][0]
    level = image["datasets"][0]
    array = group[str(level["path"])]
    axes = [_Axis(a) for a in image.get("axes", _OLD_AXES[-array.ndim :])]
    stored = axis_letters(axis.name for axis in axes)
    letters = with_own_letters(stored, of_zarr(group.attrs))
    scales = (_scale(level, array.ndim), _scale(image, array.ndim))
    steps: Steps = {}
    for letter, axis, *factors in zip(letters, axes, *scales, strict=True):
        size = positive(np.prod(factors))
        if size and (axis.unit or size != 1):
            steps[letter] = axis.step(size)
    channels = about.get("omero", {}).get("channels", [])
    channels = channels if "C" in letters else channels[:1]
    return Recorded(
        _pixels(array),
        tuple(letters),
        steps,
        tuple(str(one.get("label", "")) for one in channels),
        colours=tuple(colour(str(one.get("color", ""))) for one in channels),
        ranges=_ranges(channels),
    )


def _ranges(channels: Sequence[Mapping[str, Any]]) -> tuple[tuple[float, float], ...]:
    """Values that channels are shown with; none where one has none, or all show all."""
    windows = [one.get("window") or {} for one in channels]
    if all(
        (w.get("start"), w.get("end")) == (w.get("min"), w.get("max")) for w in windows
    ):
        return ()
    with suppress(KeyError, TypeError, ValueError):
        pairs = tuple((float(w["start"]), float(w["end"])) for w in windows)
        return pairs if all(low < high for low, high in pairs) else ()
    return ()


class _Axis:
    """Name and unit of an axis; before 0.4 there were no units."""

    def __init__(self, found: Any) -> None:
        about = found if isinstance(found, Mapping) else {"name": found}
        self.name = str(about["name"])
        self.unit = unit_symbol(about["unit"]) if about.get("unit") else ""

    def step(self, size: float) -> tuple[float, str]:
        """A step along this axis, with a unit."""
        return size, self.unit or "pixel"


def _scale(about: Mapping[str, Any], ndim: int) -> Sequence[float]:
    for one in about.get("coordinateTransformations", []):
        if one.get("type") == "scale" and len(one.get("scale", ())) == ndim:
            return [float(n) for n in one["scale"]]
    return [1.0] * ndim


def _read_array(path: Path) -> Recorded:
    """An array without OME's metadata; since zarr 3 its axes may have names."""
    array = _open(path)
    names = getattr(array.metadata, "dimension_names", None) or []
    return Recorded(_pixels(array), named_or_plane(names, array.ndim))


def _pixels(array: Any) -> Any:
    piece = getattr(array, "shards", None) or array.chunks
    count = math.prod(-(-n // m) for n, m in zip(array.shape, piece, strict=True))
    require_bounded(array.shape, math.prod(piece) * array.dtype.itemsize, count)
    if not stays_on_disk(array.nbytes, LAZY_BYTES):
        return native(np.asarray(array[...]))
    import dask.array

    return dask.array.from_zarr(array)
