"""Files that end too early: the whole images in them are read, a cut one is not."""

from __future__ import annotations

import logging
import math
import re
import struct
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images.foreign_text import parse_json
from napari_selfdenoise.images.laziness import require_bounded

_DAMAGE = re.compile("invalid page offset|corrupted tag list|corrupted IFD")

_Outer = tuple[tuple[str, int], ...]
"""Letter and length of each axis that numbers the planes."""


class CutShortError(RequestError):
    """A file ends before its last image; some of them may be whole."""


@dataclass(frozen=True, eq=False)
class WholePart:
    """The whole planes of a file that ends too early.

    Attributes
    ----------
    data : array
        Lazy where it was asked for.
    axes : str
        As tifffile names them.
    page : TiffPage
        The first plane.
    note : str
        What was left out.
    """

    data: Any
    axes: str
    page: Any
    note: str


@contextmanager
def damage_noted() -> Iterator[list[str]]:
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


def is_damaged(messages: list[str]) -> bool:
    """Whether tifffile complained of a file that ends too early."""
    return any(_DAMAGE.search(message) for message in messages)


def require_whole(path: Path, tif: Any, series: Any, messages: list[str]) -> None:
    """Raise an error for a series of which planes are missing.

    Raises
    ------
    CutShortError
        If the file ends before its last plane.
    RequestError
        If it is one part of an image of many files.
    """
    declared = (tif.imagej_metadata or {}).get("images", 1)
    lost = series.kind in ("generic", "uniform") and declared > len(tif.pages)
    if lost or is_damaged(messages) or _is_cut(tif, series):
        raise cut_short(path)
    missing = sum(page is None for page in series.pages)
    if not missing:
        return
    if not _has_companions(path, tif):
        raise cut_short(path)
    raise RequestError(
        f"{missing} of the {len(series.pages)} planes of {path.name} are not "
        "there: it is damaged, or one part of an image of many files.",
        "Copy all its files again, or save it as one TIFF.",
    )


def cut_short(path: Path) -> CutShortError:
    """Return the error of a file that ends too early."""
    return CutShortError(
        f"{path.name} is damaged: it ends before its last image.",
        "Copy it again from where it was acquired.",
    )


def whole_part(
    path: Path, tif: Any, series: Any | None, lazy_bytes: int
) -> WholePart | None:
    """Read the whole planes at the beginning of a file that ends too early.

    Parameters
    ----------
    path : Path
        The file.
    tif : TiffFile
        The same, open.
    series : TiffPageSeries or None
        What is to be read of it; None where tifffile finds no series.
    lazy_bytes : int
        More than that stays on disk.

    Returns
    -------
    WholePart or None
        None where not a single plane is whole.
    """
    pages = _leading_pages(tif, series)
    if not pages:
        return None
    first, outer = pages[0], _promised(tif, series, pages[0])
    promised = math.prod(length for _, length in outer)
    listed = sum(1 for _ in _whole_pages(tif, pages))
    count = max(listed, min(_unlisted(tif, first), promised))
    outer = _leading(count, outer if promised > 1 else (("I", count),))
    used = math.prod(length for _, length in outer)
    if not count:
        return None
    if not first.is_contiguous:
        require_bounded(first.shape, first.nbytes)
    if used > listed:
        planes = _contiguous(path, tif, first, used, lazy_bytes)
    else:
        planes = _decoded(path, pages[:used], lazy_bytes)
    axes = "".join(letter for letter, _ in outer) + first.axes
    shape = (*(length for _, length in outer), *first.shape)
    return WholePart(planes.reshape(shape), axes, first, _note(path, used, promised))


def _is_cut(tif: Any, series: Any) -> bool:
    """Whether pixels that a series lists lie beyond the end of the file."""
    if series.dataoffset is not None:
        return bool(series.dataoffset + series.nbytes > tif.filehandle.size)
    pages = [page for page in series.pages if page is not None]
    if any(page.parent is not tif for page in pages[-1:]):
        return False  # planes of an image of many files
    return sum(1 for _ in _whole_pages(tif, pages)) < len(pages)


def _has_companions(path: Path, tif: Any) -> bool:
    """Whether an OME-TIFF names other files that hold its planes."""
    text = (tif.ome_metadata or "") if tif.is_ome else ""
    return bool(set(re.findall(r'FileName="([^"]+)"', text)) - {path.name})


def _leading_pages(tif: Any, series: Any | None) -> list[Any]:
    """The pages that can be found, in order, up to the first that cannot."""
    pages: list[Any] = []
    with suppress(Exception):  # a list of pages that is cut ends with all kinds
        for page in tif.pages if series is None else series.pages:
            if page is None or (pages and page.shape != pages[0].shape):
                break
            pages.append(page)
    return pages


def _whole_pages(tif: Any, pages: list[Any]) -> Iterator[Any]:
    """Pages whose pixels are all in the file, up to the first that is cut."""
    size = tif.filehandle.size
    for page in pages:
        ends = zip(page.dataoffsets, page.databytecounts, strict=True)
        if any(offset + length > size for offset, length in ends):
            return
        yield page


def _unlisted(tif: Any, first: Any) -> int:
    """Planes that lie behind each other in the file, whether they are listed or not.

    ImageJ and others write the first entry of the list, all pixels, and then the rest
    of the list, which is the first to be lost.
    """
    if not first.is_contiguous:
        return 0
    start, end = first.dataoffsets[0], tif.filehandle.size
    following = _next_entry(tif, first)
    end = min(end, following) if following > start else end
    return max(0, int((end - start) // first.nbytes))


def _next_entry(tif: Any, page: Any) -> int:
    """Where the list of pages goes on after a page; 0 where it ends or is cut."""
    file, form = tif.filehandle, tif.tiff
    with suppress(struct.error, OSError):
        file.seek(page.offset)
        (tags,) = struct.unpack(form.tagnoformat, file.read(form.tagnosize))
        file.seek(page.offset + form.tagnosize + tags * form.tagsize)
        (found,) = struct.unpack(form.offsetformat, file.read(form.offsetsize))
        return int(found)
    return 0


def _promised(tif: Any, series: Any | None, first: Any) -> _Outer:
    """Axes that number the planes, as the file's text promises them."""
    if series is not None and series.kind in ("ome", "imagej", "shaped"):
        return _without_plane(series.axes, series.shape, first)
    if tif.is_imagej:
        return _imagej_axes(tif.imagej_metadata)
    with suppress(ValueError, TypeError, AttributeError):
        text = parse_json(first.description)
        axes = text.get("axes") or "I" * len(text["shape"])
        return _without_plane(axes, text["shape"], first)
    # No text: a writer who puts all pixels before the list knows how many there are.
    between = _next_entry(tif, first) - first.dataoffsets[0]
    return (("I", max(1, between // first.nbytes if first.is_contiguous else 1)),)


def _without_plane(axes: str, shape: Any, first: Any) -> _Outer:
    count = len(shape) - len(first.shape)
    return tuple(zip(axes[:count], (int(n) for n in shape[:count]), strict=True))


def _imagej_axes(text: dict[str, Any]) -> _Outer:
    keys = {"T": "frames", "Z": "slices", "C": "channels"}
    outer = tuple((letter, int(text.get(key, 1))) for letter, key in keys.items())
    outer = tuple((letter, length) for letter, length in outer if length > 1)
    images = int(text.get("images", 1))
    if math.prod(length for _, length in outer) != images:
        return (("I", images),)
    return outer


def _leading(count: int, outer: _Outer) -> _Outer:
    """Axes of as many of the first planes as fill whole entries of an axis."""
    if not outer:
        return ()
    (letter, length), *rest = outer
    each = math.prod(n for _, n in rest)
    if count >= 2 * each:
        return ((letter, min(length, count // each)), *rest)
    return _leading(count, tuple(rest))


def _contiguous(path: Path, tif: Any, first: Any, count: int, lazy_bytes: int) -> Any:
    dtype = np.dtype(tif.byteorder + first.dtype.char)
    shape = (count, *first.shape)
    planes = np.memmap(path, dtype, "r", first.dataoffsets[0], shape)
    if planes.nbytes > lazy_bytes:
        return planes
    return planes.astype(dtype.newbyteorder("="))


def _decoded(path: Path, pages: list[Any], lazy_bytes: int) -> Any:
    if sum(page.nbytes for page in pages) <= lazy_bytes:
        return np.stack([page.asarray() for page in pages])
    import dask
    import dask.array

    reader = _Reader(path)
    weakref.finalize(reader, reader.tif.close)  # open as long as it is read
    planes = [
        dask.array.from_delayed(
            dask.delayed(_Reader.read, pure=False)(reader, page.index),
            page.shape,
            page.dtype,
        )
        for page in pages
    ]
    return dask.array.stack(planes)


class _Reader:
    """Reads pages of a file that stays open, for one thread at a time."""

    def __init__(self, path: Path) -> None:
        self.tif = tifffile.TiffFile(path)
        self._lock = threading.Lock()

    def read(self, place: int) -> Any:
        """Pixels of a page, as it is numbered in the file."""
        with self._lock:
            return self.tif.pages[place].asarray()


def _note(path: Path, used: int, promised: int) -> str:
    whole = "is whole and was read" if used == 1 else "are whole and were read"
    if promised <= 1:
        first = "first image" if used == 1 else f"first {used} images"
        return (
            f"{path.name} ends too early: its {first} {whole}; there may have been "
            "more. Copy it again if you need them."
        )
    if used == promised:
        return f"{path.name} is damaged at its end; all its {used} images {whole}."
    return (
        f"{path.name} ends too early: {used} of its {promised} images {whole}. Copy "
        "it again if you need the others."
    )
