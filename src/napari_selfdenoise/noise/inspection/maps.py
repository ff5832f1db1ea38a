"""The noise over signal and residual, predicted and measured side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.noise.inspection.inspected import InspectedNoise

Array = NDArray[np.float64]

_SIGNALS = 160
_RESIDUALS = 121
_STDS = 4.0


@dataclass(frozen=True, eq=False)
class NoiseMaps:
    """Density over signal and residual, each signal scaled to its own maximum.

    Parameters
    ----------
    predicted, measured : ndarray
        (residual, signal), from 0 to 1; NaN where nothing was measured. Both have the
        same axes, and `measured` is NaN throughout where nothing is known.
    signal, residual : tuple of float
        Outer edges of the first and last column, and of the first and last row.
    """

    predicted: Array
    measured: Array
    signal: tuple[float, float]
    residual: tuple[float, float]

    def rows(self, what: str) -> Iterator[tuple[float, float, float]]:
        """Signal, residual and value of each cell of "predicted" or "measured"."""
        values = self.predicted if what == "predicted" else self.measured
        residuals = _middles(*self.residual, values.shape[0])
        signals = _middles(*self.signal, values.shape[1])
        for column, signal in enumerate(signals.tolist()):
            for row, residual in enumerate(residuals.tolist()):
                yield signal, residual, float(values[row, column])


def noise_maps(noise: InspectedNoise) -> NoiseMaps:
    """Draw what a noise model says and what was measured, out to four std."""
    low, high = noise.span
    low, high = min(low, noise.curve.signal[0]), max(high, noise.curve.signal[-1])
    high = max(high, np.nextafter(low, np.inf))
    columns = _middles(low, high, _SIGNALS)
    curve = noise.at(columns)
    reach = _STDS * float(curve.std.max())
    rows = _middles(-reach, reach, _RESIDUALS)
    predicted = _scaled(curve.density(rows))
    measured = _measured(noise, columns, rows)
    return NoiseMaps(predicted, measured, (low, high), (-reach, reach))


def _measured(noise: InspectedNoise, columns: Array, rows: Array) -> Array:
    """The measured density at signals and residuals, NaN where there is none."""
    found = np.full((len(rows), len(columns)), np.nan)
    if noise.measured is None:
        return found
    for number in np.flatnonzero(noise.measured.covers(columns)):
        bin_ = noise.measured.nearest(columns[number])
        edges, density = noise.measured.edges(bin_), noise.measured.density(bin_)
        cell = np.searchsorted(edges, rows, side="right") - 1
        inside = (cell >= 0) & (cell < len(density))
        found[:, number] = np.where(inside, density[cell.clip(0, len(density) - 1)], 0)
    return _scaled(found)


def _middles(low: float, high: float, count: int) -> Array:
    """Middles of even cells."""
    return low + (np.arange(count) + 0.5) * (high - low) / count


def _scaled(density: Array) -> Array:
    """Each column (rows, columns) over its own maximum."""
    highest = density.max(0, keepdims=True)
    return density / np.where(highest > 0, highest, 1.0)
