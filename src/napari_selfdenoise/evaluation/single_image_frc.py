"""Fourier ring correlation of one noisy image: what two such images would share.

Two images of one object differ by their noise. The power of each ring of frequencies is
that of the object plus that of the noise; the correlation of two images is the object's
share of it. Where noise is white, its power is the same in all rings, and equal to the
sum of its variances. So one image and its noise curve give the curve of two.

Rieger et al. split the counts of an image at random into two images of half the light,
which have independent noise. The mean over all splits is computed here at once, for any
white noise of known variance, and for images of the full light.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter, uniform_filter1d

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.evaluation.metrics import (
    crossing_period,
    fourier_ring_correlation,
    ring_powers,
    spectral_window,
)
from napari_selfdenoise.noise import measure_level
from napari_selfdenoise.noise.correlation import measure_correlation
from napari_selfdenoise.parts.noise_models import NoiseCurve

Array = NDArray[np.float64]

LEAST_SIDE = 64
"""Side in px of a plane below which rings hold too few frequencies."""

_HIGHEST = 0.1
"""Share of the rings whose power bounds that of the noise."""

_SMOOTH = 2.0  # px; std of the Gaussian that makes a signal of an observation


@dataclass(frozen=True, eq=False)
class RingCorrelation:
    """A Fourier ring correlation curve and where it falls below 1/7.

    Parameters
    ----------
    frequency : ndarray
        In cycles per pixel, up to 0.5, (n,).
    correlation : ndarray
        At each, at most 1, (n,).
    resolution_px : float
        Period of the finest detail in pixels; 2 where the curve never falls below 1/7,
        infinite where it is never above.
    """

    frequency: Array
    correlation: Array
    resolution_px: float


def single_image_frc(image: ArrayLike, noise_std: ArrayLike) -> RingCorrelation:
    """Fourier ring correlation that two images like this one would have.

    Parameters
    ----------
    image : array
        Observation, (Y, X), finite, raw units. Its noise has to be white: of a denoised
        image, whose errors neighbours share, the result would be far too good.
    noise_std : array
        Standard deviation of its noise, raw units, (Y, X) or one number.

    Raises
    ------
    RequestError
        If the plane is too small, constant or not finite.

    References
    ----------
    Rieger et al. 2024, Optics Express 32 (binomial splitting of one image);
    Koho et al. 2019, Nat. Commun. 10 (sub-sampling of one image).
    """
    pixels = np.asarray(image, dtype=np.float64)
    _require_measurable(pixels)
    frequency, power = ring_powers(pixels)
    variance = np.broadcast_to(np.square(np.asarray(noise_std, float)), pixels.shape)
    noise = float((variance * spectral_window(pixels.shape) ** 2).sum())
    # White noise has no more power than any ring holds.
    highest = power[-max(1, round(_HIGHEST * len(power))) :].mean()
    noise = min(noise, float(highest))
    share = np.divide(noise, power, out=np.ones_like(power), where=power > 0)
    correlation = np.clip(1 - share, -1, 1)
    return RingCorrelation(
        frequency, correlation, crossing_period(frequency, correlation)
    )


def confirmed_resolution(denoised: Array, other: Array, noisy: Array) -> float:
    """Period of the finest detail that a denoised image shares with a noisy one.

    Parameters
    ----------
    denoised : ndarray
        Result, (Y, X).
    other : ndarray
        Observation with independent noise, (Y, X), which may be stronger than usual.
    noisy : ndarray
        Observation with noise of the usual strength, (Y, X): the period is that of a
        comparison with such an image.

    Returns
    -------
    float
        In pixels, where the correlation falls below 1/7.

    Raises
    ------
    RequestError
        If a plane is too small, constant or not finite.
    """
    for plane in (denoised, other, noisy):
        _require_measurable(plane)
    frequency, correlation = fourier_ring_correlation(denoised, other)
    powers = [ring_powers(plane)[1] for plane in (other, noisy)]
    ratio = uniform_filter1d(powers[0], 5) / uniform_filter1d(powers[1], 5)
    return crossing_period(frequency, correlation * np.sqrt(ratio))


def raised_to_floor(noise_std: Array, noisy: Array) -> Array:
    """Noise std (Y, X), raised to the power in the highest rings of a noisy plane.

    They hold noise and little else. A noise model that has too little would leave the
    same noise in two images that are to be independent, which looks like detail.

    Parameters
    ----------
    noise_std, noisy : ndarray
        Standard deviation of the noise, and the observation, (Y, X), raw units.
    """
    power = ring_powers(np.asarray(noisy, dtype=np.float64))[1]
    highest = float(power[-max(1, round(_HIGHEST * len(power))) :].mean())
    window = spectral_window(noise_std.shape)
    known = float((np.square(noise_std) * window**2).sum())
    return noise_std * max(1.0, float(np.sqrt(highest / max(known, 1e-300))))


def noise_std_of(
    image: NDArray[np.float32], curve: NoiseCurve | None = None
) -> NDArray[np.float32]:
    """Noise std at each pixel of a noisy plane, (Y, X), raw units.

    Parameters
    ----------
    image : ndarray
        Observation, (Y, X), finite.
    curve : NoiseCurve, optional
        Of its noise; by default a line is measured in the plane.

    Raises
    ------
    RequestError
        If there is no curve and none can be measured.
    """
    curve = measured_curve([image]) if curve is None else curve
    signal: NDArray[np.float32] = gaussian_filter(image, _SMOOTH)
    return curve.std_at(signal)


def measured_curve(planes: Sequence[NDArray[np.float32]]) -> NoiseCurve:
    """Poisson-Gaussian noise curve of noisy planes, measured in their flat blocks.

    Parameters
    ----------
    planes : sequence of ndarray
        Observations, (Y, X) each; NaN where nothing was recorded.

    Raises
    ------
    RequestError
        If there are too few pixels or signals, or neighbours share noise.
    """
    level = measure_level(planes)
    if level is None:
        raise RequestError(
            "There are too few pixels to measure the noise, or there is none.",
            "Give a noise model.",
        )
    require_white(planes)
    signal, variance = np.array(level.signal), np.square(level.by_signal)
    flat = np.array(level.flat)
    if flat.sum() >= 2:  # in others, structure adds to the noise
        signal, variance = signal[flat], variance[flat]
    noisy = variance > 0  # where a detector counts no photon, there is no noise
    if noisy.any():
        signal, variance = signal[noisy], variance[noisy]
    if len(signal) < 2:
        _require_one_signal(planes, level.std)
    a, b = _line(signal, variance)
    low, high = (float(f([f(p) for p in planes])) for f in (np.nanmin, np.nanmax))
    return NoiseCurve.line(a, b, low, high, 0.1 * float(np.sqrt(variance.min())))


def require_white(planes: Sequence[NDArray[np.float32]]) -> None:
    """Raise an error if neighbouring pixels of noisy planes share their noise.

    Raises
    ------
    RequestError
        With the distance up to which they do.
    """
    found = measure_correlation(planes)
    if found.extent_y or found.extent_x:
        raise RequestError(
            "Neighbouring pixels share noise (up to "
            f"{max(found.extent_y, found.extent_x)} px), and this figure needs noise "
            "that they do not share.",
            "Compare two images of the scene instead.",
        )


def _require_one_signal(planes: Sequence[NDArray[np.float32]], std: float) -> None:
    """Raise an error if planes hold other signals than where noise was measured.

    In small images that is the background: bright cells may be far noisier.
    """
    smooth = [gaussian_filter(np.nan_to_num(p), _SMOOTH)[::4, ::4] for p in planes]
    low, high = np.quantile(np.concatenate([s.ravel() for s in smooth]), (0.02, 0.98))
    if high - low > 2 * std:
        raise RequestError(
            "There are too few pixels to measure the noise at different signals, and "
            f"the image spans {low:.3g} to {high:.3g} grey values.",
            "Give a noise model, or the model that denoised the image.",
        )


def _line(signal: Array, variance: Array) -> tuple[float, float]:
    """Gain and constant of variance = a * signal + b; a is never negative."""
    if len(signal) > 1 and np.ptp(signal):
        a, b = np.polyfit(signal, variance, 1, w=1 / variance)
        if a > 0:
            return float(a), float(b)
    return 0.0, float(variance.mean())


def _require_measurable(pixels: Array) -> None:
    if pixels.ndim != 2 or min(pixels.shape) < LEAST_SIDE:
        raise RequestError(
            f"The image has the shape {pixels.shape}; ring correlation of one image "
            f"needs a plane of {LEAST_SIDE} × {LEAST_SIDE} pixels or more."
        )
    if not np.isfinite(pixels).all():
        raise RequestError("The image holds values that are not finite.")
    if not np.ptp(pixels):
        raise RequestError("The image is constant, so it holds no detail.")
