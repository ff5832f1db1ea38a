"""What a run computes, in a worker: a training that is kept, a prediction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.defects import Corrections
from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.images import Image
from napari_selfdenoise.model import ModelLibrary, TrainedModel
from napari_selfdenoise.plugin.denoise.corrections import (
    all_corrected_first,
    corrected_first,
)
from napari_selfdenoise.plugin.viewer.results import Results
from napari_selfdenoise.prediction import Prediction, over_raw, predict_over_raw
from napari_selfdenoise.training import KeptImages, KeptTraining, train_steps


def training(
    results: Results,
    lessons: Sequence[tuple[Corrections, Image]],
    config: TrainingConfig,
    start: TrainedModel | None,
    taught: Mapping[str, Image],
    keep: Callable[..., Any],
) -> Any:
    """Train on some images, each with what corrects it, and on what teaches the first.

    Parameters
    ----------
    results : Results
        Where previews go.
    lessons : sequence of (Corrections, Image)
        What is learned from.
    config : TrainingConfig
        What to train.
    start : TrainedModel or None
        To continue from.
    taught : mapping of str to Image
        A second exposure or a noise-free image.
    keep : callable
        Runs the training; see `kept_training`.
    """
    learn = partial(train_steps, config=config, start=start, in_background=True)
    steps = all_corrected_first(lessons, partial(keep, learn), **taught)
    return over_raw(results.unfinished, steps, writes=False)


def kept_training(
    kept: KeptTraining,
    about: KeptImages | None,
    start: TrainedModel | None,
    learn: Callable[..., Any],
    images: Sequence[Image],
    **taught: Image,
) -> Any:
    """Train so that a crash loses a minute at most; None about images: go on."""
    if about is not None:
        kept.begin(about, start)
    steps = kept.steps(partial(learn, images, **taught), resume=about is None)
    return remembered(steps)


def remembered(steps: Any) -> Any:
    """Run a training, and keep its model among the last ones.

    Whoever wants it for good saves it: where it cannot be kept, nothing is lost.
    """
    model = yield from steps
    if model is not None:
        with suppress(RequestError, DenoisingError):
            ModelLibrary().add(model)
    return model


def predicting(
    results: Results,
    corrections: Corrections,
    denoise: Callable[..., Prediction],
    pair: Image | None,
) -> Any:
    """Denoise an image, corrected first, with its raw pixels there before."""
    second = {} if pair is None else {"pair": pair}
    steps = corrected_first(corrections, results.image, denoise, **second)
    return predict_over_raw(results.unfinished, results.into, steps)
