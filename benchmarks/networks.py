"""Networks trained alike: cost, reach, seconds a step, PSNR.

    python benchmarks/networks.py [--steps 600] [--only fish mice] [--seeds 0 1 2]

Each is trained on one noisy frame alone, for the same number of steps, and predicts in
one pass; "blind" is without each pixel's own value, which takes the U-Net nine passes
and the half-plane U-Net one. "a step" is the time of a training over its steps, and
over that of the first row. ± is half of the range over the seeds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import Any

from common import (
    LONG,
    SETS,
    Case,
    Row,
    describe_machine,
    image_of,
    in_fresh_process,
    load_everything,
    mean_and_spread,
    measured,
    print_table,
)

NETWORKS: dict[str, dict[str, Any]] = {
    "U-Net (default)": {},
    "U-Net, no baseline": {"network.baseline": 0},
    "U-Net, no baseline, no smoothing": {
        "network.baseline": 0,
        "network.smoothing": 0,
    },
    "U-Net, blurred pooling": {"network.pooling": "blur"},
    "U-Net, blurred pooling, no top skip": {
        "network.pooling": "blur",
        "network.top_skip": False,
    },
    "U-Net, depth 1": {"network.depth": 1},
    "U-Net, depth 3": {"network.depth": 3},
    "U-Net, width 32": {"network.width": 32},
    "half-plane, width 16": {
        "network": "half_plane",
        "network.width": 16,
        "masking": "none",
    },
}
ESTIMATORS = ("single_pass", "blind_mean")


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = [name for name in SETS if name not in LONG]
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--only", nargs="+", choices=known, default=["fish", "mice"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    said = {"seeds": options.seeds, "steps": options.steps}
    print(in_fresh_process(describe_machine, **said))
    titles = [SETS[name].title for name in options.only]
    each = [f"{title}{how}" for title in titles for how in ("", ", blind")]
    print_table(
        ("network", "kFLOP a pixel", "reach, px", "a step", *each), _rows(options)
    )


def _rows(options: argparse.Namespace) -> Iterator[list[str]]:
    first = 0.0
    for title, changes in NETWORKS.items():
        changes = changes | {"steps": options.steps}
        cells, seconds = [], 0.0
        for name in options.only:
            case = next(SETS[name].cases(1))
            found = [
                in_fresh_process(_trained, changes | {"seed": seed}, case, name)
                for seed in options.seeds
            ]
            cells += [
                mean_and_spread(row[kind] for row in found) for kind in ESTIMATORS
            ]
            seconds += sum(row["seconds"] for row in found)
        first = first or seconds
        about = found[0]
        cost = [f"{about['flops'] / 1000:.0f}", f"{about['reach']}"]
        yield [title, *cost, f"{seconds / first:.1f}", *cells]


def _trained(changes: Row, case: Case, name: str) -> Row:
    """Cost of a network, seconds of its training, PSNR by estimator."""
    load_everything()
    from napari_selfdenoise import recipe, train

    config = recipe("fast").override({"estimator": "single_pass", "flips": False})
    config = config.override(changes)
    begin = time.perf_counter()
    model = train(image_of(case.training), config)
    seconds = time.perf_counter() - begin
    network = {
        "flops": config.network.flops_per_pixel,
        "reach": config.network.receptive_field_radius,
    }
    return network | {"seconds": seconds} | _scores(model, case, name)


def _scores(model: Any, case: Case, name: str) -> Row:
    from napari_selfdenoise import denoise
    from napari_selfdenoise.parts.estimators import BlindMean, SinglePass

    found = {}
    for estimator in (SinglePass(), BlindMean()):
        denoised = denoise(image_of(case.noisy[0]), model, estimator=estimator)
        pixels = denoised.denoised.data
        found[estimator.kind] = measured(pixels, case.truth[0], SETS[name].measure)
    return found


if __name__ == "__main__":
    main()
