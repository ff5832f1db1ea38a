"""Time that a run takes: before it, from a probe, and while it goes on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch

from napari_selfdenoise.compute import (
    AwakeTime,
    computing,
    device_errors_as_sentences,
    resolve_device,
    resolve_precision,
)
from napari_selfdenoise.config import PlanesReach, TrainingConfig, patches_a_step
from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.images import ROTATIONS, Image, tile_grid
from napari_selfdenoise.long_work import STOP, run_to_end
from napari_selfdenoise.model import TrainedModel, on_device, run
from napari_selfdenoise.parts.networks import UNet
from napari_selfdenoise.prediction import MOST_PLANES, largest_side, low_pass_radius
from napari_selfdenoise.training import (
    FINISHING,
    MAX_TRAINING_PIXELS,
    Schedule,
    Training,
    TrainingProgress,
    train_steps,
)

_PROBE_S = 0.5
"""Seconds of training that tell how long a step takes; more where steps are longer."""

_PASS_FLOP = 6e9  # operations of the pass that is timed
_PASSES = 4  # passes that are timed, after a first one

_OVERHEAD = 1.15
"""Time of an estimate over that of its passes: what is filled, turned and averaged."""

_DIFFERENCES = 8
"""Passes that the noise is measured by, before estimates are blended."""

_SAMPLE = 2**20
"""Pixels of a plane that the automatic estimator measures, at most."""

# Predictions that the noise model is fitted to after learning; the lesser of the two.
_FIT_FLOP = 2e11  # operations
_FIT_PASSES = 16  # passes over the image
_FIT_S = 1.5  # seconds that the fit itself takes, about

_FULL_FIT_S = 30.0
"""Budget below which the fit is shorter."""

# Shorter runs are not estimated, as that takes seconds itself.
_BRIEF_S = 10  # budget in seconds
_BRIEF_STEPS = 100  # steps

_MEASURED = 2**19
"""Pixels that the noise is measured in before learning, at most."""

_SURE = 0.05
"""Share of a plane from which on its own speed gives the time left."""

_PACE_S = 1.0  # seconds of learning after which it shows how busy the machine is
_PACES = (0.8, 50.0)  # factors of an estimate that are possible; where steps are much
# faster than estimated, batches were made smaller

_APART = 1.05
"""The longer time over the shorter one, from which on both are named."""


class Speed(NamedTuple):
    """Speed of a network on a device.

    Parameters
    ----------
    step_s : float
        Seconds of a training step of one channel.
    pixel_s : float
        Seconds of a pass over one pixel of an image that is denoised.
    reading_s : float
        Seconds for a pixel that is read and measured before learning.
    """

    step_s: float
    pixel_s: float
    reading_s: float


@dataclass(frozen=True)
class RunEstimate:
    """Estimate of how long a run takes, in its parts.

    Parameters
    ----------
    reading_s : float
        Until the first step.
    learning_s : float or None
        Of the steps; None where they go on until they are stopped.
    finishing_s : float
        Of the fit to the noise after it.
    plane_s, masked_plane_s : float
        To denoise one plane; and where it turns out to be worth masking each pixel.
    planes : int
        How many are denoised.
    step_s : float
        Of a training step.
    steps : int or None
        Steps that were asked for.
    speed : Speed
        What this follows from.
    """

    reading_s: float
    learning_s: float | None
    finishing_s: float
    plane_s: float
    masked_plane_s: float
    planes: int
    step_s: float
    steps: int | None
    speed: Speed

    def of(self, planes: int) -> RunEstimate:
        """Return the same with another number of planes that are denoised."""
        return replace(self, planes=planes)

    @property
    def denoising_s(self) -> float:
        """Seconds to denoise the planes."""
        return self.planes * self.plane_s

    @property
    def total_s(self) -> float | None:
        """Seconds of all; None where the training lasts until it is stopped."""
        if self.learning_s is None:
            return None
        return self.training_s + self.denoising_s

    @property
    def most_s(self) -> float | None:
        """Seconds of all, where it turns out to be worth masking each pixel."""
        if self.learning_s is None:
            return None
        return self.training_s + self.planes * self.masked_plane_s

    @property
    def training_s(self) -> float:
        """Seconds of reading, learning and finishing."""
        return self.reading_s + (self.learning_s or 0.0) + self.finishing_s

    @property
    def cut_short(self) -> bool:
        """Whether the time ends the training long before its steps are done."""
        wanted = (self.steps or 0) * self.step_s
        return self.learning_s is not None and wanted > 2 * self.learning_s


# Before a run ------------------------------------------------------------------------

_known: dict[str, Speed] = {}


def estimate_run(image: Image, config: TrainingConfig) -> RunEstimate:
    """Run `estimate_steps` to its end.

    See `estimate_steps` for the parameters and errors.
    """
    return run_to_end(estimate_steps(image, config))


def estimate_steps(
    image: Image, config: TrainingConfig, *, in_background: bool = False
) -> Generator[None, object, RunEstimate]:
    """Estimate how long it takes to train on an image and denoise it, by a short probe.

    Network and device are tried once for a few steps, on noise; the process keeps what
    was measured. No pixel of the image is read.

    Parameters
    ----------
    image : Image
        What is to be denoised.
    config : TrainingConfig
        What is to be trained, and on which device.
    in_background : bool
        Compute at low priority, where a window shares the machine.

    Yields
    ------
    None
        Several times a second; close the generator to end it.

    Returns
    -------
    RunEstimate

    Raises
    ------
    RequestError
        If the config cannot be used.
    DenoisingError
        If the device fails, or has no room for the probe.
    """
    network = config.network
    if isinstance(network, UNet):  # as wide as it will be for this image
        chosen = network.scaled(_training_pixels(image))
        config = config.model_copy(update={"network": chosen})
    key = _what_matters(config).model_dump_json()
    if key not in _known:
        with computing(in_background), device_errors_as_sentences("trying its speed"):
            _known[key] = yield from _probe(_what_matters(config))
    return estimate(image, _usual(config), _known[key])


def _usual(config: TrainingConfig) -> TrainingConfig:
    """The config as it will be for most images: few have noise of one strength."""
    if not config.uses_sure:
        return config
    return config.model_copy(update={"objective": "squared_error"})


def worth_estimating(config: TrainingConfig) -> bool:
    """Whether a run has an end, and is long enough to be estimated by a probe first."""
    ends = config.budget_s is not None or config.steps is not None
    brief = (config.budget_s or math.inf) < _BRIEF_S
    return ends and not brief and (config.steps or math.inf) >= _BRIEF_STEPS


def with_estimate(
    image: Image, config: TrainingConfig, steps: Callable[[], Training]
) -> Generator[RunEstimate | TrainingProgress | None, Any, TrainedModel]:
    """Estimate how long a run takes, then train.

    Parameters
    ----------
    image, config
        As for `estimate_steps`.
    steps : callable
        Makes the training.

    Yields
    ------
    RunEstimate, TrainingProgress or None
        None while it is tried how long it takes; then the estimate, if there is one.

    Returns
    -------
    TrainedModel
    """
    probe = estimate_steps(image, config)
    try:
        while (yield next(probe)) is not STOP:
            pass
    except StopIteration as end:
        yield end.value
    except (RequestError, DenoisingError):
        pass  # the training says what is wrong, too, if anything is
    probe.close()
    return (yield from steps())


def estimate(image: Image, config: TrainingConfig, speed: Speed) -> RunEstimate:
    """Estimate how long a run takes, from the speed of its network."""
    step_s = speed.step_s * image.channels
    padded = padded_pixels(image.plane_shape, config) * speed.pixel_s
    pixels = math.prod(image.shape)
    return RunEstimate(
        min(pixels, _MEASURED) * speed.reading_s,
        _learning(image, config, step_s),
        _finishing(image, config, speed),
        padded * passes(config, image.plane_shape),
        padded * passes(config, image.plane_shape, masked=True),
        image.plane_count,
        step_s,
        config.steps,
        speed,
    )


def _finishing(image: Image, config: TrainingConfig, speed: Speed) -> float:
    """Seconds of the fit to the noise."""
    most = _FIT_PASSES * _training_pixels(image) * image.channels
    pixels = min(_FIT_FLOP / config.network.flops_per_pixel, most)
    share = min(1.0, (config.budget_s or math.inf) / _FULL_FIT_S)
    return share * (pixels * speed.pixel_s + _FIT_S)


def _what_matters(config: TrainingConfig) -> TrainingConfig:
    """The config without what changes nothing about the speed."""
    same = {"recipe": "", "budget_s": None, "steps": None, "seed": 0, "flips": True}
    return config.model_copy(update=same)


def _probe(config: TrainingConfig) -> Generator[None, object, Speed]:
    """Measure the speed of a network on its device."""
    step_s, reading_s = yield from _step_seconds(config)
    yield
    return Speed(step_s, _pixel_seconds(config), reading_s)


def _step_seconds(
    config: TrainingConfig,
) -> Generator[None, object, tuple[float, float]]:
    """Seconds of a training step, after the first, and of reading a pixel.

    Of a large batch a few patches are tried: the rest takes as long each.
    """
    depth = config.context.depth
    cost = config.network.flops_per_pixel * depth * config.patch_size**2
    patches = min(patches_a_step(config), max(1, int(_PASS_FLOP // cost)))
    share = patches / patches_a_step(config)
    config = config.model_copy(update={"batch_size": patches * depth})
    side = max(256, 2 * config.patch_size)
    shape = (depth, side, side) if config.context.volumetric else (side, side)
    noise = np.random.default_rng(0).normal(100, 10, (2, *shape)).astype(np.float32)
    image, other = (Image(half, "ZYX"[-half.ndim :]) for half in noise)
    alone = config.supervision == "self"
    taught: dict[str, Any] = {} if alone else {config.supervision: other}
    training = train_steps(image, config, **taught)
    first: TrainingProgress | None = None
    try:
        for progress in training:
            yield
            if first is None and progress.step:
                first = progress
            if first is None or progress.step == first.step:
                continue
            spent = progress.elapsed_s - first.elapsed_s
            if spent > _PROBE_S:
                each = spent / (progress.step - first.step)
                before = max(0.0, first.elapsed_s - first.step * each)
                return each / share, before / noise[0].size
    finally:
        training.close()
    return 0.0, 0.0


def _pixel_seconds(config: TrainingConfig) -> float:
    """Seconds that a pass over an image takes for each pixel, others' load and all."""
    device = resolve_device(config.device)
    dtype = resolve_precision(device, config.precision)
    network = on_device(config.build_network(), device).eval()
    side = math.sqrt(_PASS_FLOP / config.network.flops_per_pixel)
    side = config.stride * max(1, round(min(max(side, 128), 512) / config.stride))
    planes = config.context.depth
    image = torch.zeros((planes, config.inputs, side, side), device=device)
    size = config.masking.binning
    took: list[float] = []
    for _ in range(1 + _PASSES):
        began = time.perf_counter()
        with torch.no_grad():
            mean = run(network, None, image, dtype, size, planes).mean
        float(mean[0, 0, 0, 0])  # waits for a graphics card
        took.append(time.perf_counter() - began)
    return _OVERHEAD * sum(took[1:]) / _PASSES / (planes * side**2)


def _learning(image: Image, config: TrainingConfig, step_s: float) -> float | None:
    """Seconds of learning: of the budget, of the steps, or of all there is to learn."""
    schedule = Schedule(config, 0.0)
    planes = patches_a_step(config) * config.context.depth
    schedule.limit(_training_pixels(image), planes * config.patch_size**2)
    most = schedule.steps or schedule.enough
    ends = [config.budget_s] if config.budget_s is not None else []
    ends += [most * step_s] if most is not None else []
    return min(ends, default=None)


def _training_pixels(image: Image) -> int:
    pixels = math.prod(image.shape) // image.channels
    return min(pixels, MAX_TRAINING_PIXELS)


def passes(
    config: TrainingConfig, plane_shape: tuple[int, int], masked: bool = False
) -> float:
    """Number of passes of the network over each pixel of a plane that is denoised.

    Parameters
    ----------
    config : TrainingConfig
        Its estimator and orientations count.
    plane_shape : tuple of int
        Rows and columns.
    masked : bool
        Whether the automatic estimator finds it worth masking each pixel.
    """
    turns = min(len(ROTATIONS), len(config.masking.orientations))
    turns = turns if config.flips else 1
    if config.supervision == "pair":
        return 2 * turns
    places = math.prod(config.masking.lattice)
    if not config.estimator.blends:
        return turns * (places if config.estimator.masks_pixels else 1)
    if config.masking.correlated:
        return turns
    passes_made = 2 * turns + (0 if config.uses_own_value else _DIFFERENCES)
    each = 0
    if masked and not config.uses_own_value:
        passes_made += turns * places
        each = turns * places
    share = min(1.0, _SAMPLE / math.prod(plane_shape))
    return passes_made if share == 1 else passes_made * share + turns + each


def padded_pixels(shape: tuple[int, int], config: TrainingConfig) -> int:
    """Pixels of a plane as it is predicted: each tile with its margins."""
    wider = low_pass_radius(config) if config.estimator.blends else 0
    margin = config.receptive_field_radius + wider
    side = largest_side(config, margin, resolve_device(config.device))
    tiles = tile_grid((), shape, side, config.stride)
    pixels = sum(
        (tile.bottom - tile.top + 2 * margin) * (tile.right - tile.left + 2 * margin)
        for tile in tiles
    )
    # Of a volume, the planes around those that are predicted at once count, too.
    around = 2 * PlanesReach.of(config).radius / MOST_PLANES
    return round(pixels * (1 + around))


# While it goes on --------------------------------------------------------------------


class Moment(NamedTuple):
    """Share of a run that is done, and the time left.

    Parameters
    ----------
    fraction : float or None
        Share of the whole run that is done; None where no end is in sight.
    left_s : float or None
        Seconds left; None where they are not known.
    """

    fraction: float | None
    left_s: float | None


class Portions:
    """How far a run over several images is, of which some are larger than others.

    Parameters
    ----------
    images : sequence of Image
        That are denoised one after the other.
    """

    def __init__(self, images: Sequence[Image]) -> None:
        self._sizes = [max(1, math.prod(image.shape)) for image in images]

    def fraction(self, place: int, fraction: float) -> float:
        """Share of all that is done when so much of the image at a place is.

        Examples
        --------
        >>> Portions([Image(np.zeros((2, n)), "YX") for n in (1, 3)]).fraction(1, 0.5)
        0.625
        """
        done = sum(self._sizes[:place]) + fraction * self._sizes[place]
        return float(done / sum(self._sizes))


class RunClock:
    """Share done and time left of a whole run: learning, finishing, denoising.

    Parameters
    ----------
    image : Image
        What is denoised.
    estimate : RunEstimate, optional
        Made before the run. Without it, the time left is known late.
    now : callable, optional
        Gives seconds; `AwakeTime` where it is not given.

    Attributes
    ----------
    planes : int
        How many are denoised: all, unless set otherwise.
    """

    def __init__(
        self,
        image: Image,
        estimate: RunEstimate | None = None,
        now: Callable[[], float] | None = None,
    ) -> None:
        self.image, self.planes = image, image.plane_count
        self._estimate, self._now = estimate, now or AwakeTime()
        self._began = self._now()
        self._fraction = 0.0
        self._config: TrainingConfig | None = None
        self._first: tuple[float, int] | None = None
        self._pace = 1.0
        self._finishing: float | None = None
        self._plane, self._plane_began = -1, 0.0
        self._denoising = 0.0

    @property
    def estimate(self) -> RunEstimate | None:
        """Estimate of the run with the planes that are denoised, if there is one."""
        return self._estimate and self._estimate.of(self.planes)

    @estimate.setter
    def estimate(self, estimate: RunEstimate | None) -> None:
        self._estimate = estimate

    def learning(self, progress: TrainingProgress) -> Moment:
        """Share done and time left of the run, during its training."""
        self._follow(progress)
        known = self.estimate
        if progress.stage == FINISHING:
            return self._at(self._left_of_finishing())
        if not progress.step:
            total = known.total_s if known else None
            return self._at(None if total is None else max(0.0, total - self._spent()))
        if progress.remaining_s is None:
            self._began = self._now()  # what can be foreseen begins with Stop
            return Moment(None, None)
        self._keep_pace(progress.step)
        return self._at(progress.remaining_s + self.ahead_s)

    @property
    def ahead_s(self) -> float:
        """Seconds that are left when the learning is done, as far as is known."""
        known = self.estimate
        if known is None:
            return 0.0
        return self._pace * (known.finishing_s + known.denoising_s)

    def denoising(self, fraction: float) -> Moment:
        """Share done and time left of the run, during the denoising."""
        plane = self.plane(fraction) - 1
        if self._plane < 0:
            self._denoising = self._now()
        if plane != self._plane:
            self._plane, self._plane_began = plane, self._now()
        return self._at(self._left_of_denoising(fraction * self.planes - plane))

    def plane(self, fraction: float) -> int:
        """Number of the plane that is denoised now, from 1."""
        return min(int(fraction * self.planes + 1e-9), self.planes - 1) + 1

    def _left_of_finishing(self) -> float | None:
        if self._finishing is None:
            self._finishing = self._now()
        known = self.estimate
        if known is None:
            return None
        spent = self._now() - self._finishing
        finishing, denoising = known.finishing_s, known.denoising_s
        return max(self._pace * finishing - spent, 0.0) + self._pace * denoising

    def _left_of_denoising(self, share: float) -> float | None:
        """Seconds left, by the time of earlier planes, or by the estimate of one."""
        spent = self._now() - self._plane_began
        each: float | None = None
        if self._plane:
            each = (self._plane_began - self._denoising) / self._plane
        elif self.estimate:
            each = self._first_plane(self.estimate, spent, share)
        elif share > _SURE:
            each = spent / share
        if each is None:
            return None
        return max(each - spent, 0.0) + (self.planes - self._plane - 1) * each

    def _first_plane(self, known: RunEstimate, spent: float, share: float) -> float:
        """Seconds of a plane: as estimated, until it has taken longer."""
        for plane_s in (known.plane_s, known.masked_plane_s):
            if spent < 1.3 * self._pace * plane_s:
                return self._pace * plane_s
        return spent / max(share, _SURE)

    def _keep_pace(self, step: int) -> None:
        """Compare the steps of this run with the estimate of one.

        Whatever else keeps the machine busy now makes all later parts longer, too.
        """
        if self.estimate is None or not self.estimate.step_s:
            return
        began, first = self._first = self._first or (self._now(), step)
        spent, done = self._now() - began, step - first
        if spent >= _PACE_S and done:
            least, most = _PACES
            pace = spent / done / self.estimate.step_s
            self._pace = min(pace, most) if pace > least else 1.0

    def _follow(self, progress: TrainingProgress) -> None:
        """Adapt the estimate to settings that follow the image, once it is read."""
        if self.estimate is None or self._config is not None:
            return
        if progress.config is not None:
            self._config = progress.config
            again = estimate(self.image, progress.config, self.estimate.speed)
            self.estimate = replace(again, learning_s=self.estimate.learning_s)

    def _spent(self) -> float:
        return self._now() - self._began

    def _at(self, left: float | None) -> Moment:
        if left is None:
            return Moment(self._fraction, None)
        spent = self._spent()
        share = spent / (spent + left) if spent + left > 0 else 0.0
        self._fraction = min(max(self._fraction, share), 0.99)
        return Moment(self._fraction, left)


# Words -------------------------------------------------------------------------------


def duration(seconds: float) -> str:
    """Text of a time in seconds.

    Examples
    --------
    >>> duration(7.4), duration(85), duration(29_000)
    ('7 s', '1 min 25 s', '8 h')
    """
    if seconds < 59.5:
        return f"{max(1, round(seconds))} s"
    if seconds < 595:
        minutes, rest = divmod(5 * round(seconds / 5), 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h" if seconds < 9000 else f"{seconds / 3600:.0f} h"


def left_text(seconds: float | None) -> str:
    """Short text of the time left; empty where it is not known."""
    return "" if seconds is None else f"{duration(seconds)} left"


def learning_text(progress: TrainingProgress, clock: RunClock) -> str:
    """Text of what a training is doing, in the middle of a run."""
    if progress.stage == FINISHING or not progress.step:
        return f"{progress.stage}…"
    if progress.fraction is None:
        return f"{progress.stage}, until you stop it."
    then = f", then about {duration(clock.ahead_s)} more" if clock.ahead_s else ""
    return f"{progress.stage}, {progress.fraction:.0%}{then}."


def denoising_text(fraction: float, clock: RunClock) -> str:
    """Text of which image is denoised."""
    if clock.planes == 1:
        return "Denoising."
    return f"Denoising image {clock.plane(fraction)} of {clock.planes}."


def forecast(found: RunEstimate, recipe: str) -> str:
    """Text of how long a run will take, and what to try if that is too long."""
    images = "the image" if found.planes == 1 else f"{found.planes} images"
    denoising = f"{duration(found.denoising_s)} of denoising {images}"
    if found.total_s is None or found.learning_s is None:
        return f"Learning until you stop it, then about {denoising}."
    if found.cut_short and found.steps:
        wanted = duration(found.steps * found.step_s)
        advice = "Give it more time." if recipe.lower() == "fast" else "Try Fast."
        return (
            f"The time of {duration(found.learning_s)} ends this early. {recipe} has "
            f"{found.steps:,} steps: about {wanted} on this computer. {advice}"
        )
    learning = f"{duration(found.learning_s)} of learning"
    if found.most_s and found.most_s >= _APART * found.total_s:
        both = f"{duration(found.total_s)} to {duration(found.most_s)}"
        return f"About {both} in all: {learning}, the rest denoising."
    return f"About {duration(found.total_s)} in all: {learning}, {denoising}."
