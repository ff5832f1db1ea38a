"""Work that measures a camera's noise, for a worker of the Noise model dock."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any, NamedTuple

from numpy.typing import NDArray

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import Image, as_frames
from napari_selfdenoise.noise.calibration import (
    Comparison,
    calibrate_steps,
    compare_steps,
    measured_scatter,
)
from napari_selfdenoise.noise.inspection import measure_noise_steps, with_measurement
from napari_selfdenoise.parts.noise_models import FittedNoise, NoiseModel

Scatter = tuple[NDArray[Any], NDArray[Any]]


class Calibration(NamedTuple):
    """A noise model with what it was fitted to: signal and noise std, (n,) each."""

    fitted: FittedNoise
    scatter: Scatter


class Compared(NamedTuple):
    """Several noise models with what they were fitted to."""

    comparison: Comparison
    scatter: Scatter


def bootstrapping(
    fit: Callable[[], Generator[float, object, FittedNoise | None]],
    noisy: Image,
    signal: Image,
) -> Generator[float, object, Calibration | None]:
    """Bootstrap in a worker, and measure the dots of the plot."""
    fitted = yield from fit()
    if fitted is None:
        return None
    return Calibration(fitted, measured_scatter(noisy, as_frames(signal)))


def calibrating(
    stack: Image, config: NoiseModel, signal: Image | None
) -> Generator[float, object, Calibration | None]:
    """Calibrate in a worker, and measure the dots of the plot."""
    fitted = yield from calibrate_steps(stack, config, signal=signal)
    fitted = yield from _measured(fitted, stack, signal)
    if fitted is None:
        return None
    return Calibration(fitted, measured_scatter(stack, signal))


def comparing(stack: Image) -> Generator[float, object, Compared | None]:
    """Compare kinds of noise model, and measure the dots of the plot."""
    found = yield from compare_steps(stack)
    if found is None:
        return None
    found = yield from _with_measurement(found, stack)
    return None if found is None else Compared(found, measured_scatter(stack))


def _with_measurement(
    found: Comparison, stack: Image
) -> Generator[float, object, Comparison | None]:
    """A comparison whose noise models hold what they were fitted to."""
    rows = []
    for row in found.rows:
        fitted = yield from _measured(row.fitted, stack, None)
        if fitted is None:
            return None
        rows.append(replace(row, fitted=fitted))
    best = rows[found.rows.index(found.best)]
    return replace(found, rows=tuple(rows), best=best)


def _measured(
    fitted: FittedNoise | None, stack: Image, signal: Image | None
) -> Generator[float, object, FittedNoise | None]:
    """Measure what a noise model was fitted to, and keep it with it; in a worker."""
    if fitted is None:
        return None
    try:
        measured = yield from measure_noise_steps(stack, signal)
    except RequestError:  # too few pixels, which the fit has warned of
        return fitted
    return None if measured is None else with_measurement(fitted, measured)
