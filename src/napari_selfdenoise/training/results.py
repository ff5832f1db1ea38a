"""From a training that has ended to its model."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.images import Image
from napari_selfdenoise.model import ChannelModel, TrainedModel
from napari_selfdenoise.training.notes import notes_of
from napari_selfdenoise.training.phase import Phase
from napari_selfdenoise.training.provenance import provenance_of
from napari_selfdenoise.training.training_loop import TrainingLoop

_EARLY_NOTE = (
    "The training ended before its time: with more steps on so few pixels, the network "
    "would learn their noise."
)


def finished_model(
    loop: TrainingLoop,
    images: Sequence[Image],
    start: TrainedModel | None,
    warnings: Sequence[str] = (),
    few_steps: str = "",
) -> TrainedModel:
    """Return what was learned, with what the user should know of it.

    Parameters
    ----------
    loop : TrainingLoop
        That has ended.
    images : sequence of Image
        That it learned from.
    start : TrainedModel or None
        That it went on from.
    warnings : sequence of str
        Sentences that were there before it began.
    few_steps : str
        A note where hardly anything was learned; may be empty.
    """
    plan, schedule, step = loop.plan, loop.schedule, loop.step
    by_channel = loop.by_channel
    channels = tuple(
        by_channel[channel].model() if channel in by_channel else ChannelModel.empty()
        for channel in range(images[0].channels)
    )
    notes = [*warnings, *plan.warnings, *loop.batch.notes()]
    notes += [loop.writer.problem] if loop.writer and loop.writer.problem else []
    notes += [few_steps] if few_steps else []
    notes += [_EARLY_NOTE] if schedule.ended_early(step) else []
    notes += [note for trainer in loop.trainers for note in notes_of(trainer)]
    about = schedule.elapsed(), notes, loop.processes.count
    provenance = provenance_of(plan, images, start, step, *about)
    if few_steps:
        provenance["few_steps"] = few_steps
    model = TrainedModel(_learned(loop), channels, loop.history, provenance)
    return model.to(torch.device("cpu"))  # a device may be lost, and all that is on it


def slept_notes(seconds: float) -> list[str]:
    """A note on a computer that slept while it was learned; none for no seconds."""
    if not seconds:
        return []
    minutes = max(1, round(seconds / 60))
    time = f"{minutes} min" if minutes < 90 else f"{minutes / 60:.0f} h"
    return [
        f"The computer slept for {time} meanwhile, or was held: that time does not "
        "count, and nothing is lost."
    ]


def _learned(loop: TrainingLoop) -> TrainingConfig:
    """Settings as they were followed: it may have ended before SURE."""
    config = loop.plan.config
    if config.uses_sure and loop.trainers[0].phase is not Phase.SURE:
        return config.model_copy(update={"objective": "squared_error"})
    return config


def few_steps_note(loop: TrainingLoop) -> str:
    """A note where a training ended with hardly anything learned; else empty.

    Parameters
    ----------
    loop : TrainingLoop
        That has learned, but not yet fitted the noise.
    """
    if loop.schedule.out_of_time(loop.step):
        return (
            "Too short: try 2 min or more, or continue from this model. The time was "
            f"enough for {_steps_text(loop.step)} only."
        )
    if loop.reports.stopped and loop.schedule.few(loop.step):
        return (
            f"The training was stopped after {_steps_text(loop.step)}, too few to "
            "learn much. Train longer, or continue from this model."
        )
    return ""


def _steps_text(steps: int) -> str:
    return f"{steps} step{'s' if steps != 1 else ''}"
