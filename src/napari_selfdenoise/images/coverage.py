"""Which pixels of an image have been denoised so far."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.images.image import Image
from napari_selfdenoise.images.planes import PlaneIndex
from napari_selfdenoise.images.tiling import Tile


class Coverage:
    """Which pixels of an image have been denoised.

    Parameters
    ----------
    image : Image
        What is denoised.
    grain : int
        What the corners of all tiles are multiples of: of each square of so many pixels
        a side, one value is kept.
    """

    def __init__(self, image: Image, grain: int = 1) -> None:
        self.image, self._grain = image, grain
        self._complete: set[PlaneIndex] = set()
        self._partial: dict[PlaneIndex, NDArray[np.bool_]] = {}

    def add(self, tile: Tile) -> None:
        """Count the pixels of a tile as denoised."""
        if tile.plane in self._complete:
            return
        shape = [-(-length // self._grain) for length in self.image.plane_shape]
        done = self._partial.setdefault(tile.plane, np.zeros(shape, np.bool_))
        done[self._squares(tile.rows), self._squares(tile.columns)] = True
        if done.all():
            self._complete.add(tile.plane)
            del self._partial[tile.plane]

    def _squares(self, part: slice) -> slice:
        """Numbers of the squares that a part of an axis consists of."""
        return slice(part.start // self._grain, -(-part.stop // self._grain))

    @property
    def fraction(self) -> float:
        """Share of the pixels that is denoised; 1 where all are."""
        parts = sum(map(self._share, self._partial.values()))
        return (len(self._complete) + parts) / self.image.plane_count

    def _share(self, done: NDArray[np.bool_]) -> float:
        """Share of a plane's pixels in some of its squares: the last ones are cut."""
        rows, columns = (
            np.diff(np.minimum(np.arange(count + 1) * self._grain, length))
            for count, length in zip(done.shape, self.image.plane_shape, strict=True)
        )
        return float(rows @ done @ columns / (rows.sum() * columns.sum()))

    @property
    def planes(self) -> list[PlaneIndex]:
        """The planes that are denoised to their last pixel."""
        return sorted(self._complete)

    def rest(self, plane: PlaneIndex) -> NDArray[np.bool_] | None:
        """Pixels of a plane that are not denoised, (Y, X); None where all are."""
        if plane in self._complete:
            return None
        done = self._partial.get(plane)
        if done is None:
            return np.ones(self.image.plane_shape, np.bool_)
        height, width = self.image.plane_shape
        pixels = done.repeat(self._grain, 0).repeat(self._grain, 1)
        return ~pixels[:height, :width]

    def put_in_rest(self, array: Any, plane: PlaneIndex, values: Any) -> None:
        """Fill the pixels of a plane that are not denoised with other values.

        Parameters
        ----------
        array : array
            With the image's axes, behind others or not.
        plane : tuple of int
            Which plane.
        values : float or ndarray
            One for all, or (Y, X).
        """
        rest = self.rest(plane)
        if rest is None:
            return
        place = (..., *self.image.slices(plane))
        rest, values = self.image.as_stored(rest), np.asarray(values)
        if values.ndim:
            values = self.image.as_stored(values)
        array[place] = np.where(rest, values, array[place])

    def blank_rest(self, array: Any) -> None:
        """Fill the pixels of an array of results that are not denoised with NaN."""
        for plane in self.image.planes():
            self.put_in_rest(array, plane, np.float32(np.nan))
