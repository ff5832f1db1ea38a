"""How many decibels a training will gain, forecast from the noisy image alone.

A stand-in for the network denoises a part of the image, and its error is measured by
Stein's unbiased risk estimate (SURE): no noise-free image is needed. The stand-in
shrinks the cosine waves of overlapping blocks twice, the second time by what the first
one found of the structure, which is Wiener's filter. On public images with a known
signal it comes 0.4 to 1 dB short of what the recipe `fast` reaches.

- Where structure repeats, as in the lattice of a crystal, a network learns what
  repeats, and the stand-in does not. So a small regression learns to predict pixels
  from their neighbours (`neighbour_regression`); where that is better, it counts.
- Where neighbours share noise, some waves hold more of it than others, as the
  correlation says; several Gaussian blurs are tried, too, and the best one counts.
- SURE subtracts the noise variance from what was taken out, which fails where next to
  nothing is left of the noise. So the same is done after a slight blur as well, where
  there is less to subtract, and the larger error counts.
- The noise variance is known to a few percent. Two measurements of it are averaged:
  along the photon-transfer line, from flat blocks; and by the shortest waves of all
  blocks.

What remains is a constant, measured on the sets of `benchmarks/diagnose.py`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idctn
from scipy.ndimage import gaussian_filter

from napari_selfdenoise.diagnosis.blocks import SHORTEST, SIDE, held
from napari_selfdenoise.diagnosis.neighbour_regression import regression_error
from napari_selfdenoise.diagnosis.photon_transfer import PhotonTransfer
from napari_selfdenoise.noise.correlation import REACH, NoiseCorrelation

Array = NDArray[np.float64]

_STEP = 2
"""Distance in px of the overlapping blocks."""

_THRESHOLD = 2.0
"""Noise stds up to which a wave is taken for noise at first."""

_WIDTHS = (0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
"""Standard deviations of the blurs, in px."""

_SLIGHT = 1.0
"""Standard deviation in px of the slight blur after which the error is measured too."""

_NUDGE = 0.1
"""Size of the change by which slopes are measured, in noise stds."""

_STAND_IN_SHORT = 0.5
_BLUR_SHORT = 0.4
_REGRESSION_SHORT = 0.5
"""dB by which `fast` is better than the forecast for each stand-in, on average."""

_INTERVAL = (2.5, 1.0)
"""dB below and above the forecast in which the gain lies. It is rather too high: what
the reference does not show counts as signal."""

_WIDE_INTERVAL = (4.0, 2.0)
"""The same where what it rests on was not measured well."""

_LEAST_SIDE = 32


@dataclass(frozen=True)
class GainForecast:
    """What a training will gain.

    Parameters
    ----------
    gain_db : float
        PSNR of the result less that of the observation, in dB.
    low_db, high_db : float
        Interval in which it lies.
    noise_std, error_std : float
        Root mean square of the noise now, and of the error that will be left, raw
        units.
    noisy_psnr, denoised_psnr : float
        In dB, of the range of the signal.
    """

    gain_db: float
    low_db: float
    high_db: float
    noise_std: float
    error_std: float
    noisy_psnr: float
    denoised_psnr: float


class _Noise(NamedTuple):
    """Noise of an observation: where it is along the line, and one draw of its like.

    Parameters
    ----------
    line : PhotonTransfer
        Variance of the noise at a signal.
    draw : ndarray
        Noise of variance 1, correlated as that of the image, (Y, X).
    """

    line: PhotonTransfer
    draw: Array


Filter = Callable[[Array], Array]


class _Filtered(NamedTuple):
    """What a filter gives, and how good it is.

    Parameters
    ----------
    error, variance : float
        Mean squared error, and mean variance of the noise, raw units squared.
    result : ndarray
        (Y, X), raw units.
    kept : float
        Mean share of a pixel's own value in its result.
    """

    error: float
    variance: float
    result: Array
    kept: float


def forecast_gain(
    pixels: NDArray[np.float32],
    good: NDArray[np.bool_],
    line: PhotonTransfer,
    correlation: NoiseCorrelation,
    *,
    sure: bool = True,
) -> GainForecast | None:
    """Forecast what a training with the recipe `fast` will gain.

    Parameters
    ----------
    pixels : ndarray
        Observation, (Y, X), raw units; bad pixels are filled.
    good : ndarray
        False where a pixel is bad, (Y, X).
    line : PhotonTransfer
        Noise variance of the observation.
    correlation : NoiseCorrelation
        How neighbours share noise.
    sure : bool
        Whether all that the forecast rests on is well measured: else its interval is
        wider.

    Returns
    -------
    GainForecast or None
        None where the image is too small, or has no noise.

    References
    ----------
    Stein 1981; Ramani et al. 2008 (slopes from random signs). Yaroslavsky et al. 2001
    (Wiener filter of cosine waves).
    """
    if min(pixels.shape) < _LEAST_SIDE or not good.any():
        return None
    observed = pixels.astype(np.float64)
    shared = bool(correlation.extent_y or correlation.extent_x)
    noise = _Noise(line, _draw(observed.shape, correlation if shared else None))
    filters = [_stand_in(line, held(correlation)), *(_blurs() if shared else [])]
    found = [_error(observed, good, noise, each) for each in filters]
    best = min(found, key=lambda one: one.error / one.variance)
    if not best.variance > 0:
        return None
    gain = _decibels(best.error, best.variance)
    gain += _BLUR_SHORT if shared else _STAND_IN_SHORT
    if not shared:
        gain = max(gain, _learned_gain(observed, good, best))
    return _forecast(max(0.0, gain), best.variance, best.result[good], sure)


def _learned_gain(
    observed: Array, good: NDArray[np.bool_], filtered: _Filtered
) -> float:
    """Gain in dB where learning from the image is better than filtering it; else 0."""
    error = regression_error(
        observed, good, filtered.result, filtered.kept, filtered.variance
    )
    if error is None:
        return 0.0
    return _decibels(error, filtered.variance) + _REGRESSION_SHORT


def _decibels(error: float, variance: float) -> float:
    return -10 * math.log10(error / variance)


def _forecast(gain: float, variance: float, signal: Array, sure: bool) -> GainForecast:
    below, above = _INTERVAL if sure else _WIDE_INTERVAL
    span = max(float(np.ptp(signal)), 1e-30)
    noisy = 10 * math.log10(span**2 / variance)
    std = math.sqrt(variance)
    return GainForecast(
        gain,
        max(0.0, gain - below),
        gain + above,
        std,
        std * 10 ** (-gain / 20),
        noisy,
        noisy + gain,
    )


def _error(
    observed: Array, good: NDArray[np.bool_], noise: _Noise, denoise: Filter
) -> _Filtered:
    """Filter an observation, and measure the error that is left."""
    result = denoise(observed)
    variance = noise.line.variance_at(result)
    along = float(variance[good].mean())
    added = np.sqrt(variance) * noise.draw
    reaction = (denoise(observed + _NUDGE * added) - result) / _NUDGE
    share = _share(observed, good, along, noise)

    def risk(blur: Filter) -> float:
        taken = blur(observed)
        left = _mean((result - taken) ** 2, good)
        change = 2 * blur(added) * reaction - blur(added) ** 2
        return left + share * _mean(change, good)

    least = share * _mean(reaction**2, good)
    slightly = risk(lambda plane: gaussian_filter(plane, _SLIGHT))
    error = max(least, slightly, risk(lambda plane: plane))
    kept = _mean(added * reaction, good) / max(_mean(added**2, good), 1e-30)
    return _Filtered(error, share * along, result, kept)


def _share(
    observed: Array, good: NDArray[np.bool_], along: float, noise: _Noise
) -> float:
    """Noise variance over that along the line: the mean of two measurements.

    The shortest waves hold the noise of all blocks, and structure: they only lower it.
    """
    whole = _blocks(good, 0, 0).all((2, 3))
    if not (along > 0 and whole.any()):
        return 1.0
    here, drawn = (
        float((_waves(plane, 0, 0)[whole][:, SHORTEST] ** 2).mean())
        for plane in (observed, noise.draw)
    )
    return min(1.0, math.sqrt(here / drawn / along))


def _mean(values: Array, good: NDArray[np.bool_]) -> float:
    return float(values[good].mean())


def _draw(shape: tuple[int, ...], correlation: NoiseCorrelation | None) -> Array:
    """Noise of variance 1 with a correlation, none if not given, (Y, X)."""
    white = np.random.default_rng(0).standard_normal(shape)
    if correlation is None:
        return white
    kernel = np.zeros(shape)
    reach = range(-REACH, REACH + 1)
    for y, x in itertools.product(reach, reach):
        kernel[y, x] += correlation.rho[REACH + y, REACH + x]
    power = np.maximum(np.fft.rfft2(kernel).real, 1e-3)
    noise = np.fft.irfft2(np.fft.rfft2(white) * np.sqrt(power), shape)
    return np.asarray(noise / noise.std())


def _blurs() -> list[Filter]:
    return [partial(gaussian_filter, sigma=width) for width in _WIDTHS]


def _stand_in(line: PhotonTransfer, power: Array) -> Filter:
    """Shrink cosine waves in two rounds, where the noise follows a line.

    Each wave holds a power of the noise, (8, 8), on average 1.
    """

    def denoise(observed: Array) -> Array:
        smooth = gaussian_filter(observed, SIDE / 2, mode="nearest")
        first = _shrunk(observed, observed, line.variance_at(smooth), power, _hard)
        return _shrunk(observed, first, line.variance_at(first), power, _wiener)

    return denoise


def _hard(waves: Array, variance: Array) -> Array:
    """Share of each wave that is kept, 0 up to a threshold (garrote)."""
    threshold = _THRESHOLD**2 * variance
    return np.maximum(1 - threshold / np.maximum(waves**2, 1e-30), 0)


def _wiener(waves: Array, variance: Array) -> Array:
    """Share of each wave that is signal."""
    power = waves**2
    return np.asarray(power / (power + variance))


def _shrunk(
    observed: Array,
    guide: Array,
    variance: Array,
    power: Array,
    share: Callable[[Array, Array], Array],
) -> Array:
    """Shrink the waves of overlapping blocks as a guide asks for, (Y, X)."""

    def shrunk(corner: tuple[int, int]) -> Array:
        waves = _waves(observed, *corner)
        known = waves if guide is observed else _waves(guide, *corner)
        level = _blocks(variance, *corner).mean((2, 3), keepdims=True)
        kept = share(known, level * power)
        kept[..., 0, 0] = 1
        return np.asarray(idctn(waves * kept, axes=(2, 3), norm="ortho"))

    corners = list(itertools.product(range(0, SIDE, _STEP), repeat=2))
    total = np.zeros_like(observed)
    with ThreadPoolExecutor() as pool:  # transforms let other threads run
        for corner, blocks in zip(corners, pool.map(shrunk, corners), strict=True):
            _add(total, blocks, *corner)
    count = np.outer(*(_coverings(side) for side in observed.shape))
    return np.where(count > 0, total / np.maximum(count, 1), observed)


def _coverings(side: int) -> Array:
    """How many of the overlapping blocks hold each pixel of a row, (side,)."""
    count = np.zeros(side)
    for start in range(0, SIDE, _STEP):
        count[start : start + (side - start) // SIDE * SIDE] += 1
    return count


def _waves(plane: Array, top: int, left: int) -> Array:
    return np.asarray(dctn(_blocks(plane, top, left), axes=(2, 3), norm="ortho"))


def _blocks(plane: NDArray[Any], top: int, left: int) -> NDArray[Any]:
    """Blocks of a plane from a corner on, (rows, columns, 8, 8)."""
    rows, columns = (plane.shape[0] - top) // SIDE, (plane.shape[1] - left) // SIDE
    part = plane[top : top + rows * SIDE, left : left + columns * SIDE]
    return part.reshape(rows, SIDE, columns, SIDE).swapaxes(1, 2)


def _add(plane: Array, blocks: Array, top: int, left: int) -> None:
    """Add blocks to where `_blocks` takes them from."""
    rows, columns = blocks.shape[:2]
    part = blocks.swapaxes(1, 2).reshape(rows * SIDE, columns * SIDE)
    plane[top : top + part.shape[0], left : left + part.shape[1]] += part
