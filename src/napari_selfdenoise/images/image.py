"""An array with axes, pixel size and units, and its 2-D planes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.images.acquisition import Acquisition
from napari_selfdenoise.images.description import describe_axes
from napari_selfdenoise.images.display import Look
from napari_selfdenoise.images.planes import (
    UNNAMED_AXES,
    PlaneIndex,
    Planes,
    check_axes,
)
from napari_selfdenoise.images.units import in_micrometres, unit_symbol


@dataclass(frozen=True, eq=False)
class Image(Planes):
    """An array with axes, pixel size, units and name.

    Parameters
    ----------
    data : array
        NumPy, dask or zarr array; lazy arrays stay lazy. Raw camera units.
    axes : str
        One letter an axis, in the order of `data`: T time, C channel, Z depth, Y row,
        X column, S colour sample; any letter of `UNNAMED_AXES` for an axis whose
        meaning is not known. Y and X must be there.
    pixel_size : tuple of float, optional
        Extent of one step along each axis, in `units`; 1 where not known.
    units : tuple of str, optional
        Unit of each axis; "pixel" where not known.
    name : str
        What the user calls the image.
    mask : array, optional
        Zero where nothing was recorded, such as padding after stitching; an array of
        the shape of `data`, or one that NumPy broadcasts to it. Those pixels are
        neither learned from nor changed.
    notes : tuple of str
        What was found while it was read or corrected, in sentences for the user.
    line_scan : str
        Where lines were scanned again and again: the axes as the file or layer has
        them, such as "TYX" with a Y of length one. `axes` then has Y for the time.
        See `as_line_scan`.
    look : Look, optional
        How its file wants it shown.
    channel_names : tuple of str
        One a channel, such as dyes; empty where they are not known.
    acquisition : Acquisition, optional
        When and where its planes were recorded.

    Raises
    ------
    RequestError
        If the axes or the mask do not fit the array.
    """

    data: Any
    axes: str
    pixel_size: tuple[float, ...] = ()
    units: tuple[str, ...] = ()
    name: str = "image"
    mask: Any | None = None
    notes: tuple[str, ...] = ()
    line_scan: str = ""
    look: Look | None = None
    channel_names: tuple[str, ...] = ()
    acquisition: Acquisition | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", self.axes.upper())
        check_axes(self.axes, tuple(self.data.shape))
        if not self.pixel_size:
            object.__setattr__(self, "pixel_size", (1.0,) * self.ndim)
        if not self.units:
            object.__setattr__(self, "units", ("pixel",) * self.ndim)
        if not len(self.pixel_size) == len(self.units) == self.ndim:
            raise RequestError(
                f"{self.ndim} axes ({self.axes}) but {len(self.pixel_size)} pixel "
                f"sizes and {len(self.units)} units.",
                "Give one of each an axis.",
            )
        if self.mask is not None:
            object.__setattr__(self, "mask", _fitting(self.mask, self.shape))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels."""
        dtype: np.dtype[Any] = np.dtype(self.data.dtype)
        return dtype

    @property
    def in_memory(self) -> bool:
        """Whether the pixels are neither lazy nor in a file."""
        return is_in_memory(self.data)

    def read_plane(
        self,
        plane: PlaneIndex,
        rows: slice = slice(None),
        columns: slice = slice(None),
    ) -> NDArray[np.float32]:
        """Pixels of a region of one plane, with axes (Y, X), in raw units."""
        with np.errstate(over="ignore"):  # beyond the range of 32 bits: infinite
            return self._read(self.data, plane, rows, columns).astype(np.float32)

    def read_exact(
        self,
        plane: PlaneIndex,
        rows: slice = slice(None),
        columns: slice = slice(None),
    ) -> NDArray[np.float64]:
        """Pixels of a region of one plane, (Y, X), in double precision."""
        return self._read(self.data, plane, rows, columns).astype(np.float64)

    def read_stored(
        self,
        plane: PlaneIndex,
        rows: slice = slice(None),
        columns: slice = slice(None),
    ) -> NDArray[Any]:
        """Pixels of a region of one plane, (Y, X), in the type of `data`."""
        return self._read(self.data, plane, rows, columns)

    def read_mask(
        self,
        plane: PlaneIndex,
        rows: slice = slice(None),
        columns: slice = slice(None),
    ) -> NDArray[np.bool_] | None:
        """True where a region of a plane was recorded, (Y, X); None without a mask."""
        if self.mask is None:
            return None
        recorded: NDArray[np.bool_] = self._read(self.mask, plane, rows, columns) != 0
        return recorded

    def _read(
        self, array: Any, plane: PlaneIndex, rows: slice, columns: slice
    ) -> NDArray[Any]:
        """A region of one plane of an array of this image's shape, (Y, X)."""
        pixels = self._fetched(array, self.slices(plane, rows, columns))
        columns_first = self.axes.index("X") < self.axes.index("Y")
        return pixels.T if columns_first else pixels

    def _fetched(self, array: Any, index: tuple[int | slice, ...]) -> NDArray[Any]:
        """A part of an array; a file that turns out to be damaged is a sentence."""
        if is_in_memory(array):
            return np.asarray(array[index])
        try:
            return np.asarray(array[index])
        except (RequestError, DenoisingError, MemoryError):
            raise
        except Exception as error:
            raise DenoisingError(
                f"A part of '{self.name}' could not be read: its file is damaged or "
                f"gone ({type(error).__name__}).",
                "Copy it again from where it was acquired.",
            ) from error

    def as_stored(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return values of planes, (..., Y, X), in the order of the axes of `data`."""
        columns_first = self.axes.index("X") < self.axes.index("Y")
        return values.swapaxes(-1, -2) if columns_first else values

    @property
    def pixel_size_um(self) -> tuple[float, float] | None:
        """Pixel size along Y and X in micrometres; None where it is not known."""
        sizes = []
        for axis in "YX":
            place = self.axes.index(axis)
            factor = in_micrometres(self.units[place])
            if factor is None:
                return None
            sizes.append(self.pixel_size[place] * factor)
        return sizes[0], sizes[1]

    def stack_of(self, count: int) -> Image:
        """Return `count` empty images like this one, along a new first axis."""
        axis = next(letter for letter in UNNAMED_AXES if letter not in self.axes)
        return replace(
            self,
            data=np.broadcast_to(np.float32(0), (count, *self.shape)),
            axes=axis + self.axes,
            pixel_size=(1.0, *self.pixel_size),
            units=("pixel", *self.units),
            mask=None,
            line_scan=axis + self.line_scan if self.line_scan else "",
        )

    def with_data(self, data: Any, name: str | None = None) -> Image:
        """Return the same axes and pixel size around other pixels, without a mask."""
        name = self.name if name is None else name
        return replace(self, data=data, name=name, mask=None)

    def frame(self, index: int) -> Image:
        """Return one frame or plane of the stack: entry `index` of its first axis.

        Raises
        ------
        RequestError
            If the image is no stack or has no such frame.
        """
        stack = [
            a
            for a in self.outer_axes
            if a not in "CS" and not (self.line_scan and self.sizes[a] == 1)
        ]
        if not stack:
            raise RequestError(
                f"There is no frame {index}: this is {self.describe(False)}.",
                "Leave the frame out.",
            )
        axis = self.axes.index(stack[0])
        if not 0 <= index < self.shape[axis]:
            raise RequestError(
                f"There is no frame {index}: there are {self.shape[axis]}.",
                f"Choose 0 to {self.shape[axis] - 1}.",
            )
        selection: list[Any] = [slice(None)] * self.ndim
        selection[axis] = index
        stored = (self.line_scan or self.axes)[axis]
        return replace(
            self,
            data=self.data[tuple(selection)],
            axes=self.axes[:axis] + self.axes[axis + 1 :],
            pixel_size=self.pixel_size[:axis] + self.pixel_size[axis + 1 :],
            units=self.units[:axis] + self.units[axis + 1 :],
            mask=None if self.mask is None else self.mask[tuple(selection)],
            line_scan=self.line_scan[:axis] + self.line_scan[axis + 1 :],
            acquisition=self.acquisition and self.acquisition.frame(stored, index),
        )

    def describe(self, pixel_size: bool = True) -> str:
        """Text of the axes, their lengths and the pixel size.

        Examples
        --------
        >>> Image(np.zeros((12, 512, 512)), "TYX").describe()
        '12 time points of 512 × 512 images'
        >>> Image(np.zeros((20, 512, 512)), "IYX").describe()
        '20 images of 512 × 512 px; one axis has no name'
        """
        pixels = self._pixel_phrase() if pixel_size else ""
        return describe_axes(self.sizes, self.line_scan, pixels, self.channel_names)

    def _pixel_phrase(self) -> str:
        y, x = self.axes.index("Y"), self.axes.index("X")
        y = x if self.line_scan else y
        unit = unit_symbol(self.units[x])
        if unit == "pixel":
            return ""
        if np.isclose(self.pixel_size[y], self.pixel_size[x]):
            return f"{self.pixel_size[x]:.4g} {unit} pixels"
        return f"{self.pixel_size[y]:.4g} × {self.pixel_size[x]:.4g} {unit} pixels"


def is_in_memory(array: Any) -> bool:
    """Whether an array is neither lazy nor in a file."""
    return type(array) is np.ndarray


def as_line_scan(image: Image) -> Image:
    """Return a line scan as an image of time by position; others as they are.

    Where rows or columns have the length one, the first of time, depth and axes without
    a meaning takes their place; the array and its shape stay.

    Examples
    --------
    >>> as_line_scan(Image(np.zeros((512, 1, 256)), "TYX")).describe(False)
    'line scan: 512 time points × 256 positions'
    """
    sizes = image.sizes
    flat = [axis for axis in "YX" if sizes[axis] == 1]
    along = [a for a in "TZ" + UNNAMED_AXES if sizes.get(a, 1) > 1]
    if len(flat) != 1 or not along or image.line_scan or "S" in sizes:
        return image
    spare = next(letter for letter in UNNAMED_AXES if letter not in sizes)
    # Lines are rows; where each was stored as a column, its rows are the positions.
    place = {along[0]: "Y"} | (
        {"Y": spare} if flat == ["Y"] else {"Y": "X", "X": spare}
    )
    axes = "".join(place.get(axis, axis) for axis in image.axes)
    return replace(image, axes=axes, line_scan=image.axes)


def as_frames(image: Image) -> Image:
    """Return a line scan as images of one row each, as they are stored."""
    return replace(image, axes=image.line_scan or image.axes, line_scan="")


def _fitting(mask: Any, shape: tuple[int, ...]) -> Any:
    """A mask of the shape of an image; lazy ones stay lazy."""
    if tuple(mask.shape) == shape:
        return mask
    try:
        return np.broadcast_to(np.asarray(mask), shape)
    except ValueError as error:
        raise RequestError(
            f"The mask has the shape {tuple(mask.shape)}, the image {shape}.",
            "Give a mask with one value for each pixel, or for each pixel of a plane.",
        ) from error


def require_denoisable(image: Image) -> list[str]:
    """Return notes on an image, and raise an error if it cannot be denoised.

    Type and shape alone decide: no pixel is read, so that lazy images stay lazy.

    Returns
    -------
    list of str
        Sentences for the user, though nothing is wrong; the image's own notes are among
        them.

    Raises
    ------
    RequestError
        If the image is RGB, empty, boolean or complex.
    """
    if "S" in image.axes:
        raise RequestError(
            "This is an RGB image: its colours were mixed for display, so its noise "
            "is no longer that of a camera.",
            "Split it into channels: right-click the layer > Split RGB, or on the "
            f"command line --axes {image.axes.replace('S', 'C')}.",
        )
    if 0 in image.shape:
        raise RequestError(
            f"An axis of the image has length zero (axes {image.axes}, shape "
            f"{image.shape}).",
            "Choose an image that holds pixels.",
        )
    kind = image.dtype.kind
    if kind == "b":
        raise RequestError(
            "The image holds true/false values: a mask, not a measurement.",
            "Choose the image the mask was made from.",
        )
    if kind == "c":
        raise RequestError(
            "The image holds complex numbers; intensities are needed.",
            "Take its absolute value first.",
        )
    if kind not in "uif":
        raise RequestError(
            f"The image holds values of type {image.dtype}; numbers are needed.",
            "Convert it to 8-bit, 16-bit or 32-bit float.",
        )
    return [*image.notes, *_notes(image.dtype)]


def _notes(dtype: np.dtype[Any]) -> list[str]:
    notes = []
    if dtype.kind == "i":
        notes.append("Signed integers: negative values are taken as intensities.")
    return notes
