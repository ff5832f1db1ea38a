"""Kernels measured with a fluorescent bead."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.parts.psf.kernels import Kernel, require_radius


class _Spot(NamedTuple):
    """A bead: its centre and the radius its light reaches, in pixels."""

    y: float
    x: float
    radius: int


def measure_psf(
    bead: NDArray[np.generic], energy: float = 0.995, symmetrise: bool = True
) -> Kernel:
    """Kernel from the image of one bead.

    The background is subtracted, light separated from noise ring by ring, the centre of
    mass moved to the middle of a pixel, and what is left cropped and normalised.

    Parameters
    ----------
    bead : ndarray
        One bead, in focus, with some background around it; (Y, X), raw units.
    energy : float
        Share of the light that the kernel keeps.
    symmetrise : bool
        Average the kernel with its mirror images.

    Returns
    -------
    ndarray
        (Y, X), square, sides odd, sum 1.

    Raises
    ------
    RequestError
        If there is no bead, more than one, or one that is cut off.
    """
    return kernel_of(bead_light(bead), energy, symmetrise)


def bead_light(bead: NDArray[np.generic]) -> NDArray[np.float64]:
    """Light of one bead, its centre in the middle pixel and its background taken off.

    The parameter and the errors are those of `measure_psf`.

    Returns
    -------
    ndarray
        (Y, X), square, sides odd, raw units.
    """
    pixels = np.asarray(bead, dtype=np.float64)
    _require_bead_image(pixels)
    level, noise = _level_and_noise(pixels)
    smooth = ndimage.gaussian_filter(pixels - level, 1)
    _require_one_bead(smooth, noise)
    spot = _find_spot(pixels - level, smooth, noise)
    level = _level_around(pixels, spot, level, noise)
    return _cut_out(pixels - level, spot)


def in_focus(planes: Iterable[NDArray[np.generic]]) -> NDArray[np.generic]:
    """The plane (Y, X) of several in which a bead, a little smoothed, is brightest."""
    return max(planes, key=_brightness)


def _brightness(pixels: NDArray[np.generic]) -> float:
    smooth = ndimage.gaussian_filter(np.asarray(pixels, np.float64), 1)
    return float(smooth.max())


def _require_bead_image(pixels: NDArray[np.float64]) -> None:
    if pixels.ndim != 2 or min(pixels.shape) < 5:
        raise RequestError(
            f"The bead image has the shape {pixels.shape}; one plane of at least 5 × 5 "
            "pixels is needed.",
            "Choose the plane in which the bead is in focus.",
        )
    if not np.isfinite(pixels).all():
        raise RequestError(
            "The bead image holds NaN or infinite pixels.",
            "Crop it to the part that was recorded.",
        )


def _border(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = np.zeros(pixels.shape, dtype=bool)
    inside[1:-1, 1:-1] = True
    return pixels[~inside]


def _level_and_noise(pixels: NDArray[np.float64]) -> tuple[float, float]:
    """Background, and standard deviation of its noise, from the image's border."""
    border = _border(pixels)
    level = float(np.median(border))
    # Not the median of the deviations: where few photons fall, that is zero.
    return level, 1.2533 * float(np.abs(border - level).mean())


def _require_one_bead(smooth: NDArray[np.float64], noise: float) -> None:
    peak = float(smooth.max())
    # The smoothing leaves 0.28 of the noise; five such deviations come by chance once
    # in millions of pixels.
    if peak <= 1.4 * noise:
        raise RequestError(
            "No bead stands out from the background of the bead image.",
            "Choose an image with one bright bead in focus.",
        )
    if _peak_elsewhere(smooth) > peak / 2:
        raise RequestError(
            "The bead image shows more than one bead.",
            "Crop it around a single one, far from others.",
        )


def _peak_elsewhere(smooth: NDArray[np.float64]) -> float:
    """Brightest place outside twice the width of the brightest spot."""
    top = np.unravel_index(int(smooth.argmax()), smooth.shape)
    parts, _ = ndimage.label(smooth > smooth.max() / 2, np.ones((3, 3)))
    width = math.sqrt(int((parts == parts[top]).sum()) / math.pi)
    elsewhere = _distance(smooth.shape, float(top[0]), float(top[1])) > 2 * width + 2
    return float(smooth[elsewhere].max(initial=0))


def _distance(shape: tuple[int, ...], y: float, x: float) -> NDArray[np.float64]:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    distance: NDArray[np.float64] = np.hypot(rows - y, columns - x)
    return distance


def _find_spot(
    light: NDArray[np.float64], smooth: NDArray[np.float64], noise: float
) -> _Spot:
    y, x = (float(i) for i in np.unravel_index(int(smooth.argmax()), smooth.shape))
    spot = _Spot(y, x, 0)
    for _ in range(3):  # the disc that is weighed moves with its centre of mass
        spot = spot._replace(radius=_light_radius(light, spot, noise))
        inside = _distance(light.shape, spot.y, spot.x) <= spot.radius
        y, x = ndimage.center_of_mass(np.where(inside, light, 0))
        spot = spot._replace(y=float(y), x=float(x))
    return spot


def _light_radius(light: NDArray[np.float64], spot: _Spot, noise: float) -> int:
    """Radius up to which rings around a spot are brighter than noise allows."""
    distance = _distance(light.shape, spot.y, spot.x)
    room = _room(light.shape, spot)
    count = np.bincount(distance.astype(int).ravel())[: room + 1]
    total = np.bincount(distance.astype(int).ravel(), light.ravel())[: room + 1]
    ring, peak = total / count, float(light.max())
    if room < 2 or ring[-1] > max(0.02 * peak, 4 * noise / math.sqrt(count[-1])):
        raise RequestError(
            "The bead is cut off by the border of the bead image.",
            "Choose a larger part of the image around it.",
        )
    # The background is known no better than the border's pixels tell.
    error = noise * np.sqrt(1 / count + 1.6 / (2 * sum(light.shape)))
    return _last_ring(ring > np.maximum(4 * error, 2e-4 * peak))


def _room(shape: tuple[int, ...], spot: _Spot) -> int:
    """Radius of the largest disc around a spot that lies in the image."""
    y, x = round(spot.y), round(spot.x)
    return min(y, x, shape[0] - 1 - y, shape[1] - 1 - x)


def _last_ring(lit: NDArray[np.bool_]) -> int:
    """Radius where light ends; dark rings may lie between, but no wide dark gap."""
    radius = 1
    for ring in np.flatnonzero(lit):
        if ring + 1 - radius > max(2, radius // 2):
            break
        radius = max(radius, int(ring) + 1)
    return radius


def _level_around(
    pixels: NDArray[np.float64], spot: _Spot, level: float, noise: float
) -> float:
    """Background from all pixels around the bead: many more than the border's."""
    outside = pixels[_distance(pixels.shape, spot.y, spot.x) > spot.radius + 1]
    dark = outside[np.abs(outside - level) <= 3 * noise]
    return float(dark.mean()) if dark.size else level


def _cut_out(light: NDArray[np.float64], spot: _Spot) -> NDArray[np.float64]:
    y, x = round(spot.y), round(spot.x)
    light = np.where(_distance(light.shape, spot.y, spot.x) <= spot.radius, light, 0)
    light = ndimage.shift(light, (y - spot.y, x - spot.x), order=5, mode="constant")
    half = min(spot.radius, _room(light.shape, spot))
    cut: NDArray[np.float64] = light[y - half : y + half + 1, x - half : x + half + 1]
    return cut


def kernel_of(light: NDArray[np.float64], energy: float, symmetrise: bool) -> Kernel:
    """Kernel of what `bead_light` found; the parameters are those of `measure_psf`."""
    if symmetrise:
        light = (light + light[::-1]) / 2
        light = (light + light[:, ::-1]) / 2
    return _crop(light.clip(min=0), energy)


def _crop(kernel: Kernel, energy: float) -> Kernel:
    """Smallest centred square that holds a share of the light, with sum 1."""
    centre, wanted = len(kernel) // 2, energy * kernel.sum()
    for half in range(centre + 1):
        reach = slice(centre - half, centre + half + 1)
        if kernel[reach, reach].sum() >= wanted * (1 - 1e-12):
            break
    require_radius(half)
    cropped: Kernel = kernel[reach, reach] / kernel[reach, reach].sum()
    return cropped
