"""Means of small squares of pixels, at all their positions, and back.

Where neighbouring pixels share noise, their means share far less. A network that was
trained on means predicts them for each of size² positions of the grid of squares, and
a pixel is the average of all squares that it lies in.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor


def sliding_means(plane: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Means of all squares of size x size pixels.

    Parameters
    ----------
    plane : ndarray
        (Y, X).
    size : int
        Side of the squares, in pixels.

    Returns
    -------
    ndarray
        Mean of the square that begins at each pixel, (Y - size + 1, X - size + 1).
    """
    pixels = torch.from_numpy(np.ascontiguousarray(plane, np.float32))[None]
    means: NDArray[np.float32] = F.avg_pool2d(pixels, size, stride=1)[0].numpy()
    return means


def whole_bins(good: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """True where a square of size x size pixels holds good pixels only, (Y, X).

    The places are those of `sliding_means`.
    """
    windows = np.lib.stride_tricks.sliding_window_view(good, (size, size))
    return np.asarray(windows.all((2, 3)))


def variance_of_bins(rho: NDArray[np.float64], size: int) -> float:
    """Variance of the noise of squares' means, divided by that of a pixel.

    As measured by the difference of differences between four squares, two by two, in
    which slopes and noise that neighbouring squares share cancel.

    Parameters
    ----------
    rho : ndarray
        Correlation of pixels (dy, dx) apart, odd sides, 1 in the middle; taken to be 0
        beyond.
    size : int
        Side of the squares, in pixels.
    """
    own, x, y, diagonal = (
        _covariance(rho, size, place) for place in ((0, 0), (0, 1), (1, 0), (1, 1))
    )
    return max(own - x - y + diagonal, 1 / size**4)


def _covariance(rho: NDArray[np.float64], size: int, place: tuple[int, int]) -> float:
    """Of the means of two squares so many squares apart, over that of a pixel."""
    distance = np.arange(1 - size, size)
    pairs = size - np.abs(distance)
    middle = len(rho) // 2
    known = np.pad(rho, max(0, 2 * size - 1 - middle))
    middle = len(known) // 2
    rows, columns = (middle + distance + size * shift for shift in place)
    return float(pairs @ known[np.ix_(rows, columns)] @ pairs) / size**4


def to_bins(images: Tensor, size: int) -> Tensor:
    """Means of squares, one image for each position of their grid.

    Parameters
    ----------
    images : Tensor
        (B, C, Y, X), sides multiples of `size`; beyond the border it is repeated.
    size : int
        Side of the squares, in pixels.

    Returns
    -------
    Tensor
        (size² B, C, Y / size, X / size).
    """
    padded = F.pad(images, (0, size - 1, 0, size - 1), mode="replicate")
    phases = F.pixel_unshuffle(F.avg_pool2d(padded, size, stride=1), size)
    count, _, height, width = phases.shape
    positions = phases.view(count, -1, size**2, height, width).transpose(1, 2)
    return positions.flatten(0, 1)


def to_pixels(bins: Tensor, size: int) -> Tensor:
    """Average, for each pixel, of all squares that it lies in.

    Parameters
    ----------
    bins : Tensor
        In the order that `to_bins` gives, (size² B, C, Y, X).
    size : int
        Side of the squares, in pixels.

    Returns
    -------
    Tensor
        (B, C, Y size, X size).
    """
    channels, height, width = bins.shape[1:]
    phases = bins.view(-1, size**2, channels, height, width).transpose(1, 2)
    phases = phases.flatten(1, 2)
    corners = F.pixel_shuffle(phases, size)
    padded = F.pad(corners, (size - 1, 0, size - 1, 0), mode="replicate")
    return F.avg_pool2d(padded, size, stride=1)
