"""Write OME-Zarr 0.4 or 0.5: an image and smaller copies of it, for viewers."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.images.atomic_write import require_folder
from napari_selfdenoise.images.axes import Steps, free_letter
from napari_selfdenoise.images.channels import repeated
from napari_selfdenoise.images.display import Look
from napari_selfdenoise.images.formats.ome_zarr import is_zarr
from napari_selfdenoise.images.formats.recorded import scratch
from napari_selfdenoise.images.image import Image
from napari_selfdenoise.images.stored_axes import KEY, letters_changed
from napari_selfdenoise.images.units import in_words

Version = Literal["0.4", "0.5"]

SUFFIX = ".zarr"

_ORDER = "TCZYX"
"""The order of axes that OME-Zarr asks for."""

_TYPES = {"T": "time", "C": "channel"}
"""Kinds of axes; all others are space."""

_CHUNK_PX = 1024
"""Longest side of a piece that is read at once."""

_SMALLEST_PX = 256
"""Copies are made down to this size, which a viewer shows at once."""

_COLOURS = ("FFFFFF",), ("00FF00", "FF00FF", "00FFFF", "FF0000", "0000FF", "FFFF00")
"""Colours of one channel, and of several."""


def write_ome_zarr(
    image: Image,
    path: str | os.PathLike[str],
    *,
    version: Version = "0.5",
    overwrite: bool = True,
) -> Path:
    """Write an image plane by plane as OME-Zarr, with copies of half the size and less.

    Axes are brought to the order TCZYX; unnamed ones take the first free letter of T, Z
    and C, and have their own again when `read_image` reads the file.

    Parameters
    ----------
    image : Image
        Its type of pixels is kept.
    path : path
        Name of a folder, ending in .zarr, in a folder that is there.
    version : "0.4" or "0.5"
        Of OME-Zarr: 0.4 is zarr 2, 0.5 is zarr 3.
    overwrite : bool
        Whether a zarr of that name is replaced.

    Returns
    -------
    Path
        The folder written.

    Raises
    ------
    RequestError
        If the image has more than five axes or no pixels, or there is another file or
        folder of that name.
    DenoisingError
        If writing failed; no part of it is left.
    """
    import zarr

    path = Path(path)
    layout = _layout(image)
    with _replacing_zarr(path, overwrite) as part:
        group = zarr.open_group(
            str(part), mode="w", zarr_format=3 if version == "0.5" else 2
        )
        arrays = [_array(group, level, layout, version) for level in layout.levels()]
        ranges = _fill(arrays, image, layout)
        about: dict[str, Any] = {
            "multiscales": [layout.multiscale(image.name, version)]
        }
        if channels := _channels(image, layout.sizes.get("C", 1), ranges):
            about["omero"] = {"channels": channels}
        if version == "0.5":
            about = {"ome": {"version": version, **about}}
        changed = letters_changed(image.line_scan or image.axes, _file_letters(image))
        group.attrs.update(about | ({KEY: changed} if changed else {}))
    return path


class ZarrWriter:
    """A float32 OME-Zarr filled bit by bit; see `ImageWriter`.

    What is filled is a temporary array: copies of half the size need whole planes.
    """

    data: NDArray[np.float32]

    def __init__(self, path: Path, like: Image, *, overwrite: bool = True) -> None:
        _layout(like)
        self._path, self._like, self._overwrite = path, like, overwrite

    def __enter__(self) -> Self:
        _require_place(self._path, self._overwrite)
        self.data = scratch(self._like.shape, np.dtype(np.float32))
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        data = self.data
        del self.data
        if error is None:
            image = self._like.with_data(data)
            write_ome_zarr(image, self._path, overwrite=self._overwrite)


@dataclass(frozen=True)
class _Layout:
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


def _layout(image: Image) -> _Layout:
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
    return _Layout(
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


def _array(group: Any, shape: tuple[int, ...], layout: _Layout, version: str) -> Any:
    names = [letter.lower() for letter in layout.sizes]
    keys = {"name": "v2", "separator": "/"} if version == "0.4" else None
    number = sum(1 for _ in group.array_keys())
    return group.create_array(
        str(number),
        shape=shape,
        dtype=layout.dtype,
        chunks=(*(1 for _ in shape[:-2]), *(min(n, _CHUNK_PX) for n in shape[-2:])),
        chunk_key_encoding=keys,
        dimension_names=None if version == "0.4" else names,
    )


@dataclass
class _Range:
    """Least and greatest finite value of a channel."""

    low: float = np.inf
    high: float = -np.inf

    def add(self, plane: NDArray[Any]) -> None:
        finite = plane[np.isfinite(plane)]
        if finite.size:
            self.low = min(self.low, float(finite.min()))
            self.high = max(self.high, float(finite.max()))


def _fill(arrays: list[Any], image: Image, layout: _Layout) -> dict[int, _Range]:
    """Write all planes, and their copies; returns the range of each channel."""
    ranges: dict[int, _Range] = {}
    letters, lengths = "".join(layout.sizes), tuple(layout.sizes.values())
    turned = layout.order[-2] > layout.order[-1]
    for position in np.ndindex(*lengths[:-2]):
        index: list[Any] = [slice(None)] * image.ndim
        for place, n in zip(layout.order[:-2], position, strict=True):
            index[place] = n
        plane = np.asarray(image.data[tuple(index)])
        plane = plane.T if turned else plane
        channel = position[letters.index("C")] if "C" in letters else 0
        ranges.setdefault(channel, _Range()).add(plane)
        for array in arrays:
            array[position] = plane
            plane = _halved(plane) if array is not arrays[-1] else plane
    return ranges


def _halved(plane: NDArray[Any]) -> NDArray[Any]:
    """Means of 2 × 2 pixels of a plane (Y, X), in its own type."""
    rows, columns = (n // 2 for n in plane.shape)
    squares = plane[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2)
    means = squares.mean((1, 3), dtype=np.float64)
    whole = np.issubdtype(plane.dtype, np.integer)
    halved: NDArray[Any] = np.rint(means) if whole else means
    return halved.astype(plane.dtype)


def _channels(image: Image, count: int, ranges: dict[int, _Range]) -> list[Any]:
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
    found: _Range, shown: tuple[float, float] | None = None
) -> dict[str, float]:
    low, high = (found.low, found.high) if found.low < found.high else (0.0, 1.0)
    start, end = shown or (low, high)
    return {"min": low, "max": high, "start": start, "end": end}


@contextmanager
def _replacing_zarr(path: Path, overwrite: bool) -> Iterator[Path]:
    """Yield a folder that becomes `path` if all goes well; else it goes."""
    _require_place(path, overwrite)
    token = secrets.token_hex(4)
    part = path.with_name(f".{path.name}.{token}.part")
    old = path.with_name(f".{path.name}.{token}.old")
    try:
        yield part
        _put_in_place(part, path, old)
    except (RequestError, DenoisingError):
        raise
    except Exception as error:
        raise DenoisingError(
            f"{path.name} could not be written: {error}.",
            "Check the free space and the rights of the folder, or choose another.",
        ) from error
    finally:
        for folder in (part, old):
            shutil.rmtree(folder, ignore_errors=True)


def _put_in_place(part: Path, path: Path, old: Path) -> None:
    """Rename a new zarr; the one before stays if that fails."""
    if path.exists():
        path.rename(old)
    try:
        part.rename(path)
    except OSError:
        if old.exists():
            old.rename(path)
        raise


def _require_place(path: Path, overwrite: bool) -> None:
    require_folder(path)
    if path.suffix.lower() != SUFFIX:
        raise RequestError(
            f"{path.name} is no name of a zarr.", f"Name it {path.stem}.ome.zarr."
        )
    if path.exists() and not (overwrite and is_zarr(path)):
        raise RequestError(
            f"{path.name} is there already, and is "
            f"{'not replaced' if is_zarr(path) else 'no zarr'}.",
            "Choose another name.",
        )
