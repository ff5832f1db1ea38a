"""What is kept of planes that were read, to say what was found of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.defects import CLIPPING_PIXELS, DefectCount
from napari_selfdenoise.training.plane_reader import TrainingPlane


class SeenPixels:
    """Planes of one channel: their bad pixels are counted, and some rows are kept.

    Parameters
    ----------
    every : int
        Which rows are kept: each so many.

    Attributes
    ----------
    count : DefectCount
        Of planes that are not blank.
    rows : list of ndarray
        Observations, each (rows, X), raw units; NaN where nothing was recorded.
    """

    def __init__(self, every: int = 1) -> None:
        self._every, self.count = every, DefectCount()
        self.rows: list[NDArray[np.float32]] = []

    @classmethod
    def expecting(cls, pixels: int) -> SeenPixels:
        """Return one with room for so many pixels, none of them seen yet."""
        return cls(max(1, pixels // CLIPPING_PIXELS))

    def add(self, planes: Sequence[TrainingPlane]) -> None:
        """Take in planes, none of them blank."""
        self.count += DefectCount.of((one.clean for one in planes), 0)
        self.rows += [one.clean.recorded[:: self._every].copy() for one in planes]
