"""The denoised image while it is made: raw wherever it has not come yet."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.images import (
    Coverage,
    FieldOfView,
    Image,
    PlaneIndex,
    is_in_memory,
)
from napari_selfdenoise.prediction.image_planes import TilePrediction
from napari_selfdenoise.prediction.predict import Prediction
from napari_selfdenoise.prediction.results import Denoised
from napari_selfdenoise.training import Preview

_WAIT_S = 0.2
"""Seconds between two looks for messages while raw pixels are copied."""


class Unfinished:
    """An array that shows the raw image wherever nothing denoised was written.

    It can be sliced like an array. A plane is read from the image for good when
    something is first written to it; other planes are read when they are looked at, so
    that images larger than memory stay where they are.

    Parameters
    ----------
    image : Image
        What is denoised.
    array : ndarray
        For the result: float32 of the image's shape.
    """

    def __init__(self, image: Image, array: Any) -> None:
        self.image, self.array = image, array
        self.shape, self.ndim, self.dtype = image.shape, image.ndim, array.dtype
        self.size = math.prod(self.shape)
        lengths = [1 if axis in "YX" else n for axis, n in image.sizes.items()]
        self._written = np.zeros(lengths, np.bool_)
        self._previewed: set[PlaneIndex] = set()

    @property
    def in_memory(self) -> bool:
        """Whether image and result are at hand, so that copying costs little."""
        return self.image.in_memory and is_in_memory(self.array)

    @property
    def shown(self) -> Any:
        """What a viewer is to show: the plain array, where it is filled at once."""
        return self.array if self.in_memory else self

    def __getitem__(self, index: Any) -> NDArray[np.float32]:
        """Pixels as they are by now, raw units."""
        written = np.broadcast_to(self._written, self.shape)[index]
        if written.all():
            return np.asarray(self.array[index])
        raw = np.asarray(self.image.data[index]).astype(np.float32)
        if not written.any():
            return raw
        mixed: NDArray[np.float32] = np.where(written, self.array[index], raw)
        return mixed

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All pixels."""
        return self[...].astype(dtype or self.dtype, copy=bool(copy))

    def __len__(self) -> int:
        """Length of the first axis."""
        return self.shape[0]

    def __setitem__(self, index: Any, values: Any) -> None:
        """Write a tile; the rest of its plane becomes raw, where nothing is there yet.

        The index names every axis, by a number or a slice; "..." may stand before.
        """
        region = tuple(part for part in index if part is not Ellipsis)
        named = zip(self.image.axes, region, strict=True)
        plane = tuple(part for axis, part in named if axis not in "YX")
        place = self.image.slices(plane)
        if np.shape(values) != self.array[place].shape:
            self.write_raw(plane)
        self.array[region] = values
        self._written[place] = True

    def write_raw(self, plane: PlaneIndex) -> None:
        """Write the raw pixels of a plane, where nothing is there yet."""
        place = self.image.slices(plane)
        if not self._written[place].all():
            self.array[place] = np.asarray(self.image.data[place])
            self._written[place] = True

    def fill(self) -> None:
        """Write the raw pixels of all planes, where that costs little."""
        if self.in_memory:
            for plane in self.image.planes():
                self.write_raw(plane)

    def preview(self, preview: Preview) -> None:
        """Write a field of view as it is denoised by now."""
        self._previewed.add(preview.field.plane)
        preview.write_to(self.array, self.image)

    def take_back_previews(self, done: Coverage) -> None:
        """Make raw again what was a preview only, where a prediction was stopped."""
        for plane in self._previewed:
            done.put_in_rest(self.array, plane, self.image.read_plane(plane))


def over_raw(
    unfinished: Unfinished, steps: Generator[Any, Any, Any], writes: bool = True
) -> Generator[Any, Any, Any]:
    """Run a training or a prediction, with the raw pixels there before its results.

    Yields and returns what it does, and takes its messages; yields None before.

    Parameters
    ----------
    unfinished : Unfinished
        What the denoised image is written to.
    steps : generator
        Training or prediction.
    writes : bool
        Whether it writes to `unfinished`. A training does not, and goes on while the
        raw pixels are copied, until it has a preview to make.
    """
    yield None
    with ThreadPoolExecutor(1) as pool:
        filling = pool.submit(unfinished.fill)
        try:
            while writes and wait([filling], _WAIT_S).not_done:
                yield None
            progress = next(steps)
            while True:
                message = yield progress
                if isinstance(message, FieldOfView):
                    filling.result()
                    unfinished.write_raw(message.plane)
                progress = steps.send(message)
        except StopIteration as end:
            filling.result()
            return end.value
        finally:
            steps.close()


def predict_over_raw(
    unfinished: Unfinished, into: Mapping[str, Any], steps: Prediction
) -> Generator[TilePrediction | None, Any, Denoised]:
    """Run a prediction, with the raw image wherever it is stopped before it comes.

    Parameters
    ----------
    unfinished : Unfinished
        What the denoised image is written to.
    into : mapping
        All that is written to, as for `predict_tiles`; what is in memory becomes NaN
        where it did not come. Whole files are not rewritten for a stop.
    steps : generator
        From `predict_tiles`.
    """
    result: Denoised = yield from over_raw(unfinished, steps)
    if not result.complete:
        unfinished.take_back_previews(result.coverage)
        for array in into.values():
            if is_in_memory(array):
                result.coverage.blank_rest(array)
    return result
