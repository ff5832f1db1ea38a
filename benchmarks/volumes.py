"""Planes around: what a stack gains from context along its third axis.

    python benchmarks/volumes.py [--steps 1000 | --seconds 20] [--side 256]
        [--frames 32] [--only moving static cuts unrelated pollen ...] [--planes 2]
        [--contexts none neighbours volume auto] [--steps-volume 500]
        [--device cuda] [--seed 0] [--peers n2v:tuned --careamics PYTHON]
    python benchmarks/volumes.py --steps 500 --side 96 --frames 16 --device cpu
        --set patch_size=48 flips=false estimator=single_pass
        (brief, on a CPU; docs/methods/context.md shows the defaults on a GPU)

Scenes have a truth. All but pollen are made of means of 400 real shots (W2S), with
noise of variance 12 * light + 150:

- *moving*: smooth motion of up to 2 px a frame, bleaching to 60 %;
- *static*: one field, no motion, no bleaching;
- *cuts*: another of four fields every 8 frames, with the same motion;
- *unrelated*: fields change from frame to frame, each shown in another place.

*pollen* is a confocal Z stack, smoothed, with the same noise; *pollen-dim* with a
quarter of the light.

*N2N* is Noise2Noise, where frames are replicates: the same network, as many steps,
taught to predict the mean of some frames from that of others. It is then given the mean
of as many frames as a context holds, and of all.

*peer* is CAREamics' N2V in 3-D, `benchmarks/peers/README.md` says how it is installed
and set; it ends when its epochs do, or after the seconds behind its name.

PSNR is that of the whole stack, after as many steps, with one seed; `--steps-volume`
makes the training of whole volumes as long as that of planes. CPU seconds are those of
all threads, training and prediction, whatever else is running; a peer's are those that
pass. `auto` decides
before the training.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from common import (
    Peer,
    add_peer_options,
    describe_machine,
    peers_of,
    print_table,
    read,
)
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates, shift

from napari_selfdenoise import Image, TrainingConfig, denoise, recipe, train
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


class _Swing(NamedTuple):
    """How the parts of a field swing, each in its direction and its phase.

    Parameters
    ----------
    speed : float
        Largest speed at which places are read, px a frame.
    width : float
        Std of the Gaussian that makes direction and phase smooth, px.
    turns : float
        Std of direction and phase, rad.
    """

    speed: float
    width: float
    turns: float

    def places(self, shape: tuple[int, int], time_: float) -> Stack:
        """Where each pixel of a frame is read in the field, (2, Y, X), px."""
        rng, period = np.random.default_rng(0), 16.0
        phases, directions = (
            gaussian_filter(rng.normal(size=shape), self.width, mode="wrap")
            for _ in range(2)
        )
        phase, angle = (
            self.turns * (v - v.mean()) / v.std() for v in (phases, directions)
        )
        reach = self.speed * period / (2 * np.pi)
        swing = reach * np.sin(2 * np.pi * time_ / period + phase)
        grid = np.mgrid[: shape[0], : shape[1]].astype(float)
        found: Stack = grid + np.stack([swing * np.sin(angle), swing * np.cos(angle)])
        return found


# Neighbouring parts move alike, so that structures move by little more than the speed
# at which places are read: 2 px a frame at most.
_SMOOTHLY = _Swing(1.5, 60.0, 1.0)
_TEARING = _Swing(2.0, 40.0, np.pi)  # folds: structures move by up to 8 px a frame


def _moved(field: Stack, time_: float, swing: _Swing = _SMOOTHLY) -> Stack:
    """A field whose parts have moved, without the margin, (Y, X)."""
    places = swing.places(field.shape, time_)
    moved = map_coordinates(field, places, order=3, mode="reflect")
    return np.maximum(moved[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN], 0)


def _moving(options: argparse.Namespace, swing: _Swing = _SMOOTHLY) -> Stack:
    field, count = _fields(options)[0], options.frames
    light = 0.6 ** (np.arange(count) / count)
    return np.stack([light[t] * _moved(field, t, swing) for t in range(count)])


def _tearing(options: argparse.Namespace) -> Stack:
    return _moving(options, _TEARING)


def _jumps(options: argparse.Namespace) -> Stack:
    """The stage jumps by up to 8 px every fourth frame, and drifts in between."""
    field, rng, frames = _fields(options)[0], np.random.default_rng(0), []
    y, x = 0.0, 0.0
    for t in range(options.frames):
        jump = 8 if t % 4 == 0 else 0.3
        y, x = (np.clip(v + rng.uniform(-jump, jump), -10, 10) for v in (y, x))
        moved = shift(field, (y, x), order=3, mode="reflect")
        frames.append(np.maximum(moved[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN], 0))
    return np.stack(frames)


def _flicker(options: argparse.Namespace) -> Stack:
    light = np.random.default_rng(0).uniform(0.5, 1, options.frames)
    return light[:, None, None] * _static(options)


def _blank(options: argparse.Namespace) -> Stack:
    """Every third frame of the moving scene was taken with the shutter closed."""
    stack = _moving(options)
    stack[2::3] = 0
    return stack


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
    "tearing": _tearing,
    "static": _static,
    "cuts": _cuts,
    "jumps": _jumps,
    "flicker": _flicker,
    "blank": _blank,
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
    parser.add_argument("--seconds", type=float, help="of training, instead of steps")
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
    add_peer_options(parser)
    options = parser.parse_args()
    peers = peers_of(parser, options)
    print(describe_machine(seed=options.seed, steps=options.steps), flush=True)
    print_table(HEADER, _rows(options, peers))


def _rows(options: argparse.Namespace, peers: list[Peer]) -> Iterator[list[object]]:
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
        for peer in peers:
            found, seconds = _by_peer(peer, image, truth, options)
            apart = f"{found - known['none']:+.2f}" if "none" in known else ""
            yield [name, peer.name, "3-D", f"{found:.2f}", apart, f"{seconds:.0f}"]
        if name == "static":
            for how, found in _noise2noise(image, truth, options):
                yield [name, "N2N", how, f"{found:.2f}", "", ""]


def _by_peer(
    peer: Peer, image: Image, truth: Stack, options: argparse.Namespace
) -> tuple[float, float]:
    """PSNR of a peer, trained on the stack in 3-D, and its seconds."""
    with tempfile.TemporaryDirectory() as folder:
        found, about = peer.denoised(image.data, options.seed, Path(folder))
    score = psnr(found.astype(float), truth, float(np.ptp(truth)))
    return score, float(about["seconds_total"])


def _noise2noise(
    image: Image, truth: Stack, options: argparse.Namespace
) -> Iterator[tuple[str, float]]:
    """PSNR of Noise2Noise from the mean of some frames of one scene, and of all."""
    config = recipe(options.recipe).override(_changes("none", options))
    rng = np.random.default_rng(options.seed)
    torch.manual_seed(options.seed)
    frames = torch.from_numpy(image.data.astype(np.float32))
    level, scale = frames.mean(), frames.std()
    frames = (frames - level) / scale
    network = TrainingConfig(network=config.network).build_network()
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.steps)
    for _ in range(options.steps):
        pairs = [
            _pair(frames, config.patch_size, rng) for _ in range(config.batch_size)
        ]
        shown, target = (
            torch.stack(part)[:, None] for part in zip(*pairs, strict=True)
        )
        loss = (network(shown)[:, :1] - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    few = 1 + 2 * options.planes
    for name, count in ((f"mean of {few}", few), ("mean of all", len(frames))):
        with torch.no_grad():
            found = network(frames[:count].mean(0)[None, None])[0, 0] * scale + level
        yield name, psnr(found.double().numpy(), truth[0], float(np.ptp(truth)))


def _pair(
    frames: torch.Tensor, side: int, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """A patch of the mean of some frames, and the same of others, (Y, X)."""
    order = rng.permutation(len(frames))
    count = int(rng.integers(1, len(frames)))
    y, x = (int(rng.integers(length - side + 1)) for length in frames.shape[1:])
    patches = frames[:, y : y + side, x : x + side]
    return patches[order[:count]].mean(0), patches[order[count:]].mean(0)


def _score(
    image: Image, truth: Stack, context: str, options: argparse.Namespace
) -> tuple[float, str]:
    """PSNR after a training, and which context was used."""
    config = recipe(options.recipe).override(_changes(context, options))
    model = train(image, config)
    found = denoise(image, model, device=options.device).denoised.data
    used = model.config.context
    mean = getattr(used, "still_planes", 0)
    decided = f"{used.kind}, mean of {mean}" if mean else used.kind
    return psnr(found.astype(float), truth, float(np.ptp(truth))), decided


def _changes(context: str, options: argparse.Namespace) -> dict[str, object]:
    """Settings of a run that differ from the recipe's."""
    changes: dict[str, object] = dict(item.split("=", 1) for item in options.set)
    changes |= {"steps": options.steps, "seed": options.seed, "context": context}
    changes |= {"device": options.device}
    if options.seconds:
        changes |= {"steps": None, "budget_s": options.seconds}
    if context in ("neighbours", "auto"):
        changes["context.planes"] = options.planes
    if context == "volume" and options.steps_volume:
        changes["steps"] = options.steps_volume
    return changes


if __name__ == "__main__":
    main()
