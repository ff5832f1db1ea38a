"""Maskings on noise that neighbours share: PSNR of each.

    python benchmarks/maskings.py [--steps 300] [--seeds 0 1 2]

Two images, blobs and the mean of 50 frames of a zebrafish (FMD, confocal), get noise
that is shared by pixels in a row, or in both directions; each is denoised from itself.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import numpy as np
from common import describe_machine, mean_and_spread, print_table, read
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter1d

from napari_selfdenoise import Image, denoise, recipe, train
from napari_selfdenoise.evaluation import psnr
from napari_selfdenoise.parts.masking import (
    AutomaticMask,
    BinMask,
    LineMask,
    Masking,
    RandomMask,
    ShapeMask,
)

Array = NDArray[np.float64]

NOISES: dict[str, Callable[[Array], Array]] = {
    "shared by 3 pixels in a row": lambda white: uniform_filter1d(white, 3, axis=1),
    "blurred by 0.7 px": lambda white: gaussian_filter(white, 0.7),
}
MASKINGS: dict[str, Masking] = {
    "random pixels": RandomMask(),
    "line along x, extent 1": LineMask(axis="x", extent=1),
    "line along x, extent 2": LineMask(axis="x", extent=2),
    "line along y, extent 2": LineMask(axis="y", extent=2),
    "shape 5x5": ShapeMask(footprint="5x5"),
    "shape 9x9": ShapeMask(footprint="9x9"),
    "bins of 2 px": BinMask(size=2),
    "bins of 3 px": BinMask(size=3),
    "follows the noise": AutomaticMask(),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    print(describe_machine(seeds=options.seeds, steps=options.steps))
    print_table(("image", "noise", "masking", "PSNR"), _rows(options))


def _rows(options: argparse.Namespace) -> Iterator[tuple[str, str, str, str]]:
    for title, signal in _signals().items():
        for noise in NOISES:
            noisy = signal + _noise(noise, signal)
            yield title, noise, "(noisy)", f"{psnr(noisy, signal):.1f}"
            for name, masking in MASKINGS.items():
                found = [
                    _denoised(noisy, signal, masking, options.steps, seed)
                    for seed in options.seeds
                ]
                yield title, noise, name, mean_and_spread(found, 1)


def _signals() -> dict[str, Array]:
    spots = np.random.default_rng(1).random((256, 256)) < 0.002
    blobs = gaussian_filter(spots.astype(float), 3)
    fish = read("fmd/testmix_confocal_fish_gt.tif").astype(float)
    return {"blobs": 100 * blobs / blobs.max(), "zebrafish": fish[:256, :256]}


def _noise(kind: str, signal: Array) -> Array:
    """Noise with the std of the signal."""
    noise = NOISES[kind](np.random.default_rng(0).standard_normal(signal.shape))
    return noise * (signal.std() / noise.std())


def _denoised(
    noisy: Array, signal: Array, masking: Masking, steps: int, seed: int
) -> float:
    changes = {"masking": masking.model_dump(), "steps": steps, "seed": seed}
    config = recipe("fast").override(changes | {"objective": "squared_error"})
    image = Image(noisy.astype(np.float32), "YX")
    model = train(image, config)
    return psnr(denoise(image, model).denoised.data, signal)


if __name__ == "__main__":
    main()
