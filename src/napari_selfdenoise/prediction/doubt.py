"""Where a denoised image is not to be trusted, and why."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from scipy.special import ndtr

from napari_selfdenoise.compute import (
    computing,
    device_errors_as_sentences,
    resolve_device,
)
from napari_selfdenoise.defects import CleanImage, measure_clipping
from napari_selfdenoise.images import Image, PlaneIndex, tile_grid
from napari_selfdenoise.long_work import STOP, Command
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.prediction.held_out import (
    HeldOut,
    HoldOut,
    probability_below,
    sample_tiles,
)
from napari_selfdenoise.prediction.intervals import (
    IntervalProgress,
    Intervals,
    interval_steps,
    views_of,
)
from napari_selfdenoise.prediction.on_device import copied_to
from napari_selfdenoise.prediction.tile_size import tile_side

Labels = NDArray[np.uint8]

UNSURE, IMPROBABLE, MENDED = 1, 2, 3

REASONS: dict[int, str] = {
    UNSURE: "Nearly all from the context, and wide intervals",
    IMPROBABLE: "The observation is improbable given its context",
    MENDED: "Mended, never recorded, or clipped",
}
"""What the values of a mask of doubt mean."""

_CONTEXT = 0.8
"""Share of the context in an estimate from which it is nearly all of it."""

_WIDE = 0.2
"""Width of the interval of 90 % over the contrast of the image, above which it is
wide: a step of that height may be there or not."""

_NINE_TENTHS = 2 * 1.645

_ODD = 5.0
"""Residuals of so many standard deviations are improbable in any image."""

_AROUND = 3
"""Side in px of the squares whose mean residual is judged, too: a small structure that
the network does not know shows in several pixels."""

_NOISE_PIXELS = 2**15

_MEASURING = 0.3
"""Share of the time that goes into the intervals."""


@dataclass(frozen=True, eq=False)
class Doubt:
    """Where an image is not to be trusted.

    Parameters
    ----------
    labels : ndarray
        0, or the number of a reason in `REASONS`; with the axes of the image.
    intervals : Intervals
        What was measured of the intervals.
    """

    labels: Labels
    intervals: Intervals

    @property
    def share(self) -> float:
        """Share of the pixels that are doubted."""
        return float(np.count_nonzero(self.labels) / self.labels.size)

    def __str__(self) -> str:
        """Such as "3.1 % of the pixels are not to be trusted"."""
        return f"{100 * self.share:.1f} % of the pixels are not to be trusted."


def where_not_to_trust(
    held_out: HeldOut, intervals: Intervals, hold_out: HoldOut
) -> Labels:
    """Mark pixels of a tile that the denoised image is a guess at.

    Parameters
    ----------
    held_out : HeldOut
        The tile, each pixel predicted without its own value.
    intervals : Intervals
        Its spread, contrast and shape are used.
    hold_out : HoldOut
        Of the plane; its noise curve is used.

    Returns
    -------
    ndarray
        0, or the number of a reason in `REASONS`, (Y, X).
    """
    context, good = held_out.context, held_out.good
    variance = intervals.spread.variance(context)
    total = np.maximum(variance + context.noise, 1e-30)
    share = context.noise / total
    wide = _NINE_TENTHS * np.sqrt(variance * share) > _WIDE * intervals.contrast
    labels = np.zeros(good.shape, np.uint8)
    labels[wide & (share > _CONTEXT)] = UNSURE
    odd = _odd_pixels(held_out, variance, hold_out)
    if intervals.shape is not None:  # skewed noise is not odd
        odd &= intervals.shape.is_odd(context, variance, held_out.observed)
    labels[odd | _odd_squares(held_out, variance)] = IMPROBABLE
    labels[~good] = MENDED
    return labels


def _odd_pixels(
    held_out: HeldOut, variance: NDArray[np.float64], hold_out: HoldOut
) -> NDArray[np.bool_]:
    """Pixels whose observation is improbable given the context, (Y, X)."""
    context = held_out.context
    every = np.ones(held_out.good.shape, np.bool_)
    below = probability_below(
        context.at(every), variance.ravel(), held_out.observed.ravel(), hold_out.curve
    ).reshape(every.shape)
    return np.asarray(np.minimum(below, 1 - below) < ndtr(-_ODD))


def _odd_squares(held_out: HeldOut, variance: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Pixels around which the mean residual is improbable, (Y, X).

    The errors of neighbours' predictions may all be one; their noise is not.
    """
    context, area = held_out.context, _AROUND**2
    residual = np.where(held_out.good, held_out.observed - context.mean, 0.0)
    expected = variance + context.noise / area
    mean, allowed = (uniform_filter(v, _AROUND) for v in (residual, expected))
    return np.asarray(np.abs(mean) > _ODD * np.sqrt(np.maximum(allowed, 1e-30)))


DoubtSteps = Generator[IntervalProgress, Command | None, Doubt | None]


def doubt_steps(
    image: Image,
    model: TrainedModel,
    *,
    plane: PlaneIndex | None = None,
    device: str = "auto",
    in_background: bool = False,
) -> DoubtSteps:
    """Measure a model's intervals, and mark where an image is not to be trusted.

    Parameters
    ----------
    image : Image
        With as many channels as the model.
    model : TrainedModel
        From `train` or `load_model`.
    plane : tuple of int, optional
        Which plane the intervals are measured in; as `interval_steps`.
    device : str
        Name of the device.
    in_background : bool
        Compute at low priority, where a window shares the machine.

    Yields
    ------
    IntervalProgress
        Send `STOP` to end without a result.

    Returns
    -------
    Doubt or None
        None where it was stopped.

    Raises
    ------
    RequestError, DenoisingError
        As `interval_steps`.
    """
    measuring = interval_steps(
        image, model, plane=plane, device=device, in_background=in_background
    )
    command = None
    while True:
        try:
            progress = measuring.send(command)
        except StopIteration as end:
            intervals: Intervals | None = end.value
            break
        command = yield IntervalProgress(_MEASURING * progress.fraction)
    if intervals is None:
        return None
    labels = np.zeros(image.shape, np.uint8)
    with computing(in_background), device_errors_as_sentences("marking doubts"):
        for share in _marked(image, model, intervals, labels, device):
            done = _MEASURING + (1 - _MEASURING) * share
            if (yield IntervalProgress(done)) is STOP:
                return None
    return Doubt(labels, intervals)


def _marked(
    image: Image,
    model: TrainedModel,
    intervals: Intervals,
    labels: Labels,
    device: str,
) -> Iterator[float]:
    """Fill the labels plane by plane; yields the share that is done."""
    target = resolve_device(device)
    model = copied_to(model, target)
    clean = CleanImage(image, model.config.line_offsets == "subtract")
    planes = list(image.planes())
    for number, plane in enumerate(planes):
        if clean.is_blank(plane) or model.channels[image.channel_of(plane)].is_empty:
            continue
        for share in _mark_plane(clean, model, plane, intervals, labels, target):
            yield (number + share) / len(planes)


def _mark_plane(
    clean: CleanImage,
    model: TrainedModel,
    plane: PlaneIndex,
    intervals: Intervals,
    labels: Labels,
    device: torch.device,
) -> Iterator[float]:
    """Fill the labels of one plane tile by tile; yields the share that is done."""
    image = clean.image
    hold_out = HoldOut(views_of(clean, model, plane, device))
    for _ in hold_out.measure_noise(sample_tiles(hold_out.views, plane, _NOISE_PIXELS)):
        yield 0.0
    side, stride = tile_side(model, device), model.config.stride
    tiles = list(tile_grid(plane, image.plane_shape, side, stride))
    clipped = _clipped(clean, plane)
    for number, tile in enumerate(tiles):
        for share, found in hold_out.tile(tile):
            if found is not None:
                marked = where_not_to_trust(found, intervals, hold_out)
                marked[clipped[tile.rows, tile.columns]] = MENDED
                place = image.slices(plane, tile.rows, tile.columns)
                labels[place] = image.as_stored(marked)
            yield (number + share) / len(tiles)


def _clipped(clean: CleanImage, plane: PlaneIndex) -> NDArray[np.bool_]:
    """Pixels at an end of what could be recorded, where values heap up there."""
    raw = clean.image.read_plane(plane)
    recorded = np.where(clean.read(plane).missing, np.nan, raw)
    if not np.isfinite(recorded).any():
        return np.zeros(raw.shape, np.bool_)
    found = measure_clipping([recorded])
    low = (raw <= found.lowest) if found.low else False
    high = (raw >= found.highest) if found.high else False
    return np.asarray(np.zeros(raw.shape, np.bool_) | low | high)
