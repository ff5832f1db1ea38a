"""Planes around: what a stack gains from context along its third axis.

    python benchmarks/volumes.py [--steps 1000] [--side 256] [--frames 32]
        [--only moving static cuts unrelated pollen pollen-dim] [--planes 2]
        [--contexts none neighbours volume auto] [--steps-volume 500]
        [--device cuda] [--seed 0]
    python benchmarks/volumes.py --steps 500 --side 96 --frames 16 --device cpu
        --set patch_size=48 flips=false estimator=single_pass
        (brief, on a CPU: what docs/methods/context.md shows)

Scenes have a truth. All but pollen are made of means of 400 real shots (W2S), with
noise of variance 12 * light + 150:

- *moving*: smooth motion of up to 2 px a frame, bleaching to 60 %;
- *static*: one field, no motion, no bleaching;
- *cuts*: another of four fields every 8 frames, with the same motion;
- *unrelated*: fields change from frame to frame, each shown in another place.

*pollen* is a confocal Z stack, smoothed, with the same noise; *pollen-dim* with a
quarter of the light.

PSNR is that of the whole stack, after as many steps, with one seed; `--steps-volume`
makes the training of whole volumes as long as that of planes. CPU seconds are those of
all threads, training and prediction, whatever else is running. `auto` decides
before the training; where it decides as another row did, the result is that row's.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator

import numpy as np
from common import describe_machine, print_table, read
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from napari_selfdenoise import Image, denoise, recipe, train
from napari_selfdenoise.evaluation import psnr

Stack = NDArray[np.float64]

GAIN, READ, OFFSET = 12.0, 150.0, 100.0
HEADER = ("scene", "context", "decided", "PSNR", "against none", "CPU seconds")


def _fields(options: argparse.Namespace) -> Stack:
    """Light of four fields of view, with a margin to move in, (4, Y, X)."""
    side = options.side + 2 * _MARGIN
    fields = read("synthetic/pg_clean.tif").astype(np.float64) - OFFSET
    start = (fields.shape[1] - side) // 2
    place = slice(max(0, start), max(0, start) + side)
    return np.maximum(fields[:, place, place], 0)


_MARGIN = 12  # px


def _moved(field: Stack, time_: float, seed: int = 0) -> Stack:
    """A field whose parts swing by up to 2 px a frame, without the margin, (Y, X)."""
    rng = np.random.default_rng(seed)
    period = 16.0
    phases, directions = (
        gaussian_filter(rng.normal(size=field.shape), 40, mode="wrap") for _ in range(2)
    )
    phase, angle = (2 * np.pi * v / v.std() / 2 for v in (phases, directions))
    reach = 2.0 * period / (2 * np.pi) * np.sin(2 * np.pi * time_ / period + phase)
    y, x = np.mgrid[: field.shape[0], : field.shape[1]].astype(float)
    places = y + reach * np.sin(angle), x + reach * np.cos(angle)
    moved = map_coordinates(field, places, order=3, mode="reflect")
    return np.maximum(moved[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN], 0)


def _moving(options: argparse.Namespace) -> Stack:
    field, count = _fields(options)[0], options.frames
    light = 0.6 ** (np.arange(count) / count)
    return np.stack([light[t] * _moved(field, t) for t in range(count)])


def _static(options: argparse.Namespace) -> Stack:
    field = _fields(options)[0][_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    return np.repeat(field[None], options.frames, axis=0)


def _cuts(options: argparse.Namespace) -> Stack:
    fields = _fields(options)
    return np.stack([_moved(fields[t // 8 % 4], t) for t in range(options.frames)])


def _unrelated(options: argparse.Namespace) -> Stack:
    fields, rng = _fields(options), np.random.default_rng(0)
    frames = []
    for t in range(options.frames):
        shifted = np.roll(fields[t % 4], rng.integers(fields.shape[1], size=2), (0, 1))
        frames.append(shifted[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN])
    return np.stack(frames)


def _pollen(options: argparse.Namespace, light: float = 1.0) -> Stack:
    stack = read("stacks/pollen_3d.tif").astype(np.float64)
    stack = gaussian_filter(stack, (0.5, 1, 1))
    start = (stack.shape[1] - min(options.side, stack.shape[1])) // 2
    place = slice(start, start + options.side)
    return 1000 * light * stack[: options.frames, place, place] / stack.max()


def _pollen_dim(options: argparse.Namespace) -> Stack:
    return _pollen(options, 0.25)


SCENES: dict[str, Callable[[argparse.Namespace], Stack]] = {
    "moving": _moving,
    "static": _static,
    "cuts": _cuts,
    "unrelated": _unrelated,
    "pollen": _pollen,
    "pollen-dim": _pollen_dim,
}


def noisy(light: Stack, seed: int, axes: str = "TYX") -> tuple[Image, Stack]:
    """A noisy stack, rounded as a camera does, and its truth, both of three axes."""
    rng = np.random.default_rng(seed)
    read_noise = rng.normal(0, np.sqrt(READ), light.shape)
    counts = OFFSET + GAIN * rng.poisson(light / GAIN) + read_noise
    pixels = np.clip(np.rint(counts), 0, 65535).astype(np.uint16)
    return Image(pixels, axes, name="scene"), OFFSET + light


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--side", type=int, default=256, help="of the frames, px")
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--planes", type=int, default=2, help="to each side")
    parser.add_argument("--only", nargs="+", choices=list(SCENES), default=list(SCENES))
    contexts = ["none", "neighbours", "volume", "auto"]
    parser.add_argument("--contexts", nargs="+", choices=contexts, default=contexts)
    parser.add_argument(
        "--steps-volume", type=int, help="of whole volumes, where not as many"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--recipe", default="fast")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--set", nargs="*", default=[], help="other settings, name=value"
    )
    options = parser.parse_args()
    print(describe_machine(seed=options.seed, steps=options.steps), flush=True)
    print_table(HEADER, _rows(options))


def _rows(options: argparse.Namespace) -> Iterator[list[object]]:
    for name in options.only:
        axes = "ZYX" if name.startswith("pollen") else "TYX"
        image, truth = noisy(SCENES[name](options), options.seed, axes)
        score = psnr(image.data.astype(float), truth, float(np.ptp(truth)))
        yield [name, "(noisy)", "", f"{score:.2f}", "", ""]
        known: dict[str, float] = {}
        for context in options.contexts:
            began = time.process_time()
            found, decided = _score(image, truth, context, options)
            known[context] = found
            apart = f"{found - known['none']:+.2f}" if "none" in known else ""
            spent = f"{time.process_time() - began:.0f}"
            yield [name, context, decided, f"{found:.2f}", apart, spent]


def _score(
    image: Image, truth: Stack, context: str, options: argparse.Namespace
) -> tuple[float, str]:
    """PSNR after a training, and which context was used."""
    changes: dict[str, object] = dict(item.split("=", 1) for item in options.set)
    changes |= {"steps": options.steps, "seed": options.seed, "context": context}
    changes |= {"device": options.device}
    if context in ("neighbours", "auto"):
        changes["context.planes"] = options.planes
    if context == "volume" and options.steps_volume:
        changes["steps"] = options.steps_volume
    model = train(image, recipe(options.recipe).override(changes))
    found = denoise(image, model, device=options.device).denoised.data
    return psnr(
        found.astype(float), truth, float(np.ptp(truth))
    ), model.config.context.kind


if __name__ == "__main__":
    main()
