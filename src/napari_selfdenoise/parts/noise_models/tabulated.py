"""A noise model that no longer learns: a calibration, or another image's."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdenoise.parts.gaussian_mixtures import Mixture
from napari_selfdenoise.parts.noise_models import lookup
from napari_selfdenoise.parts.noise_models.base import NoiseModule, NoiseUnits
from napari_selfdenoise.parts.noise_models.curve import NoiseCurve
from napari_selfdenoise.parts.noise_models.lines import weighted_line

Array = NDArray[np.float64]

_KNOTS = 256
_RESIDUALS = 257
_FEW = 8
"""Gaussians up to which a mixture is used as it is."""


class TabulatedModule(NoiseModule):
    """A noise curve that no longer changes.

    Between the signals of the curve it is interpolated. Beyond its ends weights and
    shape are those of the end, and the variance goes on along the line that is known,
    or else as in the last fifth of the range, though never below a quarter.

    Parameters
    ----------
    units : NoiseUnits
        Of the image that it is used for.
    curve : NoiseCurve
        In raw units.
    """

    low: Tensor
    high: Tensor
    table: Tensor
    variance: Tensor
    slopes: Tensor
    least: Tensor
    density: Tensor

    def __init__(self, units: NoiseUnits, curve: NoiseCurve) -> None:
        super().__init__(units)
        even = curve.at(np.linspace(curve.signal[0], curve.signal[-1], _KNOTS))
        self.signal_range = float(curve.signal[0]), float(curve.signal[-1])  # raw
        self.components = even.weights.shape[1]
        self.closed_form = self.components <= _FEW
        signal = (even.signal - units.offset) / units.scale
        means, stds = even.means / units.scale, even.stds / units.scale
        if self.closed_form:
            stds = np.maximum(stds, units.std_floor)
        self._line = _normalised_line(curve.poisson_gaussian, units)
        variance = np.maximum((even.std / units.scale) ** 2, units.std_floor**2)
        self._keep("low", signal[0])
        self._keep("high", max(signal[-1], signal[0] + 1e-6))
        self._keep("table", np.concatenate((even.weights, means, stds), axis=1))
        self._keep("variance", variance)
        self._keep("slopes", self._slopes(signal, variance))
        quarter = 0.0 if self._line else 0.25
        ends = variance[[0, -1]]
        self._keep("least", np.maximum(quarter, units.std_floor**2 / ends))
        self._keep("density", _densities(even))
        self.density = lookup.cells(self.density)
        self.freeze()

    def _keep(self, name: str, value: Array | float) -> None:
        # Not in the model file: the curve is there.
        tensor = torch.as_tensor(value, dtype=torch.float32)
        self.register_buffer(name, tensor, persistent=False)

    def _slopes(self, signal: Array, variance: Array) -> Array:
        """Change of the variance with the signal beyond either end."""
        if self._line:
            return np.full(2, self._line[0])
        ends = slice(None, _KNOTS // 5), slice(-(_KNOTS // 5), None)
        even = np.ones(_KNOTS // 5)
        return np.array([weighted_line(signal[e], variance[e], even)[0] for e in ends])

    def line(self) -> tuple[float, float] | None:
        """Gain and offset of variance = gain * signal + offset, where it is a line."""
        return self._line

    def _row(self, signal: Tensor) -> Tensor:
        """Position among the knots, clamped to the ends."""
        place = (signal - self.low) * ((_KNOTS - 1) / (self.high - self.low))
        return place.clamp(0, _KNOTS - 1)

    def _between(self, table: Tensor, row: Tensor) -> Tensor:
        """Linear interpolation between the knots: (..., columns)."""
        left = row.detach().floor().clamp_max(_KNOTS - 2)
        index = left.nan_to_num().long()  # a diverged training must say so itself
        share = (row - left).unsqueeze(-1)
        first, second = (
            torch.nn.functional.embedding(place, table) for place in (index, index + 1)
        )
        return torch.lerp(first, second, share)

    def _stretch(self, signal: Tensor) -> Tensor:
        """Variance over that at the nearest signal of the curve: 1 within its range."""
        below = (signal - self.low).clamp_max(0) * (self.slopes[0] / self.variance[0])
        above = (signal - self.high).clamp_min(0) * (self.slopes[1] / self.variance[-1])
        low = torch.maximum(1 + below, self.least[0])
        high = torch.maximum(1 + above, self.least[1])
        return torch.where(signal < self.low, low, high)

    def residual_mixture(self, signal: Tensor) -> Mixture:
        """Distribution of observation - signal at signals of shape (...)."""
        values = self._between(self.table, self._row(signal))
        weight, mean, std = values.chunk(3, dim=-1)
        stretch = self._stretch(signal).sqrt().unsqueeze(-1)
        log_weight = weight.clamp_min(1e-20).log()
        return Mixture(log_weight, mean * stretch, (std * stretch).log())

    def std(self, signal: Tensor) -> Tensor:
        """Standard deviation of the observation at signals (...)."""
        return (0.5 * self._log_variance(signal, self._row(signal))).exp()

    def _log_variance(self, signal: Tensor, row: Tensor) -> Tensor:
        known = self._between(self.variance.unsqueeze(-1), row).squeeze(-1)
        return (known * self._stretch(signal)).log()

    def log_likelihood(self, signal: Tensor, observation: Tensor) -> Tensor:
        """Log density of observations given signals, both (...), in float32."""
        if self.closed_form:
            return super().log_likelihood(signal, observation)
        row = self._row(signal)
        log_std = 0.5 * self._log_variance(signal, row)
        scaled = (observation - signal) * (-log_std).exp()
        return lookup.log_density(self.density, _RESIDUALS, row, scaled, log_std)


def _normalised_line(
    line: tuple[float, float] | None, units: NoiseUnits
) -> tuple[float, float] | None:
    if line is None:
        return None
    a, b = line
    return a / units.scale, (b + a * units.offset) / units.scale**2


def _densities(curve: NoiseCurve) -> Array:
    """Density of residuals over the std, (signals, residuals)."""
    grid, std = lookup.residual_grid(_RESIDUALS), curve.std
    density = np.stack(
        [
            curve.at(curve.signal[n : n + 1]).density(grid * std[n])[:, 0]
            for n in range(len(std))
        ]
    )
    return lookup.normalised_rows(density)
