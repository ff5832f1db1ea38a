"""Small squares of images, and how the pixels in each are correlated."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

REACH = 8
"""Largest distance in px at which correlation is measured."""

SIDE = 2 * REACH
"""Side of the squares in px: small, to fit between structures."""

MOST_PLANES = 32
"""Number of planes, evenly spaced, that squares are taken from."""

NO_PAIRS: Array = np.empty((0, 2, SIDE, SIDE))

_MOST_PAIRS = 2048

_FLATTEST = 0.2
"""Share of the squares that is measured."""


class Squares(NamedTuple):
    """Correlation, mean and variance of some squares of SIDE x SIDE pixels.

    Parameters
    ----------
    rho : ndarray
        Correlation of pixels (dy, dx) apart, from -REACH to REACH, (N, 17, 17).
    mean : ndarray
        Mean signal, (N,).
    log_variance : ndarray
        Logarithm of the variance about a quadratic trend, (N,).
    """

    rho: Array
    mean: Array
    log_variance: Array

    @property
    def pixels(self) -> int:
        """Number of pixels in all squares."""
        return len(self.rho) * SIDE**2

    def chosen(self, index: NDArray[np.intp]) -> Squares:
        """Return some of the squares."""
        return Squares(self.rho[index], self.mean[index], self.log_variance[index])

    @classmethod
    def of(cls, values: Array) -> Squares:
        """Describe squares (N, SIDE, SIDE), their trends taken out.

        The correlation is given as if there had been no trend to remove.
        """
        covariance, taken = _autocovariance(detrended(values)), _taken()
        # A trend is smooth: with it goes what noise has at low frequencies, the sum of
        # its covariance. That is solved for; approximate where noise is shared far.
        near = slice(REACH - 2, REACH + 3)
        total = covariance[:, near, near].sum((1, 2)) / (1 - taken[near, near].sum())
        covariance = covariance + taken * total[:, None, None]
        variance = covariance[:, REACH, REACH]
        rho = covariance / variance[:, None, None]
        return cls(rho, values.mean((1, 2)), np.log(variance))


def along(rho: Array, axis: str) -> Array:
    """Correlation of pixels 0, 1, ... REACH px apart along "y" or "x"."""
    return rho[..., REACH:, REACH] if axis == "y" else rho[..., REACH, REACH:]


def spaced(planes: Sequence[NDArray[Any]]) -> Sequence[NDArray[Any]]:
    """Not more than `MOST_PLANES` planes, evenly spaced."""
    return planes[:: max(1, -(-len(planes) // MOST_PLANES))]


def pairs_of(planes: Sequence[NDArray[Any]]) -> list[Array]:
    """Cut squares side by side from planes (Y, X), in equal places of equal planes.

    Large planes are sampled at random, but always alike.

    Returns
    -------
    list of ndarray
        One (N, 2, SIDE, SIDE) a plane; N is 0 where it is smaller than a pair.
    """
    most = max(1, _MOST_PAIRS // max(1, len(planes)))
    return [_cut(np.asarray(plane), most) for plane in planes]


def _cut(plane: NDArray[Any], most: int) -> Array:
    """At most `most` pairs of squares of a plane: (N, 2, SIDE, SIDE)."""
    rows, columns = plane.shape[0] // SIDE, plane.shape[1] // (2 * SIDE)
    cells = np.arange(rows * columns)
    if len(cells) > most:
        # Equal steps could follow a column of the image, or of its structure.
        cells = np.random.default_rng(0).permutation(cells)[:most]
    pairs = np.empty((len(cells), SIDE, 2 * SIDE))
    for pair, cell in zip(pairs, cells.tolist(), strict=True):
        y, x = cell // columns * SIDE, cell % columns * 2 * SIDE
        pair[:] = plane[y : y + SIDE, x : x + 2 * SIDE]
    return pairs.reshape(-1, SIDE, 2, SIDE).swapaxes(1, 2)


def fit(pairs: Array) -> NDArray[np.bool_]:
    """Pairs in which noise can be measured: finite, varied, not clipped; (N,)."""
    good = np.isfinite(pairs).all((1, 2, 3)) & (np.ptp(pairs, (2, 3)) > 0).all(1)
    if good.any():
        low, high = pairs[good].min(), pairs[good].max()
        dark, bright = ((pairs == end).mean((2, 3)).max(1) for end in (low, high))
        # One brightest pixel is no saturation, many are.
        saturated = (pairs == high).mean() > 1e-3
        good &= (dark < 0.8) & ~(saturated & (bright > 0.05))
    return np.asarray(good)


def flattest(pairs: Array) -> Squares:
    """Describe the squares whose partners hold the least structure."""
    sides = [Squares.of(pairs[:, side]) for side in (0, 1)]
    count = min(len(pairs), max(4, round(_FLATTEST * len(pairs))))
    near = slice(REACH - 2, REACH + 3)
    chosen = [
        other.chosen(np.argsort(one.rho[:, near, near].sum((1, 2)))[:count])
        for one, other in (sides, sides[::-1])
    ]
    return Squares(*(np.concatenate(values) for values in zip(*chosen, strict=True)))


@functools.cache
def _trend() -> Array:
    """Orthonormal basis of the quadratic surfaces over a square: (pixels, 6)."""
    y, x = np.meshgrid(*2 * [np.linspace(-1, 1, SIDE)], indexing="ij")
    surfaces = [np.ones_like(y), y, x, y * y, x * x, x * y]
    return np.asarray(np.linalg.qr(np.stack(surfaces, -1).reshape(-1, 6))[0])


def detrended(squares: Array) -> Array:
    """Squares (N, SIDE, SIDE) without their quadratic trend."""
    trend, flat = _trend(), squares.reshape(len(squares), -1)
    flat = flat - flat.mean(1, keepdims=True)
    return np.asarray((flat - (flat @ trend) @ trend.T).reshape(squares.shape))


def _autocovariance(squares: Array) -> Array:
    """Mean product of pixels (dy, dx) apart: (N, SIDE, SIDE) -> (N, 17, 17)."""
    padded = (2 * SIDE, 2 * SIDE)
    power = np.abs(np.fft.rfft2(squares, padded)) ** 2
    lags = np.arange(-REACH, REACH + 1)
    products = np.fft.irfft2(power, padded)[:, lags][:, :, lags]
    overlap = SIDE - np.abs(lags)
    return np.asarray(products / np.outer(overlap, overlap))


@functools.cache
def _taken() -> Array:
    """What detrending takes from the autocovariance of independent noise: (17, 17).

    With P the projection on the trends, noise of variance 1 keeps the covariance
    I - P: this is the mean of P over all pixels (dy, dx) apart.
    """
    surfaces = _trend().T.reshape(-1, SIDE, SIDE)
    return np.asarray(_autocovariance(surfaces).sum(0))
