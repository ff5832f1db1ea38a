"""Pairs of signal and observation whose signal does not follow their own noise.

The mean of few frames is still noisy. A dark pixel whose mean happens to be too bright
counts as bright, and has the noise of a dark one: sorted by that mean, noise seems to
grow less with the signal than it does. So half of the frames sorts the pixels, the
other half tells what their signal is on average, and how it scatters.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.images import bins_by_signal, means_of_bins
from napari_selfdenoise.noise.calibration.drift import FrameSignals

Array = NDArray[np.float64]

_LEAST_FRAMES = 4
_BINS = 48
_LEAST_PIXELS = 64


def pairs_of_halves(frames: FrameSignals) -> tuple[Array, Array] | None:
    """Signals and observations, (pairs,), by halves of the frames.

    Their variance at each signal is that of the noise, where the mean of all frames
    makes its growth too small (regression dilution). Their shape is less exact: the
    mean of half the frames is subtracted, which is noisier.

    Parameters
    ----------
    frames : FrameSignals
        Signal and residual of the same pixels in all frames.

    Returns
    -------
    signal, observation : ndarray
        Each (frames * pixels,), raw units. None of fewer than four frames, and where
        each pixel was followed in time.
    """
    count = len(frames.signal)
    if frames.waves != 1 or count < _LEAST_FRAMES:
        return None
    raw = frames.residual * math.sqrt((count - 1) / count)
    mean, contrast = frames.signal.mean(0), _contrasts(frames.signal)
    signals, residuals = [], []
    halves = slice(None, None, 2), slice(1, None, 2)
    for one, other in (halves, halves[::-1]):
        own = raw[one].mean(0)
        expected = _expected(mean + raw[other].mean(0), mean + own)
        signals.append(frames.signal[one] + np.outer(contrast[one], expected - mean))
        size = len(raw[one])
        residuals.append((raw[one] - own) * math.sqrt(size / (size - 1)))
    signal, residual = (np.concatenate(v).ravel() for v in (signals, residuals))
    return signal, signal + residual


def _contrasts(signal: Array) -> Array:
    """How bright each frame is, over the mean of all (frames,)."""
    centred = signal.mean(0) - signal.mean()
    squares = float(centred @ centred)
    return signal @ centred / squares if squares > 0 else np.ones(len(signal))


def _expected(key: Array, other: Array) -> Array:
    """Mean of the other values at each value of the key, (n,)."""
    groups = bins_by_signal(key, _BINS, least=_LEAST_PIXELS)
    centre = means_of_bins(groups, key)
    away = means_of_bins(groups, other - key)
    return np.asarray(key + np.interp(key, centre, away))
