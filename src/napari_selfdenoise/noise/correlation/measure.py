"""Measures how neighbours share noise, and up to which distance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.noise.correlation.squares import (
    MOST_PLANES,
    NO_PAIRS,
    REACH,
    SIDE,
    Array,
    Squares,
    along,
    fit,
    flattest,
    pairs_of,
    spaced,
)

STRONG = 0.2
"""Correlation with the next pixel from which on footprints pay."""

_TAIL = 0.08
"""Correlation up to which a pixel stays unmasked: the footprint ends there."""

_FLOOR = 0.25
"""Share of the variance of blurred noise that each pixel has for itself, at most."""

_SCATTER = 0.12
"""Scatter of a correlation among squares that differ by chance: twice that of
independent noise, 1 / SIDE."""

_UNEVEN = 0.5
"""Scatter of the logarithm of the variance among squares of equal signal, by chance."""

_LONG = 0.2
"""Correlation of blurred noise 3 px away, at most: that of structure goes further."""

_WIDEST = 4
"""Distance in px at which blurred noise ends at the latest."""

_FAR = 0.05
"""Root mean square of the correlations of blurred noise 5 to 8 px away, at most."""

_STRIPES = 0.7
"""Share of its correlation that noise along a line keeps 8 px away, at most."""


@dataclass(frozen=True)
class NoiseCorrelation:
    """How the noise of a pixel is correlated with that of its neighbours.

    Parameters
    ----------
    rho : ndarray
        Correlation of pixels (dy, dx) apart, from -`REACH` to `REACH` px along both
        axes, 1 in the middle. As measured: what structure is left counts, too.
    standard_error : float
        Of `rho` at small distances, by chance.
    pixels : int
        Number of pixels it was measured on; 0 where no part of the image was fit.
    extent_y, extent_x : int
        Distance in px along each axis up to which noise is shared: 0 where it is
        independent, or cannot be separated from structure.
    frames : bool
        Whether it was measured on differences between frames.
    """

    rho: Array
    standard_error: float
    pixels: int
    extent_y: int
    extent_x: int
    frames: bool = False

    def along(self, axis: Literal["y", "x"]) -> Array:
        """Correlation of pixels 0, 1, ... `REACH` px apart along an axis."""
        return along(self.rho, axis)


def measure_correlation(
    planes: Sequence[NDArray[Any]], frames: bool = False
) -> NoiseCorrelation:
    """Measure how noise is correlated between neighbouring pixels.

    Takes a fraction of a second: large images and long stacks are sampled.

    Parameters
    ----------
    planes : sequence of ndarray
        Observations, each (Y, X), in any unit.
    frames : bool
        Whether planes follow each other in time. Differences between them are then
        measured, as what stands still leaves no structure there. Where much moved,
        planes are measured one by one, as without.

    Returns
    -------
    NoiseCorrelation
        Extents are 0 where noise is independent, and in doubt.
    """
    found = _of_frames(planes[: MOST_PLANES + 1]) if frames else None
    return found or _of_planes(spaced(planes))


def extent(rho: Array, error: float) -> int:
    """Distance in px up to which correlations at 0, 1, ... px stay high."""
    # Where noise is shared, a pixel too many costs less than one too few.
    shared = np.abs(rho[1:]) >= max(_TAIL, error)
    return REACH if shared.all() else int(np.argmin(shared))


def _of_planes(planes: Sequence[NDArray[Any]]) -> NoiseCorrelation:
    """Noise correlation of planes one by one, without what is structure."""
    pairs = np.concatenate([NO_PAIRS, *(p[fit(p)] for p in pairs_of(planes))])
    if not len(pairs):
        return _unknown()
    squares = flattest(pairs)
    rho, error = _pooled(squares)
    y, x = _extents(squares, rho, error)
    return NoiseCorrelation(rho, error, squares.pixels, y, x)


def _extents(squares: Squares, rho: Array, error: float) -> tuple[int, int]:
    """Distance along y and x up to which noise is shared; 0 in doubt."""
    y, x = (extent(along(rho, axis), error) for axis in ("y", "x"))
    if _blurred(squares, rho, error):
        return min(y, _WIDEST), min(x, _WIDEST)
    if _line(squares, rho, error, "y"):
        return y, 0
    return (0, x) if _line(squares, rho, error, "x") else (0, 0)


def _of_frames(planes: Sequence[NDArray[Any]]) -> NoiseCorrelation | None:
    """Correlation of differences between frames; None where these hold structure."""
    if len(planes) < 2 or len({np.shape(plane) for plane in planes}) > 1:
        return None
    pairs = np.stack(pairs_of(planes))
    signal = ((pairs[1:] + pairs[:-1]) / 2).reshape(-1, *NO_PAIRS.shape[1:])
    pairs = np.diff(pairs, axis=0).reshape(-1, *NO_PAIRS.shape[1:])
    good = fit(pairs) & np.isfinite(signal).all((1, 2, 3))
    if not good.any():
        return None
    squares = Squares.of(pairs[good].reshape(-1, SIDE, SIDE))
    return _still(squares._replace(mean=signal[good].mean((2, 3)).ravel()))


def _still(squares: Squares) -> NoiseCorrelation | None:
    """Correlation of differences where nothing moved; None where it did."""
    rho, error = _pooled(squares)
    lines = [along(rho, axis) for axis in ("y", "x")]
    y, x = (extent(line, error) * _strong(line, error) for line in lines)
    # Noise is shared alike everywhere; what moved is not. Where it fills the image, it
    # goes further.
    if not all(_alike(squares, axis) for axis in ("y", "x")):
        return None
    noise = _line(squares, rho, error, "y") or _line(squares, rho, error, "x")
    if (y or x) and not (noise or _short(squares, rho, error)):
        return None
    return NoiseCorrelation(rho, error, squares.pixels, y, x, frames=True)


def _unknown() -> NoiseCorrelation:
    rho = np.zeros((2 * REACH + 1, 2 * REACH + 1))
    rho[REACH, REACH] = 1
    return NoiseCorrelation(rho, 1.0, 0, 0, 0)


def _pooled(squares: Squares) -> tuple[Array, float]:
    """Median correlation of squares, and its standard error."""
    rho = np.median(squares.rho, 0)
    near = rho[REACH - 3 : REACH + 4, REACH - 3 : REACH + 4]
    # Bartlett: where noise is shared, pixels count for fewer. And a median has 1.25
    # times the error of a mean.
    return rho, float(1.25 * np.sqrt((near**2).sum() / squares.pixels))


def _strong(line: Array, error: float) -> bool:
    return bool(abs(line[1]) >= max(STRONG, 4 * error))


def _alike(squares: Squares, axis: str) -> bool:
    """Whether the correlation with the next pixel differs by chance only."""
    values = along(squares.rho, axis)[:, 1]
    return bool(1.4826 * np.median(np.abs(values - np.median(values))) <= _SCATTER)


def _blurred(squares: Squares, rho: Array, error: float) -> bool:
    """Whether noise is shared along both axes, and it is not structure."""
    lines = [along(rho, axis) for axis in ("y", "x")]
    return (
        all(_strong(line, error) for line in lines)
        and all(_floor(line, error) <= _FLOOR for line in lines)
        and _short(squares, rho, error)
    )


def _short(squares: Squares, rho: Array, error: float) -> bool:
    """Whether correlation ends soon and is the same everywhere, as that of noise."""
    return (
        all(along(rho, axis)[3] <= _LONG for axis in ("y", "x"))
        and all(_alike(squares, axis) for axis in ("y", "x"))
        and _unevenness(squares) <= _UNEVEN
        and _far(rho, error) <= _FAR
    )


def _line(squares: Squares, rho: Array, error: float, axis: str) -> bool:
    """Whether noise is shared along one axis alone, and it is not structure."""
    this, other = along(rho, axis), along(rho, "x" if axis == "y" else "y")
    # Optics of 0.6 px and more make structure at least half as alike across.
    return bool(
        abs(this[1]) - 2 * abs(other[1]) >= max(STRONG, 4 * error)
        and abs(this[REACH]) <= _STRIPES * abs(this[1])
        and _alike(squares, axis)
        and _unevenness(squares) <= _UNEVEN
    )


def _floor(line: Array, error: float) -> float:
    """Share of the variance that each pixel has for itself.

    Blur makes correlation fall as a Gaussian of the distance: what it is at 1 and 2 px
    tells what it would be at 0.
    """
    # What chance may have added at 1 px, or taken at 2, does not count as blur.
    first, second = abs(line[1]) - error, abs(line[2]) + error
    return float(1 - first * max(first / second, 0) ** (1 / 3))


def _unevenness(squares: Squares) -> float:
    """Scatter of the logarithm of the variance among squares of equal signal."""
    steps = np.diff(squares.log_variance[np.argsort(squares.mean)])
    return float(1.4826 * np.median(np.abs(steps)) / np.sqrt(2)) if len(steps) else 0.0


def _far(rho: Array, error: float) -> float:
    """Root mean square of the correlations at 5 to 8 px, beyond that by chance."""
    far = np.ones(rho.shape, np.bool_)
    far[REACH - 4 : REACH + 5, REACH - 4 : REACH + 5] = False
    square = float(np.mean(rho[far] ** 2)) - error**2
    return math.sqrt(max(0.0, square))
