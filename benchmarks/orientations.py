"""What mirrored images add to the average of four quarter turns.

    python benchmarks/orientations.py [--sets fish mice widefield] [--steps 300]
        [--set NAME=VALUE ...]

One model is trained on each set by the automatic estimator's recipe, and denoises its
images three ways: with four orientations, with all eight, and with as many as the
estimator finds worthwhile. PSNR is a mean over the images. Seconds are those of the
prediction.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from common import (
    SETS,
    Case,
    describe_machine,
    image_of,
    in_fresh_process,
    load_everything,
    ours,
    print_table,
)

HEADER = ("set", "orientations", "PSNR, dB", "seconds", "of how many images all eight")
WAYS = {"four": math.inf, "eight": 0.0, "as estimated": None}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="+", default=["fish", "mice", "widefield"])
    parser.add_argument("--recipe", default="fast")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings of ours"
    )
    options = parser.parse_args()
    method = ours(options, options.recipe)
    changes = {"steps": options.steps, "budget_s": None, **dict(method.changes)}
    print(in_fresh_process(describe_machine, **vars(options)), flush=True)
    print_table(HEADER, _rows(options, changes))


def _rows(options: argparse.Namespace, changes: dict[str, Any]) -> Iterator[list[str]]:
    for name in options.sets:
        case = next(SETS[name].cases(1))
        for row in in_fresh_process(_compare, case, options.recipe, changes):
            yield [name, *row]


def _compare(case: Case, recipe_name: str, changes: dict[str, Any]) -> list[list[str]]:
    """Train once, and denoise in three ways."""
    load_everything()
    from napari_selfdenoise import denoise, recipe, train
    from napari_selfdenoise.evaluation import psnr
    from napari_selfdenoise.prediction import blend_estimator

    model = train(image_of(case.training), recipe(recipe_name).override(changes))
    usual, rows = blend_estimator._WORTHWHILE, []
    for name, worthwhile in WAYS.items():
        blend_estimator._WORTHWHILE = usual if worthwhile is None else worthwhile
        began, found, many = time.perf_counter(), [], 0
        for noisy, truth in zip(case.noisy, case.truth, strict=True):
            result = denoise(image_of(noisy), model)
            found.append(psnr(result.denoised.data, truth, 255.0))
            many += "8 orientations" in result.chosen
        seconds = f"{time.perf_counter() - began:.1f}"
        rows.append([name, f"{np.mean(found):.4f}", seconds, f"{many} of {len(found)}"])
    return rows


if __name__ == "__main__":
    main()
