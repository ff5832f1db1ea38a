"""Letters of axes, from the words that files and viewers use; steps along them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images.image import Image
from napari_selfdenoise.images.planes import UNNAMED_AXES
from napari_selfdenoise.images.units import positive, unit_symbol

Steps = dict[str, tuple[float, str]]
"""Pixel size and unit by axis letter, where the file gives them."""

_WORDS = {
    "T": ("time", "times", "timepoint", "timepoints", "frame", "frames"),
    "C": ("channel", "channels", "ch", "color", "colour", "wavelength", "lambda", "λ"),
    "Z": ("depth", "plane", "planes", "slice", "slices", "section", "sections"),
    "Y": ("row", "rows", "height"),
    "X": ("col", "cols", "column", "columns", "width"),
    "S": ("rgb", "rgba"),
    "P": (
        *("position", "positions", "pos", "scene", "series", "stage", "view"),
        *("field", "fov", "site", "well", "tile", "mosaic", "m"),
    ),
}
_LETTERS = {word: letter for letter, words in _WORDS.items() for word in words}
_LETTERS |= {letter.lower(): letter for letter in "TCZYXS" + UNNAMED_AXES}

_SIZE = re.compile(r"(?:([A-Za-z]+)\s*=)?\s*([-+.\deE]+?)\s*([^\d\s.,=]*)")
"""One pixel size as it is typed: "0.1", "65nm", "Z=0.3um", "T=2s"."""

_UNNAMED_SIZES = {1: ("YX",), 2: ("Y", "X"), 3: ("Z", "Y", "X")}
"""Axes of so many numbers without a letter."""


def axis_letter(label: str) -> str:
    """Letter of an axis by its label, such as T for "frame"; "" where not known."""
    return _LETTERS.get(label.strip().lower(), "")


def axis_letters(labels: Iterable[str]) -> str:
    """Letters of axes by their labels, each once.

    What is not known, or there for the second time, gets a letter of `UNNAMED_AXES`.

    Examples
    --------
    >>> axis_letters(["frame", "scene", "row", "col"])
    'TPYX'
    """
    known = [axis_letter(label) for label in labels]
    letters = ""
    for letter in known:
        fits = letter and letter not in letters
        taken = letters + "".join(known)
        letters += letter if fits else free_letter(UNNAMED_AXES, taken)
    return letters


def letters_of(axes: str) -> str:
    """Letters of axes as they are typed: "TYX", or words: "frame,row,col"."""
    return axis_letters(axes.split(",")) if "," in axes else axes.strip().upper()


def free_letter(letters: str, taken: str) -> str:
    """First of the letters that is not taken."""
    for letter in letters:
        if letter not in taken:
            return letter
    raise RequestError(
        "The image has too many axes without a meaning.",
        "Split it into images of at most six dimensions.",
    )


def require_letter_each(name: str, shape: Sequence[int], axes: str) -> None:
    """Raise an error if there is not one letter for each axis of a file."""
    if len(axes) == len(shape):
        return
    lengths = " × ".join(str(n) for n in shape)
    raise RequestError(
        f"{name} has {len(shape)} axes, of the lengths {lengths}, but "
        f"{axes} names {len(axes)}.",
        "Give a letter for each: T time, C channel, Z depth, Y row, X column, "
        f"and one of {UNNAMED_AXES} for others.",
    )


def by_axis(steps: Steps, axes: str) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Pixel size and unit of each axis; 1 pixel where they are not known."""
    pairs = [steps.get(axis, (1.0, "pixel")) for axis in axes]
    return tuple(size for size, _ in pairs), tuple(unit for _, unit in pairs)


def planes_last(image: Image) -> Image:
    """Bring rows, columns and colours to the end, where viewers look for them."""
    order = sorted(range(image.ndim), key=lambda i: "YXS".find(image.axes[i]) // 2)
    return _transposed(image, order)


def in_order_of(image: Image, other: Image) -> Image:
    """Return an image with the order of axes of another one that has the same axes."""
    if sorted(image.axes) != sorted(other.axes):
        return image
    return _transposed(image, [image.axes.index(axis) for axis in other.axes])


def _transposed(image: Image, order: Sequence[int]) -> Image:
    if list(order) == list(range(image.ndim)):
        return image
    return replace(
        image,
        data=image.data.transpose(order),
        axes="".join(image.axes[i] for i in order),
        pixel_size=tuple(image.pixel_size[i] for i in order),
        units=tuple(image.units[i] for i in order),
        mask=None if image.mask is None else image.mask.transpose(order),
        line_scan="".join(image.line_scan[i] for i in order) if image.line_scan else "",
    )


def parse_pixel_size(text: str) -> Steps:
    """Read a pixel size as it is typed; in µm, along T in seconds, unless it says so.

    Examples
    --------
    >>> parse_pixel_size("65nm")
    {'Y': (65.0, 'nm'), 'X': (65.0, 'nm')}
    >>> parse_pixel_size("0.3,0.1,0.1")["Z"]
    (0.3, 'µm')
    >>> parse_pixel_size("YX=0.1,T=2")["T"]
    (2.0, 's')

    Raises
    ------
    RequestError
        If it cannot be understood.
    """
    found = [_SIZE.fullmatch(part.strip()) for part in text.split(",")]
    sizes = [(m[1] or "", positive(m[2]), m[3]) for m in found if m]
    bare = [size for size in sizes if not size[0]]
    places = iter(_UNNAMED_SIZES.get(len(bare), ()))
    steps: Steps = {}
    for letters, size, unit in sizes:
        for axis in letters.upper() or next(places, "?"):
            usual = "s" if axis == "T" else "µm"
            steps[axis] = (size or 0, unit_symbol(unit or usual))
    if None in found or any(s is None for _, s, _ in sizes) or "?" in steps:
        raise RequestError(
            f"{text!r} is no pixel size.",
            "Give one number for rows and columns, such as 0.1 (µm) or 65nm. Give "
            "three for Z, Y and X, such as 0.3,0.1,0.1, or name axes: YX=0.1,T=2s.",
        )
    return steps


def with_pixel_size(image: Image, steps: Steps) -> Image:
    """Return an image with other pixel sizes along some axes.

    Raises
    ------
    RequestError
        If the image has no such axis.
    """
    missing = [axis for axis in steps if axis not in image.axes]
    if missing:
        raise RequestError(
            f"There is no axis {missing[0]} for a pixel size: the image has the axes "
            f"{image.axes}.",
            "Give a pixel size for these axes only.",
        )
    before = zip(image.pixel_size, image.units, strict=True)
    all_steps = dict(zip(image.axes, before, strict=True)) | steps
    sizes, units = by_axis(all_steps, image.axes)
    return replace(image, pixel_size=sizes, units=units)


_FEW = 5
"""Images along an axis up to which it is more likely one of channels."""


def likely_axis(length: int, axes: str) -> str:
    """Guess what an axis without a name is; T, Z or C, whichever is not there yet.

    Few images are likely channels, many are time points.

    Parameters
    ----------
    length : int
        Of the axis.
    axes : str
        Letters of all axes.
    """
    likely = "CTZ" if 1 < length <= _FEW else "TZC"
    free = [letter for letter in likely if letter not in axes]
    return [*free, "T"][0]


def pixel_size_text(image: Image) -> str:
    """Pixel size as it may be typed: what `parse_pixel_size` reads; "" if not known.

    Examples
    --------
    >>> import numpy as np
    >>> pixels = np.zeros((3, 4, 5))
    >>> pixel_size_text(Image(pixels, "ZYX", (0.3, 0.1, 0.1), ("µm",) * 3))
    '0.1 µm, Z=0.3 µm'
    """
    pairs = zip(image.pixel_size, image.units, strict=True)
    texts = {
        axis: f"{size:.6g} {unit_symbol(unit)}"
        for axis, (size, unit) in zip(image.axes, pairs, strict=True)
        if unit_symbol(unit) != "pixel"
    }
    y, x = texts.pop("Y", ""), texts.pop("X", "")
    named = [f"{axis}={text}" for axis, text in texts.items()]
    if y == x:
        return ", ".join([x, *named] if x else named)
    plane = [f"{axis}={text}" for axis, text in (("Y", y), ("X", x)) if text]
    return ", ".join([*plane, *named])
