"""Names and colours of channels, as OME and ImageJ write them into TIFF files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.images.units import as_ascii, from_ascii

Table = NDArray[np.uint8]
"""Look-up table of a channel: red, green and blue of 256 shades, (3, 256)."""

_ONE_NAME = "selfdenoise_channel"
"""Where ImageJ's text has the name of the only channel: labels may be anything."""

_WHITE = -1  # as OME writes red, green, blue and opacity: 0xffffffff, signed


def channels_of_file(
    tif: Any, index: int, channels: int
) -> tuple[tuple[str, ...], tuple[Table, ...]]:
    """Names and look-up tables of the channels of an image in an open TIFF.

    Parameters
    ----------
    tif : TiffFile
        Open.
    index : int
        Of the image in the file.
    channels : int
        How many it has.

    Returns
    -------
    names : tuple of str
        One a channel; empty where the file has none.
    tables : tuple of ndarray
        Likewise, each (3, 256) bytes; only those that OME gives, as colours.
    """
    if tif.is_ome:
        return _of_ome(tif.ome_metadata, index, channels)
    if tif.is_imagej:
        about = tif.imagej_metadata or {}
        if channels == 1:
            name = from_ascii(str(about.get(_ONE_NAME, "")))
            return (name,) if name else (), ()
        labels = about.get("Labels") or ()
        return _names_in_labels([str(label) for label in labels], channels), ()
    return (), ()


def repeated(values: Sequence[Any], axes: str, channels: int) -> tuple[Any, ...]:
    """Values of channels for a file that calls other images its channels.

    Parameters
    ----------
    values : sequence
        One a channel of the image.
    axes : str
        Of the image; without C, it has one channel.
    channels : int
        Of the file.
    """
    return tuple(values) * (channels if "C" not in axes and len(values) == 1 else 1)


def imagej_channels(names: Sequence[str], planes: int) -> dict[str, Any]:
    """Names of all channels in the words of ImageJ's text.

    Parameters
    ----------
    names : sequence of str
        One a channel.
    planes : int
        Of the hyperstack, in which channels come first.
    """
    if len(names) == 1:
        return {_ONE_NAME: as_ascii(names[0])}
    return {"Labels": _labels_of_planes(names, planes)}


def _labels_of_planes(names: Sequence[str], planes: int) -> list[str]:
    return [names[plane % len(names)] for plane in range(planes)]


def ome_channels(
    names: Sequence[str], tables: Sequence[Table], channels: int
) -> dict[str, list[Any]]:
    """Attributes of the channels in OME's text; empty where there are none.

    Parameters
    ----------
    names : sequence of str
        One a channel, or none.
    tables : sequence of ndarray
        Look-up tables, each (3, 256) bytes; one a channel, or none.
    channels : int
        How many channels there are.
    """
    found: dict[str, list[Any]] = {}
    if len(names) == channels:
        found["Name"] = list(names)
    if len(tables) == channels:
        found["Color"] = [_signed(table[:, -1]) for table in tables]
    return found


def _of_ome(
    text: str, index: int, channels: int
) -> tuple[tuple[str, ...], tuple[Table, ...]]:
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return (), ()
    images = [one for one in root.iter() if _tag(one) == "Image"]
    if index >= len(images):
        return (), ()
    found = [one for one in images[index].iter() if _tag(one) == "Channel"]
    names = tuple(one.get("Name", "") for one in found)
    colours = [one.get("Color", "") for one in found]
    known = [int(c) if c.lstrip("-").isdigit() else _WHITE for c in colours]
    if channels == 1 and len(set(names)) == len(set(colours)) == 1:
        names, known = names[:1], known[:1]  # images of an axis without a name
    if len(names) != channels:
        return (), ()
    tables = tuple(_ramp(colour) for colour in known)
    coloured = any(colour != _WHITE for colour in known)
    return names if all(names) else (), tables if coloured else ()


def _names_in_labels(labels: list[str], channels: int) -> tuple[str, ...]:
    """The labels of planes, where they are one for each channel; else none."""
    names = labels[:channels]
    same = labels == _labels_of_planes(names, len(labels)) if names else False
    distinct = len(set(names)) == len(names) == channels > 1
    return tuple(names) if same and distinct and all(names) else ()


def _ramp(colour: int) -> Table:
    """From black to a colour, as OME writes it."""
    *brightest, _ = (colour & 0xFFFFFFFF).to_bytes(4, "big")
    return ramp(brightest)


def tables_of_colours(colours: Sequence[Sequence[int]]) -> tuple[Table, ...]:
    """Look-up tables of channels from red, green and blue; none if all are grey."""
    grey = all(len(set(colour)) == 1 for colour in colours)
    return () if grey else tuple(ramp(colour) for colour in colours)


def ramp(brightest: Sequence[int]) -> Table:
    """Look-up table from black to a colour: red, green and blue up to 255."""
    shades = np.linspace(0, 1, 256) * np.array(brightest)[:, None]
    table: Table = np.round(shades).astype(np.uint8)
    return table


def _signed(colour: NDArray[np.uint8]) -> int:
    """Red, green and blue as OME writes them, fully opaque."""
    return int.from_bytes(bytes([*colour.tolist(), 255]), "big", signed=True)


def _tag(element: Any) -> str:
    return str(element.tag).rpartition("}")[-1]
