"""The histogram noise model (PN2V): counted, not fitted."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from torch import Tensor

from napari_selfdenoise.parts.noise_models import lookup
from napari_selfdenoise.parts.noise_models.base import (
    NoiseConfig,
    NoiseModule,
    NoiseUnits,
    pairs_as_arrays,
)
from napari_selfdenoise.parts.noise_models.lines import binned_means, variance_line

Array = NDArray[np.float64]

_RESIDUALS = 129
_PSEUDO_COUNT = 30.0
_ENOUGH = 2000
"""Pairs that a row is counted from: neighbouring rows help out where it has fewer."""

_DITHERED = 2**21


class HistogramNoise(NoiseConfig):
    """Histogram of observations (PN2V).

    The distribution of the observation at each signal, counted from pairs of signal
    and observation: any shape. It needs a calibration or a bootstrap; a gradient
    cannot teach it. Krull et al. 2020.
    """

    model_config = ConfigDict(title="Histogram (PN2V)")

    kind: Literal["histogram"] = "histogram"
    follows_gradient: ClassVar[bool] = False
    any_variance: ClassVar[bool] = True
    bins: int = Field(
        32,
        ge=16,
        le=1024,
        title="Signal bins",
        description="Number of signals at which the noise is counted. More follow "
        "it more closely and need more pixels; 256 as published.",
    )

    @property
    def free_numbers(self) -> int:
        """How many numbers are counted: a row of a density has one less than bins."""
        return self.bins * (_RESIDUALS - 1)

    def build(self, units: NoiseUnits) -> HistogramModule:
        """Make the noise model, before anything is counted."""
        return HistogramModule(units, self.bins)


class HistogramModule(NoiseModule):
    """Density of residuals over the local std, at evenly spaced signals.

    The local standard deviation is that of a Poisson-Gaussian line, so that each row
    of the table holds a shape, and rows without data fall back to a Gaussian.

    Parameters
    ----------
    units : NoiseUnits
        Of the image.
    bins : int
        Rows of the table.
    """

    closed_form = False
    differentiable = False

    range_: Tensor
    variance_line: Tensor
    spread: Tensor
    density: Tensor

    def __init__(self, units: NoiseUnits, bins: int) -> None:
        super().__init__(units)
        self.bins = bins
        self.register_buffer("range_", torch.tensor([-1.0, 3.0]))
        self.register_buffer("variance_line", torch.zeros(3))
        self.register_buffer("spread", torch.ones(bins))
        self.register_buffer("density", torch.ones(bins, _RESIDUALS))
        self.start_from_line(0.08, 0.13, -1.0, 3.0)

    @torch.no_grad()
    def start_from_line(
        self, gain: float, offset: float, low: float, high: float
    ) -> None:
        """Begin as a Gaussian with variance = gain * signal + offset."""
        least = max(0.25 * (gain * low + offset), self.std_floor**2)
        self._set_line(gain, offset, least, low, high)
        self._fill(np.zeros((self.bins, _RESIDUALS)), 0.0)

    def _set_line(
        self, gain: float, offset: float, least: float, low: float, high: float
    ) -> None:
        high = max(high, low + 1e-4 * max(1.0, abs(low)))
        self.range_.copy_(torch.tensor([low, high]))
        self.variance_line.copy_(torch.tensor([gain, offset, least]))

    def _row(self, signal: Tensor) -> Tensor:
        """Position among the rows, clamped to the ends."""
        low, high = self.range_
        place = (signal - low) * ((self.bins - 1) / (high - low))
        row: Tensor = place.clamp(0, self.bins - 1)
        return row

    def _log_std(self, signal: Tensor) -> Tensor:
        """Half the logarithm of the line's variance; constant below the range."""
        gain, offset, least = self.variance_line
        variance = gain * torch.maximum(signal, self.range_[0]) + offset
        half: Tensor = 0.5 * torch.maximum(variance, least).log()
        return half

    def std(self, signal: Tensor) -> Tensor:
        """Standard deviation of the observation at signals (...)."""
        row = self._row(signal)
        left = row.floor().clamp_max(self.bins - 2)
        index = left.nan_to_num().long()
        spread = torch.lerp(self.spread[index], self.spread[index + 1], row - left)
        return spread * self._log_std(signal).exp()

    def log_likelihood(self, signal: Tensor, observation: Tensor) -> Tensor:
        """Log density of observations given signals, both (...), in float32."""
        log_std = self._log_std(signal)
        scaled = (observation - signal) * (-log_std).exp()
        table = lookup.cells(self.density)
        row = self._row(signal)
        return lookup.log_density(table, _RESIDUALS, row, scaled, log_std)

    def fit(
        self,
        signal: Tensor,
        observation: Tensor,
        weight: Tensor | None,
        generator: torch.Generator,
        *,
        steps: int = 600,
        rate: float | None = None,
    ) -> Iterator[None]:
        """Count pairs of signal and observation, in a few steps.

        See `NoiseModule.fit` for the parameters; steps and rate mean nothing here.
        """
        if self.frozen:
            return
        weight = torch.ones_like(signal) if weight is None else weight
        with torch.no_grad():
            self._measure_line(signal, observation, weight)
            yield
            step = _grey_step(observation - signal)
            row, scaled, weight = self._dithered(
                signal, observation, weight, step, generator
            )
            yield
            # Centred, row by row: noise adds no light.
            rough, grid = _pooled(self._histogram(row, scaled, weight)), _grid()
            mean = (rough * grid).sum(1) / np.maximum(rough.sum(1), 1e-300)
            scaled -= torch.as_tensor(mean).to(scaled)[row]
            yield
            self._fill(_pooled(self._histogram(row, scaled, weight)), step)
        yield

    def _dithered(
        self,
        signal: Tensor,
        observation: Tensor,
        weight: Tensor,
        step: float,
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Row, residual over the local std, and weight of each pair.

        Rounded values are spread at random over the half step to either side.
        """
        times = int(np.clip(_DITHERED // max(len(signal), 1), 1, 16))
        signal, observation, weight = (
            v.repeat(times) for v in (signal, observation, weight / times)
        )
        uniform = torch.rand(signal.shape, generator=generator, device=signal.device)
        residual = observation + (uniform - 0.5) * step - signal
        scaled = residual * (-self._log_std(signal)).exp()
        return self._row(signal).round().long(), scaled, weight

    def _measure_line(
        self, signal: Tensor, observation: Tensor, weight: Tensor
    ) -> None:
        """The line that residuals are measured against, and the range of the rows."""
        s, squared, w = pairs_as_arrays(signal, observation, weight)
        gain, offset = variance_line(s, squared, w)
        _, variances, _ = binned_means(s, squared, w)
        least = max(0.5 * float(variances.min()), self.std_floor**2)
        low, high = np.quantile(s, (0.001, 0.999))
        self._set_line(gain, offset, least, float(low), float(high))

    def _histogram(self, row: Tensor, scaled: Tensor, weight: Tensor) -> Array:
        """Counts (rows, residuals) about the points of the grid."""
        step = 2 * lookup.REACH / (_RESIDUALS - 1)
        column = ((scaled + lookup.REACH) / step).round()
        inside = (column >= 0) & (column < _RESIDUALS)
        place = row[inside] * _RESIDUALS + column[inside].long()
        size = self.bins * _RESIDUALS
        weights = weight[inside].double()
        # On the CPU: a GPU adds weights up in whatever order its threads finish.
        counts = torch.bincount(place.cpu(), weights.cpu(), minlength=size)
        return np.asarray(counts.view(self.bins, _RESIDUALS).numpy())

    def _fill(self, counts: Array, step: float) -> None:
        """Make the table of counts and of what is expected where there are none."""
        grid = _grid()
        width = grid[1] - grid[0]
        normal = np.exp(-0.5 * grid**2) / math.sqrt(2 * math.pi) * width
        density = lookup.normalised_rows(counts + _PSEUDO_COUNT * normal)
        low, high = self.range_.tolist()
        signal = torch.linspace(low, high, self.bins, device=self.device)
        std = self._log_std(signal).exp().double().cpu().numpy()
        # The grid and the dithering have widened it.
        wider = width**2 / 12 + (step / std) ** 2 / 12
        variance = (density * grid**2).sum(1) * width - wider
        variance = np.maximum(variance, (self.std_floor / std) ** 2)
        self.density.copy_(torch.as_tensor(density, dtype=torch.float32))
        self.spread.copy_(torch.as_tensor(np.sqrt(variance), dtype=torch.float32))


def _grey_step(residual: Tensor) -> float:
    """Step between residuals (n,): of counts around a signal that is one, too.

    Steps far below the scatter are none: then nothing needs to be filled in.
    """
    values = residual[:65536].double().cpu().numpy()
    steps = np.diff(np.unique(values))
    steps = steps[steps > 1e-3 * values.std()]
    return float(steps.min()) if len(steps) else 0.0


def _grid() -> Array:
    return lookup.residual_grid(_RESIDUALS)


def _pooled(counts: Array) -> Array:
    """Each row with as many of its neighbours as it takes to have enough pairs."""
    rows = len(counts)
    summed = np.concatenate((np.zeros((1, counts.shape[1])), counts.cumsum(0)))
    index = np.arange(rows)
    pooled = counts.copy()
    for radius in range(1, rows // 16 + 1):
        few = pooled.sum(1) < _ENOUGH
        top, bottom = (
            np.maximum(index - radius, 0),
            np.minimum(index + radius, rows - 1),
        )
        pooled[few] = (summed[bottom + 1] - summed[top])[few]
    return pooled
