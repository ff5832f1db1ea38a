"""Checks whether a scene stood still during repeated frames."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.noise.calibration.drift import slow_waves

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

_SHARED = 0.05
"""Part of the variance that is too much if it is no noise of single pixels."""

_CHANCE = 3.0
"""Standard errors that a mean must be above zero by."""

_LEAST_NEIGHBOURS = 32


def motion_warnings(
    observed: Array, places: Indices, width: int, waves: int = 1
) -> list[str]:
    """Warnings that a scene was not static, at most one.

    Noise of single pixels has nothing to do with that of the next frame or the next
    pixel. What changes slowly is shared by consecutive frames; three tell. What moves
    has structure, so neighbours on all sides change together; two frames tell, though
    not whether that is motion or noise that neighbours share. Noise that is shared
    along lines only, as many cameras and scanners have it, is not spoken of.

    Parameters
    ----------
    observed : ndarray
        The same pixels of every frame, (frames, n), raw units.
    places : ndarray
        Where they are in the raveled frame, (n,), increasing.
    width : int
        Pixels in a row of the frame.
    waves : int
        Slow waves in time that were taken out of each pixel, the mean included.
    """
    residual = observed - observed.mean(0)
    count = len(observed)
    noise = residual.std() * math.sqrt(count / (count - waves))
    if noise == 0:
        return ["All frames are equal: there is no noise in them."]
    level = (residual - residual.mean(1)[:, None]) / noise
    return _in_time(level, places, width, waves) or _in_space(level, places, width)


def _in_time(level: Array, places: Indices, width: int, waves: int) -> list[str]:
    """What consecutive frames have in common, for residuals in units of the noise."""
    count = len(level)
    if count < 3:  # the second residual is the first one's mirror image
        return []
    # Taking the mean of the frames out leaves noise with a covariance of -1 / count.
    slow = slow_waves(count)[:, : waves - 1]
    taken_out = 1 / count + float((slow[1:] * slow[:-1]).sum(1).mean())
    products = (level[1:] * level[:-1]).mean(0) + taken_out
    shared = _beyond_chance(products, places, width)
    if shared <= _SHARED:
        return []
    return [
        "The noise is overestimated: the scene moves or bleaches. Consecutive frames "
        f"share {100 * shared:.2g} % of their deviation from the mean."
    ]


def _in_space(level: Array, places: Indices, width: int) -> list[str]:
    """What neighbours have in common, for residuals in units of the noise."""
    shares = []
    for here, there in (_right(places, width), _below(places, width)):
        if len(here) < _LEAST_NEIGHBOURS:
            return _too_few_to_judge(len(level))
        products = (level[:, here] * level[:, there]).sum(0) / (len(level) - 1)
        shares.append(_beyond_chance(products, places[here], width))
    if min(shares) <= _SHARED:
        return []
    return [
        "The noise is overestimated, as the scene moves or bleaches; or neighbours "
        "share noise, as the frames were filtered or resampled. Neighbouring pixels "
        f"share {100 * min(shares):.2g} % of their variance over the frames."
    ]


def _too_few_to_judge(frames: int) -> list[str]:
    if frames > 3:
        return []
    return [
        f"The scene may have moved: that does not show in {frames} frames with so few "
        "neighbouring pixels. Record ten or more."
    ]


def _beyond_chance(products: Array, places: Indices, width: int) -> float:
    """Mean of products, (n,), or 0 where it might be chance.

    Products of one line may go together, be it a row or a column: lines are counted.
    """
    mean = float(products.mean())
    error = max(
        float(np.linalg.norm(np.bincount(line, products - mean))) / len(products)
        for line in (places // width, places % width)
    )
    return mean if mean > _CHANCE * error else 0.0


def _right(places: Indices, width: int) -> tuple[Indices, Indices]:
    """Indices of pixels, and of those one to the right of them."""
    here, there = _pairs(places, 1)
    same_row = places[there] % width > 0
    return here[same_row], there[same_row]


def _below(places: Indices, width: int) -> tuple[Indices, Indices]:
    """Indices of pixels, and of those one row below them."""
    return _pairs(places, width)


def _pairs(places: Indices, step: int) -> tuple[Indices, Indices]:
    """Indices of places, and of those that lie a step further on, where there are."""
    _, here, there = np.intersect1d(
        places + step, places, assume_unique=True, return_indices=True
    )
    return here, there
