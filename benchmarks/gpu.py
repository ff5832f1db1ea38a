"""A GPU: its own speed, training and prediction on it, time to quality, agreement.

    python benchmarks/gpu.py [--recipes fast best ollion pn2v] [--device cuda]
        [--budgets 5 15 30 60] [--also-cpu] [--limit 220] [--seed 0]
    python benchmarks/gpu.py --steps 5 --recipes fast --side 128 --large 256
        --set network.width=8 batch_size=2 patch_size=32    (a quick try on a CPU)

Needs no image: the scene is made here, with its truth. Under four minutes on a fast GPU
unless `--also-cpu` is given: what no longer fits the limit is left out, and said on
stderr.

Card: rates of one large product of matrices in each number format, best of several.
Small trial: what the automatic precision decides by, each format over float32.

Training: each recipe in the format that is chosen automatically and in the other one.
Steps a second are those of the real loop, in the second half of a short training, when
all its objectives have begun. Operations are counted by torch over the passes of one
step, forward and backward, and shared by the card's measured rate in the format of the
training (TF32 for float32 where convolutions use it).

A GPU repeats recorded passes of networks (CUDA graphs); `--unrecorded` hands it each
kernel instead, as before.

Prediction: a large square by the model of the automatic format, with its recipe's
estimator; one or eight orientations. A prediction that takes too long is ended, and its
rate taken from the share that was done. Memory is the most that torch reserved.

Agreement: two trainings with one seed, and one model's predictions on the GPU and the
CPU; the unit is the median noise std.

Time to quality: PSNR of the scene after trainings of so many seconds with `fast`,
prediction not counted in; they may end earlier, when there is no more to learn.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import numpy as np
import torch
from common import (
    Pixels,
    Row,
    add_change_options,
    describe_machine,
    gpu_peak_bytes,
    image_of,
    load_everything,
    ours,
    print_table,
    require_valid,
    say,
)
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from napari_selfdenoise import (
    STOP,
    DenoisingError,
    TrainedModel,
    TrainingConfig,
    denoise,
    predict_tiles,
    recipe,
    train,
    train_steps,
)
from napari_selfdenoise.compute import resolve_device, resolve_precision
from napari_selfdenoise.compute.device import compute_threads, trial_seconds
from napari_selfdenoise.evaluation import psnr
from napari_selfdenoise.training import LEARNING, TrainingProgress, recorded_passes
from napari_selfdenoise.training.channel_trainer import ChannelTrainer

CARD = ("device", "memory, GiB", "driver", "CUDA", "cuDNN", "torch", "seed")
RATES = ("matrix product", "TFLOP/s", "small trial, speed over float32")
TRAINING = (
    "training",
    "format",
    "steps/s",
    "patches/s",
    "TFLOP a step",
    "TFLOP/s",
    "share of the card",
    "peak, MiB",
    "seconds in all",
)
PREDICTION = (
    "prediction",
    "format",
    "estimator",
    "orientations",
    "share done",
    "seconds",
    "Mpx/s",
    "peak, MiB",
)
AGREEMENT = (
    "format",
    "one seed twice, weights",
    "one seed twice, prediction",
    "GPU and CPU, largest",
    "GPU and CPU, root mean square",
)
QUALITY = (
    "budget",
    "device",
    "format",
    "steps",
    "steps/s",
    "train, s",
    "predict, s",
    "PSNR",
)
FORMATS = {"bfloat16": torch.bfloat16, "float32": torch.float32}
PROBED = 8
"""Passes that operations are counted over: one of eight looks at the noise as well."""


def main() -> None:
    """Print the tables of one device."""
    options = _options()
    device = resolve_device(options.device)
    torch.set_num_threads(compute_threads())
    end = _Deadline(options.limit)
    print(describe_machine(seed=options.seed, **{"measured device": device}))
    load_everything()
    if options.unrecorded:
        mock.patch.object(recorded_passes, "records", lambda device: False).start()
    with _section("Card"):
        rates = _print_card(device, options)
    with _section("Training"):
        models: dict[str, TrainedModel] = {}
        print_table(TRAINING, _trainings(device, rates, models, options, end))
    with _section("Prediction"):
        print_table(PREDICTION, _predictions(device, models, options, end))
    with _section("Agreement"):
        print_table(AGREEMENT, _agreements(device, options, end))
    with _section("Time to quality"):
        _print_quality(device, options, end)
    print(f"\nSeconds in all: {end.passed():.0f}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ["fast", "best", "ollion", "pn2v"]
    parser.add_argument("--recipes", nargs="*", default=names)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=3, help="of each training")
    parser.add_argument("--most", type=float, default=3, help="of each prediction, s")
    parser.add_argument("--side", type=int, default=512, help="of the scene, px")
    parser.add_argument("--large", type=int, default=2048, help="predicted square, px")
    parser.add_argument("--budgets", type=float, nargs="*", default=[5, 15, 30, 60])
    parser.add_argument("--also-cpu", action="store_true", help="quality there as well")
    parser.add_argument("--unrecorded", action="store_true", help="no CUDA graphs")
    parser.add_argument("--limit", type=float, default=220, help="of the whole run, s")
    add_change_options(parser)
    options = parser.parse_args()
    require_valid([ours(options, name) for name in {*options.recipes, "fast"}])
    if options.also_cpu:
        options.limit += 1.5 * sum(options.budgets)
    return options


class _Deadline:
    """When the run has to be over.

    Parameters
    ----------
    seconds : float
        From now.
    """

    def __init__(self, seconds: float) -> None:
        self._begin, self._seconds = time.perf_counter(), seconds

    def passed(self) -> float:
        """Seconds since the beginning."""
        return time.perf_counter() - self._begin

    def allows(self, seconds: float, what: str) -> bool:
        """Whether something of so many seconds still fits; says so if not."""
        fits = self.passed() + seconds <= self._seconds
        if not fits:
            say(f"No time left for {what}: raise --limit.")
        return fits


@contextmanager
def _section(title: str) -> Iterator[None]:
    """A heading, and at the end how long its part took."""
    print(f"\n## {title}\n", flush=True)
    begin = time.perf_counter()
    yield
    print(f"\nSeconds: {time.perf_counter() - begin:.1f}", flush=True)


def _config(options: argparse.Namespace, name: str, **more: object) -> TrainingConfig:
    """A recipe as the options change it; a short training, unless more is said."""
    changes: Row = {"seed": options.seed, "device": options.device}
    short = dict(ours(options, name, options.seconds).changes)
    budget = more.pop("budget_s", None)
    if budget is not None and not options.steps:
        short["budget_s"] = budget
    return recipe(name).override(changes | short | more)


# -- A scene ---------------------------------------------------------------------------


def make_scene(side: int, seed: int) -> Pixels:
    """Light of nuclei and filaments over an offset of 100, (side, side), in counts."""
    luck = np.random.default_rng(seed)
    count = max(2, side * side // 4000)
    seen = 0.3 * _nuclei(luck, side, count) + 1.5 * _filaments(luck, side, count)
    light = 100 + 300 * gaussian_filter(seen, 1.1, mode="wrap")
    return np.asarray(light, np.float32)


def _nuclei(luck: np.random.Generator, side: int, count: int) -> np.ndarray:
    """Ellipses with a grainy texture, periodic."""
    canvas = np.zeros((side, side))
    window = np.arange(-20, 21)
    for y, x in luck.integers(0, side, (count, 2)):
        angle, (long, short) = luck.uniform(0, np.pi), luck.uniform(6, 14, 2)
        u = window[:, None] * np.cos(angle) + window * np.sin(angle)
        v = window * np.cos(angle) - window[:, None] * np.sin(angle)
        place = np.ix_((y + window) % side, (x + window) % side)
        canvas[place] += (u / long) ** 2 + (v / short) ** 2 < 1
    texture = gaussian_filter(luck.standard_normal(canvas.shape), 2, mode="wrap")
    return canvas * (1 + 0.3 * texture / texture.std())


def _filaments(luck: np.random.Generator, side: int, count: int) -> np.ndarray:
    """Bending lines of a pixel's width, periodic."""
    bends = luck.normal(0, 0.08, (count, 120)).cumsum(axis=1)
    angle = luck.uniform(0, 2 * np.pi, (count, 1)) + bends
    start = luck.uniform(0, side, (2, count, 1))
    path = start + np.stack([np.sin(angle), np.cos(angle)]).cumsum(axis=2)
    canvas = np.zeros((side, side))
    canvas[tuple(path.astype(int) % side)] = 1
    return canvas


def photographed(light: Pixels, seed: int) -> np.ndarray:
    """Counts of a camera: variance 4 (s - 100) + 36, 16-bit."""
    luck = np.random.default_rng(seed + 1)
    counts = 4 * luck.poisson(np.maximum(light - 100, 0) / 4) + luck.normal(
        100, 6, light.shape
    )
    return np.asarray(np.clip(np.rint(counts), 0, 65535), np.uint16)


def _mosaic(options: argparse.Namespace, side: int) -> np.ndarray:
    """A noisy square of any side: the scene again and again, the noise anew."""
    light = make_scene(options.side, options.seed)
    repeats = -(-side // options.side)
    return photographed(np.tile(light, (repeats, repeats))[:side, :side], options.seed)


# -- The card --------------------------------------------------------------------------


def _print_card(device: torch.device, options: argparse.Namespace) -> dict[str, float]:
    """Two tables; returns the rates in FLOP/s by the training's number format."""
    print_table(CARD, [[*_card(device), torch.__version__, options.seed]])
    print()
    rates = {name: _matmul_rate(device, name) for name in ("bfloat16", *_PRODUCTS)}
    trials = {name: trial_seconds(device, dtype) for name, dtype in FORMATS.items()}
    rows = []
    for name, rate in rates.items():
        trial = f"{trials['float32'] / trials[name]:.2f}" if name in trials else "–"
        rows.append([name, f"{rate / 1e12:.3g}", trial])
    print_table(RATES, rows)
    tf32 = device.type == "cuda" and torch.backends.cudnn.allow_tf32
    print(f"\nConvolutions in float32 use TF32: {'yes' if tf32 else 'no'}")
    return rates | {"float32": rates["TF32" if tf32 else "float32"]}


def _card(device: torch.device) -> list[str]:
    if device.type != "cuda":
        return [f"{device.type}, {torch.get_num_threads()} threads", *"––––"]
    about = torch.cuda.get_device_properties(device)
    return [
        about.name,
        f"{about.total_memory / 2**30:.0f}",
        _driver(),
        str(torch.version.cuda),
        f"{torch.backends.cudnn.version()}",
    ]


def _driver() -> str:
    """Version of the driver, as its own tool says."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "–"
    command = [tool, "--query-gpu=driver_version", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return next(iter(done.stdout.split()), "–")


_PRODUCTS = {"TF32": "high", "float32": "highest"}
"""Precision that torch calls a product of float32 matrices by."""


def _matmul_rate(device: torch.device, name: str) -> float:
    """Best rate of a product of square matrices, in FLOP/s."""
    side = 8192 if device.type == "cuda" else 1024
    dtype = FORMATS.get(name, torch.float32)
    left, right = (torch.randn((side, side), device=device, dtype=dtype) for _ in "ab")
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(_PRODUCTS.get(name, before))
    best = float("inf")
    for _ in range(10):
        begin = time.perf_counter()
        torch.mm(left, right)
        _wait(device)
        best = min(best, time.perf_counter() - begin)
    torch.set_float32_matmul_precision(before)
    return 2 * side**3 / best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _forget_peak() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _peak() -> str:
    size = gpu_peak_bytes()
    return f"{size / 2**20:.0f}" if size else "–"


# -- Training --------------------------------------------------------------------------


def _trainings(
    device: torch.device,
    rates: dict[str, float],
    models: dict[str, TrainedModel],
    options: argparse.Namespace,
    end: _Deadline,
) -> Iterator[list[str]]:
    """One row for each recipe and format; keeps the models of the automatic format."""
    noisy = _mosaic(options, 2 * options.side)
    train(image_of(noisy[:96, :96]), _config(options, "fast").override({"steps": 3}))
    chosen = str(resolve_precision(device, "auto")).removeprefix("torch.")
    for name in options.recipes:
        for dtype in sorted(FORMATS, key=lambda dtype: dtype != chosen):
            if not end.allows(options.seconds + 2, f"training {name} in {dtype}"):
                continue
            config = _config(options, name, precision=dtype)
            try:
                run = _trained(noisy, config)
            except (DenoisingError, RuntimeError) as error:
                say(f"{name} in {dtype}: {error}")
                continue
            if dtype == chosen:
                models[name] = run.model
            label = f"{dtype} (auto)" if dtype == chosen else dtype
            yield [name, label, *run.cells(rates[dtype])]


@dataclass(frozen=True, eq=False)
class _Run:
    """A training, and what it took.

    Parameters
    ----------
    model : TrainedModel
        What it gave.
    rate : float
        Steps a second.
    patches : int
        Of a step.
    flop : float
        Floating-point operations of a step.
    peak : str
        Memory of the GPU, in MiB.
    seconds : float
        Of all, reading and settling included.
    """

    model: TrainedModel
    rate: float
    patches: int
    flop: float
    peak: str
    seconds: float

    def cells(self, card: float) -> list[str]:
        """Columns of the table; `card` is the card's rate in FLOP/s."""
        return [
            f"{self.rate:.3g}",
            f"{self.rate * self.patches:.3g}",
            f"{self.flop / 1e12:.3g}",
            f"{self.rate * self.flop / 1e12:.3g}",
            f"{100 * self.rate * self.flop / card:.2g} %",
            self.peak,
            f"{self.seconds:.1f}",
        ]


def _trained(noisy: np.ndarray, config: TrainingConfig) -> _Run:
    """Train on an image (Y, X) and measure."""
    _forget_peak()
    begin = time.perf_counter()
    with _last_pass() as last:
        model, told = _watched(noisy, config)
    seconds, peak = time.perf_counter() - begin, _peak()
    trainer, patches, share = last
    flop, rate = _flop_of_step(trainer, patches, share), _steps_a_second(told)
    return _Run(model, rate, round(patches / share), flop, peak, seconds)


def _watched(
    noisy: np.ndarray, config: TrainingConfig
) -> tuple[TrainedModel, list[TrainingProgress]]:
    """Train to the end, and keep all that is told on the way."""
    steps, told = train_steps(image_of(noisy), config), []
    while True:
        try:
            told.append(next(steps))
        except StopIteration as end:
            return end.value, told


def _steps_a_second(told: Sequence[TrainingProgress]) -> float:
    """Rate of the second half; of a training of very few steps, of all of it."""
    learning = [one for one in told if one.stage == LEARNING and one.step]
    late = [one for one in learning if (one.fraction or 0) >= 0.5]
    first, last = next(
        ((some[0], some[-1]) for some in (late, learning) if len(some) > 1),
        (told[0], told[-1]),
    )
    return (last.step - first.step) / max(last.elapsed_s - first.elapsed_s, 1e-9)


@contextmanager
def _last_pass() -> Iterator[list[Any]]:
    """Keep the trainer that learned last, its patches and their share of a step."""
    last: list[Any] = []
    learn = ChannelTrainer.accumulate

    def accumulate(trainer: ChannelTrainer, patches: int, share: float) -> Tensor:
        last[:] = [trainer, patches, share]
        return learn(trainer, patches, share)

    with mock.patch.object(ChannelTrainer, "accumulate", accumulate):
        yield last


def _flop_of_step(trainer: ChannelTrainer, patches: int, share: float) -> float:
    """Operations of a step, from some more passes like the last."""
    with FlopCounterMode(display=False) as counter:
        for number in range(PROBED):
            trainer.updates = number
            trainer.accumulate(patches, share)
            trainer.start_over()
    return float(counter.get_total_flops()) / (PROBED * share)


# -- Prediction ------------------------------------------------------------------------


def _predictions(
    device: torch.device,
    models: dict[str, TrainedModel],
    options: argparse.Namespace,
    end: _Deadline,
) -> Iterator[list[str]]:
    noisy = _mosaic(options, options.large)
    for name, model in models.items():
        for flips in (False, True):
            views = 8 if flips else 1
            if not end.allows(2 * options.most, f"{name}, {views} orientations"):
                continue
            turned = replace(model, config=model.config.override({"flips": flips}))
            _forget_peak()
            share, seconds = _predicted(noisy, turned, device, options.most)
            yield [
                name,
                str(model.precision).removeprefix("torch."),
                model.config.estimator.kind,
                str(views),
                f"{share:.2f}",
                f"{seconds:.2f}",
                f"{share * noisy.size / seconds / 1e6:.3g}",
                _peak(),
            ]


def _predicted(
    noisy: np.ndarray, model: TrainedModel, device: torch.device, most: float
) -> tuple[float, float]:
    """Predict until it is done or has taken too long; share done, and seconds."""
    begin = time.perf_counter()
    tiles = predict_tiles(image_of(noisy), model, device=str(device))
    share, command = 0.0, None
    while share < 1:
        try:
            share = tiles.send(command).fraction
        except StopIteration:
            break
        command = STOP if time.perf_counter() - begin > most else None
    _wait(device)
    return share, time.perf_counter() - begin


# -- Agreement -------------------------------------------------------------------------


def _agreements(
    device: torch.device, options: argparse.Namespace, end: _Deadline
) -> Iterator[list[str]]:
    """Of each format: one seed twice, and one model on two devices."""
    noisy = _mosaic(options, min(256, options.side))
    steps = options.steps or 200
    for dtype in FORMATS:
        if not end.allows(8, f"agreement in {dtype}"):
            continue
        config = _config(options, "fast", precision=dtype).override({"steps": steps})
        one, two = (train(image_of(noisy), config) for _ in range(2))
        weights = max(
            float((a - b).abs().max())
            for a, b in zip(_weights(one), _weights(two), strict=True)
        )
        here, std = _denoised(noisy, one, str(device))
        again, _ = _denoised(noisy, two, str(device))
        there, _ = _denoised(noisy, one, "cpu")
        apart = (here - there) / std
        rms = float(np.sqrt(np.mean(apart**2)))
        differences = weights, np.abs(here - again).max() / std, np.abs(apart).max()
        cells = [_difference(value) for value in (*differences, rms)]
        yield [dtype, *(cells if device.type != "cpu" else [*cells[:2], *"––"])]


def _weights(model: TrainedModel) -> Iterator[Tensor]:
    return iter(model.channels[0].network.state_dict().values())


def _denoised(
    noisy: np.ndarray, model: TrainedModel, device: str
) -> tuple[np.ndarray, float]:
    """Prediction (Y, X), and the median noise std."""
    result = denoise(image_of(noisy), model, device=device)
    return result.denoised.data, float(np.median(result.noise_std.data))


def _difference(value: float) -> str:
    return f"{value:.2g}" if value else "none, to the bit"


# -- Time to quality -------------------------------------------------------------------


def _print_quality(
    device: torch.device, options: argparse.Namespace, end: _Deadline
) -> None:
    """A table of all trainings; with two devices, one of their ratios."""
    devices = [str(device)]
    devices += ["cpu"] if options.also_cpu and device.type != "cpu" else []
    speed: dict[tuple[str, str], tuple[float, float]] = {}
    print_table(QUALITY, _qualities(devices, speed, options, end))
    if len(devices) == 1:
        return
    print()
    both = [b for b, name in speed if name == "cpu" and (b, devices[0]) in speed]
    rows = []
    for budget in both:
        (fast, here), (slow, there) = (speed[budget, name] for name in devices)
        rows.append([budget, f"{fast / slow:.1f}", f"{here - there:+.2f}"])
    print_table(("budget", "steps/s, GPU over CPU", "dB, GPU less CPU"), rows)


def _qualities(
    devices: list[str],
    speed: dict[tuple[str, str], tuple[float, float]],
    options: argparse.Namespace,
    end: _Deadline,
) -> Iterator[list[str]]:
    """A row for the noisy scene, and one for each training; notes speed and dB."""
    light = make_scene(options.side, options.seed)
    noisy = photographed(light, options.seed)
    yield ["noisy", *"––––––", f"{psnr(noisy, light):.2f}"]
    budgets = [None] if options.steps else options.budgets
    for budget in budgets:
        label = f"{budget:g} s" if budget else f"{options.steps} steps"
        for name in devices:
            if end.allows((budget or 5) + 4, f"{label} on {name}"):
                config = _config(options, "fast", device=name, budget_s=budget)
                row, rate, decibel = _quality(noisy, light, config, name)
                speed[label, name] = rate, decibel
                yield [label, name, *row]


def _quality(
    noisy: np.ndarray, light: Pixels, config: TrainingConfig, device: str
) -> tuple[list[str], float, float]:
    """Cells of a row, steps a second and PSNR of one training."""
    begin = time.perf_counter()
    model, told = _watched(noisy, config)
    trained = time.perf_counter()
    prediction = denoise(image_of(noisy), model, device=device).denoised.data
    done = time.perf_counter()
    rate, decibel = _steps_a_second(told), psnr(prediction, light)
    cells = [
        str(model.precision).removeprefix("torch."),
        str(model.provenance["steps"]),
        f"{rate:.3g}",
        f"{trained - begin:.1f}",
        f"{done - trained:.1f}",
        f"{decibel:.2f}",
    ]
    return cells, rate, decibel


if __name__ == "__main__":
    main()
