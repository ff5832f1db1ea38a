"""Pixel sizes that TIFFs hold in tags of a microscope's maker alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile

from napari_selfdenoise.images.axes import Steps, axis_letter
from napari_selfdenoise.images.units import in_micrometres, positive, unit_symbol

_TITAN = 34683  # XML of Thermo Fisher's transmission electron microscopes
_GATAN_UNIT = 65003
_GATAN_SIZES = {"X": 65009, "Y": 65010}

_ZEISS_TAGS = {"X": 769, "Y": 772, "Z": 775}
"""Numbers of AxioVision's tags for the pixel size; the next one is its unit."""

_ZEISS_UNITS = {"72": "m", "76": "µm", "77": "nm"}

Found = Mapping[str, Any]


def vendor_steps(tif: Any, path: Path) -> Steps:
    """Pixel size and time between frames, as the maker of the microscope wrote them.

    Parameters
    ----------
    tif : TiffFile
        Open.
    path : Path
        Of the file: AxioVision writes the pixel size into an XML file next to it.

    Returns
    -------
    Steps
        Empty where there are none that are known.
    """
    steps: Steps = {}
    for name, read in _MAKERS.items():
        with suppress(Exception):  # what cannot be understood is no pixel size
            found = getattr(tif, f"{name}_metadata", None)
            steps |= read(found) if found else {}
    for read_file in (_scanimage, _titan, _gatan):
        with suppress(Exception):
            steps |= read_file(tif)
    with suppress(Exception):
        steps |= _axiovision(path)
    return steps


def _lengths(sizes: Mapping[str, Any], unit: str) -> Steps:
    """Sizes by axis, in µm where the unit is the metre; those above 0 alone."""
    unit = unit_symbol(unit)
    if in_micrometres(unit) is None:
        return {}
    metres = unit == "m"
    known = {axis: positive(size) for axis, size in sizes.items()}
    return {
        axis: (size * 1e6, "µm") if metres else (size, unit)
        for axis, size in known.items()
        if size
    }


def _seconds(interval: Any) -> Steps:
    size = positive(interval)
    return {"T": (size, "s")} if size else {}


def _lsm(found: Found) -> Steps:
    """Zeiss' confocal microscopes before CZI: metres and seconds."""
    sizes = {axis: found.get(f"VoxelSize{axis}") for axis in "XYZ"}
    return _lengths(sizes, "m") | _seconds(found.get("TimeIntervall"))


def _stk(found: Found) -> Steps:
    """MetaMorph stacks: planes have distances, and times in milliseconds."""
    steps = _seconds(_step_between(found.get("TimeCreated", ())) / 1000)
    if found.get("SpatialCalibration"):
        sizes = {axis: found.get(f"{axis}Calibration") for axis in "XY"}
        unit = found.get("CalibrationUnits") or "um"
        sizes["Z"] = float(np.median(np.abs(found.get("ZDistance", [0]))))
        steps |= _lengths(sizes, unit)
    return steps


def _step_between(values: Any) -> float:
    return float(np.median(np.diff(values))) if len(values) > 1 else 0.0


def _metaseries(found: Found) -> Steps:
    plane = found["PlaneInfo"]
    if not plane.get("spatial-calibration-state"):
        return {}
    sizes = {axis.upper(): plane.get(f"spatial-calibration-{axis}") for axis in "xy"}
    return _lengths(sizes, plane.get("spatial-calibration-units", "um"))


def _micromanager(found: Found) -> Steps:
    summary = found["Summary"]
    size, depth = summary.get("PixelSize_um"), summary.get("z-step_um")
    interval = positive(summary.get("Interval_ms"))
    times = _seconds(interval / 1000) if interval else {}
    return _lengths({"X": size, "Y": size, "Z": depth}, "µm") | times


def _fluoview(found: Found) -> Steps:
    """Olympus: a name, a size and a unit for each axis."""
    steps: Steps = {}
    for name, _, _, size, unit in found["Dimensions"]:
        axis = axis_letter(name)
        if axis in ("X", "Y", "Z"):
            steps |= _lengths({axis: size}, unit)
        elif axis == "T" and unit_symbol(unit) == "s":
            steps |= _seconds(size)
    return steps


def _fei(found: Found) -> Steps:
    """Scanning electron microscopes of FEI: metres."""
    scan = found.get("Scan") or found.get("EScan") or {}
    sizes = {"X": scan.get("PixelWidth"), "Y": scan.get("PixelHeight")}
    return _lengths(sizes, "m")


def _sem(found: Found) -> Steps:
    """Scanning electron microscopes of Zeiss: with a unit of their own."""
    for key in ("ap_image_pixel_size", "ap_pixel_size"):
        if key in found:
            _, size, unit = found[key]
            return _lengths({"X": size, "Y": size}, unit)
    return {}


def _sis(found: Found) -> Steps:
    """Olympus Soft Imaging Solutions: metres."""
    sizes = {axis: found.get(f"pixelsize{axis.lower()}") for axis in "XY"}
    return _lengths(sizes, "m")


def _tvips(found: Found) -> Steps:
    """Cameras of TVIPS for electron microscopes: nanometres."""
    return _lengths({axis: found.get(f"PixelSize{axis}") for axis in "XY"}, "nm")


_MAKERS: dict[str, Callable[[Found], Steps]] = {
    "lsm": _lsm,
    "stk": _stk,
    "metaseries": _metaseries,
    "micromanager": _micromanager,
    "fluoview": _fluoview,
    "fei": _fei,
    "sem": _sem,
    "sis": _sis,
    "tvips": _tvips,
}
"""Who reads what tifffile finds, by the name it has there."""


def _scanimage(tif: Any) -> Steps:
    """ScanImage: corners of the field in µm, and rates of frames and volumes."""
    page = tif.pages.first
    if not page.software.startswith("SI."):
        return {}
    found = tifffile.matlabstr2py(page.software)
    corners = np.array(found["SI.hRoiManager.imagingFovUm"], float)
    width, height = np.ptp(corners, axis=0)
    sizes = {
        "X": width / page.imagewidth,
        "Y": height / page.imagelength,
        "Z": abs(found.get("SI.hStackManager.stackZStepSize", 0)),
    }
    volumes = found.get("SI.hStackManager.numSlices", 1) > 1
    rate = found.get(f"SI.hRoiManager.scan{'Volume' if volumes else 'Frame'}Rate")
    averaged = found.get("SI.hScan2D.logAverageFactor", 1)
    times = _seconds(averaged / rate) if positive(rate) else {}
    return _lengths(sizes, "µm") | times


def _titan(tif: Any) -> Steps:
    """Transmission electron microscopes of FEI and Thermo Fisher: XML, with units."""
    text = tif.pages.first.tags.valueof(_TITAN)
    if not text:
        return {}
    text = text.decode() if isinstance(text, bytes) else text
    found = ElementTree.fromstring(text.rstrip("\0")).find(".//PixelSize")
    steps: Steps = {}
    for axis in "XY":
        size = None if found is None else found.find(axis)
        if size is not None:
            steps |= _lengths({axis: size.text}, size.get("unit", "m"))
    return steps


def _gatan(tif: Any) -> Steps:
    """TIFFs that DigitalMicrograph exports: a unit, and a size for each axis."""
    tags = tif.pages.first.tags
    unit = tags.valueof(_GATAN_UNIT)
    if not isinstance(unit, str):  # other makers use these numbers as well
        return {}
    return _lengths({a: tags.valueof(code) for a, code in _GATAN_SIZES.items()}, unit)


def _axiovision(path: Path) -> Steps:
    """Zeiss AxioVision: numbered tags in an XML file next to the TIFF."""
    file = path.with_name(f"{path.name}_meta.xml")
    if path.parent.name.lower().endswith("_files"):  # one plane of several
        file = path.with_name("_meta.xml")
    if not file.exists():
        return {}
    tags = ElementTree.parse(file).getroot().find("Tags")
    if tags is None:
        return {}
    values = {
        tag.text: tags.findtext(f"V{tag.tag[1:]}") for tag in tags if tag.tag[:1] == "I"
    }
    steps: Steps = {}
    for axis, number in _ZEISS_TAGS.items():
        unit = _ZEISS_UNITS.get(values.get(str(number + 1)) or "76", "")
        steps |= _lengths({axis: values.get(str(number))}, unit)
    return steps
