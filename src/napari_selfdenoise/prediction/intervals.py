"""How many held-out pixels lie within the intervals that a model gives."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from napari_selfdenoise.compute import (
    computing,
    device_errors_as_sentences,
    resolve_device,
)
from napari_selfdenoise.defects import CleanImage
from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.images import Image, PlaneIndex, require_denoisable
from napari_selfdenoise.long_work import STOP, Command, run_to_end
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.parts.noise_models import NoiseCurve
from napari_selfdenoise.prediction.context_spread import (
    LEAST_PIXELS,
    Array,
    Context,
    ContextSpread,
    fit_spread,
)
from napari_selfdenoise.prediction.held_out import (
    HeldOut,
    HoldOut,
    all_good,
    hold_out_steps,
    probability_below,
    sample_tiles,
)
from napari_selfdenoise.prediction.on_device import copied_to
from napari_selfdenoise.prediction.residual_shape import ResidualShape
from napari_selfdenoise.prediction.tile_size import margin_of
from napari_selfdenoise.prediction.tile_views import TileViews

_PIXELS = 2**17
"""Pixels that are held out: coverage is then known to half a percent."""

_BINS = 20

_HALF, _NINE_TENTHS = 0.5, 0.9

_CLOSE = 0.03
"""Difference of a coverage from what it should be up to which intervals are right."""


@dataclass(frozen=True)
class Coverage:
    """Share of the held-out observations within their central intervals.

    Parameters
    ----------
    half, nine_tenths : float
        Within the intervals of 50 and of 90 %.
    """

    half: float
    nine_tenths: float

    @classmethod
    def of(cls, below: Array) -> Coverage:
        """Coverage from the probabilities of smaller observations, (n,)."""
        apart = 2 * np.abs(below - 0.5)
        shares = (float(np.mean(apart < part)) for part in (_HALF, _NINE_TENTHS))
        return cls(*shares)

    @property
    def is_right(self) -> bool:
        """Whether both are within three percent of what they should be."""
        apart = (self.half - _HALF, self.nine_tenths - _NINE_TENTHS)
        return max(map(abs, apart)) <= _CLOSE


@dataclass(frozen=True, eq=False)
class Intervals:
    """What was measured of a model's intervals in one plane of an image.

    Parameters
    ----------
    spread : ContextSpread
        Variance of the signal given its context, fitted to one half of the held-out
        pixels.
    coverage : Coverage
        With that, of the other half.
    uncorrected : Coverage or None
        With the prior as the signal head has it; None for a head without a width.
    temperature : float or None
        Mean variance of the signal given its context over that of the head's prior.
    histogram : ndarray
        Share of the held-out pixels in each twentieth of the probability of a smaller
        observation, (20,): flat where intervals are right at every level.
    contrast : float
        Range of the signal, but for the outer percents, raw units.
    pixels : int
        That were judged.
    shape : ResidualShape or None
        Of the residuals; None where the noise model was given, with its own shape.
    """

    spread: ContextSpread
    coverage: Coverage
    uncorrected: Coverage | None
    temperature: float | None
    histogram: NDArray[np.float64]
    contrast: float
    pixels: int
    shape: ResidualShape | None = None

    def __str__(self) -> str:
        """Such as "Intervals of 90 % hold 89 % of held-out pixels, …"."""
        found = self.coverage
        text = (
            f"Intervals of 90 % hold {100 * found.nine_tenths:.0f} % of held-out "
            f"pixels, those of 50 % hold {100 * found.half:.0f} %."
        )
        if found.is_right:
            return text
        wide = found.half > _HALF
        size = "wide" if wide else "narrow"
        return f"{text} They are too {size}: take them as a rough guide."


@dataclass(frozen=True)
class IntervalProgress:
    """How far a measurement of intervals is.

    Parameters
    ----------
    fraction : float
        Share that is done.
    """

    fraction: float


IntervalSteps = Generator[IntervalProgress, Command | None, Intervals | None]


def interval_steps(
    image: Image,
    model: TrainedModel,
    *,
    plane: PlaneIndex | None = None,
    device: str = "auto",
    in_background: bool = False,
) -> IntervalSteps:
    """Measure how many held-out pixels lie within the intervals of a model.

    Each pixel of a sample is predicted from its context alone, in all orientations. Its
    observation is held out, so it can judge the prediction: it should scatter by the
    variance of the signal given the context and that of the noise together. To one half
    of the pixels that variance is fitted, on the other half the intervals are judged.

    Parameters
    ----------
    image : Image
        With as many channels as the model.
    model : TrainedModel
        From `train` or `load_model`.
    plane : tuple of int, optional
        Which plane; the middle one that is not blank if not given.
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
    Intervals or None
        None where it was stopped.

    Raises
    ------
    RequestError
        If the model cannot predict a pixel without its own value, does not fit the
        image, or there are too few pixels.
    DenoisingError
        If the device runs out of memory.

    References
    ----------
    Dawid 1984; Gneiting, Balabdaoui and Raftery 2007 (PIT and calibration).
    """
    require_held_out(image, model)
    target = resolve_device(device)
    model, clean = copied_to(model, target), CleanImage(image, _subtracts(model))
    plane = plane if plane is not None else _middle_plane(clean, model)
    with computing(in_background), device_errors_as_sentences("holding pixels out"):
        hold_out = HoldOut(views_of(clean, model, plane, target))
        steps = hold_out_steps(hold_out, sample_tiles(hold_out.views, plane, _PIXELS))
        while True:
            try:
                share = next(steps)
            except StopIteration as end:
                return _judged(end.value, hold_out)
            if (yield IntervalProgress(share)) is STOP:
                return None


def measure_intervals(
    image: Image, model: TrainedModel, plane: PlaneIndex | None = None
) -> Intervals:
    """Run `interval_steps` to its end."""
    found = run_to_end(interval_steps(image, model, plane=plane))
    assert found is not None, "it was not stopped"
    return found


def require_held_out(image: Image, model: TrainedModel) -> None:
    """Refuse a model that cannot predict a pixel without its own value.

    Raises
    ------
    RequestError
        With the reason, also where the image does not fit the model.
    """
    require_denoisable(image)
    model.require_fits(image)
    if model.config.uses_own_value:
        raise RequestError(
            "This model has learned to use each pixel's own value, and cannot predict "
            "it from its neighbours alone: its intervals cannot be measured.",
            "Train with the squared error or the likelihood as objective.",
        )


def views_of(
    clean: CleanImage, model: TrainedModel, plane: PlaneIndex, device: torch.device
) -> TileViews:
    """What predicts the tiles of a plane; the model is on the device."""
    generator = torch.Generator(device).manual_seed(model.config.seed)
    channel = clean.image.channel_of(plane)
    return TileViews(clean, model, channel, device, generator, margin_of(model))


def _subtracts(model: TrainedModel) -> bool:
    return model.config.line_offsets == "subtract"


def _middle_plane(clean: CleanImage, model: TrainedModel) -> PlaneIndex:
    """The plane nearest to the middle that there is something to predict in."""
    planes = list(clean.image.planes())
    middle = len(planes) // 2
    for number in sorted(range(len(planes)), key=lambda n: abs(n - middle)):
        channel = clean.image.channel_of(planes[number])
        if not (model.channels[channel].is_empty or clean.is_blank(planes[number])):
            return planes[number]
    raise RequestError(
        "The image is blank: there is nothing that intervals could be measured on.",
        "Choose an image with content.",
    )


def _judged(found: Sequence[HeldOut], hold_out: HoldOut) -> Intervals:
    """Fit the spread to one half of the pixels, and judge it on the other one."""
    context, observed, half = all_good(found)
    spread = fit_spread(context.at(half), observed[half])
    other = context.at(~half)
    if spread is None or not len(other.mean):
        raise RequestError(
            f"Only {len(observed)} pixels can be judged; {2 * LEAST_PIXELS} are needed "
            "to measure intervals.",
            "Choose a larger image.",
        )
    if not np.isfinite(other.mean).all():
        raise DenoisingError(
            "The model predicts values that are not finite.", "Train again."
        )
    variance, judged = spread.variance(other), observed[~half]
    fitted = context.at(half), spread.variance(context.at(half)), observed[half]
    shape = None if hold_out.is_given else ResidualShape.of(*fitted)
    below = _below(other, variance, judged, hold_out.curve, shape)
    heads = float(other.prior.mean())
    before = (
        Coverage.of(_below(other, other.prior, judged, hold_out.curve, shape))
        if heads > 0
        else None
    )
    counts = np.histogram(below, _BINS, (0, 1))[0]
    return Intervals(
        spread,
        Coverage.of(below),
        before,
        float(variance.mean()) / heads if heads > 0 else None,
        counts / len(below),
        float(np.ptp(np.percentile(context.mean, (1, 99)))),
        len(below),
        shape,
    )


def _below(
    context: Context,
    variance: Array,
    observed: Array,
    curve: NoiseCurve,
    shape: ResidualShape | None,
) -> Array:
    """Probability of a smaller observation, by a noise model or a measured shape."""
    if shape is None:
        return probability_below(context, variance, observed, curve)
    return shape.probability_below(context, variance, observed)
