"""What several views of a tile give, and how it is averaged."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Views(NamedTuple):
    """What all orientations of a tile give, turned back, normalised.

    Parameters
    ----------
    first : Tensor
        Mean of the signal from the image as it lies, (Y, X).
    mean : Tensor
        All outputs, averaged over the orientations, (C, Y, X).
    scatter: Tensor
        Variance of the mean of the signal between the orientations, (Y, X); 0 where
        there is one alone.
    """

    first: Tensor
    mean: Tensor
    scatter: Tensor


class Scatter:
    """Variance of a few tensors of one shape, which lie close to zero."""

    def __init__(self) -> None:
        self._count = 0
        self._sum = self._squares = torch.zeros(())

    def add(self, values: Tensor) -> None:
        """Add one."""
        self._count += 1
        self._sum = values + self._sum.to(values)
        self._squares = values.square() + self._squares.to(values)

    def variance(self) -> Tensor:
        """Return the variance between all that were added; 0 of one alone."""
        if self._count < 2:
            return torch.zeros_like(self._sum)
        apart = self._squares - self._sum.square() / self._count
        return apart.clamp_min(0) / (self._count - 1)


class PairwiseMean:
    """Mean of 2^n tensors, pair by pair: equal values come back to the bit."""

    def __init__(self) -> None:
        self._halves: list[tuple[int, Tensor]] = []

    def add(self, values: Tensor) -> None:
        """Add one; at most n + 1 are kept at a time."""
        count = 1
        while self._halves and self._halves[-1][0] == count:
            values, count = (self._halves.pop()[1] + values) / 2, 2 * count
        self._halves.append((count, values))

    def value(self) -> Tensor:
        """Return the mean of all that were added."""
        ((_, values),) = self._halves
        return values
