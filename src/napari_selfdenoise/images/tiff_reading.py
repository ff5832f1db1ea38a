"""Read ImageJ hyperstacks, OME-TIFF and plain TIFF."""

from __future__ import annotations

import math
import os
import re
import weakref
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import acquisition
from napari_selfdenoise.images.axes import (
    Steps,
    by_axis,
    free_letter,
    planes_last,
    require_letter_each,
)
from napari_selfdenoise.images.channels import channels_of_file
from napari_selfdenoise.images.damage import (
    CutShortError,
    cut_short,
    damage_noted,
    is_damaged,
    require_whole,
    whole_part,
)
from napari_selfdenoise.images.display import Look
from napari_selfdenoise.images.image import Image, as_line_scan
from napari_selfdenoise.images.laziness import require_bounded, stays_on_disk
from napari_selfdenoise.images.planes import UNNAMED_AXES
from napari_selfdenoise.images.series import choose_series, tiff_series_names
from napari_selfdenoise.images.stored_axes import of_tiff, with_own_letters
from napari_selfdenoise.images.tiff_pixel_sizes import vendor_steps
from napari_selfdenoise.images.units import in_micrometres, positive, unit_symbol

LAZY_BYTES = 2**30
"""Images larger than this stay on disk and are read plane by plane."""

LARGEST_PIXEL_UM = 20.0
"""Resolution tags that mean a larger pixel are taken for a print resolution.

72, 300 and 600 dpi are pixels of 353, 85 and 42 µm; a microscope's are smaller.
"""

_RESOLUTION_UNITS = {3: "cm", 4: "mm", 5: "µm"}
"""Resolution units of TIFF, without the inch, which is that of printers."""

SIGNED_SHIFT = 2**15
"""What ImageJ adds to signed numbers of 16 bits."""

_CALIBRATION = re.compile(r"cf|c\d|vunit|[xyz]origin|fps|loop")
"""Keys of ImageJ's text that results have, too."""

_WHITE_IS_ZERO = 0  # photometric interpretation of inverted images
_RGB = 2  # photometric interpretation of colours
COLOUR_PHOTOMETRICS = frozenset({_RGB, 5, 6, 8})  # and CMYK, YCbCr, CIELab

_SEPARATE = 2
"""Planar configuration of planes behind each other."""


def read_tiff(path: Path, axes: str | None, number: int | None) -> Image:
    """Read a TIFF, as `read_image` does.

    Parameters
    ----------
    path : Path
        A file that is there.
    axes : str or None
        A letter for each axis of the file.
    number : int or None
        Of the series.

    Raises
    ------
    RequestError
        If there is no such series, it has other axes, or it is no TIFF that can be
        read.
    """
    try:
        with damage_noted() as damage, tifffile.TiffFile(path) as tif:
            found = _pixels(path, tif, number, damage)
            steps = _steps(tif, found, path)
            look = _look(tif, found.page)
            changed = {} if axes else of_tiff(tif)
            channels = 1 if "C" in changed else _channels(found, axes)
            names, tables = channels_of_file(tif, found.index, channels)
            acquired = acquisition.of_tiff(tif, found.index) if not axes else None
    except RequestError:
        raise
    except Exception as error:
        raise _unreadable(path, error) from error
    if tables:
        look = replace(look or Look(), tables=tables, mode="composite")
    letters, note = _letters(path, found, axes)
    notes = (*found.notes, *note, *(look.notes() if look else ()))
    sizes = by_axis(steps, letters)
    stored, letters = letters, with_own_letters(letters, changed)
    acquired = acquired.renamed(stored, letters) if acquired else None
    image = Image(found.data, letters, *sizes, file_stem(path), notes=notes, look=look)
    image = replace(image, channel_names=names, acquisition=acquired)
    return as_line_scan(planes_last(image))


@dataclass(frozen=True, eq=False)
class _Found:
    """Pixels as they lie in the file, with tifffile's axes and their first page.

    Attributes
    ----------
    index : int
        Of the series among all in the file.
    """

    data: Any
    axes: str
    page: Any
    index: int = 0
    notes: tuple[str, ...] = ()


def _channels(found: _Found, axes: str | None) -> int:
    """How many channels there are, as the file or the user says."""
    letters = axes or found.axes
    return int(dict(zip(letters, found.data.shape, strict=False)).get("C", 1))


def _pixels(path: Path, tif: Any, number: int | None, damage: list[str]) -> _Found:
    """Pixels of a series; of a file that ends too early those that are whole."""
    series, note = None, ""
    try:
        series, note = choose_series(path, tif, number)
        require_whole(path, tif, series, damage)
    except Exception as error:
        if not (isinstance(error, CutShortError) or is_damaged([*damage, str(error)])):
            raise
        part = whole_part(path, tif, series, LAZY_BYTES)
        if part is None or (series is None and number):
            raise cut_short(path) from error
        found = _Found(part.data, part.axes, part.page, notes=(part.note,))
    else:
        index = tif.series.index(series)
        data = _data(path, series, index)
        if data.ndim < 2 or 0 in data.shape:
            raise cut_short(path)
        found = _Found(data, series.axes, series.keyframe, index)
    return replace(found, notes=(*found.notes, note) if note else found.notes)


def _data(path: Path, series: Any, index: int) -> Any:
    page = series.keyframe
    try:
        piece = math.prod(page.chunks) * page.dtype.itemsize
        require_bounded(series.shape, 0 if series.dataoffset is not None else piece)
    except ValueError as error:
        raise RequestError(
            f"{path.name} declares more than can be read: {error}.",
            "Save it in tiles, in the program that wrote it.",
        ) from error
    if not stays_on_disk(series.nbytes, LAZY_BYTES):
        array = series.asarray()
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    if series.dataoffset is not None:
        return tifffile.memmap(path, mode="r", series=index)
    return _dask(path, index)


def _dask(path: Path, index: int) -> Any:
    """Compressed or scattered planes, decoded when asked for."""
    import dask.array
    import zarr

    tif = tifffile.TiffFile(path)
    planes = zarr.open_array(tif.series[index].aszarr(level=0), mode="r")
    weakref.finalize(planes, tif.close)  # the file is open as long as it is read
    return dask.array.from_array(planes, chunks=planes.chunks)


def tiff_series(path: Path) -> list[str]:
    """Names of the images of a TIFF, as `series_names` gives them.

    Raises
    ------
    RequestError
        If it is no TIFF that can be read.
    """
    try:
        with damage_noted():
            return tiff_series_names(path)
    except RequestError:
        raise
    except Exception as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> RequestError:
    if isinstance(error, PermissionError):
        return RequestError(
            f"{path.name} may not be read.", "Check the rights of the file."
        )
    if path.stat().st_size == 0:
        return RequestError(f"{path.name} is empty.", "Copy it again.")
    if "not a TIFF file" in str(error):
        return RequestError(
            f"{path.name} is not a TIFF file.",
            "Open it in Fiji or napari and save it as TIFF.",
        )
    if "requires the 'imagecodecs' package" in str(error) or "COMPRESSION" in str(
        error
    ):
        return RequestError(
            f"{path.name} is compressed in a way that cannot be read ({error}).",
            "Save it without compression.",
        )
    return RequestError(
        f"{path.name} is damaged or no common TIFF.",
        "Copy it again, or open it in Fiji and save it as TIFF.",
    )


def file_stem(path: Path) -> str:
    """Name of a file without its ending, such as .tif, .ome.tif or .mrc.gz."""
    ending = r"(\.ome)?\.[^.]*(\.gz|\.bz2)?$"
    return re.sub(ending, "", path.name, flags=re.IGNORECASE) or path.name


def _letters(path: Path, found: _Found, axes: str | None) -> tuple[str, list[str]]:
    """Letters of the axes, as given or as in the file; and what to say of them."""
    if axes is None:
        note = [_frames_note(found)] if _are_frames(found) else []
        return _known_axes(found), note
    require_letter_each(path.name, found.data.shape, axes)
    return axes, []


def _known_axes(found: _Found) -> str:
    """Replace letters that `Image` does not know, and repeated ones."""
    axes = found.axes
    if _are_frames(found):
        axes = axes.replace("S", free_letter(UNNAMED_AXES, axes))
    grey = int(found.page.photometric) not in COLOUR_PHOTOMETRICS
    if grey and "C" not in axes:
        axes = axes.replace("S", "C")  # samples of a grey image are its channels
    known = ""
    for axis in axes:
        fits = axis in "TCZYXS" + UNNAMED_AXES and axis not in known
        known += axis if fits else free_letter(UNNAMED_AXES, known + axes)
    return known


def _are_frames(found: _Found) -> bool:
    """Whether what is tagged as colours are images of their own.

    Some writers tag any three or four planes so. Colours for display are 8-bit numbers,
    side by side in each pixel.
    """
    page = found.page
    separate = int(page.planarconfig or 1) == _SEPARATE
    tagged = int(page.photometric) == _RGB and "S" in found.axes
    return tagged and (separate or found.data.dtype != np.uint8)


def _frames_note(found: _Found) -> str:
    count = found.data.shape[found.axes.index("S")]
    return (
        f"The {count} planes are read as single images, as they are stored. The file "
        "calls them colours (RGB)."
    )


def axes_with_channels(path: str | os.PathLike[str], series: int | None = None) -> str:
    """Letters for `axes` by which the colours of a file are read as channels.

    Parameters
    ----------
    path : path
        A TIFF that `read_image` reads.
    series : int, optional
        As there.

    Returns
    -------
    str
        A letter for each axis of the file, in its order; empty where it has no such
        images.
    """
    with suppress(Exception), tifffile.TiffFile(path) as tif:  # damaged: see its note
        one, _ = choose_series(Path(path), tif, series)
        if _are_frames(_Found(one, one.axes, one.keyframe)):
            return str(one.axes).replace("S", "C")
    return ""


def _steps(tif: Any, found: _Found, path: Path) -> Steps:
    """Pixel sizes: a maker's come after OME's or ImageJ's, but before TIFF's own."""
    if tif.is_ome and (steps := _ome_steps(tif, found.index)):
        return steps
    of_maker = vendor_steps(tif, path)
    if tif.is_imagej:
        return of_maker | _imagej_steps(tif)
    return _plain_steps(found.page) | of_maker


def _ome_steps(tif: Any, index: int) -> Steps:
    images = tifffile.xml2dict(tif.ome_metadata)["OME"].get("Image", {})
    images = images if isinstance(images, list) else [images]
    pixels = images[index if index < len(images) else 0].get("Pixels", {})
    keys = {axis: f"PhysicalSize{axis}" for axis in "ZYX"} | {"T": "TimeIncrement"}
    steps = {}
    for axis, key in keys.items():
        default = "s" if axis == "T" else "µm"
        if size := positive(pixels.get(key)):
            steps[axis] = (size, unit_symbol(pixels.get(f"{key}Unit", default)))
    return steps


def _imagej_steps(tif: Any) -> Steps:
    """ImageJ has one unit for all lengths, and newer files one each for Y and Z."""
    meta = tif.imagej_metadata
    steps = {}
    if unit := meta.get("unit"):
        for axis, size in _tag_sizes(tif.pages.first).items():
            steps[axis] = (size, unit_symbol(meta.get(f"{axis.lower()}unit", unit)))
        if spacing := positive(meta.get("spacing")):
            steps["Z"] = (spacing, unit_symbol(meta.get("zunit", unit)))
    if interval := positive(meta.get("finterval")):
        steps["T"] = (interval, unit_symbol(meta.get("tunit", "s")))
    return steps


def _plain_steps(page: Any) -> Steps:
    tag = page.tags.get("ResolutionUnit")
    unit = _RESOLUTION_UNITS.get(int(tag.value), "") if tag is not None else ""
    scale = in_micrometres(unit)
    if scale is None:
        return {}
    sizes = {axis: size * scale for axis, size in _tag_sizes(page).items()}
    if any(size > LARGEST_PIXEL_UM for size in sizes.values()):
        return {}
    return {axis: (size, "µm") for axis, size in sizes.items()}


def _tag_sizes(page: Any) -> dict[str, float]:
    """Length of a pixel in the resolution unit, by axis."""
    sizes = {}
    for axis in "YX":
        tag = page.tags.get(f"{axis}Resolution")
        pixels, units = tag.value if tag is not None else (0, 0)
        if pixels and units:
            sizes[axis] = units / pixels
    return sizes


def _look(tif: Any, page: Any) -> Look | None:
    """How the file wants its pixels shown; None where it says nothing of it."""
    text = (tif.imagej_metadata or {}) if tif.is_imagej else {}
    look = Look(
        int(page.photometric) == _WHITE_IS_ZERO,
        tuple(text.get("LUTs", ())),
        str(text.get("mode", "")),
        {key: value for key, value in text.items() if _CALIBRATION.fullmatch(key)},
        _ranges(text, page.dtype),
    )
    says = look.inverted or look.tables or look.mode or look.function or look.ranges
    return look if says else None


def _ranges(text: Mapping[str, Any], dtype: Any) -> tuple[tuple[float, float], ...]:
    """Ranges that ImageJ shows, of all channels or the first; those that are none not.

    It adds a constant to signed numbers.
    """
    shift = SIGNED_SHIFT if dtype == np.int16 else 0
    ends = text.get("Ranges") or (text.get("min", 0), text.get("max", 0))
    ends = ends if isinstance(ends, tuple) else ()
    pairs = tuple(zip(ends[::2], ends[1::2], strict=False))
    if not all(_is_range(low, high) for low, high in pairs):
        return ()
    return tuple((float(low) - shift, float(high) - shift) for low, high in pairs)


def _is_range(low: Any, high: Any) -> bool:
    numbers = isinstance(low, int | float) and isinstance(high, int | float)
    return numbers and math.isfinite(low) and math.isfinite(high) and low < high
