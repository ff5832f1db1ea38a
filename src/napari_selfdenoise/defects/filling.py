"""Fills for outliers and missing pixels: means of good pixels around."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

WIDE = (3.0, 9.0)
"""Stds in px of the means that fill what was never recorded: the narrowest that finds
enough pixels.

Many pixels count in each, so that next to nothing of a pixel's noise is copied to the
other side of a border, where it could be read while the pixel is masked.
"""

NARROW = (1.0, *WIDE)
"""The same of outliers, which are few, and lie in the midst of structure."""

_CUT = 3.0
"""Stds at which a mean ends."""

REACH = round(_CUT * WIDE[-1])
"""How far a filled pixel looks, in px."""

_ENOUGH = 0.05
"""Weight of good pixels from which on a mean counts."""


def filled(
    pixels: Array, bad: Flags, level: float, widths: Sequence[float] = WIDE
) -> Array:
    """Return a plane in which bad pixels are means of good ones around.

    Parameters
    ----------
    pixels : ndarray
        Observation, (Y, X), raw units; anything where it is bad.
    bad : ndarray
        (Y, X).
    level : float
        What is shown far from all good pixels.
    widths : sequence of float
        Stds of the means, in px, increasing.

    Returns
    -------
    ndarray
        (Y, X); good pixels are as they were.
    """
    result = np.where(bad, level, pixels)
    if not bad.any() or bad.all():
        return result
    good = (~bad).astype(np.float64)
    # Around the level: a mean of large offsets would lose digits.
    values = np.where(bad, 0.0, pixels - level)
    for width in reversed(widths):
        weight, total = (
            gaussian_filter(v, width, mode="constant", truncate=_CUT)
            for v in (good, values)
        )
        known = bad & (weight > _ENOUGH)
        result[known] = level + total[known] / weight[known]
    return result
