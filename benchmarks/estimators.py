"""`Auto` against every single estimator, and against its input.

    python benchmarks/estimators.py [--signals point gaussian] [--steps 700]
        [--only fish mice] [--fields 2] [--averages 1 2 4 8 16] [--seeds 0]

Each frame is trained on alone, once for each signal head, and predicted with every
estimator that the head allows. "single pass" is one pass, "average" that of the eight
orientations; "Auto - best" is to the best of them all, the input among them. Averages
of 1 to 16 of the 50 frames of one field of the FMD data (confocal, BPAE) are measured
against the mean of all 50: what is averaged is part of that, so that high averages look
better than they are, the input most of all. PSNR as `quality.py` has it for each set.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace

from common import (
    LONG,
    SETS,
    Case,
    Pixels,
    describe_machine,
    image_of,
    measured,
    print_table,
    read,
)

from napari_selfdenoise import TrainedModel, denoise, recipe, train

AVERAGED = "fmd/confocal_bpae_b_fov1_raw50.tif"

BEFORE_AUTO = ("single pass", "average", "blind mean", "posterior mean")
HEADER = ("image", "head", "input", *BEFORE_AUTO, "Auto", "Auto - best", "made of")


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = [name for name in SETS if name not in LONG]
    parser.add_argument("--signals", nargs="+", default=["point", "gaussian"])
    parser.add_argument("--steps", type=int, default=700)
    single = [*known, "photographs", "photographs-10"]
    parser.add_argument("--only", nargs="*", choices=single, default=known)
    parser.add_argument("--fields", type=int, default=2, help="of view, of w2s")
    parser.add_argument("--averages", type=int, nargs="*", default=[1, 2, 4, 8, 16])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    print(describe_machine(seeds=options.seeds, steps=options.steps))
    print_table(HEADER, _rows(options))


def _rows(options: argparse.Namespace) -> Iterator[list[str]]:
    for title, measure, case in _cases(options):
        for signal in options.signals:
            for seed in options.seeds:
                changes = {"signal": signal, "steps": options.steps, "seed": seed}
                config = recipe("fast").override(changes)
                model = train(image_of(case.training), config)
                yield [title, signal, *_compared(case, model, measure)]


def _cases(options: argparse.Namespace) -> Iterator[tuple[str, str, Case]]:
    """Title, measure and pixels of each image."""
    for name in options.only:
        for case in SETS[name].cases(options.fields):
            several = (
                f", {case.name}" if name.startswith(("w2s", "photographs")) else ""
            )
            yield SETS[name].title + several, SETS[name].measure, case
    if options.averages:
        frames = read(AVERAGED)
        for count in options.averages:
            noisy: Pixels = frames[:count].mean(axis=0)
            case = Case(f"{count}", noisy, [noisy], [frames.mean(axis=0)])
            yield f"Confocal, BPAE: mean of {count}", "psnr", case


def _compared(case: Case, model: TrainedModel, measure: str) -> list[str]:
    """PSNR of the input and of all estimates, and what Auto chose."""
    (noisy,), (truth,) = case.noisy, case.truth
    found = {"input": measured(noisy, truth, measure)}
    for name, estimator, flips in _estimates(model):
        config = model.config.override({"estimator": estimator, "flips": flips})
        result = denoise(image_of(noisy), replace(model, config=config))
        found[name] = measured(result.denoised.data, truth, measure)
    best = max(value for name, value in found.items() if name != "Auto")
    cells = [f"{found[name]:.2f}" if name in found else "–" for name in HEADER[2:-2]]
    return [*cells, f"{found['Auto'] - best:+.3f}", result.chosen]


def _estimates(model: TrainedModel) -> list[tuple[str, str, bool]]:
    """Name in the table, estimator, and whether orientations are averaged."""
    found = [("single pass", "single_pass", False), ("average", "single_pass", True)]
    if model.config.masking.binning == 1 and not model.config.uses_sure:
        found += [("blind mean", "blind_mean", True)]
    if model.config.signal.spreads and not model.config.masking.correlated:
        found += [("posterior mean", "posterior_mean", True)]
    return [*found, ("Auto", "auto", True)]


if __name__ == "__main__":
    main()
