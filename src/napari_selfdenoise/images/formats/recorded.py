"""What every reader of a format gives: the images of a file, as they were recorded."""

from __future__ import annotations

import importlib
import math
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.images.acquisition import Acquisition
from napari_selfdenoise.images.amounts import bytes_in_words
from napari_selfdenoise.images.atomic_write import reserve
from napari_selfdenoise.images.axes import Steps, axis_letter

LAZY_BYTES = 2**30
"""Images larger than this stay on disk, or go to a temporary file there."""

INSTALL = 'pip install "napari-selfdenoise[formats]"'
"""Command that brings the libraries of all formats."""


@dataclass(frozen=True, eq=False)
class Recorded:
    """One image of a file, with what the file says of it.

    Attributes
    ----------
    data : array
        NumPy array in raw units, or a lazy one where it is large.
    axes : tuple of str
        Label of each axis of `data`, as in `axis_letters`.
    steps : Steps
        Pixel size and unit by axis letter, where the file gives them.
    channel_names : tuple of str
        One a channel; empty where the file has none.
    notes : tuple of str
        Sentences for the user.
    colours : tuple of (int, int, int)
        Red, green and blue of each channel, up to 255; empty where the file has none.
    ranges : tuple of (float, float)
        Values that each channel is shown with; empty where the file has none.
    acquisition : Acquisition, optional
        When and where the planes were recorded; its axes are letters.
    """

    data: Any
    axes: tuple[str, ...]
    steps: Steps = field(default_factory=dict)
    channel_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    colours: tuple[tuple[int, ...], ...] = ()
    ranges: tuple[tuple[float, float], ...] = ()
    acquisition: Acquisition | None = None


class Listed(NamedTuple):
    """One image in the list of a file's images; its pixels are not read yet.

    Attributes
    ----------
    name : str
        As the file calls it; may be empty.
    read : callable
        Reads it.
    """

    name: str
    read: Callable[[], Recorded]


def library(name: str, format_name: str) -> Any:
    """Import the library of a format.

    Raises
    ------
    RequestError
        If it is not installed; names the command that installs it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise RequestError(
            f"{format_name} files need the library {name}, which is not installed.",
            f"Install it: {INSTALL} (or pip install {name}).",
        ) from error


def colour(digits: str) -> tuple[int, ...]:
    """Red, green and blue of a colour as six or more hexadecimal digits; else white.

    Examples
    --------
    >>> colour("#FF00FF5B")  # the first two are opacity
    (0, 255, 91)
    """
    found = re.fullmatch(r"#?[0-9a-fA-F]*?([0-9a-fA-F]{6})", digits.strip())
    return tuple(bytes.fromhex(found[1])) if found else (255, 255, 255)


def native(array: Any) -> Any:
    """Return an array in the byte order of this machine."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def named_or_plane(names: Sequence[str | None], ndim: int) -> tuple[str, ...]:
    """Labels of axes of which some have a name; the last two are rows and columns.

    Parameters
    ----------
    names : sequence of str or None
        In the order of the axes; none, or the wrong number, where there are no names.
    ndim : int
        How many axes there are.

    Raises
    ------
    ValueError
        If there are fewer than two.
    """
    if ndim < 2:
        raise ValueError("it has fewer than two axes")
    given = names if len(names) == ndim else [None] * ndim
    labels = [name or f"axis {place}" for place, name in enumerate(given)]
    if not {"Y", "X"} <= {axis_letter(label) for label in labels}:
        labels[-2:] = ["y", "x"]
    return tuple(labels)


def without_length_one(data: Any, letters: str) -> tuple[Any, str]:
    """Drop axes of length one, but for rows, columns and colours."""
    kept = [n != 1 or a in "YXS" for n, a in zip(data.shape, letters, strict=True)]
    index = tuple(slice(None) if keep else 0 for keep in kept)
    letters = "".join(a for a, keep in zip(letters, kept, strict=True) if keep)
    return data[index], letters


def scratch(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Zeros to fill with an image; in a temporary file without a name if large.

    Raises
    ------
    DenoisingError
        If the disk has no room for it.
    """
    size = math.prod(shape) * dtype.itemsize
    if size <= LAZY_BYTES:
        return np.zeros(shape, dtype)
    try:
        with tempfile.TemporaryFile() as file:
            reserve(file, size)
            return np.memmap(file, dtype, "w+", shape=shape)
    except OSError as error:
        raise DenoisingError(
            f"There is no room for a file of {bytes_in_words(size)}: {error}.",
            f"Make room in {tempfile.gettempdir()}.",
        ) from error


def with_rows(recorded: Recorded, letters: str) -> tuple[Recorded, str]:
    """Give an image without rows such: its depth, or one row a line scan.

    Parameters
    ----------
    recorded : Recorded
        As in the file.
    letters : str
        Of its axes.

    Returns
    -------
    Recorded
        With one more axis in front where there is no depth.
    str
        Letters of its axes, Y among them.
    """
    if "Y" in letters:
        return recorded, letters
    if "Z" not in letters:
        return replace(recorded, data=recorded.data[None]), "Y" + letters
    note = "The planes are sections along the optical axis: their rows are depth."
    steps = {"Y" if axis == "Z" else axis: s for axis, s in recorded.steps.items()}
    notes = (*recorded.notes, note)
    return replace(recorded, steps=steps, notes=notes), letters.replace("Z", "Y")
