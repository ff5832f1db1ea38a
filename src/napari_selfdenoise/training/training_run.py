"""Self-supervised training: plan, steps, settle, result."""

from __future__ import annotations

import importlib
import os
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from napari_selfdenoise.compute import (
    Processes,
    computing,
    device_errors_as_sentences,
    lacks_memory,
)
from napari_selfdenoise.config import TrainingConfig, resolve_files
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import FieldOfView, Image
from napari_selfdenoise.long_work import Command, run_to_end
from napari_selfdenoise.model import ChannelModel, TrainedModel
from napari_selfdenoise.training.channel_trainer import ChannelTrainer
from napari_selfdenoise.training.checkpoint import (
    Checkpoint,
    CheckpointWriter,
    damaged,
    read_checkpoint,
    require_same_training,
)
from napari_selfdenoise.training.consensus import Consensus
from napari_selfdenoise.training.contexts import read_contexts
from napari_selfdenoise.training.growth import Growth
from napari_selfdenoise.training.plan import TrainingPlan, make_plan
from napari_selfdenoise.training.progress import READING, TrainingProgress
from napari_selfdenoise.training.requirements import continued, require_trainable
from napari_selfdenoise.training.results import (
    few_steps_note,
    finished_model,
    slept_notes,
)
from napari_selfdenoise.training.schedule import Schedule
from napari_selfdenoise.training.targets import Teaching, as_list, teaching
from napari_selfdenoise.training.training_data import TrainingData
from napari_selfdenoise.training.training_loop import TrainingLoop

Training = Generator[TrainingProgress, Command | FieldOfView | None, TrainedModel]


def train(
    images: Image | Sequence[Image],
    config: TrainingConfig,
    *,
    start: TrainedModel | None = None,
    pair: Image | Sequence[Image] | None = None,
    noise_free: Image | Sequence[Image] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
    max_memory: int | None = None,
) -> TrainedModel:
    """Run `train_steps` to its end.

    See `train_steps` for the parameters and errors.
    """
    taught: Any = {"pair": pair, "noise_free": noise_free}
    kept: Any = {"checkpoint": checkpoint, "resume": resume}
    kept["max_memory"] = max_memory
    return run_to_end(train_steps(images, config, start=start, **taught, **kept))


def train_steps(
    images: Image | Sequence[Image],
    config: TrainingConfig,
    *,
    start: TrainedModel | None = None,
    pair: Image | Sequence[Image] | None = None,
    noise_free: Image | Sequence[Image] | None = None,
    in_background: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
    max_memory: int | None = None,
) -> Training:
    """Train on one or more images of the same kind, without clean images.

    Processes that torchrun has started train one model together: each learns from
    patches of its own, as many as a batch holds, and returns the same model.

    Parameters
    ----------
    images : Image or sequence of Image
        Observations. Time points and planes are samples; each channel gets networks
        of its own.
    config : TrainingConfig
        What to train, and how long.
    start : TrainedModel, optional
        Continue from these weights.
    pair : Image or sequence of Image, optional
        A second exposure of each image: each is learned from the other one.
    noise_free : Image or sequence of Image, optional
        Each image without noise, such as a long exposure, to learn from instead.
    in_background : bool
        Compute at low priority, where a window shares the machine.
    checkpoint : path, optional
        File that is written every minute with all that is needed to go on. It stays,
        so that the model can be saved before it is removed.
    resume : bool
        Go on from that file: with a number of steps, to the same result on the same
        device as if nothing had happened. Images and settings must be the same.
    max_memory : int, optional
        Bytes that the training may take besides what the libraries do, about: less is
        kept of the images where they are large.

    Yields
    ------
    TrainingProgress
        At least once a second. Send `STOP` to end and keep what was learned, or a
        `FieldOfView` to get it denoised with the next progress.

    Returns
    -------
    TrainedModel

    Raises
    ------
    RequestError
        If the images or the config cannot be used.
    DenoisingError
        If the device runs out of memory or the training diverges.

    References
    ----------
    Krull et al. 2019 (masking); Ollion et al. 2021 (noise network); Lehtinen et al.
    2018 (pair); Weigert et al. 2018 (noise-free).
    """
    taught = teaching(pair, noise_free)
    images = as_list(images)
    processes = Processes.started()
    kept = _Kept()
    if processes.is_first:  # the others follow it
        kept = _Kept.of(checkpoint, resume, config, start, processes)
    agreed = Consensus(processes)
    with computing(in_background), device_errors_as_sentences("training", kept.rest):
        how = agreed, max_memory
        return (yield from _train(images, config, start, taught, kept, *how))


class _Kept(NamedTuple):
    """What writes checkpoints, and the one to go on from; None where there is none."""

    writer: CheckpointWriter | None = None
    found: Checkpoint | None = None
    path: Path = Path()

    @classmethod
    def of(
        cls,
        path: str | os.PathLike[str] | None,
        resume: bool,
        config: TrainingConfig,
        start: TrainedModel | None,
        processes: Processes,
    ) -> _Kept:
        if path is None:
            return cls()
        found, continued = None, start is not None
        if resume:
            found = read_checkpoint(Path(path))
            require_same_training(found, config, continued, processes.count)
        writer = CheckpointWriter(Path(path), config, continued)
        return cls(writer, found, Path(path))

    def rest(self) -> str:
        """Sentence on what is kept of a training that failed; may be empty."""
        step = self.writer.last_step if self.writer else 0
        if not step:
            return ""
        return f"What it had learned by step {step:,} is kept: it can go on from there."


def _train(
    images: list[Image],
    config: TrainingConfig,
    start: TrainedModel | None,
    taught: Teaching,
    kept: _Kept,
    agreed: Consensus,
    max_memory: int | None,
) -> Training:
    """Plan, steps, settle, result."""
    config = agreed.processes.of_first(config)
    schedule = Schedule(config, agreed.now(), agreed.now)
    config = taught.settings(config)
    config = continued(config, start.config) if start else config
    warnings = require_trainable(images, config, start)
    known = start.config if start else None
    config = resolve_files(config, images[0].pixel_size_um, known)
    command = yield TrainingProgress(READING)

    device = agreed.processes.device(config.device)
    data = TrainingData.read(images, config, taught.targets(images), max_memory)
    plan = make_plan(data, config, device)
    if kept.found:  # a trial of the machine may choose another one now
        plan = replace(plan, dtype=getattr(torch, kept.found.state["precision"]))
    plan = replace(agreed.processes.of_first(plan), device=device)
    command = (yield from read_contexts(data, plan.config)) or command
    trainers = _make_trainers(data, plan, start)
    data.planes.clear()  # the trainers hold the pixels on the device

    growth = Growth(data, trainers, schedule, agreed)
    how = schedule, growth, agreed, kept.writer
    loop = TrainingLoop(plan, data.clean[0], trainers, *how)
    yield from loop.catch_up(kept.found.state["advances"] if kept.found else 0)
    if kept.found:
        _restore(loop, kept.found, kept.path)
    slept_s = agreed.slept_s
    yield from loop.learn(command)
    warnings = [*warnings, *slept_notes(agreed.slept_s - slept_s)]
    few = "" if start else few_steps_note(loop)
    yield from loop.settle()
    return finished_model(loop, images, start, warnings, few)


_DOES_NOT_FIT = LookupError, TypeError, ValueError, RuntimeError, AttributeError
"""Errors of a state that is none of this training."""


def _restore(loop: TrainingLoop, found: Checkpoint, path: Path) -> None:
    """Let a training go on from a checkpoint; one that does not fit is damaged."""
    try:
        loop.restore(found.state)
    except RequestError:  # of other images: nothing is damaged
        raise
    except _DOES_NOT_FIT as error:
        if isinstance(error, RuntimeError) and lacks_memory(error):
            raise
        raise damaged(path) from error


def _make_trainers(
    data: TrainingData, plan: TrainingPlan, start: TrainedModel | None
) -> dict[int, ChannelTrainer]:
    """Trainers of the channels that are not empty, by their number."""
    before = start.channels if start else (ChannelModel.empty(),) * data.channels
    return {
        channel: ChannelTrainer(
            planes,
            plan,
            channel,
            None if before[channel].is_empty else before[channel],
        )
        for channel, planes in enumerate(data.planes)
        if planes
    }


def preload() -> None:
    """Import what the first training of a process would else wait for, for seconds.

    Optimisers import torch's compiler, whether it is used or not.
    """
    importlib.import_module("torch._dynamo")
