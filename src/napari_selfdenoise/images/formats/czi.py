"""Read CZI, of Zeiss' microscopes.

The library has two interfaces: that of 2019, the last for Python 3.11, knows one array
a file, so its tiles are put together here, scene by scene.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.images.axes import Steps
from napari_selfdenoise.images.formats.recorded import (
    LAZY_BYTES,
    Listed,
    Recorded,
    colour,
    library,
    scratch,
)
from napari_selfdenoise.images.laziness import stays_on_disk
from napari_selfdenoise.images.units import positive

_CHANNELS = ".//Information/Image/Dimensions/Channels/Channel"

_SAMPLES = "0"
"""Letter of colours in the older interface, in which S are the scenes."""


def images_in(path: Path) -> list[Listed]:
    """The scenes of a CZI file; one image where there is but one."""
    with _opened(path) as czi:
        scenes = _scenes(czi)
    names = [f"scene {scene}" if len(scenes) > 1 else "" for scene in scenes]
    pairs = zip(names, scenes, strict=True)
    return [Listed(name, partial(_read, path, scene)) for name, scene in pairs]


def _opened(path: Path) -> Any:
    return library("czifile", "CZI").CziFile(str(path))


def _scenes(czi: Any) -> list[int]:
    if hasattr(czi, "scenes"):
        return list(czi.scenes)
    return sorted({_scene_of(tile) for tile in czi.subblock_directory})


def _scene_of(tile: Any) -> int:
    place = tile.axes.find("S")
    return int(tile.start[place]) if place >= 0 else 0


def _read(path: Path, scene: int) -> Recorded:
    with _opened(path) as czi:
        root = ElementTree.fromstring(czi.metadata() or "<none/>")
        steps = pixel_sizes(root)
        names, colours = channel_names(root), channel_colours(root)
        if hasattr(czi, "scenes"):
            image = czi.scenes[scene]
            out = "memmap" if stays_on_disk(image.nbytes, LAZY_BYTES) else None
            data, axes = image.asarray(out=out), tuple(image.dims)
        else:
            tiles = [t for t in czi.subblock_directory if _scene_of(t) == scene]
            data, axes = put_together([t for t in tiles if not t.pyramid_type])
        return Recorded(data, axes, steps, names, colours=colours)


def put_together(tiles: Sequence[Any]) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Put the tiles of one scene in their places.

    Parameters
    ----------
    tiles : sequence
        Each with `axes`, `start`, `shape`, `mosaic_index`, `dtype`, and pixels.

    Returns
    -------
    array
        With the axes of the tiles but for the scene; 0 where there is no tile.
    tuple of str
        Labels of its axes.
    """
    axes = tiles[0].axes
    starts = np.array([tile.start for tile in tiles])
    low = starts.min(0)
    shape = (starts + [tile.shape for tile in tiles]).max(0) - low
    dtype = np.result_type(*(np.dtype(tile.dtype).base for tile in tiles))
    data = scratch(tuple(int(n) for n in shape), dtype)
    for tile in sorted(tiles, key=lambda tile: tile.mosaic_index or 0):
        place = zip(tile.start - low, tile.shape, strict=True)
        data[tuple(slice(n, n + size) for n, size in place)] = _pixels(tile)
    grey = data.shape[-1] == 1
    kept = [a not in "SB" and not (a == _SAMPLES and grey) for a in axes]
    labels = [a for a, keep in zip(axes, kept, strict=True) if keep]
    index = tuple(slice(None) if keep else 0 for keep in kept)
    return data[index], tuple("S" if a == _SAMPLES else a for a in labels)


def _pixels(tile: Any) -> Any:
    return tile.data_segment().data()


def pixel_sizes(root: ElementTree.Element) -> Steps:
    """Pixel size in µm, and time between frames, of a file's XML."""
    steps: Steps = {}
    for distance in root.iterfind(".//Scaling/Items/Distance"):
        size = positive(distance.findtext("Value"))
        if size and distance.get("Id") in ("X", "Y", "Z"):
            steps[str(distance.get("Id"))] = (size * 1e6, "µm")
    positions = root.find(".//Information/Image/Dimensions/T/Positions/Interval")
    interval = None if positions is None else positive(positions.findtext("Increment"))
    if interval:
        steps["T"] = (interval, "s")
    return steps


def channel_names(root: ElementTree.Element) -> tuple[str, ...]:
    """Name of each channel of a file's XML; its dye where it has no name."""
    found = root.iterfind(_CHANNELS)
    return tuple(one.get("Name") or one.findtext("Fluor") or "" for one in found)


def channel_colours(root: ElementTree.Element) -> tuple[tuple[int, ...], ...]:
    """Colour of each channel of a file's XML."""
    return tuple(colour(one.findtext("Color", "")) for one in root.iterfind(_CHANNELS))
