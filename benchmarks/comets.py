"""Comets: whether planes around blur what moves, in a real movie without a truth.

    python benchmarks/comets.py [--steps 500] [--side 128] [--frames 12]
        [--contexts none auto] [--picture FILE] [--device cpu] [--seed 0]

The movie shows the growing ends of microtubules (EB3), which move from frame to frame.
What was removed should be noise: independent from frame to frame, and from pixel to
pixel. A comet that was smeared along its path leaves a residual that the next frames
share, and is dimmer. `--picture` saves the noisy middle frame and all results side by
side, with one contrast.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np
from common import describe_machine, load_everything, print_table, read
from numpy.typing import NDArray
from skimage.io import imsave

from napari_selfdenoise import Image, denoise, recipe, train

Stack = NDArray[np.float64]

HEADER = (
    "context",
    "decided",
    "residual std",
    "shared by frames",
    "along x",
    "along y",
    "99.9th percentile",
    "seconds",
)
CORNER = 160  # px; where the part that is looked at begins
ZOOM, GAP = 2, 4  # px
BRIGHTEST = 99.9  # per cent


def main() -> None:
    """Denoise the movie with each context, and print the table."""
    options = _options()
    load_everything()
    shown = {key: value for key, value in vars(options).items() if value is not None}
    print(describe_machine(**shown), flush=True)
    place = slice(CORNER, CORNER + options.side)
    movie = read("stacks/eb3_timelapse.tif")[: options.frames, place, place]
    results: list[Stack] = [movie.astype(np.float64)]
    print_table(HEADER, _rows(movie, options, results))
    if options.picture:
        imsave(options.picture, _side_by_side(results), check_contrast=False)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--side", type=int, default=128, help="of the frames, px")
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--contexts", nargs="+", default=["none", "auto"])
    parser.add_argument("--picture", help="PNG file")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def _rows(
    movie: NDArray[np.float32], options: argparse.Namespace, results: list[Stack]
) -> Iterator[list[str]]:
    image = Image(movie, "TYX", name="eb3")
    for context in options.contexts:
        began = time.perf_counter()
        model = train(image, recipe("fast").override(_changes(context, options)))
        result = denoise(image, model, device=options.device).denoised.data
        results.append(result.astype(np.float64))
        spent = f"{time.perf_counter() - began:.0f}"
        decided = model.config.context.kind
        yield [context, decided, *_figures(results[0], results[-1]), spent]


def _changes(context: str, options: argparse.Namespace) -> dict[str, object]:
    return {
        "context": context,
        "steps": options.steps,
        "seed": options.seed,
        "device": options.device,
        "patch_size": 48,
        "flips": False,
        "estimator": "blind_mean",
    }


def _figures(movie: Stack, result: Stack) -> list[str]:
    """Std and correlations of what was removed, and how bright the brightest are."""
    residual = movie - result
    residual -= residual.mean((1, 2), keepdims=True)
    neighbours = (
        (residual[1:], residual[:-1]),
        (residual[:, :, 1:], residual[:, :, :-1]),
        (residual[:, 1:], residual[:, :-1]),
    )
    correlations = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in neighbours]
    above = np.percentile(result, BRIGHTEST) - np.median(result)
    return [
        f"{residual.std():.2f}",
        *(f"{value:+.3f}" for value in correlations),
        f"{above:.1f}",
    ]


def _side_by_side(stacks: list[Stack]) -> NDArray[np.uint8]:
    """The middle frame of each stack, with the contrast of the last, (Y, X)."""
    low, high = np.percentile(stacks[-1], (1, BRIGHTEST))
    panels = []
    for stack in stacks:
        grey = np.clip((stack[len(stack) // 2] - low) / (high - low), 0, 1)
        panel = np.kron(255 * grey, np.ones((ZOOM, ZOOM)))
        panels += [panel, np.full((len(panel), GAP), 255.0)]
    return np.hstack(panels[:-1]).round().astype(np.uint8)


if __name__ == "__main__":
    main()
