"""A density that is known on a grid of signals and residuals, looked up between."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]

REACH = 8.0
"""Standard deviations that a grid of residuals spans to either side."""

_GAUSSIAN_SHARE = 1e-4


def residual_grid(count: int) -> Array:
    """Residuals over the local standard deviation, increasing, (count,)."""
    return np.linspace(-REACH, REACH, count)


def normalised_rows(density: Array) -> Array:
    """Densities (signals, residuals) that are nowhere zero and integrate to one.

    A ten-thousandth of a Gaussian is mixed in: nothing is impossible.
    """
    residual = residual_grid(density.shape[1])
    step = residual[1] - residual[0]
    normal = np.exp(-0.5 * residual**2)
    total = np.maximum(density.sum(1, keepdims=True), 1e-300)
    mixed = density / total * (1 - _GAUSSIAN_SHARE)
    mixed = mixed + _GAUSSIAN_SHARE * normal / normal.sum()
    return np.asarray(mixed / step)


def cells(density: Tensor) -> Tensor:
    """The four corners of each cell of a grid (n, m), side by side: (cells, 4).

    One look-up then fetches all that an interpolation needs.
    """
    corners = (density[:-1, :-1], density[:-1, 1:], density[1:, :-1], density[1:, 1:])
    return torch.stack(corners, dim=-1).flatten(0, 1).contiguous()


def log_density(
    table: Tensor, columns: int, row: Tensor, scaled: Tensor, log_std: Tensor
) -> Tensor:
    """Log density of residuals, bilinear between the points of a grid.

    Between two rows and two columns the density itself is interpolated, so that it
    integrates to one at any signal. Beyond the grid a Gaussian tail goes on.

    Parameters
    ----------
    table : Tensor
        From `cells`.
    columns : int
        Residuals of the grid.
    row : Tensor
        Position of each signal among the rows, from 0 to rows - 1, (...).
    scaled : Tensor
        Residuals over the standard deviation, (...).
    log_std : Tensor
        Logarithm of that, (...).
    """
    rows = len(table) // (columns - 1)
    inside = scaled.clamp(-REACH, REACH)
    column = (inside + REACH) * ((columns - 1) / (2 * REACH))
    top = row.detach().floor().clamp_(0, rows - 1)
    left = column.detach().floor().clamp_(0, columns - 2)
    cell = (top * (columns - 1) + left).nan_to_num_().long()
    corners = torch.nn.functional.embedding(cell, table)
    down, right = row - top, column - left
    upper = torch.lerp(corners[..., 0], corners[..., 1], right)
    lower = torch.lerp(corners[..., 2], corners[..., 3], right)
    tail = 0.5 * (scaled.square() - inside.square())
    return torch.lerp(upper, lower, down).log() - tail - log_std
