"""Fills: values made of unmasked pixels only, which stand in for masked ones."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

GAUSSIAN = math.exp(-0.5)
"""Weight of a pixel 1 px away, of a Gaussian with a standard deviation of 1 px."""


def neighbour_sum(values: Tensor, side: float = 1.0, step: int = 1) -> Tensor:
    """Sum over 3 x 3 pixels, `step` apart, weighted (side, 1, side) along each axis."""
    for axis in (2, 3):
        values = values + side * _either_side(values, axis, step)
    return values


def _either_side(values: Tensor, axis: int, step: int = 1) -> Tensor:
    """Sum of the two pixels `step` before and after each along an axis."""
    # For one channel, shifted sums are ten times faster than a convolution.
    if torch._C._get_tracing_state() is not None:  # a program is being exported
        return _either_side_by_pads(values, axis, step)
    length = values.shape[axis]
    sides, rest = torch.zeros_like(values), length - step
    if rest > 0:
        sides.narrow(axis, step, rest).add_(values.narrow(axis, 0, rest))
        sides.narrow(axis, 0, rest).add_(values.narrow(axis, step, rest))
    return sides


def _either_side_by_pads(values: Tensor, axis: int, step: int) -> Tensor:
    """The same without changing a part in place, which ONNX cannot; half as fast."""
    rest = values.shape[axis] - step
    room = (0, 0) if axis == 2 else ()  # of the axis behind it
    before = F.pad(values.narrow(axis, 0, rest), (*room, step, 0))
    return before + F.pad(values.narrow(axis, step, rest), (*room, 0, step))


def _cross_sum(values: Tensor) -> Tensor:
    return _either_side(values, 2) + _either_side(values, 3)


def _widening_fill(
    patches: Tensor, masked: Tensor, sums: Sequence[Callable[[Tensor], Tensor]]
) -> Tensor:
    """Mean of unmasked pixels, by the first of several sums that reaches any.

    Masked pixels count as zero with weight zero, so the centre need not be left out.
    Where none of the sums reaches any, the mean of the patch; and 0, the median of
    the image, where all of the patch is masked.
    """
    weight = (~masked).to(patches.dtype).expand_as(patches)
    both = torch.cat([patches.masked_fill(masked, 0), weight], 1)
    total, count = both.sum((2, 3), keepdim=True).unbind(1)
    filled = (total / count.clamp_min(1)).unsqueeze(1).expand_as(patches)
    known = torch.zeros_like(masked)
    for widen in sums:
        both = widen(both)
        total, weight = both[:, :1], both[:, 1:]
        unmasked = weight > 0
        filled = torch.where(unmasked & ~known, total / weight.clamp_min(1e-6), filled)
        known = known | unmasked
    return filled


def weighted_fill(
    patches: Tensor, masked: Tensor, side: float = 1.0, steps: Sequence[int] = (1, 1, 1)
) -> Tensor:
    """Weighted mean of the unmasked of 8 neighbours; wider where there are none."""
    # With half the pixels masked, one in 256 has no visible neighbour in 3 x 3.
    sums = [functools.partial(neighbour_sum, side=side, step=step) for step in steps]
    return _widening_fill(patches, masked, sums)


def cross_fill(patches: Tensor, masked: Tensor) -> Tensor:
    """Mean of the unmasked of the 4 direct neighbours; both (B, 1, Y, X)."""
    return _widening_fill(patches, masked, [_cross_sum, neighbour_sum, neighbour_sum])


def mean_fill(patches: Tensor, masked: Tensor) -> Tensor:
    """Mean of the unmasked of the 8 neighbours; both (B, 1, Y, X)."""
    return weighted_fill(patches, masked)


def _neighbours(values: Tensor, size: int) -> Tensor:
    """The neighbours of each pixel, centre left out: (B, size² - 1, Y, X)."""
    b, _, h, w = values.shape
    unfolded = F.unfold(values, size, padding=size // 2).view(b, size * size, h, w)
    centre = size * size // 2
    return torch.cat([unfolded[:, :centre], unfolded[:, centre + 1 :]], dim=1)


def median_fill(patches: Tensor, masked: Tensor) -> Tensor:
    """Median of the unmasked of the 8 neighbours; both (B, 1, Y, X)."""
    # Outside the patch nothing is visible: padding enters as 0 and is dropped here.
    unmasked = _neighbours((~masked).to(patches.dtype), 3) > 0
    values = _neighbours(patches, 3).masked_fill(~unmasked, float("nan"))
    median = values.nanmedian(dim=1, keepdim=True).values
    wide = weighted_fill(patches, masked)
    return torch.where(unmasked.any(dim=1, keepdim=True), median, wide)


def uniform_fill(patches: Tensor, masked: Tensor, generator: torch.Generator) -> Tensor:
    """One of the unmasked of 24 neighbours, at random; both (B, 1, Y, X)."""
    unmasked = _neighbours((~masked).to(patches.dtype), 5) > 0
    uniform = torch.rand(unmasked.shape, generator=generator, device=patches.device)
    chosen = uniform.masked_fill(~unmasked, -1).argmax(dim=1, keepdim=True)
    drawn = _neighbours(patches, 5).gather(1, chosen)
    wide = weighted_fill(patches, masked)
    return torch.where(unmasked.any(dim=1, keepdim=True), drawn, wide)
