"""Which models can be exported, and with which estimator."""

from __future__ import annotations

from dataclasses import replace

from napari_selfdenoise.config import TrainingConfig, with_estimator
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.parts.estimators import Estimator, PosteriorMean, SinglePass

_BLEND = (
    "The file computes the network's mean ({kind}). The automatic estimator, which "
    "blends it with other estimates, measures each image and cannot be exported."
)
_MEAN = (
    "The file computes the posterior mean ({kind}): the most likely value and samples "
    "cannot be exported."
)
_RANDOM = (
    "The file computes the network's mean ({kind}): masked pixels are filled at random "
    "with this model, and a file gives the same pixels each time."
)
_PER_IMAGE = (
    "The file computes the network's mean ({kind}): the posterior needs the noise of "
    "each image, which is fitted to it and cannot be exported."
)


def exportable(
    model: TrainedModel, estimator: Estimator | None = None
) -> tuple[TrainedModel, list[str]]:
    """Return a model with an estimator that a file can hold, and what was changed.

    Parameters
    ----------
    model : TrainedModel
        From `train` or `load_model`.
    estimator : Estimator, optional
        In place of the model's.

    Raises
    ------
    RequestError
        If the model needs other planes or channels of an image, or the estimator does
        not fit it.
    """
    config = model.config
    if reason := _why_not(config):
        raise RequestError(
            f"This model cannot be exported: {reason}.",
            'Train with context "none" and independent channels, or denoise with '
            "napari-selfdenoise.",
        )
    if estimator is not None:
        config = with_estimator(config, estimator)
    fitting, note = _fitting(config)
    config = with_estimator(config, fitting)
    notes = [note.format(kind=fitting.kind)] if note else []
    if str(model.precision) != "torch.float32":
        notes.append(
            "The file computes in float32; the model was trained in bfloat16, so "
            "results differ in the third digit."
        )
    return replace(model, config=config), notes


def _why_not(config: TrainingConfig) -> str:
    """Why a model cannot be exported; empty where it can."""
    if config.context.volumetric:
        return "it predicts whole volumes, whose planes it pads by their number"
    if config.context.count:
        return "it predicts a plane with those around it, which it first brings in line"
    if config.channels.together:
        return "it predicts channels from each other, once they are measured"
    return ""


def _fitting(config: TrainingConfig) -> tuple[Estimator, str]:
    """An estimator that a file can hold, and what to tell of another one."""
    chosen = config.estimator
    if chosen.masks_pixels and getattr(config.masking, "fill", "") == "uniform":
        return SinglePass(), _RANDOM
    if chosen.fuses and config.per_image:
        return SinglePass(), _PER_IMAGE
    if chosen.blends:
        return SinglePass(), _BLEND
    if chosen.takes_mode or chosen.count:
        return PosteriorMean(blind=chosen.masks_pixels), _MEAN
    return chosen, ""
