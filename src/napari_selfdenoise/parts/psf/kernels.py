"""Kernels of point spread functions: Gaussian, and from the optics."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from napari_selfdenoise.errors import RequestError

LARGEST_RADIUS = 64
"""Pixels from the centre of a kernel to its border, at most."""

Kernel = NDArray[np.float64]
PixelSize = tuple[float, float] | None
"""Height and width of a pixel in micrometres, where they are known."""


def gaussian_kernel(sigma_y: float, sigma_x: float) -> Kernel:
    """Gaussian integrated over each pixel, cut at 4 standard deviations (in pixels).

    Returns
    -------
    ndarray
        (Y, X), sides odd, sum 1.

    Raises
    ------
    RequestError
        If it is too large.
    """
    return np.outer(gaussian_profile(sigma_y), gaussian_profile(sigma_x))


def require_radius(radius_px: float) -> int:
    """Radius in whole pixels, at least one.

    Raises
    ------
    RequestError
        If it is too large for a kernel.
    """
    radius = max(1, math.ceil(radius_px))
    if radius > LARGEST_RADIUS:
        raise RequestError(
            f"The point spread function reaches {radius} pixels from its centre; the "
            f"largest possible is {LARGEST_RADIUS}.",
            "Check its width and the pixel size, or bin the image.",
        )
    return radius


def gaussian_profile(sigma_px: float) -> NDArray[np.float64]:
    """Gaussian integrated over each pixel of a line, cut at 4 stds: (n,), sum 1."""
    # Integrated, not sampled: a narrow Gaussian would else miss what falls beside the
    # pixels' centres.
    radius = require_radius(4 * sigma_px)
    edges = (np.arange(2 * radius + 2) - radius - 0.5) / (math.sqrt(2) * sigma_px)
    profile: NDArray[np.float64] = np.diff(special.erf(edges))
    profile /= profile.sum()
    return profile


_RIM_V = float(special.jn_zeros(1, 4)[-1])
"""Fourth dark ring of the Airy pattern, in optical units: cut there, nothing jumps."""


def airy_kernel(height_v: float, width_v: float, confocal: bool) -> Kernel:
    """Airy pattern on pixels of a size in optical units, integrated over each.

    Cut at its fourth dark ring. For a confocal the pattern is squared.

    Returns
    -------
    ndarray
        (Y, X), sides odd, sum 1.

    Raises
    ------
    RequestError
        If it is too large.
    """
    (y, rows), (x, columns) = _subpixels(height_v), _subpixels(width_v)
    v = np.hypot(y[:, None], x[None, :])
    fine = np.where(v < _RIM_V, _airy(v) ** (2 if confocal else 1), 0)
    kernel: Kernel = fine.reshape(rows, -1, columns, len(x) // columns).sum((1, 3))
    kernel /= kernel.sum()
    return kernel


def _airy(v: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intensity at a distance of v optical units, 1 in the centre."""
    v = np.maximum(v, 1e-6)
    intensity: NDArray[np.float64] = (2 * special.j1(v) / v) ** 2
    return intensity


def _subpixels(size_v: float) -> tuple[NDArray[np.float64], int]:
    """Positions of finer samples along a row of pixels, and the number of pixels."""
    # The pattern lies within a pixel of that size: larger ones are all the same.
    size_v = min(size_v, 4 * _RIM_V)
    pixels = 2 * require_radius(_RIM_V / size_v) + 1
    each = max(5, math.ceil(size_v / 0.15))  # 50 samples to the first full ring
    return (np.arange(pixels * each) + 0.5 - pixels * each / 2) * size_v / each, pixels
