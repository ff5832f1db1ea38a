"""Two exposures: what a second frame, or a noise-free image, adds to one frame.

    python benchmarks/paired.py [--steps 1000] [--side 256] [--recipe fast]
        [--only fish twophoton-mice widefield] [--device cuda] [--seed 0]
        [--set network.width=16 patch_size=64]
    python benchmarks/paired.py --steps 300 --side 160 --device cpu
        --set network.width=16 network.depth=2 patch_size=64
        (brief, on a CPU: what docs/methods/paired.md shows)

Frames are real ones of the FMD data, cut to the middle; the truth is the mean of 50.
All trainings have as many steps. What is compared:

- *frame A*, and *mean of A and B*: as recorded;
- *A alone*: one frame denoised by itself;
- *mean of A alone and B alone*: two trainings, their results averaged;
- *mean of A and B, alone*: the mean of both frames denoised as one image;
- *pair, A* and *pair, A and B*: Noise2Noise; one frame denoised, and both;
- *noise-free, A* and *noise-free, A and B*: learned from the mean of 50 frames of
  another part of the field, so that the truth was not shown.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

from common import (
    Pixels,
    describe_machine,
    image_of,
    load_everything,
    measured,
    print_table,
    read,
)

from napari_selfdenoise import TrainingConfig, denoise, recipe, train

HEADER = ("set", "what", "dB", "against A alone", "seconds")

SETS = {
    "fish": ("testmix_confocal_fish", "psnr"),
    "twophoton-mice": ("testmix_twophoton_mice", "scale_invariant_psnr"),
    "widefield": ("testmix_widefield_bpae_g", "psnr"),
}
"""Files, and the measure: without gain and offset where those differ by frame."""


def main() -> None:
    """Train in all ways, and print the table."""
    options = _options()
    load_everything()
    config = _config(options)
    shown = {key: value for key, value in vars(options).items() if value is not None}
    print(describe_machine(**shown), flush=True)
    rows = (row for name in options.only for row in _rows(name, config, options.side))
    print_table(HEADER, rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--recipe", default="fast")
    parser.add_argument("--only", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE")
    return parser.parse_args()


def _config(options: argparse.Namespace) -> TrainingConfig:
    changes = dict(one.split("=", 1) for one in options.set)
    named = {name: getattr(options, name) for name in ("steps", "device", "seed")}
    return recipe(options.recipe).override(changes | named)


def _rows(name: str, config: TrainingConfig, side: int) -> Iterator[tuple[object, ...]]:
    """Rows of one set."""
    file, measure = SETS[name]
    raw, truth = read(f"fmd/{file}_raw4.tif"), read(f"fmd/{file}_gt.tif")
    start = (raw.shape[-1] - side) // 2
    middle = slice(start, start + side)
    wanted, alone = truth[middle, middle], None
    for what, result, seconds in _results(raw, truth, middle, config):
        quality = measured(result, wanted, measure)
        alone = quality if what == "A alone" else alone
        gain = "" if alone is None else f"{quality - alone:+.2f}"
        yield name, what, f"{quality:.2f}", gain, f"{seconds:.0f}"


def _results(
    raw: Pixels, truth: Pixels, middle: slice, config: TrainingConfig
) -> Iterator[tuple[str, Pixels, float]]:
    """Results of all ways by name, (Y, X), and the seconds that each took."""
    since = time.perf_counter()

    def took() -> float:
        nonlocal since
        before, since = since, time.perf_counter()
        return since - before

    a, b = raw[0, middle, middle], raw[1, middle, middle]
    first, second = image_of(a), image_of(b)
    yield "frame A", a, 0.0
    yield "mean of A and B", (a + b) / 2, 0.0
    alone = denoise(first, train(first, config)).denoised.data
    yield "A alone", alone, took()
    other = denoise(second, train(second, config)).denoised.data
    yield "mean of A alone and B alone", (alone + other) / 2, took()
    mean = image_of((a + b) / 2)
    yield (
        "mean of A and B, alone",
        denoise(mean, train(mean, config)).denoised.data,
        took(),
    )
    model = train(first, config, pair=second)
    yield "pair, A", denoise(first, model).denoised.data, took()
    yield "pair, A and B", denoise(first, model, pair=second).denoised.data, took()
    above = slice(0, middle.start)  # above the middle: not what is denoised
    model = train(image_of(raw[0, above]), config, noise_free=image_of(truth[above]))
    yield "noise-free, A", denoise(first, model).denoised.data, took()
    yield (
        "noise-free, A and B",
        denoise(first, model, pair=second).denoised.data,
        took(),
    )


if __name__ == "__main__":
    main()
