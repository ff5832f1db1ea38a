"""Read LIF, of Leica's microscopes."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from napari_selfdenoise.images.axes import Steps
from napari_selfdenoise.images.formats.recorded import (
    LAZY_BYTES,
    Listed,
    Recorded,
    colour,
    library,
    native,
)
from napari_selfdenoise.images.laziness import stays_on_disk
from napari_selfdenoise.images.units import positive, unit_symbol

_DESCRIPTION = "./Data/Image/ImageDescription"
_AXES = {1: "X", 2: "Y", 3: "Z", 4: "T"}
"""Numbers that the format gives to axes with a pixel size."""

_COLOURS = {"red": "FF0000", "green": "00FF00", "blue": "0000FF"}
_COLOURS |= {"cyan": "00FFFF", "magenta": "FF00FF", "yellow": "FFFF00"}


def images_in(path: Path) -> list[Listed]:
    """The images of a LIF file, by their folders and names; without lifetimes."""
    with library("liffile", "LIF").LifFile(path) as file:
        images = [(n, one) for n, one in enumerate(file.images) if not one.is_flim]
        return [Listed(one.path, partial(_read, path, n)) for n, one in images]


def _read(path: Path, number: int) -> Recorded:
    with library("liffile", "LIF").LifFile(path) as file:
        image = file.images[number]
        large = stays_on_disk(image.nbytes, LAZY_BYTES)
        return Recorded(
            image.asarray(out="memmap") if large else native(image.asarray()),
            image.dims,
            _steps(image.xml_element),
            _channel_names(image.xml_element),
            colours=_colours(image.xml_element),
        )


def _steps(element: Any) -> Steps:
    """Pixel sizes: the file has the distance of the first from the last pixel."""
    steps: Steps = {}
    for found in element.findall(f"{_DESCRIPTION}/Dimensions/DimensionDescription"):
        axis = _AXES.get(int(found.get("DimID", 0)))
        count = int(found.get("NumberOfElements", 0))
        length = positive(found.get("Length"))
        if axis and length and count > 1:
            step, unit = length / (count - 1), unit_symbol(found.get("Unit", ""))
            steps[axis] = (step * 1e6, "µm") if unit == "m" else (step, unit)
    return steps


def _colours(element: Any) -> tuple[tuple[int, ...], ...]:
    channels = element.findall(f"{_DESCRIPTION}/Channels/ChannelDescription")
    names = [one.get("LUTName", "").lower() for one in channels]
    return tuple(colour(_COLOURS.get(name, "")) for name in names)


def _channel_names(element: Any) -> tuple[str, ...]:
    """Dye of each channel where the file has it, or the name of its colour."""
    channels = element.findall(f"{_DESCRIPTION}/Channels/ChannelDescription")
    return tuple(_dye(one) or one.get("LUTName", "") for one in channels)


def _dye(channel: Any) -> str:
    for found in channel.findall("ChannelProperty"):
        if found.findtext("Key") == "DyeName":
            return found.findtext("Value") or ""
    return ""
