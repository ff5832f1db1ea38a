"""The straight line that variance follows over signal, roughly and at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.images import weighted_means_by_signal

Array = NDArray[np.float64]

_BINS = 64
_LEAST = 64


def variance_line(
    signal: Array, squared: Array, weight: Array | None = None
) -> tuple[float, float]:
    """Fit variance = a * signal + b by weighted least squares, with a at least 0.

    Squared residuals are averaged in bins of like signal, and each bin counts by what
    its mean is worth: the scatter of a variance goes with the variance.

    Parameters
    ----------
    signal, squared : ndarray
        Signals and squared residuals, (n,), in any unit.
    weight : ndarray, optional
        What each counts, (n,).

    Returns
    -------
    a, b : float
        b may be negative.
    """
    weight = np.ones_like(signal) if weight is None else weight
    centre, variance, count = binned_means(signal, squared, weight)
    a, b = 0.0, float(np.average(variance, weights=count))
    if np.ptp(centre) <= 1e-6 * max(abs(centre[0]), abs(centre[-1])):
        return a, b
    least = max(1e-3 * b, 1e-30)
    for _ in range(8):
        trust = count / np.maximum(a * centre + b, least) ** 2
        a, b = weighted_line(centre, variance, trust)
        if a <= 0:
            return 0.0, float(np.average(variance, weights=count))
    return a, b


def binned_means(
    signal: Array, values: Array, weight: Array, bins: int = _BINS
) -> tuple[Array, Array, Array]:
    """Weighted means in bins of equally many pairs of like signal.

    Returns
    -------
    signal, mean, weight : ndarray
        Of each bin, by increasing signal.
    """
    count = int(np.clip(len(signal) // _LEAST, 1, bins))
    (centre, mean), total = weighted_means_by_signal(
        signal, (signal, values), weight, count
    )
    return centre, mean, total


def weighted_line(x: Array, y: Array, weight: Array) -> tuple[float, float]:
    """Slope and intercept of points (n,) that count by their weights."""
    weight = weight / weight.sum()
    middle, level = (weight * x).sum(), (weight * y).sum()
    spread = (weight * (x - middle) ** 2).sum()
    slope = (weight * (x - middle) * (y - level)).sum() / max(spread, 1e-300)
    return float(slope), float(level - slope * middle)
