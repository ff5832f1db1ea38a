"""How a scene moved between a plane and others, and the others moved back onto it.

Displacements are found by the method of Lucas and Kanade [1]_ from coarse to fine
pixels: within a smooth window, the step that makes both planes alike in the sense of
least squares. Nothing is gained from a step where a window holds noise alone: there a
term of the strength of all windows' structure keeps it small, and the coarser answer
stays.

A displacement is found from both planes, so it follows the noise of the pixels that are
predicted later: by about two numbers a window of some hundred pixels each.

References
----------
.. [1] B. D. Lucas and T. Kanade, "An iterative image registration technique with an
   application to stereo vision", IJCAI 1981, 674-679.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

CELL = 4
"""Side in px, at each level, of the squares that one displacement is kept for."""

_LEVELS = 3  # pixels of 4, 2 and 1 px
_ITERATIONS = (4, 4, 3)  # from coarse to fine
_WINDOW = (4.0, 5.0, 8.0)  # px of the level; std of the window
_SMOOTH = 1.0  # px; std of what takes noise from the planes before
_WIDE = 16  # px; side of the squares whose smoothed means are subtracted
_DAMPING = 0.1  # share of the mean structure of windows that is added to each
_FLAT = 1.0
_QUARTER = 0.25
_RELAX = 0.5
_WORTH = 1.2  # squared distance of windows without displacement, over that with it
_STEP = 1.0  # px of the level that an iteration moves at most
_SMALL = 128
"""Side in px of images up to which a product of matrices is faster than convolution."""

_LARGEST = 2**20
"""Pixels of a plane from which on displacements are found in bins."""


class Motion(NamedTuple):
    """Displacements from a plane to another one.

    Parameters
    ----------
    steps : ndarray
        Where a point of the plane lies in the other one, relative to its place, of
        square cells, (2, rows, columns), in px along Y and X.
    cell : int
        Side of the cells, px.
    """

    steps: NDArray[np.float32]
    cell: int

    def at(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Displacements at some pixels, (2, Y, X), linear between cells."""
        found: NDArray[np.float32] = self.steps
        for axis, span in enumerate((rows, columns), start=1):
            last = self.steps.shape[axis] - 1
            places = (np.arange(span.start, span.stop) + 0.5) / self.cell - 0.5
            places = np.clip(places, 0, last).astype(np.float32)
            low = np.minimum(places.astype(int), max(0, last - 1))
            shape = [1, 1, 1]
            shape[axis] = len(places)
            share = (places - low).reshape(shape)
            high = np.minimum(low + 1, last)
            found = found.take(low, axis) * (1 - share) + found.take(high, axis) * share
        return found


def measure_motion(
    plane: NDArray[np.float32], others: Sequence[NDArray[np.float32]]
) -> list[Motion]:
    """Find how far each part of a plane has moved in others.

    Parameters
    ----------
    plane : ndarray
        (Y, X), without missing pixels.
    others : sequence of ndarray
        Each (Y, X), of any brightness.

    Returns
    -------
    list of Motion
        One for each of the others.
    """
    if not others:
        return []
    bins = 1
    while plane.size / bins**2 > _LARGEST:
        bins *= 2
    stack = torch.from_numpy(np.stack([plane, *others]).astype(np.float32))[:, None]
    stack = _padded(stack, bins * CELL * 2 ** (_LEVELS - 1))
    levels = [F.avg_pool2d(stack, bins) if bins > 1 else stack]
    for _ in range(_LEVELS - 1):
        levels.append(F.avg_pool2d(levels[-1], 2))
    steps = torch.zeros(())
    for pixels, window, count in zip(levels[::-1], _WINDOW, _ITERATIONS, strict=True):
        contrast = _contrast(pixels)
        height, width = (side // CELL for side in pixels.shape[-2:])
        start = contrast.new_zeros((len(others), 2, height, width))
        if steps.ndim:
            start = 2 * F.interpolate(steps, (height, width), mode="bilinear")
        steps = _refined(contrast[:1], contrast[1:], start, window, count)
    steps = _where_better(contrast[:1], contrast[1:], steps, window)
    # Where contrasts are beyond the range of the numbers, no displacement is found.
    steps = steps.nan_to_num(0.0, 0.0, 0.0)
    return [Motion(one.numpy() * bins, CELL * bins) for one in steps]


def moved_back(
    pixels: NDArray[np.float32],
    corner: tuple[int, int],
    displacements: NDArray[np.float32],
    rows: slice,
    columns: slice,
) -> NDArray[np.float32]:
    """Pixels of another plane where the scene of some of a plane has moved to.

    Linear between four pixels.

    Parameters
    ----------
    pixels : ndarray
        A part of the other plane that holds all of them, (Y, X).
    corner : tuple of int
        First row and column of it.
    displacements : ndarray
        As of `Motion.at`, (2, Y, X).
    rows, columns : slice
        Which pixels of the plane.

    Returns
    -------
    ndarray
        (Y, X); NaN where they have moved out of the part.
    """
    y = np.arange(rows.start, rows.stop)[:, None] - corner[0] + displacements[0]
    x = np.arange(columns.start, columns.stop) - corner[1] + displacements[1]
    height, width = pixels.shape
    # Half a pixel beyond the last one belongs to it.
    inside = (y >= -0.5) & (y <= height - 0.5) & (x >= -0.5) & (x <= width - 0.5)
    y, x = np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
    top = np.minimum(y.astype(np.intp), max(0, height - 2))
    left = np.minimum(x.astype(np.intp), max(0, width - 2))
    down, right = (y - top).astype(np.float32), (x - left).astype(np.float32)
    flat, place = pixels.ravel(), top * width + left
    below, after = (width if height > 1 else 0), (1 if width > 1 else 0)
    upper = flat[place] * (1 - right) + flat[place + after] * right
    place = place + below
    lower = flat[place] * (1 - right) + flat[place + after] * right
    found = upper * (1 - down) + lower * down
    return np.where(inside, found, np.float32(np.nan))


def noise_share(displacements: NDArray[np.float32]) -> float:
    """Std of the noise of pixels that were moved back, over that of pixels.

    The mean of neighbouring pixels has less noise than one of them.

    Parameters
    ----------
    displacements : ndarray
        (2, Y, X), px.
    """
    part = displacements - np.floor(displacements)
    squares = part**2 + (1 - part) ** 2
    return math.sqrt(float((squares[0] * squares[1]).mean()))


def _padded(planes: Tensor, multiple: int) -> Tensor:
    """Planes (N, 1, Y, X) whose sides are multiples, by repeating their ends."""
    height, width = planes.shape[-2:]
    pad = (0, -width % multiple, 0, -height % multiple)
    return F.pad(planes, pad, mode="replicate")


def _contrast(planes: Tensor) -> Tensor:
    """Smoothed planes (N, 1, Y, X) without what is wide in them."""
    side = min(_WIDE, *planes.shape[-2:])
    means = F.avg_pool2d(planes, side, ceil_mode=True, count_include_pad=False)
    size = [length * side for length in means.shape[-2:]]
    wide = F.interpolate(_blurred(means, 1.5), size=size, mode="bilinear")
    height, width = planes.shape[-2:]
    return _blurred(planes, _SMOOTH) - wide[..., :height, :width]


def _refined(
    plane: Tensor, others: Tensor, steps: Tensor, window: float, count: int
) -> Tensor:
    """Displacements of cells (N, 2, rows, columns), closer to the least squares.

    Parameters
    ----------
    plane, others : Tensor
        Contrast of the plane, (1, 1, Y, X), and the others, (N, 1, Y, X).
    steps : Tensor
        Displacements to begin with, px of the level.
    window : float
        Std, px of the level.
    count : int
        Iterations.
    """
    height, width = plane.shape[-2:]
    damping = _damping(plane, window)
    for _ in range(count):
        places = F.interpolate(steps, (height, width), mode="bilinear")
        moved = _sampled(others, places)
        dy, dx = _slopes((plane + moved) / 2)
        apart = plane - moved
        products = (dy * dy, dy * dx, dx * dx, dy * apart, dx * apart)
        cells = torch.cat([F.avg_pool2d(one, CELL) for one in products], 1)
        yy, yx, xx, y, x = _blurred(cells, window / CELL).unbind(1)
        yy, xx = yy + damping, xx + damping
        determinant = (yy * xx - yx * yx).clamp_min(torch.finfo(yy.dtype).tiny)
        found = torch.stack((xx * y - yx * x, yy * x - yx * y), 1)
        found = found / determinant[:, None]
        length = torch.hypot(found[:, :1], found[:, 1:]) / _STEP
        steps = _blurred(steps + found / length.clamp_min(1), window / CELL * _RELAX)
    return steps


def _where_better(
    plane: Tensor, others: Tensor, steps: Tensor, window: float
) -> Tensor:
    """Displacements of cells, 0 where planes are as much alike without them.

    There they are noise, and linear interpolation blurs.
    """
    places = F.interpolate(steps, plane.shape[-2:], mode="bilinear")
    still, moved = (
        _blurred(F.avg_pool2d((plane - other).square(), CELL), window / CELL)
        for other in (others, _sampled(others, places))
    )
    worth = (still > _WORTH * moved).to(steps)
    return steps * _blurred(worth, 1.0)


def _damping(plane: Tensor, window: float) -> Tensor:
    """What is added to the structure of windows: about what noise alone has."""
    dy, dx = _slopes(plane)
    cells = F.avg_pool2d((dy.square() + dx.square()) / 2, CELL)
    windows = _blurred(cells, window / CELL).flatten()
    flat = windows.quantile(_QUARTER) if len(windows) < 2**20 else windows.median()
    return torch.maximum(_DAMPING * windows.mean(), _FLAT * flat)


def _slopes(planes: Tensor) -> tuple[Tensor, Tensor]:
    """Central differences along Y and X, (N, 1, Y, X)."""
    beyond = F.pad(planes, (1, 1, 1, 1), mode="replicate")
    dy = (beyond[..., 2:, 1:-1] - beyond[..., :-2, 1:-1]) / 2
    dx = (beyond[..., 1:-1, 2:] - beyond[..., 1:-1, :-2]) / 2
    return dy, dx


def _sampled(planes: Tensor, displacements: Tensor) -> Tensor:
    """Planes (N, 1, Y, X) at displaced places (N, 2, Y, X)."""
    height, width = planes.shape[-2:]
    rows, columns = torch.arange(height) + 0.5, torch.arange(width) + 0.5
    y = 2 * (rows[:, None] + displacements[:, 0]) / height - 1
    x = 2 * (columns + displacements[:, 1]) / width - 1
    grid = torch.stack((x, y), -1)
    return F.grid_sample(planes, grid, padding_mode="border", align_corners=False)


def _blurred(planes: Tensor, std: float) -> Tensor:
    """Gaussian means of images (N, C, Y, X); ends are repeated."""
    height, width = planes.shape[-2:]
    if max(height, width) <= _SMALL:
        return _matrix(height, std) @ planes @ _matrix(width, std).T
    for axis in (-2, -1):
        planes = _blurred_along(planes, axis, std)
    return planes


def _blurred_along(planes: Tensor, axis: int, std: float) -> Tensor:
    """Gaussian means along an axis, by adding up what is shifted.

    A convolution of a single channel takes five times as long.
    """
    radius, weights = _gaussian(std)
    length = planes.shape[axis]
    ends = (0, 0, radius, radius) if axis == -2 else (radius, radius, 0, 0)
    padded = F.pad(planes, ends, mode="replicate")
    found = torch.zeros_like(planes)
    for start, weight in enumerate(weights.tolist()):
        found.add_(padded.narrow(axis, start, length), alpha=weight)
    return found


def _gaussian(std: float) -> tuple[int, Tensor]:
    """Radius, and weights of 2 radius + 1 pixels whose sum is 1."""
    radius = math.ceil(3 * std)
    weights = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / std) ** 2)
    return radius, weights / weights.sum()


@functools.lru_cache(64)
def _matrix(length: int, std: float) -> Tensor:
    """Matrix whose product with columns of pixels is their Gaussian means."""
    radius, weights = _gaussian(std)
    matrix = torch.zeros(length, length)
    rows = torch.arange(length)
    for step, weight in enumerate(weights, -radius):
        places = (rows + step).clamp(0, length - 1)  # ends are repeated
        matrix[rows, places] += weight
    return matrix
