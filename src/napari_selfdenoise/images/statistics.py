"""Bins of pixels of like signal, in which noise is measured."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def bins_by_signal(
    signal: NDArray[np.floating], most: int, least: int = 1
) -> list[NDArray[np.intp]]:
    """Indices of pixels in bins of equally many pixels of like signal.

    Parameters
    ----------
    signal : ndarray
        Of each pixel, (n,).
    most : int
        Number of bins, at most.
    least : int
        Pixels of a bin, at least, where there are several bins.

    Returns
    -------
    list of ndarray
        Indices of the pixels of each bin, by increasing signal.
    """
    count = max(1, min(most, len(signal) // least))
    return np.array_split(np.argsort(signal), count)


def means_of_bins(bins: list[NDArray[np.intp]], values: Array) -> Array:
    """Mean of some values (n, ...) in each bin, (bins, ...)."""
    return np.array([values[pixels].mean(0) for pixels in bins])


def weighted_means_by_signal(
    signal: Array, values: tuple[Array, ...], weight: Array, count: int
) -> tuple[tuple[Array, ...], Array]:
    """Weighted means in bins of equally many pixels of like signal; quick for many.

    Parameters
    ----------
    signal, weight : ndarray
        Of each pixel, (n,).
    values : tuple of ndarray
        Each (n,).
    count : int
        Number of bins.

    Returns
    -------
    means : tuple of ndarray
        Of each of the values, (count,), by increasing signal.
    weight : ndarray
        Sum of each bin, (count,).
    """
    order = np.argsort(signal, kind="stable")
    starts = np.linspace(0, len(signal), count, endpoint=False).astype(int)
    total = np.maximum(np.add.reduceat(weight[order], starts), 1e-300)
    means = tuple(
        np.add.reduceat((each * weight)[order], starts) / total for each in values
    )
    return means, total
