"""Calibration: the noise of a camera from frames of a static scene."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.defects import rounding_notes
from napari_selfdenoise.images import Image, as_frames, bins_by_signal, means_of_bins
from napari_selfdenoise.long_work import run_to_end
from napari_selfdenoise.noise.calibration.drift import follow_signals
from napari_selfdenoise.noise.calibration.fit import Fit, fit_steps
from napari_selfdenoise.noise.calibration.frame_check import check_reading
from napari_selfdenoise.noise.calibration.reading import (
    count_of_frames,
    in_part,
    read_steps,
)
from napari_selfdenoise.parts.noise_models import FittedNoise, NoiseModel, binned_means
from napari_selfdenoise.version import __version__

Array = NDArray[np.float64]

_SHOWN_PIXELS = 2_000_000
"""Pixels that a scatter is measured from."""

_LEAST_FRAMES = 4


def calibrate_steps(
    stack: Image,
    config: NoiseModel,
    *,
    signal: Image | None = None,
    own_variance: Image | None = None,
    clip: tuple[float, float] = (0.0, 100.0),
    seed: int = 0,
) -> Fit:
    """Fit a noise model to repeated frames of a camera.

    Without a signal, the frames show the same static scene, and their mean is taken
    for it. A frame is part of that mean, so residuals are too small by
    sqrt((n - 1) / n) for n frames; they are corrected.

    Parameters
    ----------
    stack : Image
        Noisy frames of one channel.
    config : NoiseModel
        What to fit.
    signal : Image, optional
        What the frames show without noise: one plane for all, or one each. A
        prediction, in a bootstrap.
    own_variance : Image, optional
        Variance of the signal itself, as `signal`, where it is a prediction.
    clip : tuple of float
        Percentiles of the signal outside which pixels are left out.
    seed : int
        Of the random choices.

    Yields
    ------
    float
        Share that is done, at least once a second. Send anything to end it.

    Returns
    -------
    FittedNoise
        Or None, where it was ended early.

    Raises
    ------
    RequestError
        If there are several channels, too few frames, or shapes that do not match.
    """
    stack = as_frames(stack)  # each line of a line scan is a frame
    reading = yield from in_part(
        read_steps(stack, signal, own_variance, seed=seed), 0.0, 0.5
    )
    if reading is None:
        return None
    pairs = reading.pairs()
    fitting = fit_steps(
        config,
        *pairs,
        own_variance=reading.own_variance(),
        variance_pairs=reading.variance_pairs(),
        clip=clip,
        seed=seed,
        step=reading.step(),
        provenance=provenance_of(stack, signal),
    )
    fitted = yield from in_part(fitting, 0.5, 1.0)
    if fitted is not None:
        rounded = rounding_notes(stack)
        fitted.warnings.extend([*rounded, *check_reading(reading).warnings])
    return fitted


def calibrate(stack: Image, config: NoiseModel, **options: Any) -> FittedNoise:
    """Run `calibrate_steps` to its end; see there."""
    fitted = run_to_end(calibrate_steps(stack, config, **options))
    assert fitted is not None  # nobody stopped it
    return fitted


def provenance_of(stack: Image, signal: Image | None) -> dict[str, Any]:
    """Where the pairs of a calibration came from, as the file notes it."""
    return {
        "image": stack.name,
        "axes": stack.describe(),
        "signal": "mean of the frames" if signal is None else signal.name,
        "version": __version__,
    }


def measured_variance(stack: NDArray[Any], bins: int = 64) -> tuple[Array, Array]:
    """Variance over repeated frames, in bins of equally many pixels of like signal.

    Without what lamp and scene add by changing slowly, as `follow_signals` does.

    Parameters
    ----------
    stack : ndarray
        Frames of a static scene, (n, Y, X), raw units.
    bins : int
        Fewer are made of fewer than 64 pixels a bin.

    Returns
    -------
    signal, variance : ndarray
        Of each bin, by increasing signal.
    """
    flat = np.asarray(stack, np.float64).reshape(len(stack), -1)
    squared = follow_signals(flat).residual ** 2
    if len(flat) < 2 * _LEAST_FRAMES:  # each half tells a variance
        return _variance_by(flat.mean(0), flat, squared, bins)
    # Sorted by themselves, skewed noise looks weaker where it happened to be dim.
    halves = slice(None, None, 2), slice(1, None, 2)
    found = [
        _variance_by(flat[one].mean(0), flat[other], squared[other], bins)
        for one, other in (halves, halves[::-1])
    ]
    signal, variance = (np.mean(values, axis=0) for values in zip(*found, strict=True))
    order = np.argsort(signal)
    return signal[order], variance[order]


def _variance_by(
    order: Array, frames: Array, squared: Array, bins: int
) -> tuple[Array, Array]:
    """Mean of frames and of squared residuals (n, pixels) in bins of like `order`."""
    groups = bins_by_signal(order, bins, least=64)
    means = frames.mean(0), squared.mean(0)
    signal, variance = (means_of_bins(groups, values) for values in means)
    return signal, variance


def measured_scatter(stack: Image, signal: Image | None = None) -> tuple[Array, Array]:
    """Noise std in bins of like signal, from some rows of all frames.

    Parameters
    ----------
    stack, signal : Image
        As for `calibrate_steps`.

    Returns
    -------
    signal, std : ndarray
        Of each bin, by increasing signal, raw units.
    """
    count = count_of_frames(stack) * math.prod(stack.plane_shape)
    every = math.ceil(count / _SHOWN_PIXELS)
    frames = _some_rows(stack, every)
    if signal is None:
        centre, variance = measured_variance(frames)
    else:
        mean = np.broadcast_to(_some_rows(signal, every), frames.shape).ravel()
        squared = (frames.ravel() - mean) ** 2
        centre, variance, _ = binned_means(mean, squared, np.ones_like(mean))
    return centre, np.sqrt(variance)


def _some_rows(image: Image, every: int) -> Array:
    """Each n-th row of all planes, (planes, rows, X)."""
    rows = [image.read_plane(plane)[::every] for plane in image.planes()]
    return np.stack(rows).astype(np.float64)
