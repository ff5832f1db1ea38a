"""The loop of a training: trainers, the passes that they learn in, and their phases."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from napari_selfdenoise.config import TrainingConfig, patches_a_step
from napari_selfdenoise.defects import CleanImage
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import FieldOfView
from napari_selfdenoise.long_work import Command
from napari_selfdenoise.model import LossHistory
from napari_selfdenoise.training.channel_trainer import ChannelTrainer
from napari_selfdenoise.training.checkpoint import CheckpointWriter
from napari_selfdenoise.training.consensus import Consensus
from napari_selfdenoise.training.curriculum import moments_of
from napari_selfdenoise.training.gradient_accumulation import Batch
from napari_selfdenoise.training.growth import Growth
from napari_selfdenoise.training.pace import Pace
from napari_selfdenoise.training.packing import packed, unpacked
from napari_selfdenoise.training.plan import TrainingPlan
from napari_selfdenoise.training.preview import show
from napari_selfdenoise.training.progress import (
    FINISHING,
    FITTING,
    LEARNING,
    READING,
    Reporting,
    TrainingProgress,
)
from napari_selfdenoise.training.reports import Reports
from napari_selfdenoise.training.schedule import Schedule
from napari_selfdenoise.training.trainer_state import (
    fingerprint,
    restore_trainer,
    trainer_state,
)


@dataclass(frozen=True)
class Effort:
    """What fits of the noise model may cost.

    Parameters
    ----------
    flop : float
        Floating-point operations of all predictions.
    steps : int
        Of the noise model's optimiser, in each channel.
    """

    flop: float
    steps: int

    def scaled_to(self, config: TrainingConfig) -> Effort:
        """Return less of it behind a brief training."""
        share = min(1.0, (config.budget_s or math.inf) / _UNHURRIED_S)
        return Effort(self.flop * share, math.ceil(self.steps * share))


# Of a training that ends by itself, and of one that was stopped.
THOROUGH = Effort(2e11, 150)
BRIEF = Effort(3e10, 25)

# Budget in seconds from which on a fit of the noise takes all the time that it needs.
_UNHURRIED_S = 30.0

_FIRST_STEPS = 3
"""Steps before more is read: a first preview is to come soon."""

Fit = Callable[[ChannelTrainer, float, int], Iterator[None]]
"""Fits a channel's noise bit by bit, with so many operations and steps."""


class TrainingLoop:
    """Learns step by step, and hands out progress in between.

    Parameters
    ----------
    plan : TrainingPlan
        What is trained.
    image : CleanImage
        The first of the images, for previews.
    by_channel : mapping of int to ChannelTrainer
        Of the channels that are not empty, by their number.
    schedule : Schedule
        The budget.
    growth : Growth
        Reads what else is to be learned from.
    agreed : Consensus
        What processes that train together decide by.
    writer : CheckpointWriter, optional
        Writes down every minute what is needed to go on.

    Attributes
    ----------
    reports : Reports
        Hands out progress, and knows whether the training was stopped.
    history : LossHistory
        Loss so far.
    """

    def __init__(
        self,
        plan: TrainingPlan,
        image: CleanImage,
        by_channel: Mapping[int, ChannelTrainer],
        schedule: Schedule,
        growth: Growth,
        agreed: Consensus,
        writer: CheckpointWriter | None = None,
    ) -> None:
        self._agreed, self.processes = agreed, agreed.processes
        self.plan, self.schedule, self.by_channel = plan, schedule, by_channel
        self._growth, self.writer, self._trained_s = growth, writer, 0.0
        self._pace = Pace(schedule)
        self.trainers = list(by_channel.values())
        count = len(self.trainers)
        self.batch = Batch(
            plan.config, plan.patch_size, plan.device, schedule, count, agreed
        )
        self.reports = Reports(lambda field: show(field, image, by_channel), agreed)
        self.history = LossHistory()
        self._losses = _Losses(plan.device)
        self._moments = list(moments_of(plan.config, self.trainers[0].noise.phase))
        self._progress = TrainingProgress(LEARNING, finding=plan.finding)
        self._limit_views()

    def _limit_views(self) -> None:
        """End a training by time early, once its pixels have been shown often."""
        config = self.plan.config
        pixels = min(
            len(trainer.sampler.pixels) + self._growth.pixels(channel)
            for channel, trainer in self.by_channel.items()
        )
        # Overlapping bins teach less than as many pixels.
        pixels //= config.masking.binning
        planes = patches_a_step(config) * config.context.depth * self.processes.count
        self.schedule.limit(pixels, planes * self.plan.patch_size**2)

    @property
    def step(self) -> int:
        """Steps done: updates of the network of every channel."""
        return self.trainers[-1].updates

    # Interruptions --------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """All that changes while it learns, between two steps."""
        return {
            "processes": self.processes.count,
            "precision": str(self.plan.dtype).removeprefix("torch."),
            "trained_s": self.schedule.trained(),
            "advances": self._growth.advances,
            "moments": len(self._moments),
            "losses": self._losses.state(),
            "history": (self.history.step, self.history.loss),
            "batch": self.batch.state(),
            "trainers": {n: trainer_state(t) for n, t in self.by_channel.items()},
        }

    def catch_up(self, advances: int) -> Reporting:
        """Read what an interrupted training had read between its steps."""
        for _ in self._growth.replay(self.processes.of_first(advances)):
            if self.reports.is_due:
                yield from self.reports.hand_out(TrainingProgress(READING))

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state of a training of the same images, which were read.

        Raises
        ------
        RequestError
            If the images are not those that it learned from.
        """
        for number, trainer in self.by_channel.items():
            kept = state["trainers"].get(number)
            if kept is None or kept["pixels"] != fingerprint(trainer):
                raise RequestError(
                    "The training that was interrupted learned from other images.",
                    "Give the same images, in the same order, or train anew.",
                )
            restore_trainer(trainer, kept)
        self._moments = self._moments[len(self._moments) - state["moments"] :]
        self._losses.restore(state["losses"])
        self.history = LossHistory(*state["history"])
        self.batch.restore(state["batch"])
        self._trained_s = state["trained_s"]

    def follow_first(self) -> None:
        """Go on from the state of the first of the processes that train together.

        As from a checkpoint: it alone reads those, and fits the noise.
        """
        if self.processes.count == 1:
            return
        tensors: dict[str, Tensor] = {}
        sent = packed(self.state(), tensors) if self.processes.is_first else None
        content, tensors, trained_s = self.processes.of_first(
            (sent, tensors, self._trained_s)
        )
        if self.processes.is_first:
            return
        try:
            self.restore(unpacked(content, tensors))
        except RequestError as error:
            raise RequestError(
                "The processes that train together have read different images.",
                "Give all of them the same images, in the same order.",
            ) from error
        self._trained_s = trained_s

    # Learning -------------------------------------------------------------------------

    def learn(self, command: Command | FieldOfView | None) -> Reporting:
        """Learn until the budget is used up, or `STOP` is sent.

        Parameters
        ----------
        command : Command or FieldOfView or None
            What was sent before the first step.
        """
        self.reports.receive(command)
        self.follow_first()
        self._agreed.renew()
        self.schedule.begin()
        self.schedule.resume(self._trained_s)
        if self.schedule.is_over(self.step) and self.step:
            return
        for step_ends in self._passes():
            if step_ends:
                yield from self._change_phase()
                if self.step > _FIRST_STEPS:
                    self._growth.advance()
                if self.writer and self.writer.is_due:
                    self.writer.write(self.step, self.state())
            over = self.schedule.is_over(self.step) or self.reports.stopped
            if over or self.reports.is_due:
                yield from self._report()
            if over or self.reports.stopped:
                return

    def _passes(self) -> Iterator[bool]:
        """Learn without end; says after each pass whether it was a step's last."""
        for channel, trainer in itertools.cycle(self.by_channel.items()):
            # By the step, so that a checkpoint needs to hold the first one's alone.
            about = self.plan.config.seed, channel, trainer.updates
            self.processes.draw_apart(trainer.generator, *about)
            for loss, complete in self.batch.passes_of(trainer):
                self._losses.add(loss)
                if complete:
                    self._share(trainer)
                    trainer.update(self.schedule.learning_rate(self.step))
                yield complete and trainer is self.trainers[-1]

    def _share(self, trainer: ChannelTrainer) -> None:
        """Let all processes have learned the same in a step."""
        sums = self._losses.total, trainer.recovery.errors
        self.processes.average(itertools.chain(_gradients(trainer), sums))
        # Some noise models follow the signals that they have seen.
        module = trainer.noise.module
        self.processes.copy_first(module.buffers() if module else ())

    def _report(self) -> Reporting:
        """Hand out the loss and the noise as they are now."""
        self.history = self.history.appended(self.step, self._losses.take_mean())
        first, schedule = self.trainers[0], self.schedule
        self._progress = TrainingProgress(
            LEARNING,
            self.step,
            schedule.elapsed(),
            schedule.remaining(self.step),
            schedule.fraction(self.step),
            float(self.history.loss[-1]),
            self.history,
            first.noise_curve(),
            first.scatter(),
            finding=self.plan.finding,
            config=self.plan.config,
            warning=self._pace.note(self.step),
        )
        yield from self.reports.hand_out(self._progress)

    # Phases, and fits of the noise ----------------------------------------------------

    def _change_phase(self) -> Reporting:
        """Go over to the next phase, once its moment has come."""
        if not self._moments or not self.schedule.reached(self.step, self._moments[0]):
            return
        moment, *self._moments = self._moments
        if moment.noise_fraction is None:
            for trainer in self.trainers:
                trainer.enter_next_phase()
            return
        fit = partial(ChannelTrainer.bootstrap, noise_fraction=moment.noise_fraction)
        yield from self._fit(fit, THOROUGH, FITTING)
        self.follow_first()

    def settle(self) -> Reporting:
        """Fit the noise to the finished networks: briefly after a stop."""
        if self._growth.started:
            found = self._growth.findings(self.plan.config)
            self.plan = replace(self.plan, on_data=found)
        for trainer in self.trainers:
            trainer.recover()
        effort = BRIEF if self.reports.stopped else THOROUGH
        yield from self._fit(ChannelTrainer.fit_final_noise, effort, FINISHING)
        self.follow_first()

    def _fit(self, fit: Fit, effort: Effort, stage: str) -> Reporting:
        """Let each trainer fit its noise, and answer what is sent; a stop ends it."""
        effort = effort.scaled_to(self.plan.config)
        progress = replace(self._progress, step=self.step, stage=stage)
        wait = self.reports.stopped
        for trainer in self.trainers:
            work = fit(trainer, effort.flop / len(self.trainers), effort.steps)
            for _ in self._agreed.by_first(work):
                if self.reports.is_due and not wait:
                    yield from self.reports.hand_out(progress)
                if self.reports.stopped and not wait:
                    return


def _gradients(trainer: ChannelTrainer) -> Iterator[Tensor]:
    """What a step has accumulated, for all that learns.

    Averaged once a step, and not by DistributedDataParallel: that would do so in each
    of a step's passes, from hooks that a recorded pass does not call, and expects that
    all phases teach the same parameters.
    """
    for group in trainer.optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None:
                yield parameter.grad


class _Losses:
    """Mean loss of the passes since it was last taken."""

    def __init__(self, device: torch.device) -> None:
        self.total, self._count = torch.zeros((), device=device), 0

    def state(self) -> tuple[Tensor, int]:
        return self.total, self._count

    def restore(self, state: tuple[Tensor, int]) -> None:
        self.total, self._count = state[0].to(self.total.device), state[1]

    def add(self, loss: Tensor) -> None:
        self.total += loss
        self._count += 1

    def take_mean(self) -> float:
        mean = float(self.total) / self._count
        self.total.zero_()
        self._count = 0
        return mean
