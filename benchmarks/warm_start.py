"""Trainings that start from a saved model, against ones that start from nothing.

    python benchmarks/warm_start.py [--budgets 5 10 30] [--teacher 60]
        [--only fish bpae] [--seeds 0 1 2]

A model is trained on one image, saved, and another image of the same microscope is
denoised: by the saved model as it is, by a training that continues from it, and by one
of the same seconds that does not. Each is a process of its own; imports are left out.
PSNR in dB, as `quality.py` has it for each set; ± half of the range over the seeds.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from common import (
    SETS,
    Case,
    Pixels,
    Row,
    add_change_options,
    describe_machine,
    image_of,
    in_fresh_process,
    load_everything,
    mean_and_spread,
    measured,
    ours,
    print_table,
    read,
)


@dataclass(frozen=True)
class Pair:
    """An image that a model was saved from, and another of the same microscope."""

    title: str
    known: Pixels
    case: Case
    measure: str


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--budgets", type=float, nargs="+", default=[5, 10, 30])
    parser.add_argument("--teacher", type=float, default=60, help="seconds")
    parser.add_argument("--only", nargs="+", choices=PAIRS, default=list(PAIRS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    add_change_options(parser)
    options = parser.parse_args()
    print(in_fresh_process(describe_machine, seeds=options.seeds))
    each = [
        f"{kind}, {s:g} s" for s in options.budgets for kind in ("new", "continued")
    ]
    print_table(("image", "saved model", *each), _rows(options))


def _rows(options: argparse.Namespace) -> Iterator[list[str]]:
    for name in options.only:
        pair = PAIRS[name]()
        found = [_measured(pair, seed, options) for seed in options.seeds]
        yield [pair.title, *map(mean_and_spread, zip(*found, strict=True))]


def _measured(pair: Pair, seed: int, options: argparse.Namespace) -> list[float]:
    """PSNR of the saved model, then of each budget, new and continued."""
    changes = dict(ours(options, "fast").changes) | {"seed": seed}
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "model"
        taught = changes | {"budget_s": options.teacher}
        saved = in_fresh_process(_teach, pair.known, taught, saved)
        runs: list[tuple[float | None, Path | None]] = [(None, saved)]
        for seconds in options.budgets:
            runs += [(seconds, None), (seconds, saved)]
        denoised = [
            in_fresh_process(_denoised, pair.case.training, changes, *run)
            for run in runs
        ]
    return [measured(one, pair.case.truth[0], pair.measure) for one in denoised]


def _teach(known: Pixels, changes: Row, path: Path) -> Path:
    """Save what is learned of an image (Y, X)."""
    load_everything()
    from napari_selfdenoise import recipe, save_model, train

    return save_model(train(image_of(known), recipe("fast").override(changes)), path)


def _denoised(
    noisy: Pixels, changes: Row, seconds: float | None, saved: Path | None
) -> Pixels:
    """Denoise (Y, X) after so many seconds of training; None: by the saved model."""
    load_everything()
    from napari_selfdenoise import denoise, load_model, recipe, train

    image, start = image_of(noisy), load_model(saved) if saved else None
    if start is None or seconds is not None:
        config = recipe("fast").override(changes | {"budget_s": seconds})
        start = train(image, config, start=start)
    return denoise(image, start).denoised.data


# -- Pairs of images -------------------------------------------------------------------


def _fields(title: str, name: str) -> Pair:
    """Two fields of view of the FMD data."""
    return Pair(title, read(f"fmd/{name}_otherfov_raw.tif"), _testmix(name), "psnr")


def _testmix(name: str) -> Case:
    noisy = read(f"fmd/testmix_{name}_raw4.tif")[0]
    return Case("frame 0", noisy, [noisy], [read(f"fmd/testmix_{name}_gt.tif")])


def _w2s() -> Pair:
    """Two fields of view whose grey values were stretched by different gains."""
    known, other = list(SETS["w2s"].cases(2))[:2]
    title = "W2S, channel 0, another field and stretch"
    return Pair(title, known.training, other, SETS["w2s"].measure)


def _next_frame() -> Pair:
    """Two frames of one field."""
    known = read("fmd/testmix_twophoton_mice_raw4.tif")[1]
    title = "Two-photon, mouse brain, another frame (scale-invariant)"
    return Pair(title, known, _testmix("twophoton_mice"), "scale_invariant_psnr")


PAIRS = {
    "fish": lambda: _fields("Confocal, zebrafish, another field", "confocal_fish"),
    "bpae": lambda: _fields("Confocal, BPAE, another field", "confocal_bpae_g"),
    "w2s": _w2s,
    "twophoton": _next_frame,
}


if __name__ == "__main__":
    main()
