"""What is learned from where many inputs are denoised: some of them, or each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import click

from napari_selfdenoise.batch import kind_of_most
from napari_selfdenoise.cli.batches import Batch, Denoise
from napari_selfdenoise.cli.inputs import Inputs
from napari_selfdenoise.cli.interruptible import Interruptible
from napari_selfdenoise.cli.report import training_report
from napari_selfdenoise.cli.runs import (
    Written,
    predict_with_progress,
    require_room_for,
    train_with_progress,
)
from napari_selfdenoise.cli.screen import say
from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import spread

_ONCE, _CONTINUE, _ANEW = "once", "continue", "anew"
_SAMPLE = 16

_OPTIONS = (
    click.option(
        "--learn",
        type=click.Choice((_ONCE, _CONTINUE, _ANEW)),
        default=_ONCE,
        show_default=True,
        help="What is learned from of many inputs. Once: train on some of them, then "
        "denoise all. Continue: train on each, from what those before have taught. "
        "Anew: train on each from nothing.",
    ),
    click.option(
        "--sample",
        type=click.IntRange(min=1),
        default=_SAMPLE,
        show_default=True,
        metavar="N",
        help="How many of many inputs are learned from at most, with --learn once.",
    ),
)


def learning_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the flags that say what is learned from."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


class Learning(NamedTuple):
    """What the flags of `learning_options` say."""

    learn: str
    sample: int

    @classmethod
    def take(cls, values: dict[str, Any]) -> Learning:
        """Take them out of a verb's values."""
        return cls(*(values.pop(name) for name in cls._fields))


def require_single(
    report_file: str | None,
    save_model: str | None,
    learning: Learning,
    files: dict[Any, list[str]],
    resume: bool = False,
) -> None:
    """Refuse what goes with one input only.

    Raises
    ------
    RequestError
        If a report, a second exposure, or the model of each input is wanted, or a run
        of several trainings is to go on.
    """
    single = [f"--{kind.replace('_', '-')}" for kind in files]
    single += ["--report"] if report_file else []
    single += ["--resume"] if resume and learning.learn != _ONCE else []
    single += ["--save-model"] if save_model and learning.learn == _ANEW else []
    if single:
        raise RequestError(
            f"There may be several inputs, but {' and '.join(single)} is for one.",
            "Give one input at a time.",
        )


def learn_and_denoise(
    batch: Batch,
    learning: Learning,
    config: TrainingConfig,
    inputs: Inputs,
    as_source: bool,
    save_model: str | None,
    kept: Interruptible,
    max_memory: int | None,
) -> dict[str, Any]:
    """Train and denoise many inputs; returns the report of the verb.

    Raises
    ------
    RequestError
        If not one can be learned from.
    """
    from napari_selfdenoise.model import save_model as save

    started, report = time.perf_counter(), dict[str, Any]()
    goes_on = learning.learn == _CONTINUE
    save_each = save_model if goes_on else None
    each = Each(
        config, inputs, as_source, goes_on, save_to=save_each, max_memory=max_memory
    )
    denoise: Denoise = each.denoise
    if batch.to_do and learning.learn == _ONCE:
        # Of all, whatever is skipped: the rest is to be denoised by the same model.
        sources = [str(job.source) for job in batch.jobs]
        sample = spread(sources, learning.sample)
        model, left_out = _learned(config, inputs, sample, kept, max_memory)
        path = str(save(model, save_model)) if save_model else None
        kept.forget()
        report = training_report(model, 0.0, path)
        report["warnings"] = [*left_out, *report["warnings"]]
        each.model, denoise = model, each.predict
    outcomes = batch.run(denoise)
    if save_each and each.model is not None:
        report["model"] = save_each
    found = batch.report(outcomes)
    found["warnings"] = [*report.get("warnings", ()), *found["warnings"]]
    seconds = {"seconds": time.perf_counter() - started}
    return report | seconds | found | inputs.report()


def _learned(
    config: TrainingConfig,
    inputs: Inputs,
    sources: Sequence[str],
    kept: Interruptible,
    max_memory: int | None,
) -> tuple[Any, list[str]]:
    """A model of some inputs, and which of them were left out."""
    if kept.model is not None:
        return kept.model, []
    images, left_out = inputs.read_all(sources)
    alike = kind_of_most(images)
    for image in images:
        if all(image is not one for one in alike):
            left_out.append(
                f"{image.name} was not learned from: others have {alike[0].channels} "
                f"channels, it has {image.channels}."
            )
            say(left_out[-1])
    train = partial(train_with_progress, alike, config, None, max_memory=max_memory)
    return kept.trained(train), left_out


class Each:
    """Denoises inputs one after the other.

    Parameters
    ----------
    config : TrainingConfig
        Of each training.
    inputs : Inputs
        How they are read.
    as_source : bool
        Whether results are whole numbers, as the input.
    goes_on : bool
        Whether a training starts from what the one before has learned.
    model : TrainedModel, optional
        To denoise with.
    save_to : str, optional
        File that each model is kept in.
    max_memory : int, optional
        Bytes that each run may take.

    Attributes
    ----------
    model : TrainedModel or None
        The last one.
    """

    def __init__(
        self,
        config: TrainingConfig,
        inputs: Inputs,
        as_source: bool,
        goes_on: bool = False,
        model: Any = None,
        save_to: str | None = None,
        max_memory: int | None = None,
    ) -> None:
        self.model, self._save_to, self._memory = model, save_to, max_memory
        self._config, self._inputs = config, inputs
        self._as_source, self._goes_on = as_source, goes_on

    def denoise(
        self, source: str, files: dict[str, Path]
    ) -> tuple[Written, Sequence[str]]:
        """Train on an input, and denoise it."""
        image = self._inputs.read(source)
        require_room_for(image, files, self._config)
        start = self.model if self._goes_on else None
        self.model = train_with_progress(
            [image], self._config, start, max_memory=self._memory
        )
        if self._save_to:
            self._save(self.model, self._save_to)
        warnings = self.model.provenance["warnings"]
        return self._written(image, source, files), (*image.notes, *warnings)

    def predict(
        self, source: str, files: dict[str, Path]
    ) -> tuple[Written, Sequence[str]]:
        """Denoise an input with the model at hand."""
        image = self._inputs.read(source)
        return self._written(image, source, files), image.notes

    def _save(self, model: Any, path: str) -> None:
        from napari_selfdenoise.model import save_model

        save_model(model, path)

    def _written(self, image: Any, source: str, files: dict[str, Path]) -> Written:
        dtype = self._inputs.type_of(source, self._as_source)
        how = self._config.device, self._memory, None, None, None, dtype, True
        return predict_with_progress(self.model, image, files, *how, source=source)
