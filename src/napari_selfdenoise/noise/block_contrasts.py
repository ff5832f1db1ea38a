"""The noise's variance from differences between the residuals of neighbours.

A residual holds the noise, and what the prediction errs by: structure that it has not
understood, and its reaction to the noise around. So blocks of 2 x 2 pixels are masked,
and the variance of the residuals within each block is taken. What the block has in
common, as missed structure mostly is, cancels; the reaction shows when a little more
noise is added around. What is left is the noise, if neighbours do not share it. The
slope of an error does not cancel but in the difference of differences; so that says, in
wider groups of blocks, how much of the variance is noise.

The prediction knows nothing of a block's own noise, so that blocks can be sorted by it:
else, what looks dim would more often be what has dim noise.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdenoise.images import Normalization, bins_by_signal, means_of_bins

Array = NDArray[np.float64]

PROBE = 0.3
"""Std of the noise that is added to measure the prediction's reaction to it, over σ."""

SPACING = 4
"""Distance of the masked blocks along each axis, in pixels."""

_BINS = 32  # groups of blocks by signal, in which all contrasts are used
_WIDE_BINS = 8  # wider groups, in which diagonals show how much is noise
_LEAST_BLOCKS = 256
_LEAST_SHARE = 0.25


def block_numbers(y: Tensor, x: Tensor) -> Tensor:
    """Number of the set of blocks that each pixel of an image belongs to, from 0 to 3.

    Parameters
    ----------
    y, x : Tensor
        Rows (Y,) and columns (X,).

    Returns
    -------
    Tensor
        (Y, X); pixels of one number are masked at once.
    """
    half = SPACING // 2
    rows, columns = (y % SPACING) // half, (x % SPACING) // half
    return 2 * rows[:, None] + columns[None, :]


class Differences(NamedTuple):
    """Contrasts in masked blocks of 2 x 2 pixels, on which noise is measured.

    Parameters
    ----------
    signal : Tensor
        Mean prediction of each block, (n,), normalised; as the others.
    residual : Tensor
        Squares of the residuals' contrasts in each block: between its rows, between its
        columns, and between its diagonals, (n, 3). White noise has the same variance in
        each.
    reaction : Tensor
        The same of the prediction's reaction to noise of `PROBE` stds, (n, 3).
    mean_residual : Tensor
        Mean residual of each block, (n,). With it, a block's signal is known without
        the shrinkage of a smooth prediction, but for a quarter of the noise's variance.
    """

    signal: Tensor
    residual: Tensor
    reaction: Tensor
    mean_residual: Tensor

    @classmethod
    def of(
        cls,
        signal: Tensor,
        observation: Tensor,
        moved: Tensor,
        masked: Tensor,
        good: Tensor | None = None,
    ) -> Differences:
        """Return the contrasts within all blocks of one number.

        Parameters
        ----------
        signal, observation : Tensor
            Prediction and observation of the masked pixels, (B, 1, Y, X).
        moved : Tensor
            Prediction with a little more noise around.
        masked : Tensor
            True at the masked pixels, (Y, X).
        good : Tensor, optional
            False at outliers and missing pixels, (B, 1, Y, X): blocks that hold such a
            pixel are left out.
        """
        rows, columns = (_block_starts(masked.any(axis)) for axis in (1, 0))
        mean, residual, reaction = (
            _blocks(values, rows, columns)
            for values in (signal, observation - signal, moved - signal)
        )
        contrasts = _contrasts(residual), _contrasts(reaction)
        found = mean.mean(0).ravel(), *contrasts, residual.mean(0).ravel()
        values = cls(*(values.detach() for values in found))
        if good is None:
            return values
        whole = _blocks(good, rows, columns).all(0).ravel()
        return cls(*(value[whole] for value in values))

    def thinned(self, most: int) -> Differences:
        """Return at most about `most` blocks."""
        every = max(1, len(self.signal) // most)
        return Differences(*(values[::every] for values in self))


def _block_starts(masked: Tensor) -> Tensor:
    """Where whole blocks begin along an axis, of which lines are masked (n,): (k,)."""
    return (masked[:-1] & masked[1:]).nonzero()[:, 0]


def _blocks(values: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The four pixels of each block, (4, B, 1, rows, columns)."""
    corners = ((0, 0), (0, 1), (1, 0), (1, 1))
    return torch.stack(
        [values[..., (rows + y)[:, None], columns + x] for y, x in corners]
    )


def _contrasts(blocks: Tensor) -> Tensor:
    """Squares of three contrasts of blocks (4, ...), (n, 3)."""
    first, second, third, fourth = blocks.flatten(1)
    rows = first + second - third - fourth
    columns = first - second + third - fourth
    diagonals = first - second - third + fourth
    return torch.stack([rows, columns, diagonals], dim=1).square() / 4


def squared_noise(
    parts: Iterable[Differences], normalization: Normalization
) -> tuple[Array, Array]:
    """Squared noise in many contrasts, raw units, whose mean is the noise variance.

    Parameters
    ----------
    parts : iterable of Differences
        Of images whose noise is alike.
    normalization : Normalization
        Theirs.

    Returns
    -------
    signal, squared : ndarray
        Of each contrast, (3 n,); empty where there are too few blocks.
    """
    columns = [
        torch.cat(values).double().cpu().numpy() for values in zip(*parts, strict=True)
    ]
    if not columns or len(columns[0]) < _LEAST_BLOCKS:
        return np.zeros(0), np.zeros(0)
    signal, residual, reaction, _ = columns
    centre, whole, own = _grouped(_BINS, signal, residual, reaction)
    share = 1 - own.mean(1) / np.maximum(whole.mean(1), 1e-30)
    wide, whole, own = _grouped(_WIDE_BINS, signal, residual, reaction)
    left = np.maximum(whole - own, 1e-30)
    noise = np.minimum(left[:, 2] / left.mean(1), 1.0)
    share = np.maximum(share * np.interp(centre, wide, noise), _LEAST_SHARE)
    squared = residual * np.interp(signal, centre, share)[:, None]
    raw = np.repeat(signal, 3) * normalization.scale + normalization.offset
    return raw, squared.ravel() * normalization.scale**2


def _grouped(
    most: int, signal: Array, residual: Array, reaction: Array
) -> tuple[Array, Array, Array]:
    """Mean signal, residual and own variance in groups of equally many blocks."""
    groups = bins_by_signal(signal, most, least=_LEAST_BLOCKS)
    centre, whole, own = (
        means_of_bins(groups, values)
        for values in (signal, residual, reaction / PROBE**2)
    )
    return centre, whole, own
