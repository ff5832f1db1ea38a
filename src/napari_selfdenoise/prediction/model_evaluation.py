"""Figures of a result that need the model which made it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TypeVar

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.evaluation import (
    HELD_OUT_BITS,
    STEIN_ERROR,
    STEIN_GAIN,
    Evaluation,
    Figure,
    Quantity,
)
from napari_selfdenoise.images import Image
from napari_selfdenoise.long_work import Command
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.parts.noise_models import NoiseCurve
from napari_selfdenoise.prediction.held_out_likelihood import held_out_bits_steps
from napari_selfdenoise.prediction.stein_risk import stein_risk_steps

Result = TypeVar("Result")

_STOPPED = "It was stopped before this was measured."


def evaluate_model_steps(
    noisy: Image,
    denoised: Image,
    model: TrainedModel,
    curves: Sequence[NoiseCurve] | None = None,
    *,
    device: str = "auto",
) -> Generator[float, Command | None, Evaluation]:
    """Measure the figures that need no reference, but the model.

    Parameters
    ----------
    noisy, denoised : Image
        With equally many planes of one size.
    model : TrainedModel
        That made the denoised image of the noisy one.
    curves : sequence of NoiseCurve, optional
        Of the noise of each channel, raw units, for SURE; the model's own by default.
    device : str
        Name of the device.

    Yields
    ------
    float
        Share that is done. Send `STOP` to end early.

    Returns
    -------
    Evaluation
        Error and gain by SURE, held-out bits; a reason where one cannot be measured.
    """
    stein = yield from _stein(noisy, denoised, model, curves, device)
    bits = yield from _held_out(noisy, model, device)
    return Evaluation.joined([stein, bits])


def _stein(
    noisy: Image,
    denoised: Image,
    model: TrainedModel,
    curves: Sequence[NoiseCurve] | None,
    device: str,
) -> Generator[float, Command | None, Evaluation]:
    steps = stein_risk_steps(noisy, denoised, model, curves, device=device)
    try:
        risk = yield from _scaled(steps, 0.0, 0.6)
    except RequestError as error:
        return _missing(str(error), STEIN_ERROR, STEIN_GAIN)
    return risk.evaluation() if risk else _missing(_STOPPED, STEIN_ERROR, STEIN_GAIN)


def _held_out(
    noisy: Image, model: TrainedModel, device: str
) -> Generator[float, Command | None, Evaluation]:
    steps = held_out_bits_steps(noisy, model, device=device)
    try:
        bits = yield from _scaled(steps, 0.6, 1.0)
    except RequestError as error:
        return _missing(str(error), HELD_OUT_BITS)
    return bits.evaluation() if bits else _missing(_STOPPED, HELD_OUT_BITS)


def _missing(reason: str, *quantities: Quantity) -> Evaluation:
    return Evaluation(tuple(Figure.missing(q, reason) for q in quantities))


def _scaled(
    steps: Generator[float, Command | None, Result], low: float, high: float
) -> Generator[float, Command | None, Result]:
    """Run steps whose share of the whole lies between two shares."""
    command: Command | None = None
    while True:
        try:
            share = steps.send(command)
        except StopIteration as end:
            result: Result = end.value
            return result
        command = yield low + (high - low) * share
