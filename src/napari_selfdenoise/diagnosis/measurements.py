"""All that is measured of an image before anything is trained."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.defects import (
    Clipping,
    FixedPatterns,
    find_padding,
    is_blank,
    measure_clipping,
    went_through_jpeg,
)
from napari_selfdenoise.diagnosis.autocorrelogram import (
    Autocorrelogram,
    autocorrelogram,
)
from napari_selfdenoise.diagnosis.forecast_gain import GainForecast, forecast_gain
from napari_selfdenoise.diagnosis.frames import Frames, compare_frames
from napari_selfdenoise.diagnosis.photon_transfer import (
    PhotonTransfer,
    measure_photon_transfer,
)
from napari_selfdenoise.diagnosis.sample import Sample, thinned
from napari_selfdenoise.images import Image
from napari_selfdenoise.noise import NoiseLevel, measure_level
from napari_selfdenoise.noise.correlation import NoiseCorrelation, measure_correlation
from napari_selfdenoise.training import resolve_masking

Array = NDArray[np.float64]

_FORECAST_SIDE = 512
_SMALL = 128
"""Side in px: of smaller images a forecast is uncertain."""

_STEP_PIXELS = 2**16
_WHOLE = 0.02
"""How far the distances of grey values may be from whole steps, in steps."""


class Greys(NamedTuple):
    """Which values were recorded, of some planes.

    Parameters
    ----------
    low, high : float
        Lowest and highest.
    step : float
        Distance of neighbouring grey values; 0 where values are continuous.
    """

    low: float
    high: float
    step: float


class Losses(NamedTuple):
    """Shares of pixels, of some planes, that hold no signal.

    Parameters
    ----------
    no_number, padding : float
        Shares of all pixels: without a number, or outside the mask; and of one value,
        next to others.
    blank, planes : int
        How many planes hold one value, or are saturated; and how many were looked at.
    outliers : float
        Share of the pixels of the sample that are outliers, such as hot pixels.
    """

    no_number: float
    padding: float
    blank: int
    planes: int
    outliers: float


@dataclass(frozen=True, eq=False)
class Measurements:
    """What was measured of one channel; None where that was not possible.

    Parameters
    ----------
    sample : Sample
        What it was measured on.
    losses : Losses
        Pixels that hold no signal.
    greys : Greys or None
        Values that were recorded.
    clipping : Clipping or None
        Pixels at the ends of what could be recorded.
    patterns : FixedPatterns
        Line offsets.
    frames : Frames or None
        Whether planes are replicates; of one plane, None.
    level : NoiseLevel or None
        Noise std, and whether it is simple.
    correlation : NoiseCorrelation or None
        How neighbours share noise.
    autocorrelogram : Autocorrelogram or None
        The same along four directions.
    transfer : PhotonTransfer or None
        Noise variance against the signal.
    forecast : GainForecast or None
        What a training will gain.
    config : TrainingConfig
        The recipe, with the masking that the noise asks for.
    on_masking : str
        Why that masking.
    jpeg : bool
        Whether planes went through JPEG.
    """

    sample: Sample
    losses: Losses
    greys: Greys | None
    clipping: Clipping | None
    patterns: FixedPatterns
    frames: Frames | None
    level: NoiseLevel | None
    correlation: NoiseCorrelation | None
    autocorrelogram: Autocorrelogram | None
    transfer: PhotonTransfer | None
    forecast: GainForecast | None
    config: TrainingConfig
    on_masking: str
    jpeg: bool


def measure_steps(
    image: Image, channel: int, config: TrainingConfig
) -> Generator[float, None, Measurements]:
    """Measure one channel of an image.

    Yields
    ------
    float
        Share that is done.

    Returns
    -------
    Measurements
    """
    rough = thinned(image, channel)
    yield 0.1
    sample = Sample.of(image, channel)
    yield 0.4
    found: dict[str, Any] = {
        "sample": sample,
        "losses": _losses(rough, sample),
        "greys": _greys(rough),
        "clipping": None,
        "patterns": FixedPatterns(),
        "frames": None,
        "level": None,
        "correlation": None,
        "autocorrelogram": None,
        "transfer": None,
        "forecast": None,
        "config": config,
        "on_masking": "",
        "jpeg": False,
    }
    if sample.planes:
        found |= yield from _noise_steps(sample, rough, config)
    return Measurements(**found)


def _noise_steps(
    sample: Sample, rough: list[Array], config: TrainingConfig
) -> Generator[float, None, dict[str, Any]]:
    """Measure what needs planes with something in them."""
    recorded = sample.recorded
    correlation, frames = _correlation(sample)
    # A training looks at planes one by one, or at the frames of its own choice.
    measured = [] if _follow(sample) else [correlation]
    config, on_masking = resolve_masking(config, [sample.clean], [recorded], measured)
    yield 0.5
    known = [plane.astype(np.float32) for plane in rough if not is_blank(plane)]
    transfer = _transfer(recorded, frames, correlation)
    level = measure_level(recorded)
    yield 0.7
    jpeg = went_through_jpeg(recorded)
    return {
        "clipping": measure_clipping(known) if known else None,
        "patterns": sample.clean.patterns(0),
        "frames": frames,
        "level": level,
        "correlation": correlation,
        "autocorrelogram": autocorrelogram(correlation),
        "transfer": transfer,
        "forecast": _forecast(sample, transfer, correlation, not jpeg),
        "config": config,
        "on_masking": on_masking,
        "jpeg": jpeg,
    }


def _correlation(sample: Sample) -> tuple[NoiseCorrelation, Frames | None]:
    """How neighbours share noise, and whether planes are replicates.

    Each helps to measure the other one: what moved is not noise.
    """
    recorded = sample.recorded
    if not _follow(sample):
        return measure_correlation(recorded), None
    correlation = measure_correlation(recorded, frames=True)
    frames = compare_frames(recorded, correlation)
    if frames is None or frames.static:
        return correlation, frames
    correlation = measure_correlation(recorded)
    return correlation, compare_frames(recorded, correlation)


def _follow(sample: Sample) -> bool:
    """Whether there are planes that follow each other in time."""
    return sample.sequence and len(sample.planes) > 1


def _transfer(
    recorded: list[NDArray[np.float32]],
    frames: Frames | None,
    correlation: NoiseCorrelation,
) -> PhotonTransfer | None:
    if frames is None or frames.kind == "unrelated" or len(recorded) < 2:
        return measure_photon_transfer(recorded, correlation=correlation)
    # The last one is far away in time: only of a static scene it is as good.
    near = (
        recorded if frames.kind == "static" else recorded[: max(2, len(recorded) - 1)]
    )
    return measure_photon_transfer(
        near, frames=True, static=frames.static, correlation=correlation
    )


def _forecast(
    sample: Sample,
    transfer: PhotonTransfer | None,
    correlation: NoiseCorrelation,
    sure: bool,
) -> GainForecast | None:
    if transfer is None:
        return None
    plane = sample.planes[0]
    height, width = plane.pixels.shape
    top, left = (max(0, (side - _FORECAST_SIDE) // 2) for side in (height, width))
    part = plane.part(
        slice(top, top + _FORECAST_SIDE), slice(left, left + _FORECAST_SIDE)
    )
    return forecast_gain(
        part.pixels,
        part.good,
        transfer,
        correlation,
        sure=sure and min(height, width) >= _SMALL and correlation.pixels > 0,
    )


def _losses(rough: list[Array], sample: Sample) -> Losses:
    known = [np.isfinite(plane) for plane in rough]
    whole = [p for p in rough if not is_blank(p)]
    padded = sum(int(find_padding(p).sum()) for p in whole)
    pixels = sum(plane.size for plane in rough)
    good = max(1, sum(plane.pixels.size for plane in sample.planes))
    return Losses(
        1 - sum(int(flags.sum()) for flags in known) / pixels,
        padded / pixels,
        len(rough) - len(whole),
        len(rough),
        sum(int(plane.outliers.sum()) for plane in sample.planes) / good,
    )


def _greys(rough: list[Array]) -> Greys | None:
    values = np.concatenate([plane[np.isfinite(plane)] for plane in rough])
    if not len(values):
        return None
    low, high = float(values.min()), float(values.max())
    some = np.unique(values[:: max(1, len(values) // _STEP_PIXELS)])
    return Greys(low, high, _step(some))


def _step(values: Array) -> float:
    """Distance of which all distances are multiples; 0 where there is none."""
    steps = np.diff(values)
    if not len(steps) or len(values) > _STEP_PIXELS // 2:
        return 0.0
    times = steps / steps.min()
    return float(steps.min()) if np.abs(times - np.rint(times)).max() < _WHOLE else 0.0
