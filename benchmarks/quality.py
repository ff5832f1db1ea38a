"""PSNR and SSIM of one denoised frame against the average of many.

    python benchmarks/quality.py [--budgets 30 60] [--seeds 0 1 2] [--sets fish mice]

Each row is trained on one noisy frame alone. PSNR with range 255; "affine" after the
best gain and offset, for scenes whose illumination drifts between frames. "oracle
blur" is the best Gaussian blur, its width chosen with the truth.
"""

from __future__ import annotations

import argparse

import numpy as np
from common import describe_machine, print_table, read
from scipy.ndimage import gaussian_filter

from napari_selfdenoise import Image, denoise, recipe, train
from napari_selfdenoise.metrics import psnr, scale_invariant_psnr, ssim

SETS = {
    "fish": ("fmd/testmix_confocal_fish_raw4.tif", "fmd/testmix_confocal_fish_gt.tif"),
    "mice": ("fmd/confocal_mice_otherfov_raw.tif", "fmd/confocal_mice_otherfov_gt.tif"),
    "two-photon mice": (
        "fmd/testmix_twophoton_mice_raw4.tif",
        "fmd/testmix_twophoton_mice_gt.tif",
    ),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budgets", type=float, nargs="+", default=[30, 60])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--recipe", default="fast")
    options = parser.parse_args()
    print(describe_machine(recipe=options.recipe, seeds=options.seeds))
    header = (
        "set",
        "budget",
        "noisy",
        "oracle blur",
        "PSNR",
        "affine",
        "SSIM",
        "steps",
    )
    print_table(header, (row for name in options.sets for row in _rows(name, options)))


def _rows(name: str, options: argparse.Namespace) -> list[tuple[object, ...]]:
    noisy, clean = (read(path) for path in SETS[name])
    noisy = noisy[0] if noisy.ndim == 3 else noisy
    blur = max(psnr(gaussian_filter(noisy, s), clean, 255) for s in _widths())
    before = f"{psnr(noisy, clean, 255):.2f}"
    rows = []
    for budget in options.budgets:
        runs = [_run(noisy, clean, options.recipe, budget, s) for s in options.seeds]
        means = np.mean(runs, axis=0)
        spread = f" ± {np.ptp(runs, axis=0)[0] / 2:.2f}" if len(runs) > 1 else ""
        rows.append(
            (
                name,
                f"{budget:g} s",
                before,
                f"{blur:.2f}",
                f"{means[0]:.2f}{spread}",
                f"{means[1]:.2f}",
                f"{means[2]:.4f}",
                f"{means[3]:.0f}",
            )
        )
    return rows


def _widths() -> np.ndarray:
    return np.arange(0.5, 4, 0.25)


def _run(
    noisy: np.ndarray, clean: np.ndarray, name: str, budget: float, seed: int
) -> tuple[float, float, float, float]:
    config = recipe(name).override({"budget_s": budget, "seed": seed})
    image = Image(noisy, "YX")
    model = train(image, config)
    result = denoise(image, model).denoised.data
    return (
        psnr(result, clean, 255),
        scale_invariant_psnr(result, clean),
        ssim(result, clean, 255),
        model.provenance["steps"],
    )


if __name__ == "__main__":
    main()
