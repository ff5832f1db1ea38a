"""Denoised values in the type of the microscope's own file: rounded, and cut off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_selfdenoise.images.formats.recorded import scratch
from napari_selfdenoise.images.image import Image
from napari_selfdenoise.images.tiling import Tile, tile_grid

_BLOCK_PX = 2048

NOT_ROUNDED = "Values are not rounded: some pixels hold no number."


@dataclass(frozen=True, eq=False)
class Rounded:
    """An image in a type of whole numbers, and what that has changed.

    Parameters
    ----------
    image : Image
        Rounded to the nearest whole number.
    low, high : int
        Pixels below and above the range of the type, which became its ends.
    missing : int
        Pixels without a number, which became zero.
    """

    image: Image
    low: int
    high: int
    missing: int

    def notes(self) -> tuple[str, ...]:
        """Sentences for the user: that values are rounded, and what was clipped."""
        limits = np.iinfo(self.image.dtype)
        notes = [f"Values are rounded to whole numbers ({self.image.dtype})."]
        pixels = self.image.data.size
        if clipped := self.low + self.high:
            notes.append(
                f"{_counted(clipped, pixels)} clipped: {self.low:,} below "
                f"{limits.min:,}, {self.high:,} above {limits.max:,}."
            )
        if self.missing:
            notes.append(f"{_counted(self.missing, pixels)} set to 0: no number there.")
        return tuple(notes)


def storable(dtype: Any) -> np.dtype[Any]:
    """A type of whole numbers that TIFF files hold: 32 bits in place of 64."""
    found = np.dtype(dtype)
    return np.dtype(f"{found.kind}{min(found.itemsize, 4)}")


def rounded(image: Image, dtype: Any) -> Rounded:
    """Round an image to a type of whole numbers, block by block.

    Parameters
    ----------
    image : Image
        Raw units.
    dtype : dtype
        Signed or unsigned integers.

    Returns
    -------
    Rounded
        The image in that type, in memory or, if large, in a temporary file.
    """
    dtype = np.dtype(dtype).newbyteorder("=")
    limits = np.iinfo(dtype)
    data = scratch(image.shape, dtype)
    low = high = missing = 0
    for tile in _blocks(image):
        values = np.rint(image.read_exact(tile.plane, tile.rows, tile.columns))
        below, above = values < limits.min, values > limits.max
        no_number = np.isnan(values)
        low, high = low + int(below.sum()), high + int(above.sum())
        missing += int(no_number.sum())
        kept = np.where(no_number, 0, values.clip(limits.min, limits.max))
        place = image.slices(tile.plane, tile.rows, tile.columns)
        data[place] = image.as_stored(kept).astype(dtype)
    made = image.with_data(data)
    return Rounded(made, low, high, missing)


def _blocks(image: Image) -> Iterator[Tile]:
    """Parts of all planes, small enough for memory."""
    for plane in image.planes():
        yield from tile_grid(plane, image.plane_shape, _BLOCK_PX, 1)


def _counted(pixels: int, of: int) -> str:
    """Number and share of pixels, such as "12 pixels (0.3 %) were"."""
    verb = "pixel was" if pixels == 1 else "pixels were"
    noun, _, be = verb.partition(" ")
    return f"{pixels:,} {noun} ({100 * pixels / of:.2g} %) {be}"
