"""How an image lies in an OME-Zarr, and what that says of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images.axes import Steps, free_letter
from napari_selfdenoise.images.channels import repeated
from napari_selfdenoise.images.display import Look
from napari_selfdenoise.images.image import Image
from napari_selfdenoise.images.stored_axes import KEY, letters_changed
from napari_selfdenoise.images.tiff_writing import SOFTWARE
from napari_selfdenoise.images.units import in_words

Version = Literal["0.4", "0.5"]

_ORDER = "TCZYX"
"""The order of axes that OME-Zarr asks for."""

_TYPES = {"T": "time", "C": "channel"}
"""Kinds of axes; all others are space."""

_SMALLEST_PX = 256
"""Copies are made down to this size, which a viewer shows at once."""

_COLOURS = ("FFFFFF",), ("00FF00", "FF00FF", "00FFFF", "FF0000", "0000FF", "FFFF00")
"""Colours of one channel, and of several."""


@dataclass(frozen=True)
class ZarrLayout:
    """How an image lies in a zarr: `order` gives the image's axis for each letter.

    Attributes
    ----------
    sizes : dict
        Length of each axis by its letter, in the order of the file.
    """

    order: tuple[int, ...]
    sizes: dict[str, int]
    steps: Steps
    dtype: np.dtype[Any]

    @property
    def outer(self) -> tuple[int, ...]:
        """Lengths of the axes before rows and columns."""
        return tuple(self.sizes.values())[:-2]

    def channel_at(self, position: tuple[int, ...]) -> int:
        """Number of the channel that a plane belongs to."""
        letters = "".join(self.sizes)
        return position[letters.index("C")] if "C" in letters else 0

    def attributes(
        self, image: Image, version: Version, ranges: dict[int, ValueRange]
    ) -> dict[str, Any]:
        """What a group says of the image in it.

        Parameters
        ----------
        image : Image
            Its name, channels and look.
        version : "0.4" or "0.5"
            Of OME-Zarr.
        ranges : dict
            Of each channel's values.
        """
        about: dict[str, Any] = {"multiscales": [self.multiscale(image.name, version)]}
        if channels := _channels(image, self.sizes.get("C", 1), ranges):
            about["omero"] = {"channels": channels}
        if version == "0.5":
            about = {"ome": {"version": version, **about}}
        changed = letters_changed(image.line_scan or image.axes, _file_letters(image))
        return about | ({KEY: changed} if changed else {}) | {"software": SOFTWARE}

    def levels(self) -> Iterator[tuple[int, ...]]:
        """Shapes of the image and of its copies, each half of the one before."""
        *outer, rows, columns = self.sizes.values()
        yield (*outer, rows, columns)
        while max(rows, columns) > _SMALLEST_PX and min(rows, columns) > 1:
            rows, columns = rows // 2, columns // 2
            yield (*outer, rows, columns)

    def multiscale(self, name: str, version: Version) -> dict[str, Any]:
        """OME's metadata: axes, and where each level lies."""
        axes = [self._axis(letter) for letter in self.sizes]
        levels = [self._level(n) for n, _ in enumerate(self.levels())]
        found = {"name": name, "axes": axes, "datasets": levels, "type": "mean"}
        return found if version == "0.5" else found | {"version": version}

    def _axis(self, letter: str) -> dict[str, str]:
        axis = {"name": letter.lower(), "type": _TYPES.get(letter, "space")}
        unit = in_words(self.steps[letter][1])
        return axis | ({"unit": unit} if unit and letter != "C" else {})

    def _level(self, number: int) -> dict[str, Any]:
        """Pixel size of a level, and the centre of its first pixel."""
        factor = {letter: 2**number if letter in "YX" else 1 for letter in self.sizes}
        sizes = {letter: self.steps[letter][0] for letter in self.sizes}
        scale = [sizes[a] * factor[a] for a in self.sizes]
        shift = [sizes[a] * (factor[a] - 1) / 2 for a in self.sizes]
        moves = [{"type": "scale", "scale": scale}]
        if number:
            moves.append({"type": "translation", "translation": shift})
        return {"path": str(number), "coordinateTransformations": moves}


def layout_of(image: Image) -> ZarrLayout:
    """How an image is to lie in an OME-Zarr.

    Raises
    ------
    RequestError
        If it has no pixels, or more axes than OME-Zarr holds.
    """
    if 0 in image.shape:
        raise RequestError(
            f"An image without pixels (axes {image.axes}, shape {image.shape}) "
            "cannot be written."
        )
    if image.ndim > len(_ORDER):
        raise RequestError(
            f"OME-Zarr holds at most {len(_ORDER)} axes; the image has {image.ndim} "
            f"({image.axes}).",
            "Write an OME-TIFF: a name that ends in .ome.tif.",
        )
    letters = _file_letters(image)
    order = tuple(letters.index(a) for a in _ORDER if a in letters)
    steps = zip(image.pixel_size, image.units, strict=True)
    return ZarrLayout(
        order,
        {letters[i]: image.shape[i] for i in order},
        dict(zip(letters, steps, strict=True)),
        image.dtype.newbyteorder("="),
    )


def _file_letters(image: Image) -> str:
    """Letter of each of the image's axes in the file; a line scan as it was stored."""
    letters = ""
    axes = image.line_scan or image.axes
    for axis in axes:
        taken = letters + "".join(a for a in axes if a in _ORDER)
        choice = "CTZ" if axis == "S" else "TZC"
        letters += axis if axis in _ORDER else free_letter(choice, taken)
    return letters


@dataclass
class ValueRange:
    """Least and greatest finite value of a channel."""

    low: float = np.inf
    high: float = -np.inf

    def add(self, plane: NDArray[Any]) -> None:
        """Widen the range to hold the values of a plane, or a part of one."""
        finite = plane[np.isfinite(plane)]
        if finite.size:
            self.low = min(self.low, float(finite.min()))
            self.high = max(self.high, float(finite.max()))


def _channels(image: Image, count: int, ranges: dict[int, ValueRange]) -> list[Any]:
    """Names of channels, with a colour and a range for viewers."""
    look = image.look or Look()
    each = (image.channel_names, look.tables, look.ranges)
    named, tables, shown = (repeated(one, image.axes, count) for one in each)
    if count not in (len(named), len(tables), len(shown)):
        return []
    defaults = _COLOURS[image.channels > 1]
    names, colours = list(named), [_digits(table) for table in tables]
    names = names if len(names) == count else [f"channel {n}" for n in range(count)]
    if len(colours) != count:
        colours = [defaults[n % len(defaults)] for n in range(count)]
    shown = shown if len(shown) == count else shown[:1] * count
    return [
        {
            "label": name,
            "color": colour,
            "active": True,
            "window": _window(ranges[number], *shown[number : number + 1]),
        }
        for number, (name, colour) in enumerate(zip(names, colours, strict=True))
    ]


def _digits(table: NDArray[np.uint8]) -> str:
    """The brightest colour of a look-up table, in hexadecimal digits."""
    return bytes(table[:, -1].tolist()).hex().upper()


def _window(
    found: ValueRange, shown: tuple[float, float] | None = None
) -> dict[str, float]:
    low, high = (found.low, found.high) if found.low < found.high else (0.0, 1.0)
    start, end = shown or (low, high)
    return {"min": low, "max": high, "start": start, "end": end}
