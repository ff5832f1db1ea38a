"""Self-supervised training as a generator."""

from __future__ import annotations

import enum
import itertools
import math
import platform
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.device import (
    computing,
    memory_errors_as_sentences,
    resolve_device,
    resolve_precision,
)
from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.image import Image, PlaneIndex, require_denoisable
from napari_selfdenoise.masking import AutomaticMask
from napari_selfdenoise.model import LossHistory, TrainedModel, run
from napari_selfdenoise.noise_models import NoiseCurve
from napari_selfdenoise.resolving import resolve_masking
from napari_selfdenoise.sampling import resolve_patch_size, training_planes
from napari_selfdenoise.tiling import Tile, read_padded
from napari_selfdenoise.trainer import ChannelTrainer


class Command(enum.Enum):
    """What can be sent to a running training."""

    STOP = "stop"


STOP = Command.STOP
"""Send it to end a training and keep what was learned."""

_YIELD_S = 0.15
_PASS_FLOP = 4e9
_SETTLE = {False: (2e11, 150), True: (3e10, 25)}
"""Operations of all predictions, and steps a channel, by whether it was stopped."""

_LEAST_STEPS = 1000
_TIMED = 5
"""Passes that are timed."""

_WARM_UP = (0.05, 50)
"""When the likelihood begins: share of the budget, or steps where there is none."""

_BOOTSTRAPS = {(0.05, 50): 0.8, (0.2, 200): 0.92, (0.45, 1000): 1.0}
"""When the noise is fitted to predictions, and how much of its variance is believed.

Predictions are better each time. A prior that is left no width, as the noise explains
all scatter, hardly gets it back; one that is too wide shrinks at once.
"""

_PREVIEW_SIDE = 1024


@dataclass(frozen=True)
class FieldOfView:
    """Send it to a running training to see this region denoised.

    Parameters
    ----------
    plane : tuple of int
        Position along every axis but Y and X.
    top, bottom, left, right : int
        Rows [top, bottom) and columns [left, right).
    """

    plane: PlaneIndex
    top: int
    bottom: int
    left: int
    right: int

    @classmethod
    def visible(
        cls, image: Image, point: Sequence[int], corners: NDArray[Any]
    ) -> FieldOfView:
        """The part of an image that a viewer shows, of at most 1024 x 1024 pixels.

        Parameters
        ----------
        image : Image
            What is looked at.
        point : sequence of int
            Position shown along each axis.
        corners : ndarray
            First and last position shown along each axis, (2, axes).
        """
        outer = [n for n, axis in enumerate(image.axes) if axis not in "YXS"]
        plane = tuple(int(np.clip(point[n], 0, image.shape[n] - 1)) for n in outer)
        spans = [
            _span(corners[:, image.axes.index(axis)], image.sizes[axis])
            for axis in "YX"
        ]
        return cls(plane, *spans[0], *spans[1])


def _span(ends: NDArray[Any], length: int) -> tuple[int, int]:
    """Part of an axis that is shown: its middle if it is long, all if none of it is."""
    low, high = int(np.clip(ends[0], 0, length)), int(np.clip(ends[1] + 1, 0, length))
    if high <= low:
        low, high = 0, length
    spare = max(0, high - low - _PREVIEW_SIDE)
    low += spare // 2
    return low, min(high, low + _PREVIEW_SIDE)


@dataclass(frozen=True, eq=False)
class Preview:
    """A field of view as the network denoises it now, (Y, X), raw units."""

    field: FieldOfView
    denoised: NDArray[np.float32]

    def write_to(self, array: Any, image: Image) -> None:
        """Put it in its place in an array with the image's shape and axes."""
        f = self.field
        index = image.slices(f.plane, slice(f.top, f.bottom), slice(f.left, f.right))
        columns_first = image.axes.index("X") < image.axes.index("Y")
        array[index] = self.denoised.T if columns_first else self.denoised


@dataclass(frozen=True, eq=False)
class TrainingProgress:
    """A moment of a training.

    Parameters
    ----------
    stage : str
        What is being done, as a phrase.
    step : int
        Steps done.
    elapsed_s : float
        Since the start, in seconds.
    remaining_s : float or None
        Estimated; None where the training runs until it is stopped.
    fraction : float or None
        Share of the budget that is used.
    loss : float
        Mean since the last progress; NaN before the first step.
    history : LossHistory
        The loss so far.
    noise_curve : NoiseCurve or None
        Of the first channel, raw units: signal grid and predicted std.
    scatter : tuple of ndarray
        Signal and standard deviation of the residuals of hidden pixels around it, in
        bins of equally many pixels, raw units; each (n,).
    preview : Preview or None
        Answer to the last `FieldOfView` that was sent.
    finding : str
        What was found of the image and decided by it, in a sentence; may be empty.
    """

    stage: str
    step: int = 0
    elapsed_s: float = 0.0
    remaining_s: float | None = None
    fraction: float | None = None
    loss: float = math.nan
    history: LossHistory = field(default_factory=LossHistory)
    noise_curve: NoiseCurve | None = None
    scatter: tuple[NDArray[np.float64], NDArray[np.float64]] = field(
        default_factory=lambda: (np.zeros(0), np.zeros(0))
    )
    preview: Preview | None = None
    finding: str = ""


Training = Generator[TrainingProgress, Command | FieldOfView | None, TrainedModel]


class Schedule:
    """Learning rate over the budget: seconds, steps, or whichever ends first.

    Warm-up over the first 3 %, then a cosine to zero. Without a budget the rate
    falls with the square root of time, so that any moment is a good one to stop.
    """

    def __init__(self, config: TrainingConfig, start: float) -> None:
        self.steps, self.budget_s = config.steps, config.budget_s
        self.peak, self.start = config.learning_rate, start
        self.began = 0.0

    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.start

    def fraction(self, step: int) -> float | None:
        """Share of the budget that is used after `step` steps."""
        shares = []
        if self.steps is not None:
            shares.append(step / self.steps)
        if self.budget_s is not None:
            shares.append(self.elapsed() / self.budget_s)
        return min(max(shares), 1.0) if shares else None

    def remaining(self, step: int) -> float | None:
        """Estimated seconds left."""
        left = []
        if self.steps is not None and step:
            left.append(self.elapsed() * (self.steps - step) / step)
        if self.budget_s is not None:
            left.append(max(self.budget_s - self.elapsed(), 0.0))
        return min(left, default=None)

    def reached(self, step: int, moment: tuple[float, int]) -> bool:
        """Whether a share of the budget is used, or so many steps without one."""
        share, steps = moment
        used = self.fraction(step)
        return step >= steps if used is None else used >= share

    def passes_a_step(self, passes: int, channels: int) -> float:
        """How many passes a step may have, for a budget of a thousand steps.

        From the time that so many passes have taken. Published batches are made for
        hours on a GPU: with too few steps nothing is learned from them.
        """
        if self.budget_s is None:
            return math.inf
        each = (self.elapsed() - self.began) / passes
        steps = min(_LEAST_STEPS, self.steps or _LEAST_STEPS)
        return max(1, int(self.budget_s / (each * channels * steps)))

    def learning_rate(self, step: int) -> float:
        """Rate of the step that comes next."""
        used = self.fraction(step)
        warm = min(1.0, (step + 1) / 20)
        if used is None:
            return self.peak * warm / math.sqrt(1 + self.elapsed() / 60)
        return (
            self.peak
            * min(warm, (used + 1e-3) / 0.03)
            * 0.5
            * (1 + math.cos(math.pi * used))
        )


def train_steps(
    images: Image | Sequence[Image],
    config: TrainingConfig,
    *,
    start: TrainedModel | None = None,
    in_background: bool = False,
) -> Training:
    """Train on one or more images of the same kind, without clean images.

    Parameters
    ----------
    images : Image or sequence of Image
        Observations. Time points and planes are samples; each channel gets networks
        of its own.
    config : TrainingConfig
        What to train, and how long.
    start : TrainedModel, optional
        Continue from these weights.
    in_background : bool
        Compute at low priority, where a window shares the machine.

    Yields
    ------
    TrainingProgress
        At least once a second. Send `STOP` to end and keep what was learned, or a
        `FieldOfView` to see it denoised in the next progress.

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
    Krull et al. 2019 (masking); Ollion et al. 2021 (noise network).
    """
    images = [images] if isinstance(images, Image) else list(images)
    with computing(in_background), memory_errors_as_sentences("training"):
        return (yield from _train(images, config, start))


def _train(
    images: list[Image], config: TrainingConfig, start: TrainedModel | None
) -> Training:
    schedule = Schedule(config, time.perf_counter())
    notes = _require_trainable(images, config, start)
    command = yield TrainingProgress("Reading the image")
    device = resolve_device(config.device)
    dtype = resolve_precision(device, config.precision)
    patch_size, note = resolve_patch_size(
        config.patch_size, images, config.network.stride
    )
    notes += [note] if note else []
    planes = _read_planes(images, config, patch_size)
    if start and config.masking.kind == AutomaticMask().kind:
        config = config.model_copy(update={"masking": start.config.masking})
    config, finding = resolve_masking(config, images, planes)
    trainers = _make_trainers(images, planes, config, patch_size, device, dtype, start)
    planes.clear()  # the trainers hold the pixels on the device
    passes, patches = _split_batch(config, patch_size, device)
    history, due = LossHistory(), schedule.elapsed()
    total, counted = torch.zeros((), device=device), 0
    step = turn = seen = 0
    progress = TrainingProgress("Training", finding=finding)
    schedule.began = schedule.elapsed()
    for number in itertools.count():
        # One pass of a channel's network; a step is as many passes as it takes to
        # have seen the whole batch in every channel.
        trainer = trainers[turn]
        total += trainer.accumulate(patches, 1 / passes)
        counted += 1
        seen += 1
        if number == _TIMED:
            room = schedule.passes_a_step(number, len(trainers))
            if room < passes:
                passes = int(room)
                notes.append(_short_batch_note(config, passes * patches))
        if seen >= passes:
            trainer.update(schedule.learning_rate(step))
            seen, turn = 0, (turn + 1) % len(trainers)
        if seen == turn == 0:
            step += 1
            said = replace(progress, step=step)
            told = yield from _change_lesson(trainers, config, schedule, said)
            command = STOP if told is STOP else command
        used = schedule.fraction(step)
        done = used is not None and used >= 1.0
        if not done and command is not STOP and schedule.elapsed() < due:
            continue
        loss = float(total) / counted
        _require_finite(loss)
        history = history.appended(step, loss)
        total.zero_()
        counted = 0
        progress = _progress(schedule, step, history, trainers[0], finding)
        preview = _preview(images[0], trainers, config, dtype, command)
        asked = yield replace(progress, preview=preview)
        command = STOP if command is STOP else asked
        if done or command is STOP:
            break
        due = schedule.elapsed() + _YIELD_S
    yield from _settle(trainers, progress, command is STOP)
    channels = tuple(trainer.model() for trainer in trainers)
    notes += [note for trainer in trainers for note in trainer.notes()]
    provenance = _provenance(images, config, schedule, step, device, dtype, notes)
    provenance["finding"] = finding
    return TrainedModel(config, channels, history, provenance)


Teaching = Generator[
    TrainingProgress, Command | FieldOfView | None, Command | FieldOfView | None
]


def _change_lesson(
    trainers: list[ChannelTrainer],
    config: TrainingConfig,
    schedule: Schedule,
    progress: TrainingProgress,
) -> Teaching:
    """Go over to the likelihood when its time has come.

    From the start it would weigh dim pixels most and hold the mean back.
    """
    bootstraps = config.objective == "bootstrap" and not trainers[0].calibrated
    moments = tuple(_BOOTSTRAPS) if bootstraps else (_WARM_UP,)
    lesson = trainers[0].lessons
    if config.objective == "squared_error" or lesson == len(moments):
        return None
    if not schedule.reached(progress.step, moments[lesson]):
        return None
    if bootstraps:
        said = replace(progress, stage="Fitting the noise model")
        believed = _BOOTSTRAPS[moments[lesson]]
        fit = partial(ChannelTrainer.bootstrap, believed=believed)
        return (yield from _in_turn(trainers, fit, said, False))
    for trainer in trainers:
        trainer.lessons += 1
    return None


def _settle(
    trainers: list[ChannelTrainer], progress: TrainingProgress, stopped: bool
) -> Teaching:
    """Let the noise models settle: for long at a natural end, briefly after a stop."""
    said = replace(progress, stage="Settling the noise curve")
    return (yield from _in_turn(trainers, ChannelTrainer.settle, said, stopped))


def _in_turn(
    trainers: list[ChannelTrainer],
    what: Callable[[ChannelTrainer, float, int], Iterator[None]],
    said: TrainingProgress,
    stopped: bool,
) -> Teaching:
    """Let each trainer do something bit by bit, within earshot of a stop."""
    flop, steps = _SETTLE[stopped]
    due = time.perf_counter() + _YIELD_S
    for trainer in trainers:
        for _ in what(trainer, flop / len(trainers), steps):
            if stopped or time.perf_counter() < due:
                continue
            if (yield said) is STOP:
                return STOP
            due = time.perf_counter() + _YIELD_S
    return None


def train(
    images: Image | Sequence[Image],
    config: TrainingConfig,
    *,
    start: TrainedModel | None = None,
) -> TrainedModel:
    """Run `train_steps` to its end.

    See `train_steps` for the parameters and errors.
    """
    steps = train_steps(images, config, start=start)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            model: TrainedModel = end.value
            return model


def _require_trainable(
    images: list[Image], config: TrainingConfig, start: TrainedModel | None
) -> list[str]:
    if not images:
        raise RequestError("There is no image to train on.", "Choose one.")
    notes = [note for image in images for note in require_denoisable(image)]
    if len({image.channels for image in images}) > 1:
        raise RequestError(
            "The images have different numbers of channels "
            f"({', '.join(str(image.channels) for image in images)}).",
            "Train on images of the same kind together.",
        )
    if start:
        start.require_fits(images[0])
        made = start.config
        parts = ("network", "signal", "noise_model", "psf")
        if any(getattr(made, part) != getattr(config, part) for part in parts):
            raise RequestError(
                "The model to continue from has another network, signal head, noise "
                "model or point spread function than the settings.",
                "Leave out the settings that differ, or start afresh.",
            )
    return list(dict.fromkeys(notes))


def _read_planes(
    images: list[Image], config: TrainingConfig, patch_size: int
) -> list[list[NDArray[np.float32]]]:
    """Planes to train on, of each channel."""
    luck = np.random.default_rng(config.seed)
    return [
        training_planes(images, channel, luck, patch_size)
        for channel in range(images[0].channels)
    ]


def _make_trainers(
    images: list[Image],
    channels: list[list[NDArray[np.float32]]],
    config: TrainingConfig,
    patch_size: int,
    device: torch.device,
    dtype: torch.dtype,
    start: TrainedModel | None,
) -> list[ChannelTrainer]:
    kernel = config.psf.kernel(images[0].pixel_size_um)
    return [
        ChannelTrainer(
            planes,
            config,
            patch_size,
            device,
            dtype,
            config.seed + channel,
            kernel,
            start.channels[channel] if start else None,
        )
        for channel, planes in enumerate(channels)
    ]


def _split_batch(
    config: TrainingConfig, patch_size: int, device: torch.device
) -> tuple[int, int]:
    """Passes a step and patches a pass: on a CPU a pass must not delay a stop.

    Decided by the network's cost, not by the clock, so that equal seeds give equal
    results.
    """
    if device.type != "cpu":
        return 1, config.batch_size
    cost = config.network.flops_per_pixel * patch_size**2
    fits = max(1, int(_PASS_FLOP // cost))
    passes = math.ceil(config.batch_size / fits)
    return passes, math.ceil(config.batch_size / passes)


def _short_batch_note(config: TrainingConfig, patches: int) -> str:
    return (
        f"Steps learn from {patches} patches instead of {config.batch_size}: with "
        "more, the budget would end before the network has learned."
    )


def _require_finite(loss: float) -> None:
    if not math.isfinite(loss):
        raise DenoisingError(
            "The training diverged: its loss is no longer a number.",
            "Choose a smaller learning rate, or float32 precision.",
        )


def _progress(
    schedule: Schedule,
    step: int,
    history: LossHistory,
    trainer: ChannelTrainer,
    finding: str,
) -> TrainingProgress:
    return TrainingProgress(
        "Training",
        step,
        schedule.elapsed(),
        schedule.remaining(step),
        schedule.fraction(step),
        float(history.loss[-1]),
        history,
        trainer.noise_curve(),
        trainer.residuals().scatter(),
        finding=finding,
    )


def _preview(
    image: Image,
    trainers: list[ChannelTrainer],
    config: TrainingConfig,
    dtype: torch.dtype,
    command: Command | FieldOfView | None,
) -> Preview | None:
    if not isinstance(command, FieldOfView):
        return None
    f, network = command, config.network
    trainer = trainers[image.channel_of(f.plane)]
    tile = Tile(f.plane, f.top, f.bottom, f.left, f.right)
    margin = network.reach + (trainer.optics.radius if trainer.optics else 0)
    norm = trainer.normalization
    fill = norm.offset if network.blind else None
    padded, inner = read_padded(image, tile, margin, network.stride, fill)
    observed = norm.apply(torch.from_numpy(padded)[None, None].to(trainer.device))
    with torch.no_grad():
        seen = run(trainer.average, trainer.optics, observed, dtype)
    return Preview(f, norm.invert(seen.mean)[0, 0].cpu().numpy()[inner])


def _provenance(
    images: list[Image],
    config: TrainingConfig,
    schedule: Schedule,
    steps: int,
    device: torch.device,
    dtype: torch.dtype,
    notes: list[str],
) -> dict[str, Any]:
    from napari_selfdenoise import __version__

    return {
        "images": [image.name for image in images],
        "axes": images[0].describe(),
        "recipe": config.recipe,
        "seed": config.seed,
        "steps": steps,
        "seconds": round(schedule.elapsed(), 3),
        "device": str(device),
        "precision": str(dtype).removeprefix("torch."),
        "warnings": notes,
        "versions": {
            "napari-selfdenoise": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }
