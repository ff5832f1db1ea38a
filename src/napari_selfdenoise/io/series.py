"""The images of a file: positions or series, without previews and pyramid levels."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import tifffile

from napari_selfdenoise.errors import RequestError

_PREVIEWS = re.compile("thumb|label|macro|overview|preview|map", re.IGNORECASE)

_LEVEL_TOLERANCE = 1
"""Pixels by which a level of a pyramid may differ from a half, quarter, eighth…"""


def series_names(path: str | os.PathLike[str]) -> list[str]:
    """Name the images of a TIFF, in the order of their numbers; "" for unnamed ones.

    Positions and series count, previews and smaller copies of the same image do not.
    """
    with tifffile.TiffFile(path) as tif:
        return [str(one.name or "") for one in all_series(tif)]


def all_series(tif: Any) -> list[Any]:
    """The images of an open TIFF, without previews and smaller copies."""
    first, *others = tif.series
    return [first, *(one for one in others if _is_own_image(one, first))]


def choose_series(path: Path, tif: Any, number: int | None) -> tuple[Any, str]:
    """Find the image that is wanted.

    Parameters
    ----------
    path : Path
        For the sentences.
    tif : TiffFile
        Open.
    number : int or None
        From 0; None for the first.

    Returns
    -------
    TiffPageSeries
    str
        What should be said of the others; empty where there are none, or where the
        number was given.

    Raises
    ------
    RequestError
        If there is no image of that number.
    """
    found = all_series(tif)
    if number is None:
        return found[0], _others_note(path, found)
    if not 0 <= number < len(found):
        raise RequestError(
            f"Series {number} was named, but {path.name} holds {_listed(found)}.",
            f"Choose 0 to {len(found) - 1}." if len(found) > 1 else "Leave it out.",
        )
    return found[number], ""


def _is_own_image(series: Any, first: Any) -> bool:
    if _PREVIEWS.search(str(series.name or "")) or series.keyframe.is_reduced:
        return False
    return not _is_level_of(_plane(series), _plane(first))


def _plane(series: Any) -> tuple[int, int]:
    return tuple(series.shape[series.axes.index(a)] for a in "YX")


def _is_level_of(plane: tuple[int, int], full: tuple[int, int]) -> bool:
    """Whether a plane is half the size of another, a quarter, and so on."""
    return any(
        all(
            abs(large / 2**power - n) <= _LEVEL_TOLERANCE
            for n, large in zip(plane, full, strict=True)
        )
        for power in range(1, 8)
    )


def _others_note(path: Path, found: list[Any]) -> str:
    if len(found) == 1:
        return ""
    others = "one more" if len(found) == 2 else f"{len(found) - 1} more"
    return (
        f"{path.name} holds {_listed(found)}. The first was read; {others} can be "
        "chosen by the number of the series."
    )


def _listed(found: list[Any]) -> str:
    """Number and names of images, such as "2 images (0: day 1, 1: day 2)"."""
    if len(found) == 1:
        return "one image"
    named = [f"{number}: {one.name}" for number, one in enumerate(found) if one.name]
    names = f" ({', '.join(named)})" if named else ""
    return f"{len(found)} images{names}"
