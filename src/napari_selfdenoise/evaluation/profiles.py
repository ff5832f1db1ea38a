"""Intensities along a line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from skimage.measure import profile_line

from napari_selfdenoise.errors import RequestError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LineProfile:
    """Intensities along a line, from its start to its end.

    Parameters
    ----------
    distance : ndarray
        From the start, (n,), in the unit of the pixel size.
    values : ndarray
        Intensities, (n,), raw units; NaN outside the image and where it is NaN.
    """

    distance: Array
    values: Array


def line_profile(
    plane: ArrayLike,
    start: tuple[float, float],
    end: tuple[float, float],
    pixel_size: tuple[float, float] = (1.0, 1.0),
) -> LineProfile:
    """Read a plane along a line, about once a pixel, by linear interpolation.

    Parameters
    ----------
    plane : array
        Axes (Y, X).
    start, end : tuple of float
        Row and column of the ends; whole numbers are centres of pixels.
    pixel_size : tuple of float
        Along Y and X.

    Raises
    ------
    RequestError
        If the line has no length, or no part of it lies in the image.
    """
    # Ends that came through a scale are no whole numbers by a hair.
    first, last = np.round(start, 3), np.round(end, 3)
    step = last - first
    if not np.hypot(*step) > 0:
        raise RequestError("The line has no length.", "Draw one from place to place.")
    values = profile_line(
        np.asarray(plane, np.float64),
        first,
        last,
        order=1,
        mode="constant",
        cval=np.nan,
    )
    if not np.isfinite(values).any():
        raise RequestError(
            "No pixel with a number lies on the line.", "Draw it across the image."
        )
    whole = float(np.hypot(*(step * np.asarray(pixel_size))))
    distance = np.linspace(0, whole, values.size)
    return LineProfile(distance, np.asarray(values, np.float64))
