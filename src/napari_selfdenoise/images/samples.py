"""Images to try the methods on: a real pair, and synthetic ones with known noise."""

from __future__ import annotations

from importlib.resources import as_file, files

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_selfdenoise.images.image import Image
from napari_selfdenoise.images.reading import read_image

FMD_CREDIT = (
    "Fluorescence Microscopy Denoising (FMD) dataset, Zhang et al., CVPR 2019, "
    "github.com/yinhaoz/denoising-fluorescence, MIT licence"
)

PEAK = 900.0
"""Counts above the offset that the brightest structures of a scene reach."""


def fish_frame() -> Image:
    """One confocal acquisition of zebrafish, axes YX, 8-bit (see FMD_CREDIT)."""
    return _shipped("fmd_confocal_fish_frame.tif", "Zebrafish, one frame")


def fish_average() -> Image:
    """Average of 50 acquisitions of the field of `fish_frame`, axes YX, 8-bit."""
    return _shipped("fmd_confocal_fish_average.tif", "Zebrafish, average of 50 frames")


def poisson_gaussian_stack(
    frames: int = 4,
    size: int = 256,
    gain: float = 12.0,
    offset: float = 100.0,
    read_variance: float = 150.0,
    seed: int = 0,
) -> tuple[Image, Image]:
    """Synthetic cells with the noise of a camera, and their true signal.

    The variance of a pixel of signal s is `gain * (s - offset) + read_variance`.

    Parameters
    ----------
    frames : int
        Time points; the cells move and fade in between.
    size : int
        Rows and columns.
    gain : float
        Counts per photo-electron.
    offset : float
        Counts where there is no light.
    read_variance : float
        Variance of the camera's own noise, in counts².
    seed : int
        Equal seeds give equal images.

    Returns
    -------
    noisy, signal : Image
        Axes TYX, in counts; uint16 and float32.
    """
    rng = np.random.default_rng(seed)
    light = PEAK * _scene(rng, frames, size)
    electrons = rng.poisson(light / gain)
    read_noise = rng.normal(0, np.sqrt(read_variance), light.shape)
    counts = np.rint(offset + gain * electrons + read_noise)
    noisy = np.clip(counts, 0, 65535).astype(np.uint16)
    signal = (offset + light).astype(np.float32)
    return (
        Image(noisy, "TYX", name="Synthetic cells, noisy"),
        Image(signal, "TYX", name="Synthetic cells, true signal"),
    )


def _shipped(file: str, name: str) -> Image:
    with as_file(files("napari_selfdenoise") / "data" / file) as path:
        image = read_image(path)
    return image.with_data(image.data, name)


def _scene(rng: np.random.Generator, frames: int, size: int) -> NDArray[np.float64]:
    """Brightness of cells with filaments and dots, from 0 to 1, axes TYX."""
    scale = size / 256
    cells = _moving_points(rng, frames, size, rng.random((12, 2)) * size)
    dots = _moving_points(rng, frames, size, rng.random((90, 2)) * size)
    threads = [_moving_points(rng, frames, size, _thread(rng, size)) for _ in range(14)]
    return np.stack(
        [
            0.35 * _blurred([cells[t]], size, 14 * scale)
            + 0.30 * _blurred([thread[t] for thread in threads], size, 1.2)
            + 0.35 * _blurred([dots[t]], size, 1.6)
            for t in range(frames)
        ]
    )


def _thread(rng: np.random.Generator, size: int) -> NDArray[np.float64]:
    """Points along a bending line, axes (point, YX)."""
    angle = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.05, size))
    steps = 0.7 * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    return rng.random(2) * size + np.cumsum(steps, axis=0)


def _moving_points(
    rng: np.random.Generator, frames: int, size: int, start: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Positions with a common drift and some jitter, axes (T, point, YX)."""
    drift = np.cumsum(rng.normal(0, 3, (frames, 1, 2)), axis=0)
    jitter = rng.normal(0, 0.3, (frames, *start.shape))
    return (start + drift + jitter) % size


def _blurred(
    points: list[NDArray[np.float64]], size: int, sigma: float
) -> NDArray[np.float64]:
    """Image of points seen by a Gaussian spot, brightest 1, axes YX."""
    canvas = np.zeros((size, size))
    for positions in points:
        rows, columns = positions.astype(int).T
        np.add.at(canvas, (rows % size, columns % size), 1.0)
    spots: NDArray[np.float64] = gaussian_filter(canvas, sigma, mode="wrap")
    spots /= spots.max()
    return spots
