"""The images of a file: positions or series, without previews and pyramid levels."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import tifffile

from napari_selfdenoise.errors import RequestError

_PREVIEW = re.compile(
    "(thumbnail|label|macro|overview|preview|map)( image)?", re.IGNORECASE
)
"""Names that slide scanners give to small pictures beside the image."""

_FEWEST_LEVELS = 2
"""Series of half and a quarter of the size: one alone may be an image of its own."""


_LINKS = 1000
"""Entries of a list of images that are followed to see whether it has an end."""

_MOST_NAMES = 12
"""Names of images in a sentence: a plate has thousands."""


def tiff_series_names(path: Path) -> list[str]:
    """Names of the images of a TIFF, as `series_names` gives them."""
    with tifffile.TiffFile(path) as tif:
        return [str(one.name or "") for one in all_series(tif)]


def all_series(tif: Any) -> list[Any]:
    """The images of an open TIFF, without previews and smaller copies.

    Raises
    ------
    ValueError
        If its list of images has no end.
    """
    _require_end(tif)
    first, *others = tif.series
    others = [one for one in others if _is_own_image(one)]
    return [first, *others[_levels(first, others) :]]


def _require_end(tif: Any) -> None:
    """Refuse a list of images that leads back to an earlier one: it would never end."""
    file, form = tif.filehandle, tif.tiff
    visited: set[int] = set()
    offset = tif.pages.first.offset
    with suppress(struct.error, OSError):
        while offset and len(visited) < _LINKS:
            if offset in visited:
                raise ValueError("its list of images has no end")
            visited.add(offset)
            file.seek(offset)
            (tags,) = struct.unpack(form.tagnoformat, file.read(form.tagnosize))
            file.seek(offset + form.tagnosize + tags * form.tagsize)
            (offset,) = struct.unpack(form.offsetformat, file.read(form.offsetsize))


def choose_series(path: Path, tif: Any, number: int | None) -> tuple[Any, str]:
    """Return one image of an open TIFF, and a note on the others; see `choose`."""
    return choose(path, all_series(tif), number)


def choose(path: Path, found: Sequence[Any], number: int | None) -> tuple[Any, str]:
    """Return one image of a file, and a note on the others.

    Parameters
    ----------
    path : Path
        The file, for its name in messages.
    found : sequence
        All of its images, each with a `name`.
    number : int or None
        From 0; None for the first.

    Returns
    -------
    object
        The image.
    str
        The note; empty where there are no others, or where the number was given.

    Raises
    ------
    RequestError
        If there is no image of that number.
    """
    if not found:
        raise no_images(path)
    if number is None:
        return found[0], _others_note(path, found)
    if not 0 <= number < len(found):
        raise RequestError(
            f"There is no series {number}: {path.name} holds {_listed(found)}.",
            f"Choose 0 to {len(found) - 1}." if len(found) > 1 else "Leave it out.",
        )
    return found[number], ""


def no_images(path: Path) -> RequestError:
    """Return the error of a file that holds no image."""
    return RequestError(
        f"{path.name} holds no image, or is damaged.",
        "Copy it again, or choose another file.",
    )


def _is_own_image(series: Any) -> bool:
    preview = _PREVIEW.fullmatch(str(series.name or "").strip())
    return not preview and not series.keyframe.is_reduced and _size(series) is not None


def _size(series: Any) -> tuple[int, ...] | None:
    """Rows and columns of a series; None where it is no image."""
    if not {"Y", "X"} <= set(series.axes):
        return None
    return tuple(series.shape[series.axes.index(axis)] for axis in "YX")


def _levels(first: Any, others: list[Any]) -> int:
    """How many of the next series are a half, a quarter… of the first: a pyramid."""
    full, count = _size(first) or (0, 0), 0
    for one in others:
        halves = tuple(n / 2 ** (count + 1) for n in full)
        size = _size(one) or (0, 0)
        if any(abs(n - m) > 1 for n, m in zip(size, halves, strict=True)):
            break
        count += 1
    return count if count >= _FEWEST_LEVELS else 0


def _others_note(path: Path, found: Sequence[Any]) -> str:
    if len(found) == 1:
        return ""
    others = "one more" if len(found) == 2 else f"{len(found) - 1} more"
    return (
        f"The first image was read. {path.name} holds {_listed(found)}: {others} can "
        "be chosen by the number of the series."
    )


def _listed(found: Sequence[Any]) -> str:
    """Number and names of images, such as "2 images (0: day 1, 1: day 2)"."""
    if len(found) == 1:
        return "one image"
    named = [f"{number}: {one.name}" for number, one in enumerate(found) if one.name]
    if len(named) > _MOST_NAMES:
        named = [*named[:_MOST_NAMES], "…", named[-1]]
    names = f" ({', '.join(named)})" if named else ""
    return f"{len(found)} images{names}"
