"""From a measured correlation to a masking, and to a sentence about it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.noise.correlation.measure import STRONG, NoiseCorrelation
from napari_selfdenoise.noise.correlation.squares import REACH, Array, along
from napari_selfdenoise.parts.masking import (
    LARGEST_BIN,
    BinMask,
    LineMask,
    Masking,
    RandomMask,
    ShapeMask,
)

_BEYOND = 2
"""Pixels that a block reaches beyond those that noticeably share noise.

What is shared further away is little, but shared with many: the network adds it up. On
wide-field frames, 9 x 9 px instead of 5 x 5 gained 0.4 to 0.7 dB.
"""

_LITTLE = 0.2
"""Correlation of neighbouring bins up to which they are small enough.

With 0.27, bins one pixel wider gained 1.6 to 2.5 dB; with 0.17 they lost 0.6 dB where
there is much fine structure, and gained 0.1 dB where there is little.
"""


def recommended_masking(*correlations: NoiseCorrelation, bins: bool = True) -> Masking:
    """Return the masking that suits the noise correlation.

    Parameters
    ----------
    *correlations : NoiseCorrelation
        As measured; one a channel, of which it does enough for each.
    bins : bool
        Whether pixels may be binned: else blocks are masked.

    Returns
    -------
    RandomMask, LineMask, BinMask or ShapeMask
        Single pixels; lines along the axis that noise is shared along; where it is
        shared along both, bins or blocks.
    """
    y = max(found.extent_y for found in correlations)
    x = max(found.extent_x for found in correlations)
    if bins and y and x:
        return BinMask(size=max(_bin_size(found) for found in correlations))
    return masking_of(y + _BEYOND, x + _BEYOND) if y and x else masking_of(y, x)


def _bin_size(correlation: NoiseCorrelation) -> int:
    """Side in px of the smallest bins that hardly share noise."""
    return next(
        (n for n in range(2, LARGEST_BIN) if _between_bins(correlation, n) <= _LITTLE),
        LARGEST_BIN,
    )


def _between_bins(correlation: NoiseCorrelation, size: int) -> float:
    """Correlation of the means of neighbouring squares, of the axis that shares more.

    Blur is the same along lines as across them, so that the lines along each axis tell.
    """
    distance = np.arange(1 - size, size)
    pairs = size - np.abs(distance)
    found = []
    for axis in ("y", "x"):
        rho = _within(correlation, axis)
        apart = (pairs @ _at(rho, distance + shift) for shift in (size, 0))
        found.append(float(np.divide(*apart)))
    return max(found)


def _within(correlation: NoiseCorrelation, axis: str) -> Array:
    """Correlation along an axis, 0 where noise is no longer shared."""
    reach = correlation.extent_y if axis == "y" else correlation.extent_x
    rho = along(correlation.rho, axis).copy()
    rho[reach + 1 :] = 0
    return rho


def _at(rho: Array, distance: NDArray[np.int_]) -> Array:
    """Correlation at distances of either sign; 0 beyond what was measured."""
    return np.append(rho, 0.0)[np.minimum(np.abs(distance), len(rho))]


def masking_of(y: int, x: int) -> Masking:
    """Masking that hides neighbours up to y and x px away along the axes."""
    if y and x:
        return ShapeMask(footprint=f"{2 * y + 1}x{2 * x + 1}")
    if y or x:
        return LineMask(axis="y" if y else "x", extent=max(y, x))
    return RandomMask()


def masked_by(masking: Masking) -> str:
    """What a masking masks together, as words such as "bins of 3 x 3 px"."""
    if isinstance(masking, BinMask):
        return f"bins of {masking.size} x {masking.size} px"
    if isinstance(masking, LineMask):
        return f"lines of {2 * masking.extent + 1} px along {masking.axis}"
    if isinstance(masking, ShapeMask):
        return f"blocks of {masking.footprint.replace('x', ' x ')} px"
    return "single pixels"


def describe(correlation: NoiseCorrelation, masking: Masking | None = None) -> str:
    """Sentences that say what is masked, and the noise correlation that asks for it.

    Parameters
    ----------
    correlation : NoiseCorrelation
        As measured.
    masking : Masking, optional
        What is masked; if not given, what is recommended.
    """
    y, x = correlation.extent_y, correlation.extent_x
    if not y and not x:
        return _independent(correlation)
    masked = masked_by(masking or recommended_masking(correlation))
    further = " Noise may be shared even further: try to remove stripes before."
    return (
        f"Neighbouring pixels share noise, so {masked} are masked together. The noise "
        f"correlation is {_values(correlation)}.{further if REACH in (y, x) else ''}"
    )


def _independent(correlation: NoiseCorrelation) -> str:
    """Sentences that say why single pixels are masked."""
    y, x = (abs(correlation.along(axis)[1]) for axis in ("y", "x"))
    values = f"Correlation at 1 px: {y:.2f} along y, {x:.2f} along x."
    if not correlation.pixels:
        return (
            "Too few pixels show noise to measure whether neighbours share it, so "
            "single pixels are masked."
        )
    if max(y, x) < STRONG:
        return (
            "Noise differs between neighbouring pixels, so single pixels are masked "
            f"and fine detail is kept. {values}"
        )
    return (
        "Neighbouring pixels look alike because of the structure, not the noise, so "
        f"single pixels are masked and fine detail is kept. {values}"
    )


def _values(correlation: NoiseCorrelation) -> str:
    """Such as "0.58 at 1 px, 0.12 at 4 px along x"."""
    parts = []
    for axis, extent in (("y", correlation.extent_y), ("x", correlation.extent_x)):
        line = correlation.along("y" if axis == "y" else "x")
        values = (f"{line[lag]:.2f} at {lag} px" for lag in sorted({1, extent}))
        parts += [f"{', '.join(values)} along {axis}"] if extent else []
    return " and ".join(parts)
