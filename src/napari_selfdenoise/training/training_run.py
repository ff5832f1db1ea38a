"""Self-supervised training as a generator."""

from __future__ import annotations

import importlib
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

from napari_selfdenoise.compute import (
    computing,
    memory_errors_as_sentences,
    resolve_device,
    resolve_precision,
)
from napari_selfdenoise.config import TrainingConfig, resolve_files
from napari_selfdenoise.defects import (
    CleanImage,
    CleanPlane,
    DefectCount,
    describe_defects,
    measure_clipping,
    nothing_to_learn,
    rounding_notes,
)
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import FieldOfView, Image, require_denoisable
from napari_selfdenoise.long_work import STOP, Command, run_to_end
from napari_selfdenoise.model import ChannelModel, LossHistory, TrainedModel
from napari_selfdenoise.parts.masking import LARGEST_BIN, AutomaticMask
from napari_selfdenoise.parts.networks import UNet
from napari_selfdenoise.parts.noise_models import NoiseCurve
from napari_selfdenoise.training.channel_trainer import ChannelTrainer
from napari_selfdenoise.training.gradient_accumulation import Batch
from napari_selfdenoise.training.patches import (
    require_room,
    resolve_patch_size,
    training_planes,
)
from napari_selfdenoise.training.preview import Preview, show
from napari_selfdenoise.training.resolve import (
    resolve_masking,
    resolve_objective,
    resolve_width,
)
from napari_selfdenoise.training.schedule import Schedule
from napari_selfdenoise.version import __version__

LEARNING, FINISHING = "Learning", "Finishing: fitting the noise"
"""What is being done, of most progress; before it, the image is read."""

_YIELD_S = 0.15
_SETTLE = {False: (2e11, 150), True: (3e10, 25)}
"""Operations of all predictions, and steps a channel, by whether it was stopped."""

_UNHURRIED_S = 30.0
"""Budget from which on a fit to the noise takes all the time it needs."""

_WARM_UP = (0.05, 50)
"""When the likelihood begins: share of the budget, or steps where there is none."""

_SIGHT = (0.2, 200)
"""When all pixels are shown: a network that predicts well from the rest comes first."""

_BOOTSTRAPS = {(0.05, 50): 0.8, (0.2, 200): 0.92, (0.45, 1000): 1.0}
"""When the noise is fitted to predictions, and how much of its variance is believed.

Predictions are better each time. A prior that is left no width, as the noise explains
all scatter, hardly gets it back; one that is too wide shrinks at once.
"""


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
    config : TrainingConfig or None
        With the settings that follow the image decided; None before that.
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
    config: TrainingConfig | None = None


Training = Generator[TrainingProgress, Command | FieldOfView | None, TrainedModel]


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
    if start:
        config = _continued(config, start.config)
    notes = require_trainable(images, config, start)
    known = start.config if start else None
    config = resolve_files(config, images[0].pixel_size_um, known)
    command = yield TrainingProgress("Reading the image and measuring its noise")
    device = resolve_device(config.device)
    dtype = resolve_precision(device, config.precision)
    subtract = config.line_offsets == "subtract"
    rounded = _describe_rounding(images)
    clean = [CleanImage(image, subtract) for image in images]
    planes = _read_planes(clean, config)
    defects = _describe_defects(clean, planes, config)
    recorded = [[plane.recorded for plane in channel] for channel in planes]
    config, finding = resolve_masking(config, clean, recorded)
    config, wide = resolve_width(config, recorded)
    config, levels, shown = resolve_objective(config, recorded)
    clipped = _describe_clipping(recorded)
    patterns = _describe_patterns(clean)
    sentences = (defects, rounded, clipped, patterns, finding, wide, shown)
    finding = " ".join(sentence for sentence in sentences if sentence)
    patch_size, note = resolve_patch_size(
        config.patch_size, images, config.network.stride, config.masking.binning
    )
    notes += [note] if note else []
    by_channel = _make_trainers(
        images, planes, config, patch_size, device, dtype, start
    )
    for channel, trainer in by_channel.items():
        trainer.level = levels[channel]
    trainers = list(by_channel.values())
    planes.clear()  # the trainers hold the pixels on the device
    recorded.clear()
    batch = Batch(config, patch_size, device)
    pixels = min(len(trainer.sampler.pixels) for trainer in trainers)
    # Overlapping bins teach less than as many pixels.
    pixels //= config.masking.binning
    schedule.limit(pixels, config.batch_size * patch_size**2)
    history, due = LossHistory(), schedule.elapsed()
    total, counted = torch.zeros((), device=device), 0
    step = turn = seen = 0
    progress = TrainingProgress(LEARNING, finding=finding)
    schedule.begin()
    while True:
        # One pass of a channel's network; a step is as many passes as it takes to
        # have seen the whole batch in every channel.
        trainer = trainers[turn]
        loss_now = batch.accumulate(trainer)
        if loss_now is None:
            seen = 0
            continue
        total += loss_now
        counted += 1
        seen += 1
        batch.keep_time(schedule, len(trainers))
        if seen >= batch.passes:
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
        history = history.appended(step, loss)
        total.zero_()
        counted = 0
        progress = _progress(schedule, step, history, trainers[0], finding)
        preview = None
        if isinstance(command, FieldOfView):
            preview = show(command, clean[0], by_channel)
        asked = yield replace(progress, preview=preview)
        command = STOP if command is STOP else asked
        if done or command is STOP:
            break
        due = schedule.elapsed() + _YIELD_S
    notes += batch.notes()
    few = "" if start else _few_steps(schedule, step, command is STOP)
    notes += [few] if few else []
    for trainer in trainers:
        trainer.recover()
    yield from _settle(trainers, progress, command is STOP)
    if config.sees and not trainers[0].sees:  # ended before
        config = config.model_copy(update={"objective": "squared_error"})
    channels = tuple(
        by_channel[channel].model() if channel in by_channel else ChannelModel.empty()
        for channel in range(images[0].channels)
    )
    notes += [_EARLY_NOTE] if schedule.ended_early(step) else []
    notes += [note for trainer in trainers for note in trainer.notes()]
    provenance = _provenance(images, config, schedule, step, device, dtype, notes)
    provenance["finding"] = finding
    if few:
        provenance["few_steps"] = few
    if start:
        provenance["continues"] = _earlier(start)
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
    """Go over to the likelihood, or to Stein's risk, when its time has come.

    From the start, a likelihood would weigh dim pixels most and hold the mean back.
    """
    bootstraps = config.objective == "bootstrap" and not trainers[0].calibrated
    moments = tuple(_BOOTSTRAPS) if bootstraps else (_WARM_UP,)
    moments = (_SIGHT,) if config.sees else moments
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
    said = replace(progress, stage=FINISHING)
    return (yield from _in_turn(trainers, ChannelTrainer.settle, said, stopped))


def _in_turn(
    trainers: list[ChannelTrainer],
    what: Callable[[ChannelTrainer, float, int], Iterator[None]],
    said: TrainingProgress,
    stopped: bool,
) -> Teaching:
    """Let each trainer do something bit by bit, within earshot of a stop."""
    flop, steps = _effort(trainers[0].config, stopped)
    due = time.perf_counter() + _YIELD_S
    for trainer in trainers:
        for _ in what(trainer, flop / len(trainers), steps):
            if stopped or time.perf_counter() < due:
                continue
            if (yield said) is STOP:
                return STOP
            due = time.perf_counter() + _YIELD_S
    return None


def _effort(config: TrainingConfig, stopped: bool) -> tuple[float, int]:
    """Operations and steps of a fit to the noise: fewer behind a brief training."""
    flop, steps = _SETTLE[stopped]
    share = min(1.0, (config.budget_s or math.inf) / _UNHURRIED_S)
    return flop * share, math.ceil(steps * share)


def preload() -> None:
    """Import what the first training of a process would else wait for, for seconds.

    Optimisers import torch's compiler, whether it is used or not.
    """
    importlib.import_module("torch._dynamo")


def train(
    images: Image | Sequence[Image],
    config: TrainingConfig,
    *,
    start: TrainedModel | None = None,
) -> TrainedModel:
    """Run `train_steps` to its end.

    See `train_steps` for the parameters and errors.
    """
    return run_to_end(train_steps(images, config, start=start))


def require_trainable(
    images: Sequence[Image], config: TrainingConfig, start: TrainedModel | None = None
) -> list[str]:
    """Refuse what cannot be learned from, by type, shape and settings alone.

    Pixels are not looked at, so that lazy images stay lazy.

    Parameters
    ----------
    images : sequence of Image
        To train on.
    config : TrainingConfig
        What is to be trained.
    start : TrainedModel, optional
        To continue from.

    Returns
    -------
    list of str
        Sentences the user should read, as from `require_denoisable`.

    Raises
    ------
    RequestError
        If an image cannot be denoised or is too small, or if images, config and model
        do not go together.
    """
    if not images:
        raise RequestError("There is no image to train on.", "Choose one.")
    notes = [note for image in images for note in require_denoisable(image)]
    for image in images:
        require_room(image, config.network.stride, config.masking.binning)
    if len({image.channels for image in images}) > 1:
        raise RequestError(
            "The images have different numbers of channels "
            f"({', '.join(str(image.channels) for image in images)}).",
            "Train on images of the same kind together.",
        )
    if start:
        require_continuable(images[0], config, start)
    return list(dict.fromkeys(notes))


def require_continuable(
    image: Image, config: TrainingConfig, start: TrainedModel
) -> None:
    """Refuse to go on from a model with other settings than those it was made with.

    Parameters
    ----------
    image : Image
        To train on; its pixels are not looked at.
    config : TrainingConfig
        What is to be trained.
    start : TrainedModel
        To continue from.

    Raises
    ------
    RequestError
        If the network, what it predicts, its noise model, point spread function or
        masking differ, or the image has other channels than the model.
    """
    start.require_fits(image)
    made, config = start.config, _continued(config, start.config)
    if differing := _differing(made, config):
        raise RequestError(
            "Continue needs the settings that the model was trained with; here "
            f"differ: {differing}.",
            "Set them as they were, or do not continue.",
        )
    sizes = made.masking.binning, config.masking.binning
    if sizes[0] != sizes[1]:
        raise RequestError(
            "Continue needs the masking that the model was trained with: "
            f"{_bins_text(sizes[0])}, not {_bins_text(sizes[1])}.",
            "Choose the automatic masking, or do not continue.",
        )


def _continued(config: TrainingConfig, made: TrainingConfig) -> TrainingConfig:
    """Settings to continue with: what follows the image is what it was."""
    changes: dict[str, Any] = {}
    if isinstance(config.masking, AutomaticMask):
        changes["masking"] = made.masking
    if isinstance(config.network, UNet) and config.network.scales:
        changes["network"] = made.network
    return config.model_copy(update=changes)


def _differing(made: TrainingConfig, config: TrainingConfig) -> str:
    """Settings of a network that differ, such as "width 4 (16 in the model)"."""
    found = []
    for part in ("network", "signal", "noise_model", "psf"):
        old, new = getattr(made, part), getattr(config, part)
        title = str(TrainingConfig.model_fields[part].title).lower()
        if type(old) is not type(new):
            found.append(f"{title} {new.kind} ({old.kind} in the model)")
            continue
        found += [
            f"{title} {str(field.title or name).lower()}{_values(new, old, name)}"
            for name, field in type(new).model_fields.items()
            if getattr(old, name) != getattr(new, name)
            and not (name in _FROM_FILES and bool(getattr(new, "file", "")))
        ]
    return ", ".join(found)


_FROM_FILES = ("curve", "values")
"""Fields that `resolve_files` fills: where a file is named, its name says it all."""


def _values(new: Any, old: Any, name: str) -> str:
    """Two values of a field, where they are short enough to be read."""
    if name in _FROM_FILES:
        return ""
    return f" {getattr(new, name)} ({getattr(old, name)} in the model)"


def _bins_text(size: int) -> str:
    return f"bins of {size} × {size} px" if size > 1 else "single pixels"


def _read_planes(
    images: list[CleanImage], config: TrainingConfig
) -> list[list[CleanPlane]]:
    """Planes to train on, of each channel; none of channels that are empty.

    Raises
    ------
    RequestError
        If there is nothing to learn from in any channel.
    """
    rng = np.random.default_rng(config.seed)
    side = config.patch_size * LARGEST_BIN
    planes = [
        training_planes(images, channel, rng, side)
        for channel in range(images[0].image.channels)
    ]
    if not any(planes):
        raise nothing_to_learn(images[0].image)
    return planes


def _describe_defects(
    images: list[CleanImage], planes: list[list[CleanPlane]], config: TrainingConfig
) -> str:
    """What is left out of the training, in sentences."""
    empty = [channel for channel, some in enumerate(planes, 1) if not some]
    blank = sum(
        image.blank_planes(channel)
        for image in images
        for channel, some in enumerate(planes)
        if some
    )
    read = (plane for some in planes for plane in some)
    count = DefectCount.of(read, blank)
    sentences = [
        f"Channel {channel} of {len(planes)} stays as it is: it holds nothing to "
        "learn from."
        for channel in empty
    ]
    return " ".join(
        filter(None, [*sentences, describe_defects(count, config.outliers)])
    )


def _describe_rounding(images: list[Image]) -> str:
    """What is lost of values far from zero, in sentences; refuses what is all lost."""
    found = (note for image in images for note in rounding_notes(image))
    return " ".join(dict.fromkeys(found))


def _describe_clipping(channels: list[list[NDArray[np.float32]]]) -> str:
    """Where values end at those that could be recorded, in sentences."""
    found = (str(measure_clipping(planes)) for planes in channels if planes)
    return " ".join(dict.fromkeys(sentence for sentence in found if sentence))


def _describe_patterns(images: list[CleanImage]) -> str:
    """Offsets of lines that were subtracted, in sentences."""
    channels = range(images[0].image.channels)
    found = (str(image.patterns(channel)) for image in images for channel in channels)
    return " ".join(dict.fromkeys(sentence for sentence in found if sentence))


def _make_trainers(
    images: list[Image],
    channels: list[list[CleanPlane]],
    config: TrainingConfig,
    patch_size: int,
    device: torch.device,
    dtype: torch.dtype,
    start: TrainedModel | None,
) -> dict[int, ChannelTrainer]:
    """Trainers of the channels that are not empty, by their number."""
    kernel = config.psf.kernel(images[0].pixel_size_um)
    before = start.channels if start else (ChannelModel.empty(),) * len(channels)
    return {
        channel: ChannelTrainer(
            planes,
            config,
            patch_size,
            device,
            dtype,
            config.seed + channel,
            kernel,
            None if before[channel].is_empty else before[channel],
        )
        for channel, planes in enumerate(channels)
        if planes
    }


_EARLY_NOTE = (
    "The training ended before its time: with more steps on so few pixels, the network "
    "would learn their noise."
)


def _few_steps(schedule: Schedule, steps: int, stopped: bool) -> str:
    """A note where a training ended with hardly anything learned."""
    if schedule.out_of_time(steps):
        return (
            "Too short: try 2 min or more, or continue from this model. The time was "
            f"enough for {_steps_text(steps)} only."
        )
    if stopped and schedule.few(steps):
        return (
            f"The training was stopped after {_steps_text(steps)}, too few to learn "
            "much. Train longer, or continue from this model."
        )
    return ""


def _steps_text(steps: int) -> str:
    return f"{steps} step{'s' if steps != 1 else ''}"


def _progress(
    schedule: Schedule,
    step: int,
    history: LossHistory,
    trainer: ChannelTrainer,
    finding: str,
) -> TrainingProgress:
    return TrainingProgress(
        LEARNING,
        step,
        schedule.elapsed(),
        schedule.remaining(step),
        schedule.fraction(step),
        float(history.loss[-1]) if len(history.loss) else math.nan,
        history,
        trainer.noise_curve(),
        trainer.scatter(),
        finding=finding,
        config=trainer.config,
    )


def _earlier(start: TrainedModel) -> list[dict[str, Any]]:
    """Trainings that a model has behind it, the first one first."""
    made = start.provenance
    names = ("images", "recipe", "seed", "steps", "seconds", "versions")
    last = {name: made[name] for name in names if name in made}
    return [*made.get("continues", []), last]


def _provenance(
    images: list[Image],
    config: TrainingConfig,
    schedule: Schedule,
    steps: int,
    device: torch.device,
    dtype: torch.dtype,
    notes: list[str],
) -> dict[str, Any]:
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
