"""How far two images of one scene are shifted against each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Array = NDArray[np.float64]

_FINE, _COARSE = 1.0, 8.0
"""Widths in px of the blurs whose difference is registered: noise and the uneven
brightness of a whole field say nothing of the place."""

_LEAST_SIDE = 32  # px; of the parts that are registered, each by itself
_PER_PIXEL = 10  # steps that a shift is found in
_AGREE = 0.75  # px that parts may differ by, or that share of their shift
_MOST_APART = 0.34  # share of the parts that may differ by more


class Shift(NamedTuple):
    """How far what one image shows lies from the same in another.

    Parameters
    ----------
    rows, columns : float
        In pixels, to be added to the other one's places.
    certain : bool
        Whether parts of the images agree on it: else there is too little to register.
    """

    rows: float
    columns: float
    certain: bool

    @property
    def length(self) -> float:
        """Distance in pixels; 0 where nothing is certain."""
        return math.hypot(self.rows, self.columns) if self.certain else 0.0


def measure_shift(pairs: Sequence[tuple[NDArray[np.float32], ...]]) -> Shift:
    """Register planes of two images by the peak of their cross-correlation.

    Parameters
    ----------
    pairs : sequence of tuple of ndarray
        Planes of one image and of the other, each (Y, X), raw units; NaN where nothing
        was recorded.

    References
    ----------
    Guizar-Sicairos et al. 2008.
    """
    bands = [tuple(_contrast(plane) for plane in planes) for planes in pairs]
    parts = np.array(
        [
            _registered(first[part], second[part])
            for first, second in bands
            for part in _parts(first.shape)
        ]
    )
    if not len(parts):
        return Shift(0.0, 0.0, False)
    # Of whole planes: what enters and leaves at the borders pulls the others to zero.
    whole = np.median([_registered(*both) for both in bands], axis=0)
    apart = np.hypot(*(parts - whole).T)
    limit = _AGREE * max(1.0, 0.5 * float(np.hypot(*whole)))
    certain = float((apart > limit).mean()) <= _MOST_APART
    return Shift(float(whole[0]), float(whole[1]), certain)


def _contrast(plane: NDArray[np.float32]) -> Array:
    """Structure of a plane between two widths, (Y, X); 0 where nothing was recorded."""
    known = np.isfinite(plane)
    level = float(np.median(plane[known])) if known.any() else 0.0
    pixels = np.where(known, plane, level).astype(float) - level
    band = gaussian_filter(pixels, _FINE) - gaussian_filter(pixels, _COARSE)
    return np.where(known, band, 0.0)


def _parts(shape: tuple[int, ...]) -> list[tuple[slice, slice]]:
    """The four quarters of a plane, those that are large enough."""
    halves = [(slice(None, n // 2), slice(n // 2, None)) for n in shape]
    if min(shape) // 2 < _LEAST_SIDE:
        return []
    return [(rows, columns) for rows in halves[0] for columns in halves[1]]


def _registered(first: Array, second: Array) -> tuple[float, float]:
    from skimage.registration import phase_cross_correlation

    # Without whitening, which would weigh the noise of each wave like its structure.
    shift, *_ = phase_cross_correlation(
        first, second, upsample_factor=_PER_PIXEL, normalization=None
    )
    return float(shift[0]), float(shift[1])
