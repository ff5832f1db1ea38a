"""Write an image as TIFF or OME-Zarr, as the name of the file asks."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.images.formats.recorded import scratch
from napari_selfdenoise.images.image import Image
from napari_selfdenoise.images.tiff_writing import TiffWriter, write_tiff
from napari_selfdenoise.images.whole_numbers import (
    NOT_ROUNDED,
    rounded,
    storable,
)
from napari_selfdenoise.images.zarr_levels import InImageOrder
from napari_selfdenoise.images.zarr_writing import SUFFIX, ZarrWriter, write_ome_zarr


def write_image(
    image: Image, path: str | os.PathLike[str], *, overwrite: bool = True
) -> Path:
    """Write an image plane by plane as ImageJ hyperstack, OME-TIFF or OME-Zarr.

    A name that ends in .ome.tif, and what ImageJ's classic TIFF cannot hold, such as
    whole numbers of 32 bits, becomes OME-TIFF; one that ends in .zarr becomes OME-Zarr
    0.5, see `write_ome_zarr`. Axes are brought to the order TZCYX (OME-Zarr: TCZYX).
    Unnamed ones take the first free letter of T, Z and C there, and have their own
    again when `read_image` reads the file.

    Parameters
    ----------
    image : Image
        In a TIFF, whole numbers of up to 32 bits keep their type, others become 32-bit
        floats. OME-Zarr keeps the type.
    path : path
        A name ending in .tif, .tiff or .zarr, in a folder that is there.
    overwrite : bool
        Whether a file of that name is replaced.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    RequestError
        If the name or the image cannot be written as such a file.
    DenoisingError
        If writing failed; no part of the file is left.
    """
    path = Path(path)
    if _is_zarr_name(path):
        return write_ome_zarr(image, path, overwrite=overwrite)
    return write_tiff(image, path, overwrite=overwrite)


class ImageWriter:
    """A TIFF or OME-Zarr filled bit by bit, for results larger than memory.

    Used in a `with` statement; the file appears when that ends without an error.

    Parameters
    ----------
    path : path
        As for `write_image`.
    like : Image
        Image whose shape, axes, pixel size and units the file takes.
    overwrite : bool
        Whether a file of that name is replaced.
    dtype : dtype, optional
        Whole numbers that the values are rounded to at the end; else they are float32.

    Attributes
    ----------
    data : array
        Float32 with the shape and axis order of `like`, zero at first, in the file
        itself: memory-mapped, or a zarr's. Not to be used after the `with` statement.
    notes : tuple of str
        After it: that values were rounded, and what was clipped.

    Raises
    ------
    RequestError
        If the name or the image cannot be written as such a file.
    DenoisingError
        If there is no room for the file, or it cannot be written.
    """

    data: NDArray[np.float32] | InImageOrder

    def __init__(
        self,
        path: str | os.PathLike[str],
        like: Image,
        *,
        overwrite: bool = True,
        dtype: Any = None,
    ) -> None:
        kind = ZarrWriter if _is_zarr_name(Path(path)) else TiffWriter
        self._writer: ZarrWriter | TiffWriter | _RoundingWriter
        self._writer = kind(Path(path), like, overwrite=overwrite)
        if dtype is not None:
            self._writer = _RoundingWriter(Path(path), like, overwrite, dtype)
        self.notes: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        self.data = self._writer.__enter__().data
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        del self.data
        self._writer.__exit__(kind, error, trace)
        if isinstance(self._writer, _RoundingWriter):
            self.notes = self._writer.notes


class _RoundingWriter:
    """Collects floats in a temporary array, and writes whole numbers at the end.

    Floats are written where some pixels hold no number: a run was stopped.
    """

    data: NDArray[np.float32]

    def __init__(self, path: Path, like: Image, overwrite: bool, dtype: Any) -> None:
        self._path, self._like, self._overwrite = path, like, overwrite
        self._dtype = np.dtype(dtype) if _is_zarr_name(path) else storable(dtype)
        self.notes: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        self.data = scratch(self._like.shape, np.dtype(np.float32))
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        image = self._like.with_data(self.data)
        del self.data
        if error is not None:
            return
        made = rounded(image, self._dtype)
        self.notes = (NOT_ROUNDED,) if made.missing else made.notes()
        image = image if made.missing else made.image
        write_image(image, self._path, overwrite=self._overwrite)


def _is_zarr_name(path: Path) -> bool:
    return path.suffix.lower() == SUFFIX
