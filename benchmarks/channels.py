"""Channels together: what a channel gains from the others, and what it takes over.

    python benchmarks/channels.py [--steps 1000] [--side 256] [--frames 4]
        [--only dyes ratio inverse unrelated unmixed ghost]
        [--channels independent joint auto] [--device cuda] [--seed 0]
    python benchmarks/channels.py --steps 300 --frames 2 --device cpu
        --set patch_size=64 network.width=16
        (brief, on a CPU: what docs/methods/channels.md shows)

Scenes have a truth. But for *dyes*, they are made of means of 400 real shots (W2S) with
noise of variance 12 * light + 150 in each channel:

- *dyes*: real single shots of three dyes of one field (W2S, 8 bit), the truth being
  means of 400 shots, moved and scaled onto each shot;
- *ratio*: two channels of the same structure, the second one 0.5 to 1 times as bright,
  as in ratio imaging or FRET;
- *inverse*: the second one is dark where the first one is bright;
- *unrelated*: two fields of view;
- *unmixed*: *unrelated*, with noise that is opposite in the two, as after the unmixing
  of dyes;
- *ghost*: *ratio*, with a disc that is in the first channel only.

PSNR is that of each channel, after as many steps, with one seed. *ghost* also shows how
much of the disc's brightness is found in the second channel, where there is none: the
mean error there, over the disc's light.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from common import describe_machine, load_everything, print_table, read
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_selfdenoise import Image, denoise, recipe, train
from napari_selfdenoise.evaluation import psnr, scale_invariant_psnr

Stack = NDArray[np.float64]

GAIN, READ, OFFSET = 12.0, 150.0, 100.0
_SHARED = -0.5  # correlation of opposite noise
_DISC, _BRIGHT = 14, 300.0  # radius in px, and light

HEADER = ("scene", "channels", "decided", "PSNR of each", "against independent", "disc")


class Scene(NamedTuple):
    """Noisy channels, and what is true of them.

    Parameters
    ----------
    noisy : ndarray
        (T, C, Y, X).
    truth : ndarray
        The same without noise.
    disc : ndarray, optional
        Where there is something in the first channel only, (Y, X).
    """

    noisy: Stack
    truth: Stack
    disc: NDArray[np.bool_] | None = None


def _fields(options: argparse.Namespace) -> Stack:
    """Light of four fields of view, (4, Y, X)."""
    fields = read("synthetic/pg_clean.tif").astype(np.float64) - OFFSET
    start = (fields.shape[1] - options.side) // 2
    middle = slice(start, start + options.side)
    return np.maximum(fields[:, middle, middle], 0)


def _with_noise(light: Stack, seed: int, shared: float = 0.0) -> Scene:
    """Light (T, C, Y, X) with noise, its Gaussian part shared by channels."""
    rng = np.random.default_rng(seed)
    own = rng.normal(0, np.sqrt(GAIN * light + READ))
    if shared:
        common = rng.normal(size=light[:, 0].shape) * np.sqrt(abs(shared))
        std, sign = np.sqrt(GAIN * light + READ), np.sign(shared)
        own = np.sqrt(1 - abs(shared)) * own
        own[:, 0] += std[:, 0] * common
        own[:, 1] += sign * std[:, 1] * common
        counts = OFFSET + light + own
    else:
        counts = OFFSET + GAIN * rng.poisson(light / GAIN)
        counts = counts + rng.normal(0, np.sqrt(READ), light.shape)
    pixels = np.clip(np.rint(counts), 0, 65535).astype(np.uint16)
    return Scene(pixels, OFFSET + light)


def _ratio(light: Stack) -> Stack:
    """Two channels of one structure, (T, C, Y, X)."""
    smooth = gaussian_filter(np.random.default_rng(0).normal(size=light.shape[1:]), 25)
    ratio = 0.75 + 0.25 * smooth / np.abs(smooth).max()
    return np.stack([light, light * ratio], axis=1)


def _dyes(options: argparse.Namespace) -> Scene:
    noisy, truth = (
        np.stack(
            [
                read(f"w2s/train_fov001-020_ch{channel}_avg{count}.tif")
                for channel in range(3)
            ],
            axis=1,
        )[: options.frames, :, : options.side, : options.side]
        for count in (1, 400)
    )
    return Scene(noisy.astype(np.uint8), truth.astype(np.float64))


def _of_ratio(options: argparse.Namespace) -> Scene:
    return _with_noise(_ratio(_fields(options)[: options.frames]), options.seed)


def _inverse(options: argparse.Namespace) -> Scene:
    light = _fields(options)[: options.frames]
    return _with_noise(np.stack([light, light.max() - light], axis=1), options.seed)


def _pairs_of_fields(options: argparse.Namespace) -> Stack:
    fields = _fields(options)
    return np.stack([fields, np.roll(fields, 1, axis=0)], axis=1)[: options.frames]


def _unrelated(options: argparse.Namespace) -> Scene:
    return _with_noise(_pairs_of_fields(options), options.seed)


def _unmixed(options: argparse.Namespace) -> Scene:
    return _with_noise(_pairs_of_fields(options), options.seed, _SHARED)


def _ghost(options: argparse.Namespace) -> Scene:
    light = _ratio(_fields(options)[: options.frames])
    y, x = np.mgrid[: options.side, : options.side]
    middle = options.side // 2
    disc = (y - middle) ** 2 + (x - middle) ** 2 <= _DISC**2
    light[:, 0, disc] += _BRIGHT
    return _with_noise(light, options.seed)._replace(disc=disc)


SCENES: dict[str, Callable[[argparse.Namespace], Scene]] = {
    "dyes": _dyes,
    "ratio": _of_ratio,
    "inverse": _inverse,
    "unrelated": _unrelated,
    "unmixed": _unmixed,
    "ghost": _ghost,
}


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--side", type=int, default=256, help="of the frames, px")
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--only", nargs="+", choices=list(SCENES), default=list(SCENES))
    ways = ["independent", "joint", "auto"]
    parser.add_argument("--channels", nargs="+", choices=ways, default=ways)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--recipe", default="fast")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--set", nargs="*", default=[], help="other settings, name=value"
    )
    options = parser.parse_args()
    load_everything()
    print(describe_machine(**vars(options)), flush=True)
    print_table(HEADER, _rows(options))


def _rows(options: argparse.Namespace) -> Iterator[tuple[object, ...]]:
    for name in options.only:
        scene, known = SCENES[name](options), np.empty(0)
        yield (name, "(noisy)", "", _shown(_quality(scene.noisy, scene, name)), "", "")
        for way in options.channels:
            found, decided = _denoised(scene, way, options)
            quality = _quality(found, scene, name)
            known = quality if way == "independent" else known
            apart = _shown(quality - known, "+") if len(known) else ""
            yield name, way, decided, _shown(quality), apart, _left(found, scene)


def _denoised(scene: Scene, way: str, options: argparse.Namespace) -> tuple[Stack, str]:
    """Result of a training, (T, C, Y, X), and which channels were helped."""
    changes: dict[str, object] = dict(item.split("=", 1) for item in options.set)
    changes |= {"steps": options.steps, "seed": options.seed, "channels": way}
    config = recipe(options.recipe).override(changes | {"device": options.device})
    image = Image(scene.noisy, "TCYX")
    model = train(image, config)
    used = model.config.channels
    helped = ", ".join(str(n + 1) for n in getattr(used, "helped", ()))
    found = denoise(image, model, device=options.device).denoised.data
    return found.astype(float), f"joint: {helped}" if helped else used.kind


def _quality(found: Stack, scene: Scene, name: str) -> Stack:
    """PSNR of each channel in dB, (C,)."""
    truth = scene.truth
    if name != "dyes":
        return np.array(
            [
                psnr(found[:, c].astype(float), truth[:, c], float(np.ptp(truth[:, c])))
                for c in range(truth.shape[1])
            ]
        )
    # Each shot was stretched to 8 bits by itself: gain and offset do not count.
    return np.array(
        [
            np.mean(
                [
                    scale_invariant_psnr(frame[c].astype(float), t[c])
                    for frame, t in zip(found, truth, strict=True)
                ]
            )
            for c in range(truth.shape[1])
        ]
    )


def _left(found: Stack, scene: Scene) -> str:
    """Share of the disc that came into the second channel; empty without a disc."""
    if scene.disc is None:
        return ""
    error = (found - scene.truth)[:, 1, scene.disc]
    return f"{error.mean() / _BRIGHT:+.1%}"


def _shown(values: Stack, sign: str = "") -> str:
    return ", ".join(f"{value:{sign}.2f}" for value in values)


if __name__ == "__main__":
    main()
