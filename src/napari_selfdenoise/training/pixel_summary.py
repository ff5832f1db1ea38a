"""What is kept of planes that were read, to say what was found of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.defects import CLIPPING_PIXELS, CleanPlane, DefectCount


class PixelSummary:
    """Planes of one channel: their bad pixels are counted, and some rows are kept.

    Parameters
    ----------
    expected : int
        Pixels that it will be given, about.

    Attributes
    ----------
    count : DefectCount
        Of planes that are not blank.
    rows : list of ndarray
        Observations, each (rows, X), raw units; NaN where nothing was recorded. Empty
        where no pixel is good.
    """

    def __init__(self, expected: int) -> None:
        self._every = max(1, expected // CLIPPING_PIXELS)
        self._planes: set[object] = set()
        self.count = DefectCount()
        self.rows: list[NDArray[np.float32]] = []

    def add(self, plane: object, clean: CleanPlane) -> None:
        """Take in a plane that is not blank, or a part of it.

        Parameters
        ----------
        plane : hashable
            Which one: parts of one plane have the same.
        clean : CleanPlane
            As it was read.
        """
        self._planes.add(plane)
        count = self.count + DefectCount.of([clean], 0)
        self.count = replace(count, planes=len(self._planes))
        if clean.good.any():
            self.rows.append(clean.recorded[:: self._every].copy())
