"""Read an image file of whatever format, or one of its images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.images.axes import (
    axis_letters,
    by_axis,
    letters_of,
    parse_pixel_size,
    planes_last,
    require_letter_each,
    with_pixel_size,
)
from napari_selfdenoise.images.channels import tables_of_colours
from napari_selfdenoise.images.display import Look
from napari_selfdenoise.images.formats import (
    Format,
    Recorded,
    format_of,
    with_rows,
    without_length_one,
)
from napari_selfdenoise.images.image import Image, as_line_scan
from napari_selfdenoise.images.laziness import within_memory
from napari_selfdenoise.images.series import choose, no_images
from napari_selfdenoise.images.tiff_reading import file_stem, read_tiff, tiff_series

_LONGEST = 80
"""Letters of a library's message that are shown."""


def read_image(
    path: str | os.PathLike[str],
    frame: int | None = None,
    *,
    axes: str | None = None,
    series: int | None = None,
    pixel_size: str | None = None,
    max_memory: int | None = None,
) -> Image:
    """Read an image file: TIFF, OME-Zarr, or what a microscope's software wrote.

    Read at full resolution. Axes of length one are dropped. A line that was scanned
    again and again is the image that it makes, see `as_line_scan`.

    Parameters
    ----------
    path : path
        A file of one of the `FORMATS` by its name, or else a TIFF; a folder for
        OME-Zarr.
    frame : int, optional
        The only frame or plane wanted, counted from 0 along the first stack axis.
    axes : str, optional
        What the axes of the file are, where it says nothing or something else: a letter
        for each, as in `Image`, or words with commas between: "frame,row,col".
    series : int, optional
        Which of several positions, scenes, wells or series is read, from 0; by default
        the first.
    pixel_size : str, optional
        Pixel size where the file has none or a wrong one: see `parse_pixel_size`.
    max_memory : int, optional
        Bytes that a whole run may take: images that would need much of them stay on
        disk. By default, those above a gigabyte do.

    Returns
    -------
    Image
        With the file's axes, pixel size and units ("pixel" where it has none), names of
        channels, and named as the file; its data stay on disk if they are large. What
        is odd about the file is in its `notes`.

    Raises
    ------
    RequestError
        If there is no such file, series or frame, it has other axes, it cannot be read,
        or the library that reads it is missing.
    """
    path = Path(path)
    kind = _require_file(path)
    letters = None if axes is None else letters_of(axes)
    steps = parse_pixel_size(pixel_size) if pixel_size else {}
    with within_memory(max_memory):
        if kind is None:
            image = read_tiff(path, letters, series)
        else:
            image = _read(path, kind, letters, series)
    image = with_pixel_size(image, steps) if steps else image
    return image if frame is None else image.frame(frame)


def series_names(path: str | os.PathLike[str]) -> list[str]:
    """Names of the images of a file, in the order of their numbers; "" for no name.

    Positions, scenes, wells and series count; previews and smaller copies of the same
    image do not.

    Raises
    ------
    RequestError
        If there is no such file, or the library that reads it is missing.
    """
    path = Path(path)
    kind = _require_file(path)
    if kind is None:
        return tiff_series(path)
    with _as_request_error(path, kind):
        names = [one.name for one in kind.images_in(path)]
        if not names:
            raise no_images(path)
        return names


def _require_file(path: Path) -> Format | None:
    """Format of a file; an error where there is none."""
    if not path.exists():
        raise RequestError(
            f"There is no file {path}.", "Check the name and the folder."
        )
    kind = format_of(path)
    if path.is_dir() and (kind is None or kind.name != "OME-Zarr"):
        raise RequestError(
            f"{path} is a folder; an image file is needed, or an OME-Zarr."
        )
    return kind


def _read(path: Path, kind: Format, axes: str | None, number: int | None) -> Image:
    with _as_request_error(path, kind):
        one, note = choose(path, kind.images_in(path), number)
        found = one.read()
        image = _image(path, found, axes)
    return replace(image, notes=(*image.notes, note)) if note else image


def _image(path: Path, found: Recorded, axes: str | None) -> Image:
    """Make an image of what was recorded, with the axes of the file or other ones."""
    letters = axis_letters(found.axes)
    data, letters = without_length_one(found.data, letters)
    if axes is None:
        found, letters = with_rows(replace(found, data=data), letters)
        data = found.data
    else:
        require_letter_each(path.name, data.shape, axes)
        letters = axes
    sizes = by_axis(found.steps, letters)
    image = Image(data, letters, *sizes, file_stem(path), notes=found.notes)
    image = replace(image, acquisition=None if axes else found.acquisition)
    return as_line_scan(planes_last(_with_channels(image, found)))


def _with_channels(image: Image, found: Recorded) -> Image:
    """Add names and colours, where there is one for each channel."""
    if len(found.channel_names) == image.channels and any(found.channel_names):
        image = replace(image, channel_names=found.channel_names)
    return replace(image, look=_look(found, image.channels))


def _look(found: Recorded, channels: int) -> Look | None:
    """Colours and ranges of channels; None where the file has none."""
    coloured = len(found.colours) == channels
    tables = tables_of_colours(found.colours) if coloured else ()
    ranges = found.ranges if len(found.ranges) == channels else ()
    mode = "composite" if tables and channels > 1 else ""
    return Look(tables=tables, mode=mode, ranges=ranges) if tables or ranges else None


@contextmanager
def _as_request_error(path: Path, kind: Format) -> Iterator[None]:
    """Turn whatever a library raises into a sentence."""
    try:
        yield
    except (RequestError, DenoisingError):
        raise
    except PermissionError as error:
        raise RequestError(
            f"{path.name} may not be read.", "Check the rights of the file."
        ) from error
    except Exception as error:
        raise RequestError(
            f"{path.name} could not be read as {kind.name} ({_short(error)}).",
            "Copy it again, or save it as OME-TIFF in the program that wrote it.",
        ) from error


def _short(error: Exception) -> str:
    """The beginning of what a library says."""
    lines = str(error).splitlines()
    text = lines[0].rstrip(".") if lines else type(error).__name__
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
