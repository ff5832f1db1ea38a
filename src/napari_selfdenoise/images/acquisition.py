"""When and where each plane of an image was recorded, and how it is labelled."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.images.units import unit_symbol

_USUAL_UNITS = {
    "DeltaT": "s",
    "ExposureTime": "s",
    "PositionX": "reference frame",
    "PositionY": "reference frame",
    "PositionZ": "reference frame",
}
"""What OME writes of planes, with the units that it means where it gives none."""

_LABEL = "Label"
"""Name of the values that are ImageJ's labels of planes."""


@dataclass(frozen=True, eq=False)
class Acquisition:
    """When and where each plane was recorded, as far as its file says so.

    Parameters
    ----------
    axes : str
        Letters of the image's axes that number the planes.
    values : mapping of str to array
        By OME's names of them ("DeltaT", "PositionX"…), or "Label"; each with the axes
        `axes`. NaN, or an empty label, where nothing is known of a plane.
    units : mapping of str to str
        Of the values that have one.
    date : str
        When the image was recorded, as OME writes it.
    text : str
        What else the microscope's software wrote: OME's description, ImageJ's "Info".
    microscope : str
        Maker and model, as OME writes them.
    """

    axes: str = ""
    values: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    date: str = ""
    text: str = ""
    microscope: str = ""

    def frame(self, axis: str, index: int) -> Acquisition:
        """Return what is known of one entry along an axis."""
        if axis not in self.axes:
            return self
        place = self.axes.index(axis)
        values = {key: np.take(v, index, place) for key, v in self.values.items()}
        return replace(self, axes=self.axes.replace(axis, ""), values=values)

    def renamed(self, stored: str, letters: str) -> Acquisition:
        """Return the same with other letters of axes: `letters` for those `stored`."""
        named = dict(zip(stored, letters, strict=True))
        return replace(self, axes="".join(named.get(a, a) for a in self.axes))

    def of_planes(
        self, axes: str, positions: Sequence[Sequence[int]], shape: Sequence[int]
    ) -> dict[str, list[Any]]:
        """Values of planes in any order; none where they are of other planes.

        Parameters
        ----------
        axes : str
            Letters of the axes of an image, without rows and columns.
        positions : sequence of sequence of int
            Of the planes, along these axes.
        shape : sequence of int
            Lengths of these axes.
        """
        lengths = dict(zip(axes, shape, strict=True))
        own = tuple(lengths.get(axis, 0) for axis in self.axes)
        if any(value.shape != own for value in self.values.values()):
            return {}
        places = [axes.index(axis) for axis in self.axes]
        chosen = [tuple(position[n] for n in places) for position in positions]
        return {key: [v[at] for at in chosen] for key, v in self.values.items()}


def of_tiff(tif: Any, index: int) -> Acquisition | None:
    """What an open TIFF says of its planes; None where it says nothing.

    Parameters
    ----------
    tif : TiffFile
        Open.
    index : int
        Of the image in the file.
    """
    with suppress(Exception):  # what cannot be understood is not known
        if tif.is_ome:
            return _of_ome(tif.ome_metadata, index)
        return _of_imagej(tif) if tif.is_imagej else None
    return None


def _of_imagej(tif: Any) -> Acquisition | None:
    about, series = tif.imagej_metadata or {}, tif.series[0]
    axes = "".join(axis for axis in series.axes if axis in "TZC")
    shape = [series.shape[series.axes.index(axis)] for axis in axes]
    labels = about.get("Labels") or []
    labels = [labels] if isinstance(labels, str) else [str(one) for one in labels]
    text = str(about.get("Info", ""))
    values = {}
    if len(labels) == math.prod(shape) and any(labels):
        values[_LABEL] = np.array(labels, object).reshape(shape)
    return Acquisition(axes, values, text=text) if values or text else None


def _of_ome(text: str, index: int) -> Acquisition | None:
    root = ElementTree.fromstring(text)
    images, instrument = root.findall("{*}Image"), _instrument(root)
    pixels = images[index].find("{*}Pixels") if index < len(images) else None
    if pixels is None:
        return None
    lengths = {axis: int(pixels.get(f"Size{axis}", 1)) for axis in "TZC"}
    planes = [one for one in pixels.findall("{*}Plane") if _is_within(one, lengths)]
    long = [axis for axis, length in lengths.items() if length > 1]
    columns = {key: _column(key, planes, lengths) for key in _USUAL_UNITS}
    values = {
        key: column.reshape([lengths[axis] for axis in long])
        for key, column in columns.items()
        if not np.isnan(column).all()
    }
    date = images[index].findtext("{*}AcquisitionDate", "")
    words = images[index].findtext("{*}Description", "")
    if not (values or date or words or instrument):
        return None
    units = {key: _unit(key, planes) for key in values}
    return Acquisition("".join(long), values, units, date, words, instrument)


def _instrument(root: ElementTree.Element) -> str:
    """Maker and model of the first microscope that an OME file names."""
    found = root.find("{*}Instrument/{*}Microscope")
    if found is None:
        return ""
    words = (found.get("Manufacturer"), found.get("Model"))
    return " ".join(word.strip() for word in words if word)


def _is_within(plane: Any, lengths: Mapping[str, int]) -> bool:
    places = {axis: str(plane.get(f"The{axis}", 0)) for axis in lengths}
    return all(t.isdecimal() and int(t) < lengths[a] for a, t in places.items())


def _column(key: str, planes: list[Any], lengths: Mapping[str, int]) -> NDArray[Any]:
    """One value a plane, along T, Z and C; NaN where there is none."""
    column = np.full(tuple(lengths.values()), np.nan)
    for plane in planes:
        place = tuple(int(plane.get(f"The{axis}", 0)) for axis in lengths)
        column[place] = _number(plane.get(key))
    return column


def _number(text: str | None) -> float:
    try:
        number = float(text or "nan")
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def _unit(key: str, planes: list[Any]) -> str:
    """Unit of a value; files have one unit in all their planes."""
    found = next((one for one in planes if one.get(key) is not None), None)
    unit = None if found is None else found.get(f"{key}Unit")
    return unit_symbol(unit) if unit else _USUAL_UNITS[key]


def add_to_tiff(
    options: dict[str, Any],
    found: Acquisition,
    axes: str,
    positions: Sequence[Sequence[int]],
    shape: Sequence[int],
) -> None:
    """Add what is known of planes to the options of tifffile's writer.

    Parameters
    ----------
    options : dict
        With its "metadata".
    found : Acquisition
        Of the image.
    axes, positions, shape
        As in `Acquisition.of_planes`, in the order of the file's planes.
    """
    values, metadata = found.of_planes(axes, positions, shape), options["metadata"]
    if "ome" in options:
        units = {f"{key}Unit": unit for key, unit in found.units.items()}
        if planes := _ome_planes(values, units):
            metadata["Plane"] = planes
        about = {"AcquisitionDate": found.date, "Description": found.text}
        metadata |= {key: text for key, text in about.items() if text}
        return
    if _LABEL in values and "Labels" not in metadata:
        metadata["Labels"] = values[_LABEL]
    if found.text:
        metadata["Info"] = found.text


def _ome_planes(
    values: Mapping[str, list[Any]], units: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Attributes of each plane; none where there are none of any."""
    planes: list[dict[str, Any]] = []
    known = {key: column for key, column in values.items() if key in _USUAL_UNITS}
    for row in zip(*known.values(), strict=True):
        plane = {k: float(n) for k, n in zip(known, row, strict=True) if n == n}
        planes.append(plane | {f"{k}Unit": units[f"{k}Unit"] for k in plane})
    return planes if any(planes) else []
