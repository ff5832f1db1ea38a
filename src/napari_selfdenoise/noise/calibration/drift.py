"""The signal of each of repeated frames, where lamp, sample or stage drift slowly.

A scene that fades or shifts by a fraction of a pixel over many frames adds to the
variance over frames, most where it is bright: the photon-transfer curve bends upwards
though the camera's does not. Differences of consecutive frames do not hold it (Janesick
2007, Photon Transfer). So brightness is followed frame by frame, and each pixel
along a few slow waves in time; what is left is noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.images import bins_by_signal

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

_WAVES = 4
"""Slow waves in time that a pixel is followed along, the mean included. On 50 frames of
a fixed slide the variance no longer falls with more: three leave 0.3 %."""

_FRAMES_A_WAVE = 6
"""Frames for each wave, at least: each one takes a share of the noise away, too."""

_BINS = 16
_SHARE = 0.01
_CHANCE = 4.0
"""Part of the variance that slow waves must hold beyond noise, and standard errors, in
any bin of like signal: below that, nothing is followed."""

_SURE = 6.0
"""Power of a pixel's slow waves over that of noise, from which on its signal is taken
to follow them: 1 in 2000 pixels reaches that by chance."""

_UNRELATED = 0.1
_ELSEWHERE = 0.5
"""Contrast of a frame, over that of the mean of all, and stds of the scene that its
level differs by, for it to show another scene: a shutter that stayed closed."""


@dataclass(frozen=True, eq=False)
class FrameSignals:
    """Signal of each frame, and what became of the noise.

    Parameters
    ----------
    signal : ndarray
        Of each pixel in each frame, (frames, n), raw units.
    residual : ndarray
        Observation less signal, (frames, n), as strong as the noise: what the signal
        took of it is put back in strength.
    waves : int
        Slow waves in time that each pixel was followed along; 1 is the mean alone.
    brightness : ndarray
        Mean level of each frame, (frames,), raw units.
    drift : float
        Largest change of the variance over frames in a bin of like signal, over that
        of the noise, that slow waves in time explain; 0 where that may be chance.
    """

    signal: Array
    residual: Array
    waves: int
    brightness: Array
    drift: float


def follow_signals(observed: Array) -> FrameSignals:
    """Follow the brightness of frames, and each pixel where the scene drifts slowly.

    Parameters
    ----------
    observed : ndarray
        The same pixels of every frame, (frames, n), raw units, two frames or more.

    Returns
    -------
    FrameSignals
        The mean over frames where nothing drifts.
    """
    count, mean = len(observed), observed.mean(0)
    steady = _by_brightness(observed, mean)
    residual = observed - steady
    brightness = steady.mean(1)
    slow = slow_waves(count)
    drift = _drift(residual, mean, slow)
    if not drift:
        residual = residual * math.sqrt(count / (count - 1))
        return FrameSignals(steady, residual, 1, brightness, 0.0)
    slowly, waves = slow.T @ residual, 1 + slow.shape[1]  # (waves - 1, n)
    residual = residual - slow @ slowly
    residual *= math.sqrt(count / (count - waves))
    surely = slowly * _beyond_noise(slowly, residual, mean)
    return FrameSignals(steady + slow @ surely, residual, waves, brightness, drift)


def slow_waves(count: int) -> Array:
    """Cosine waves over so many frames, slower than most noise: (frames, waves).

    Each is orthogonal to the others and to a constant, and of length 1.
    """
    number = min(_WAVES, count // _FRAMES_A_WAVE)
    time = (np.arange(count) + 0.5) / count
    waves = [
        math.sqrt(2 / count) * np.cos(math.pi * k * time) for k in range(1, number)
    ]
    return np.stack(waves, 1) if waves else np.zeros((count, 0))


def unrelated_frames(observed: Array) -> Flags:
    """Frames that show nothing of what the others show, (frames,).

    Parameters
    ----------
    observed : ndarray
        The same pixels of every frame, (frames, n), raw units.
    """
    blank: Flags = np.ptp(observed, axis=1) == 0
    if blank.all() or len(observed) < 3:
        return np.asarray(blank & ~blank.all())
    mean = np.median(observed[~blank], axis=0)
    level = mean.mean()
    mean = mean - level
    contrast = observed @ mean / max(float(mean @ mean), 1e-300)
    noise = float(np.median((observed[~blank] - observed[~blank].mean(0)).var(1)))
    if mean.var() < noise:  # no scene to compare with
        return blank
    away = np.abs(observed.mean(1) - level) > _ELSEWHERE * mean.std()
    return np.asarray(blank | (away & (contrast < _UNRELATED)))


def _by_brightness(observed: Array, mean: Array) -> Array:
    """Signal of each frame: the mean of all, brighter or darker as a whole.

    A straight line through each frame's pixels over their mean, so that the camera's
    offset need not be known. With all frames equal it is the mean itself.
    """
    centred = mean - mean.mean()
    squares = float(centred @ centred)
    contrast = observed @ centred / squares if squares > 0 else np.ones(len(observed))
    level = observed.mean(1)
    return np.asarray(level[:, None] + contrast[:, None] * centred)


def _beyond_noise(slowly: Array, residual: Array, mean: Array) -> Array:
    """Share of each pixel's slow waves that is drift, and not noise, (n,).

    James and Stein's with more shrinkage, so that pixels without drift keep the mean
    of all frames as their signal: what follows their noise goes up and down with it.
    """
    variance = (residual**2).mean(0)
    noise = np.zeros_like(mean)
    for group in bins_by_signal(mean, _BINS, least=256):
        noise[group] = variance[group].mean()
    power = np.maximum((slowly**2).sum(0), 1e-300)
    return np.asarray(np.maximum(1 - _SURE * len(slowly) * noise / power, 0.0))


def _drift(residual: Array, mean: Array, slow: Array) -> float:
    """Variance of slow waves beyond that of noise, over that of the noise, at most."""
    count, waves = slow.shape
    if not waves:
        return 0.0
    slowly = (slow.T @ residual) ** 2  # (waves, n)
    rest = np.maximum((residual**2).sum(0) - slowly.sum(0), 0) / (count - 1 - waves)
    largest = 0.0
    for group in bins_by_signal(mean, _BINS, least=256):
        noise = float(rest[group].mean())
        if noise > 0:
            each = slowly[:, group].mean(0) / noise - 1
            excess = float(each.mean()) * waves / (count - 1)
            error = float(each.std()) / math.sqrt(len(group)) * waves / (count - 1)
            if excess > max(_SHARE, _CHANCE * error):
                largest = max(largest, excess)
    return largest
