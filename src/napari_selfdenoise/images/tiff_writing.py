"""Write TIFF files; a file that was not finished does not stay."""

from __future__ import annotations

import itertools
import math
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.images.acquisition import add_to_tiff as add_acquisition
from napari_selfdenoise.images.amounts import bytes_in_words
from napari_selfdenoise.images.atomic_write import replacing, reserve
from napari_selfdenoise.images.axes import Steps, free_letter
from napari_selfdenoise.images.channels import imagej_channels, ome_channels, repeated
from napari_selfdenoise.images.display import Look
from napari_selfdenoise.images.image import Image
from napari_selfdenoise.images.stored_axes import add_to_tiff as add_letters
from napari_selfdenoise.images.stored_axes import letters_changed
from napari_selfdenoise.images.tiff_reading import SIGNED_SHIFT
from napari_selfdenoise.images.units import ascii_unit, positive, unit_symbol

CLASSIC_BYTES = 3_900_000_000
"""ImageJ hyperstacks are classic TIFF, whose offsets end at 4 GiB."""

DISPLAY_PLANES = 16
"""Planes looked at for the display range; enough to see something in Fiji."""

WHOLE_NUMBERS = tuple(np.dtype(f"{kind}{n}") for kind in "ui" for n in (1, 2, 4))
"""Types of whole numbers that OME knows."""

_OF_IMAGEJ = tuple(np.dtype(kind) for kind in ("u1", "u2", "i2", "f4"))
"""Types of ImageJ's hyperstacks."""

FILE_ORDER = "TZCYXS"
OME_LENGTHS = frozenset({"pm", "Å", "nm", "µm", "mm", "cm", "m", "in"})
OME_TIMES = frozenset({"ns", "µs", "ms", "s", "min", "h", "d"})


def write_tiff(image: Image, path: Path, *, overwrite: bool = True) -> Path:
    """Write a TIFF, as `write_image` does."""
    layout = _layout(image, path, _file_dtype(image.dtype))
    _require_place(path, layout.nbytes, overwrite)
    with _as_request_error(path), replacing(path) as part:
        _write_planes(part, image, layout)
    return path


class TiffWriter:
    """A float32 TIFF filled bit by bit; see `ImageWriter`."""

    data: NDArray[np.float32]

    def __init__(self, path: Path, like: Image, *, overwrite: bool = True) -> None:
        self.path = path
        self._overwrite = overwrite
        self._layout = _layout(like, self.path, np.dtype(np.float32))

    def __enter__(self) -> Self:
        _require_place(self.path, self._layout.nbytes, self._overwrite)
        with ExitStack() as stack:
            part = stack.enter_context(replacing(self.path))
            self.data = stack.enter_context(_mapped(self.path, part, self._layout))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        del self.data
        # What goes wrong between is the caller's own, and stays as it is.
        with nullcontext() if error else _as_request_error(self.path):
            self._stack.__exit__(kind, error, trace)


@dataclass(frozen=True)
class _Layout:
    """How an image lies in a file: `order` gives the image's axis for each of `axes`.

    Attributes
    ----------
    options : dict
        Arguments of tifffile's writer.
    """

    axes: str
    order: tuple[int, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    options: dict[str, Any]
    ranges: tuple[tuple[float, float], ...] = ()

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


SOFTWARE = "napari-selfdenoise"
"""What the tag "Software" says of TIFFs that this program wrote."""


def was_written_here(path: Path) -> bool:
    """Whether this program wrote an image; False for what cannot be read."""
    if path.is_dir():
        return _zarr_says_so(path)
    try:
        with tifffile.TiffFile(path) as tif:
            return bool(tif.pages.first.software == SOFTWARE)
    except (OSError, ValueError, tifffile.TiffFileError, IndexError):
        return False


def _zarr_says_so(path: Path) -> bool:
    import zarr

    try:
        about = zarr.open_group(str(path), mode="r").attrs
        return bool(about.get("software") == SOFTWARE)
    except (OSError, ValueError, LookupError):
        return False


def _file_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    native = dtype.newbyteorder("=")
    return native if native in WHOLE_NUMBERS else np.dtype(np.float32)


def _layout(image: Image, path: Path, dtype: np.dtype[Any]) -> _Layout:
    _require_writable(image, path)
    letters = _file_letters(image)
    # Unnamed axes that found no free letter of T, Z, C are OME's Q, P, R: each lies
    # within one of these.
    axes = "".join(a for a in "TQZPCRYXS" if a in letters)
    order = tuple(letters.index(a) for a in axes)
    shape = tuple(image.shape[i] for i in order)
    steps = {
        letter: (size, unit)
        for letter, size, unit in zip(
            letters, image.pixel_size, image.units, strict=True
        )
        if positive(size)
    }
    nbytes = math.prod(shape) * dtype.itemsize
    named_ome = path.name.lower().endswith((".ome.tif", ".ome.tiff"))
    fits = nbytes <= CLASSIC_BYTES and set(axes) <= set(FILE_ORDER)
    options = (
        _imagej_options(axes, steps)
        if fits and dtype in _OF_IMAGEJ and not named_ome
        else _ome_options(axes, steps, image.name, nbytes)
    )
    options["software"] = SOFTWARE
    add_letters(options, letters_changed(image.line_scan or image.axes, letters))
    _with_look(options, image, axes, dtype)
    _with_channels(options, image, axes, shape)
    _with_acquisition(options, image, axes, order)
    ranges = _with_ranges(options, image, dtype)
    return _Layout(axes, order, shape, dtype, options, ranges)


def _with_ranges(
    options: dict[str, Any], image: Image, dtype: np.dtype[Any]
) -> tuple[tuple[float, float], ...]:
    """Add the range of each channel to the options; returns them in ImageJ's values."""
    shown = image.look.ranges if image.look else ()
    shift = SIGNED_SHIFT if dtype == np.int16 else 0
    ranges = tuple((low + shift, high + shift) for low, high in shown)
    if "imagej" in options and len(ranges) == image.channels > 1:
        # tifffile takes a list for one entry each, up to some version: a tuple is one.
        options["metadata"]["Ranges"] = tuple(itertools.chain(*ranges))
    return ranges


def _with_acquisition(
    options: dict[str, Any], image: Image, axes: str, order: tuple[int, ...]
) -> None:
    """Add to the options when and where each plane was recorded."""
    if image.acquisition is None:
        return
    outer = order[: axes.index("Y")]
    letters = "".join((image.line_scan or image.axes)[n] for n in outer)
    shape = [image.shape[n] for n in outer]
    positions = list(np.ndindex(*shape))
    add_acquisition(options, image.acquisition, letters, positions, shape)


def _with_look(options: dict[str, Any], image: Image, axes: str, dtype: Any) -> None:
    """Add to the options how the image's file wanted it shown."""
    look = image.look or Look()
    grey = "miniswhite" if look.inverted else "minisblack"
    options["photometric"] = "rgb" if "S" in axes else grey
    if "imagej" not in options or "S" in axes:
        return
    metadata: dict[str, Any] = dict(look.function)
    if dtype == np.float32:
        # ImageJ calibrates 8 and 16 bits only; a unit would be that of raw values.
        metadata.pop("vunit", None)
    if look.mode and "C" in axes:
        metadata["mode"] = look.mode
    if len(look.tables) in (1, image.channels):
        metadata["LUTs"] = list(look.tables)
    options["metadata"] |= metadata


def _with_channels(
    options: dict[str, Any], image: Image, axes: str, shape: tuple[int, ...]
) -> None:
    """Add to the options what the channels are called, and their colours to OME's."""
    named = len(image.channel_names) == image.channels and any(image.channel_names)
    if "S" in axes:
        return
    if "ome" in options:
        tables = image.look.tables if image.look else ()
        count = dict(zip(axes, shape, strict=True)).get("C", 1)
        names = repeated(image.channel_names, image.axes, count)
        found = ome_channels(names, repeated(tables, image.axes, count), count)
        options["metadata"] |= {"Channel": found} if found else {}
    elif named:
        planes = math.prod(shape[: axes.index("Y")])
        options["metadata"] |= imagej_channels(image.channel_names, planes)


def _require_writable(image: Image, path: Path) -> None:
    if path.suffix.lower() not in (".tif", ".tiff"):
        raise RequestError(
            f"Images are written as TIFF, but {path.name} does not end in .tif.",
            f"Name it {path.stem}.tif.",
        )
    if 0 in image.shape:
        raise RequestError(
            f"An image without pixels (axes {image.axes}, shape {image.shape}) "
            "cannot be written."
        )


def _file_letters(image: Image) -> str:
    """Letter of each of the image's axes in the file."""
    letters = ""
    axes = image.line_scan or image.axes  # a line scan as it was stored
    for axis, length in zip(axes, image.shape, strict=True):
        named = axis in "TZCYX" or (axis == "S" and _is_rgb(image, length))
        taken = letters + "".join(a for a in axes if a in "TZCYX")
        choice = "CTZQPR" if axis == "S" else "TZCQPR"
        letters += axis if named else free_letter(choice, taken)
    return letters


def _is_rgb(image: Image, samples: int) -> bool:
    return samples in (3, 4) and image.dtype == np.uint8


def _imagej_options(axes: str, steps: Steps) -> dict[str, Any]:
    (size_y, unit_y), (size_x, unit_x) = (steps.get(a, (1.0, "pixel")) for a in "YX")
    metadata: dict[str, Any] = {"axes": axes, "unit": ascii_unit(unit_x)}
    if unit_y != unit_x:
        metadata["yunit"] = ascii_unit(unit_y)
    if "Z" in steps and (steps["Z"][1] != "pixel" or unit_x == "pixel"):
        # Not where depth is not known: Bio-Formats takes its unit for that of rows.
        size, unit = steps["Z"]
        metadata |= {"spacing": size}
        metadata |= {"zunit": ascii_unit(unit)} if unit != unit_x else {}
    if "T" in steps and steps["T"][1] != "pixel":
        size, unit = steps["T"]
        metadata |= {"finterval": size}
        metadata |= {"tunit": ascii_unit(unit)} if unit_symbol(unit) != "s" else {}
    resolution = (1 / size_x, 1 / size_y)
    return {"imagej": True, "metadata": metadata, "resolution": resolution}


def _ome_options(axes: str, steps: Steps, name: str, nbytes: int) -> dict[str, Any]:
    metadata: dict[str, Any] = {"axes": axes, "Name": name}
    for axis, (size, unit) in steps.items():
        unit = unit_symbol(unit)
        if axis in "ZYX":
            metadata[f"PhysicalSize{axis}"] = size
            allowed = unit in OME_LENGTHS
            metadata[f"PhysicalSize{axis}Unit"] = unit if allowed else "pixel"
        elif axis == "T" and unit in OME_TIMES:
            metadata |= {"TimeIncrement": size, "TimeIncrementUnit": unit}
    bigtiff = nbytes > CLASSIC_BYTES
    return {"ome": True, "metadata": metadata, "bigtiff": bigtiff}


@contextmanager
def _as_request_error(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong while writing into a sentence."""
    try:
        yield
    except (RequestError, DenoisingError):
        raise
    except OSError as error:
        # numpy knows no more than how many pixels were taken.
        why = error.strerror or f"the disk did not take all of it ({error})"
        raise DenoisingError(
            f"{path.name} could not be written: {why}.",
            "Check the free space and the rights of the folder, or choose another.",
        ) from error
    except Exception as error:
        raise DenoisingError(
            f"{path.name} could not be written: {error}.",
            "Check that the image can still be read.",
        ) from error


def _require_place(path: Path, nbytes: int, overwrite: bool) -> None:
    if not path.parent.is_dir():
        raise RequestError(
            f"There is no folder {path.parent}.", "Make it, or choose another."
        )
    if path.is_dir():
        raise RequestError(f"{path} is a folder; a file name is needed.")
    if path.exists() and not overwrite:
        raise RequestError(f"{path.name} is there already.", "Choose another name.")
    free = shutil.disk_usage(path.parent).free
    if nbytes > free:
        raise DenoisingError(
            f"{path.name} needs {bytes_in_words(nbytes)}, but "
            f"{bytes_in_words(free)} are free there.",
            "Make room, or choose another folder.",
        )


def _write_planes(part: Path, image: Image, layout: _Layout) -> None:
    tifffile.imwrite(
        part,
        _planes(image, layout),
        shape=layout.shape,
        dtype=layout.dtype,
        **layout.options,
    )
    _note_display_range(part, layout)


def _planes(image: Image, layout: _Layout) -> Iterator[NDArray[Any]]:
    """Planes in the order of the file, each with axes (Y, X) or (Y, X, S)."""
    inner = layout.axes[layout.axes.index("Y") :]
    outer = layout.order[: -len(inner)]
    kept = sorted(layout.order[-len(inner) :])
    to_inner = [kept.index(i) for i in layout.order[-len(inner) :]]
    for position in itertools.product(*(range(image.shape[i]) for i in outer)):
        index: list[Any] = [slice(None)] * image.ndim
        for i, n in zip(outer, position, strict=True):
            index[i] = n
        plane = np.asarray(image.data[tuple(index)]).transpose(to_inner)
        yield np.ascontiguousarray(plane, dtype=layout.dtype)


@contextmanager
def _mapped(path: Path, part: Path, layout: _Layout) -> Iterator[Any]:
    """Pixels of a new file, in the axis order of the image it is made for."""
    with _as_request_error(path):
        pixels: Any = tifffile.memmap(
            part, shape=layout.shape, dtype=layout.dtype, **layout.options
        )
        with part.open("r+b") as file:
            reserve(file, part.stat().st_size)
    try:
        yield pixels.transpose(np.argsort(layout.order))
        pixels.flush()
    finally:
        del pixels  # Windows neither renames nor removes a file that is mapped
    with _as_request_error(path):
        _note_display_range(part, layout)


def _note_display_range(part: Path, layout: _Layout) -> None:
    """Tell ImageJ what range to show; floats of camera counts would look blank."""
    if "imagej" not in layout.options:
        return
    low, high = layout.ranges[0] if layout.ranges else _range_of_file(part, layout)
    if low < high:
        with tifffile.TiffFile(part, mode="r+") as tif:
            tag = tif.pages.first.tags["ImageDescription"]
            tag.overwrite(f"{tag.value.rstrip()}\nmin={low}\nmax={high}\n")


def _range_of_file(part: Path, layout: _Layout) -> tuple[float, float]:
    pixels = tifffile.memmap(part, mode="r")
    shift = SIGNED_SHIFT if layout.dtype == np.int16 else 0
    try:
        low, high = _finite_range(pixels, layout.axes)
        return low + shift, high + shift
    finally:
        del pixels  # as above


def _finite_range(pixels: Any, axes: str) -> tuple[float, float]:
    """Least and greatest finite value of some planes."""
    planes = pixels.reshape(-1, *pixels.shape[-len(axes[axes.index("Y") :]) :])
    step = max(1, len(planes) // DISPLAY_PLANES)
    some = [plane[np.isfinite(plane)] for plane in planes[::step]]
    filled = [values for values in some if values.size]
    if not filled:
        return 0.0, 0.0
    return float(min(v.min() for v in filled)), float(max(v.max() for v in filled))
