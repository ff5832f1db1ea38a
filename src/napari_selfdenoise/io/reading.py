"""Read ImageJ hyperstacks, OME-TIFF and plain TIFF."""

from __future__ import annotations

import logging
import os
import re
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tifffile

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.image import UNNAMED_AXES, Image
from napari_selfdenoise.io.units import positive, unit_symbol

LAZY_BYTES = 2**30
"""Images larger than this stay on disk and are read plane by plane."""

LARGEST_PIXEL_UM = 20.0
"""Resolution tags that mean a larger pixel are taken for a print resolution.

72, 300 and 600 dpi are pixels of 353, 85 and 42 µm; a microscope's are smaller.
"""

MICROMETRES = {3: 1e4, 4: 1e3, 5: 1.0}
"""Length of the TIFF resolution units centimetre, millimetre and micrometre."""

_DAMAGE = re.compile("invalid page offset|corrupted tag list|corrupted IFD")
COLOUR_PHOTOMETRICS = frozenset({2, 5, 6, 8})  # RGB, CMYK, YCbCr, CIELab

Steps = dict[str, tuple[float, str]]
"""Pixel size and unit by axis letter, where the file gives them."""


def read_image(path: str | os.PathLike[str], frame: int | None = None) -> Image:
    """Read a TIFF: ImageJ hyperstack, OME-TIFF or plain.

    The first series is read, at full resolution. Axes of length one are dropped.

    Parameters
    ----------
    path : path
        A TIFF file.
    frame : int, optional
        The only frame or plane wanted, counted from 0 along the first stack axis.

    Returns
    -------
    Image
        With the file's axes, pixel size and units ("pixel" where it has none), and
        named as the file; its data stay on disk if larger than `LAZY_BYTES`.

    Raises
    ------
    RequestError
        If there is no such file or frame, or it is no TIFF that can be read.
    """
    path = Path(path)
    _require_file(path)
    image = _read(path)
    return image if frame is None else image.frame(frame)


def _require_file(path: Path) -> None:
    if not path.exists():
        raise RequestError(
            f"There is no file {path}.", "Check the name and the folder."
        )
    if path.is_dir():
        raise RequestError(f"{path} is a folder; a TIFF file is needed.")


def _read(path: Path) -> Image:
    try:
        with _damage_noted() as damage, tifffile.TiffFile(path) as tif:
            series = tif.series[0]
            _require_whole(path, tif, series, damage)
            axes = _known_axes(series.axes, tif.pages.first)
            steps = _steps(tif)
            data = _data(path, series)
    except PermissionError as error:
        raise RequestError(
            f"{path.name} may not be read.", "Check the rights of the file."
        ) from error
    except RequestError:
        raise
    except Exception as error:
        raise _unreadable(path, error) from error
    return Image(data, axes, *_by_axis(steps, axes), _stem(path))


def _data(path: Path, series: Any) -> Any:
    if series.nbytes <= LAZY_BYTES:
        array = series.asarray()
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    if series.dataoffset is not None:
        return tifffile.memmap(path, mode="r")
    return _dask(path)


def _dask(path: Path) -> Any:
    """Compressed or scattered planes, decoded when asked for."""
    import dask.array
    import zarr

    tif = tifffile.TiffFile(path)
    planes = zarr.open_array(tif.series[0].aszarr(level=0), mode="r")
    weakref.finalize(planes, tif.close)  # the file is open as long as it is read
    return dask.array.from_array(planes, chunks=planes.chunks)


@contextmanager
def _damage_noted() -> Iterator[list[str]]:
    """Collect tifffile's complaints: it logs a broken file and reads the rest."""
    messages: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("tifffile")
    logger.addHandler(handler)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)


def _require_whole(path: Path, tif: Any, series: Any, damage: list[str]) -> None:
    declared = (tif.imagej_metadata or {}).get("images", 1)
    lost = series.kind in ("generic", "uniform") and declared > len(tif.pages)
    if lost or any(_DAMAGE.search(message) for message in damage):
        raise _truncated(path)
    end = (series.dataoffset or 0) + series.nbytes
    if series.dataoffset is not None and end > tif.filehandle.size:
        raise _truncated(path)
    missing = sum(page is None for page in series.pages)
    if missing:
        raise RequestError(
            f"{missing} of the {len(series.pages)} planes of {path.name} are not "
            "there: it is damaged, or one part of an image of many files.",
            "Copy all its files again, or save it as one TIFF.",
        )


def _truncated(path: Path) -> RequestError:
    return RequestError(
        f"{path.name} is damaged: it ends before its last image.",
        "Copy it again from where it was acquired.",
    )


def _unreadable(path: Path, error: Exception) -> RequestError:
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
        f"{path.name} is damaged or no common TIFF ({error}).",
        "Copy it again, or open it in Fiji and save it as TIFF.",
    )


def _stem(path: Path) -> str:
    return re.sub(r"\.(ome\.)?[^.]*$", "", path.name, flags=re.IGNORECASE) or path.name


def _known_axes(axes: str, page: Any) -> str:
    """Replace letters that `Image` does not know, and repeated ones."""
    grey = int(page.photometric) not in COLOUR_PHOTOMETRICS
    if grey and "C" not in axes:
        axes = axes.replace("S", "C")  # samples of a grey image are its channels
    known = ""
    for axis in axes:
        fits = axis in "TCZYXS" + UNNAMED_AXES and axis not in known
        known += axis if fits else free_letter(UNNAMED_AXES, known + axes)
    return known


def free_letter(letters: str, taken: str) -> str:
    """First of the letters that is not taken."""
    for letter in letters:
        if letter not in taken:
            return letter
    raise RequestError(
        f"The image has too many axes without a meaning ({taken}).",
        "Split it into images of at most six dimensions.",
    )


def _by_axis(steps: Steps, axes: str) -> tuple[tuple[float, ...], tuple[str, ...]]:
    pairs = [steps.get(axis, (1.0, "pixel")) for axis in axes]
    return tuple(size for size, _ in pairs), tuple(unit for _, unit in pairs)


def _steps(tif: Any) -> Steps:
    if tif.is_ome and (steps := _ome_steps(tif)):
        return steps
    return _imagej_steps(tif) if tif.is_imagej else _plain_steps(tif)


def _ome_steps(tif: Any) -> Steps:
    images = tifffile.xml2dict(tif.ome_metadata)["OME"].get("Image", {})
    first = images[0] if isinstance(images, list) else images
    pixels = first.get("Pixels", {})
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
        for axis, size in _tag_sizes(tif).items():
            steps[axis] = (size, unit_symbol(meta.get(f"{axis.lower()}unit", unit)))
        if spacing := positive(meta.get("spacing")):
            steps["Z"] = (spacing, unit_symbol(meta.get("zunit", unit)))
    if interval := positive(meta.get("finterval")):
        steps["T"] = (interval, unit_symbol(meta.get("tunit", "s")))
    return steps


def _plain_steps(tif: Any) -> Steps:
    tag = tif.pages.first.tags.get("ResolutionUnit")
    scale = MICROMETRES.get(int(tag.value)) if tag is not None else None
    if scale is None:  # inch, the printers' unit, or none
        return {}
    sizes = {axis: size * scale for axis, size in _tag_sizes(tif).items()}
    if any(size > LARGEST_PIXEL_UM for size in sizes.values()):
        return {}
    return {axis: (size, "µm") for axis, size in sizes.items()}


def _tag_sizes(tif: Any) -> dict[str, float]:
    """Length of a pixel in the resolution unit, by axis."""
    sizes = {}
    for axis in "YX":
        tag = tif.pages.first.tags.get(f"{axis}Resolution")
        pixels, units = tag.value if tag is not None else (0, 0)
        if pixels and units:
            sizes[axis] = units / pixels
    return sizes
