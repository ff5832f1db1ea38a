"""Offsets that whole rows or columns of an image have of their own.

Each column of an sCMOS has an amplifier, each line of a resonant scanner a start of its
own: all their pixels are too bright or too dark by the same. That is no noise which
masks could deal with, as it is shared from border to border; but so many pixels share
an offset that it can be measured, and subtracted.

A line differs from its neighbours by its offset, by structure, and by noise. Medians
along lines leave out structure that fills less than half of them. Offsets are the same
in all parts of a line, as noise is not; and those of neighbouring lines have nothing to
do with each other, as structure that optics have blurred has.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

Array = NDArray[np.float64]

_AROUND = 17
"""Lines that one is compared with, itself among them."""

_ROUNDS = 5
"""Times that offsets are brought closer: those of the others are in their mean."""

_PARTS = 4
"""Parts of the lines that have to agree."""

_CERTAIN = 8.0
"""Standard errors by which the parts agree, at least."""

_LEAST = 0.08
"""Std of the offsets over that of the noise, at least: weaker ones do no harm."""

_ALONE = 0.3
"""Correlation of neighbouring lines' offsets, at most: structure has 0.6 and more."""

_LEAST_LINES = 32
_MOST_PIXELS = 2**22

MOST_PLANES = 8
"""Planes that are looked at."""


@dataclass(frozen=True, eq=False)
class FixedPatterns:
    """Which lines of an image have offsets of their own.

    Parameters
    ----------
    columns : ndarray or None
        Offset of each column, the same in all planes, (X,), raw units.
    rows : bool
        Whether rows have offsets, others in each plane: `row_offsets` measures them.
    column_std, row_std : float
        How strong they are, raw units; 0 where there are none.
    """

    columns: Array | None = None
    rows: bool = False
    column_std: float = 0.0
    row_std: float = 0.0

    def __str__(self) -> str:
        """What was found, and what was done, in sentences; empty for nothing."""
        said = []
        if self.columns is not None:
            said.append(
                f"Each column has an offset of its own (std {self.column_std:.3g}), as "
                "of a camera's amplifiers. This is no noise: the offsets were measured "
                "and subtracted. A dark frame does it better."
            )
        if self.rows:
            said.append(
                f"Each line has an offset of its own (std {self.row_std:.3g}), as of a "
                "scanner. This is no noise: the offsets were measured and subtracted."
            )
        return " ".join(said)

    @property
    def found(self) -> bool:
        """Whether there is anything to subtract."""
        return self.rows or self.columns is not None


def measure_patterns(planes: Sequence[NDArray[np.float32]]) -> FixedPatterns:
    """Look for rows and columns with offsets of their own.

    Parameters
    ----------
    planes : sequence of ndarray
        Observations, each (Y, X), raw units; NaN where nothing was recorded.
    """
    some = [np.asarray(plane, np.float64) for plane in planes[:MOST_PLANES]]
    columns, column_std = None, 0.0
    if len({plane.shape for plane in some}) == 1:
        pooled = np.concatenate(some)[:: max(1, len(some) // 4)]
        column_std = _strength([pooled])
        if column_std:
            columns = _offsets(pooled)
            some = [plane - columns for plane in some]
    row_std = _strength([plane.T for plane in some])
    return FixedPatterns(columns, row_std > 0, column_std, row_std)


def row_offsets(plane: NDArray[np.float32]) -> Array:
    """Offset of each row of a plane (Y, X), raw units, (Y,).

    NaN where nothing was recorded; a band of the plane, of all rows, will do.
    """
    return _offsets(np.asarray(plane, np.float64).T)


def column_offsets(planes: Sequence[NDArray[np.float32]]) -> Array:
    """Offset of each column of planes (Y, X) of equal width, raw units, (X,).

    NaN where nothing was recorded; bands of the planes, of all columns, will do.
    """
    return _offsets(np.concatenate([np.asarray(p, np.float64) for p in planes]))


def _offsets(plane: Array) -> Array:
    """Offset of each column of a plane (Y, X), less their running mean, (X,)."""
    every = max(1, plane.size // _MOST_PIXELS)
    known = _filled(plane[::every])
    offsets = np.zeros(plane.shape[1])
    for _ in range(_ROUNDS):
        rest = known - offsets
        around = uniform_filter1d(rest, _AROUND, axis=1, mode="reflect")
        offsets += np.median(rest - around, axis=0)
    return np.asarray(offsets - offsets.mean())


def _filled(plane: Array) -> Array:
    """A plane with the median of its row where nothing was recorded, (Y, X)."""
    missing = np.isnan(plane)
    if not missing.any():
        return plane
    plane = plane[~missing.all(1)]
    return np.where(np.isnan(plane), np.nanmedian(plane, axis=1, keepdims=True), plane)


def _strength(planes: Sequence[Array]) -> float:
    """Std of the columns' offsets in planes (Y, X); 0 where there are none."""
    fit = [p for p in planes if p.shape[1] >= _LEAST_LINES and len(p) >= _LEAST_LINES]
    if not fit:
        return 0.0
    found = [_agreement(plane) for plane in fit]
    variance, neighbours, error, noise = (
        float(np.mean(values)) for values in zip(*found, strict=True)
    )
    error /= np.sqrt(len(fit))
    certain = variance > max(_CERTAIN * error, (_LEAST * noise) ** 2)
    return (
        float(np.sqrt(variance)) if certain and neighbours <= _ALONE * variance else 0.0
    )


def _agreement(plane: Array) -> tuple[float, float, float, float]:
    """What the parts of a plane's columns have in common.

    Covariance of offsets in different parts, also of neighbouring columns; its standard
    error by chance; and the std of the noise.
    """
    parts = np.stack([_offsets(part) for part in np.array_split(plane, _PARTS)])
    pairs = [(parts[a], parts[b]) for a, b in itertools.permutations(range(_PARTS), 2)]
    same = float(np.mean([(a * b).mean() for a, b in pairs]))
    beside = float(np.mean([(a[1:] * b[:-1]).mean() for a, b in pairs]))
    count = len(pairs) / 2 * plane.shape[1]
    error = float(parts.var(1).mean() / np.sqrt(count))
    steps = np.diff(_filled(plane), axis=1)
    noise = float(np.median(np.abs(steps - np.median(steps, axis=0)))) / 0.6745
    return same, beside, error, noise / np.sqrt(2)
