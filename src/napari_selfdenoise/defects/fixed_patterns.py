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
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

Array = NDArray[np.float64]

# A line is compared with so many lines around, itself among them. With few, part of the
# offsets counts as structure; with many, structure counts as offsets.
_NARROW = 9  # where offsets are looked for, so that structure counts for little
_WIDTHS = (9, 17, 33, 65)  # of which the best is chosen where they are measured

_PARTS = 4
"""Parts of the lines that have to agree."""

_CERTAIN = 8.0
"""Standard errors by which the parts agree, at least."""

_LEAST = 0.08
"""Std of the offsets over that of the noise, at least: weaker ones do no harm."""

# The correlation of offsets is a little below zero, as each is compared with its
# neighbours. Sharp edges along lines have 0.03 and more at 1 px, what optics have
# blurred much more, and fine stripes 0.5 and more at some distance.
_ALONE = 0.0  # correlation of the offsets of lines 1 px apart, at most
_UNLIKE = 0.4  # size of the correlation of offsets 1 to 3 px apart, at most

_ODD_EVEN = 0.8
"""Size of the correlation from which on odd lines are too dark and even ones too
bright, or the other way round: no optics pass that."""

_LEAST_LINES = 32
_MOST_PIXELS = 2**22

MOST_PLANES = 8
"""Planes that are looked at."""


@dataclass(frozen=True, eq=False)
class FixedPatterns:
    """Line offsets of an image: how strong they are, for columns and rows.

    Parameters
    ----------
    columns, rows : Offsets or None
        Those of the columns, the same in all planes, and those of the rows, others in
        each plane; None where there are none.
    """

    columns: Offsets | None = None
    rows: Offsets | None = None

    def __str__(self) -> str:
        """Sentences about the offsets that were subtracted; empty for none."""
        sentences = []
        if self.columns is not None:
            sentences.append(
                f"Offsets of columns were subtracted (std {self.columns.std:.3g}), "
                "which are no noise but come from a camera's amplifiers. A dark frame "
                "removes them better."
            )
        if self.rows is not None:
            sentences.append(
                f"Offsets of lines were subtracted (std {self.rows.std:.3g}), which "
                "are no noise but come from a scanner."
            )
        return " ".join(sentences)

    @property
    def found(self) -> bool:
        """Whether there is anything to subtract."""
        return self.rows is not None or self.columns is not None


class Offsets(NamedTuple):
    """Std of line offsets, raw units, and the number of lines each is compared with."""

    std: float
    width: int

    def of_columns(self, *planes: NDArray[np.floating[Any]]) -> Array:
        """Offset of each column of planes (Y, X) of equal width, raw units, (X,).

        NaN where nothing was recorded; bands of the planes, of all columns, will do.
        """
        pooled = np.concatenate([np.asarray(plane, np.float64) for plane in planes])
        return _offsets(_filled(pooled), self.width)

    def of_rows(self, plane: NDArray[np.floating[Any]]) -> Array:
        """Offset of each row of a plane (Y, X) or of a band of all rows, (Y,)."""
        return self.of_columns(plane.T)


def measure_patterns(planes: Sequence[NDArray[np.float32]]) -> FixedPatterns:
    """Measure which rows and columns have offsets of their own.

    Parameters
    ----------
    planes : sequence of ndarray
        Observations, each (Y, X), raw units; NaN where nothing was recorded.
    """
    some = [np.asarray(plane, np.float64) for plane in planes[:MOST_PLANES]]
    columns = None
    if len({plane.shape for plane in some}) == 1:
        columns = _found([np.concatenate(some)])
    if columns is not None:
        by_column = columns.of_columns(*some)
        some = [plane - by_column for plane in some]
    return FixedPatterns(columns, _found([plane.T for plane in some]))


def _offsets(plane: Array, width: int) -> Array:
    """Offset of each column of a plane (Y, X) from so many around, (X,)."""
    plane = plane[:: max(1, plane.size // _MOST_PIXELS)]
    around = uniform_filter1d(plane, width, axis=1, mode="reflect")
    offsets = np.median(plane - around, axis=0)
    return np.asarray(offsets - offsets.mean())


def _filled(plane: Array) -> Array:
    """Rows of a plane (Y, X) of which most was recorded, the rest as their median."""
    missing = np.isnan(plane)
    if not missing.any():
        return plane
    plane = plane[missing.mean(1) < 0.5]
    if not len(plane):
        return np.zeros((1, plane.shape[1]))
    return np.where(np.isnan(plane), np.nanmedian(plane, axis=1, keepdims=True), plane)


def _found(planes: Sequence[Array]) -> Offsets | None:
    """What offsets the columns of planes (Y, X) have; None where there are none."""
    known = [_filled(plane) for plane in planes]
    known = [plane for plane in known if min(plane.shape) >= _LEAST_LINES]
    if not known:
        return None
    same, *adjacent, error, noise = np.mean(
        [_agreement(plane, _NARROW) for plane in known], axis=0
    )
    error /= np.sqrt(len(known))
    if same <= max(_CERTAIN * error, (_LEAST * noise) ** 2):
        return None
    if not _independent(*(value / same for value in adjacent)):
        return None
    variance = float(same / (1 - 1 / _NARROW))
    width = min(_WIDTHS, key=lambda width: _mistake(known[0], width, variance))
    return Offsets(float(np.sqrt(variance)), width)


def _parts(plane: Array, width: int) -> Array:
    """Offsets of the columns of a plane (Y, X) in parts of it, (parts, X)."""
    parts = np.array_split(plane, _PARTS)
    return np.stack([_offsets(part, width) for part in parts])


def _independent(one: float, two: float, three: float) -> bool:
    """Whether correlations of offsets 1 to 3 px apart are not those of structure."""
    if one < -_ODD_EVEN and two > _ODD_EVEN and three < -_ODD_EVEN:
        return True
    return one <= _ALONE and max(abs(one), abs(two), abs(three)) <= _UNLIKE


def _agreement(plane: Array, width: int) -> tuple[float, ...]:
    """What the parts of a plane's columns have in common.

    Covariance of offsets in different parts, of the same columns and of those 1, 2 and
    3 px apart; its standard error by chance; and the std of the noise.
    """
    parts = _parts(plane, width)
    pairs = [(parts[a], parts[b]) for a, b in itertools.permutations(range(_PARTS), 2)]
    same = float(np.mean([(a * b).mean() for a, b in pairs]))
    adjacent = (
        float(np.mean([(a[lag:] * b[:-lag]).mean() for a, b in pairs]))
        for lag in (1, 2, 3)
    )
    count = len(pairs) / 2 * plane.shape[1]
    error = float(parts.var(1).mean() / np.sqrt(count))
    steps = np.diff(plane, axis=1)
    noise = float(np.median(np.abs(steps - np.median(steps, axis=0)))) / 0.6745
    return same, *adjacent, error, noise / np.sqrt(2)


def _mistake(plane: Array, width: int, variance: float) -> float:
    """Mean squared error of offsets that are measured with a width.

    Of structure and noise, by which the parts of a plane differ, and of the offsets'
    own mean over the width.
    """
    parts = _parts(plane, width)
    return float(parts.var(0, ddof=1).mean()) / _PARTS + variance / width
