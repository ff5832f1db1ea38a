"""Recipes and peers on public sets: PSNR, scale-invariant PSNR, SSIM, seconds.

    python benchmarks/quality.py [--recipes fast:30 fast:60 best]
        [--peers n2v n2v2 vst-bm3d:tuned --careamics PYTHON --bm3d PYTHON]
        [--only fish mice] [--fields 20] [--seeds 0 1 2] [--log FILE [--resume]]

Each training sees one noisy frame alone (bsd68: the 400 images of BSD400); a recipe is
named with its budget in seconds. PSNR and SSIM have a data range of 255; on w2s, whose
images were each stretched, truth is brought to the noisy frame's gain and offset first.
Scale-invariant PSNR fits each prediction to the truth, and has its range. In the
second table each set has the measure that it is judged by. "blur" is the best Gaussian
blur, its width chosen with the truth. Seconds are those of one training and its
prediction, imports left out. Rows are means over the images of the set, ± half of the
range over the seeds. Ours and peers, whose environments `benchmarks/peers/README.md`
makes, run in turn. photographs and bsd68 are measured only where they are named, and
bsd68 without peers, whose scripts train on one image.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from common import (
    LONG,
    SETS,
    Log,
    Method,
    Row,
    add_change_options,
    add_log_options,
    add_peer_options,
    best_blur,
    describe_machine,
    in_fresh_process,
    interleaved,
    logged_run,
    mean_and_spread,
    ours,
    peer_threads,
    peers_of,
    print_table,
    require_valid,
    score,
    versions_of,
)

HEADER = ("set", "method", "PSNR", "scale-invariant", "SSIM", "train, s", "predict, s")
MEASURES = {"psnr": 2, "scale_invariant_psnr": 2, "ssim": 4}
SECONDS = {"seconds_train": 1, "seconds_predict": 1}
NOISY, BLUR = "noisy", "blur"

Found = dict[str, list[Row]]
"""Rows of a set by method."""


def main() -> None:
    """Print one table of all measures, and one of the measure of each set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--recipes",
        nargs="*",
        default=["fast:30", "fast:60", "best"],
        metavar="NAME[:SECONDS]",
    )
    parser.add_argument(
        "--budget",
        nargs="+",
        type=float,
        default=[None],
        metavar="SECONDS",
        help="of recipes that are named without one; else their own",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=SETS,
        default=[name for name in SETS if name not in LONG],
    )
    parser.add_argument("--fields", type=int, default=20, help="of view, of w2s")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    add_change_options(parser)
    add_peer_options(parser)
    add_log_options(parser)
    options = parser.parse_args()
    methods = interleaved(_recipes(options), peers_of(parser, options))
    require_valid(methods)
    _measure(methods, options)


def _recipes(options: argparse.Namespace) -> list[Method]:
    asked = [name.partition(":") for name in options.recipes]
    return [
        ours(options, name, float(seconds) if seconds else budget)
        for name, _, seconds in asked
        for budget in options.budget
    ]


def _measure(methods: list[Method], options: argparse.Namespace) -> None:
    said = {"seeds": options.seeds, "peers' threads": peer_threads()}
    print(in_fresh_process(describe_machine, **said))
    log = Log(options.log, options.resume)
    names = [NOISY, BLUR, *(method.name for method in methods)]
    sets: dict[str, Found] = {}

    def lines() -> Iterator[list[str]]:
        for name in options.only:
            sets[name] = _found(name, methods, log, options)
            yield from _long(name, sets[name], names)

    print_table(HEADER, lines())
    print()
    print_table(("set", *names), (_wide(*item, names) for item in sets.items()))
    rows = (row for one in sets.values() for rows in one.values() for row in rows)
    print(f"\nVersions: {versions_of(rows)}")


def _found(
    name: str, methods: list[Method], log: Log, options: argparse.Namespace
) -> Found:
    """Run everything on one set."""
    found: Found = {}
    for case in SETS[name].cases(options.fields):
        blurred, width = best_blur(case, SETS[name].measure)
        found.setdefault(NOISY, []).append(score(case.noisy, case.truth))
        blur = score(blurred, case.truth) | {"width": width}
        found.setdefault(BLUR, []).append(blur)
        for seed in options.seeds:
            for method in (m for m in methods if m.takes(case)):
                row = logged_run(log, "quality", name, case, method, seed)
                found.setdefault(method.name, []).extend([row] if row else [])
    return found


def _long(name: str, found: Found, names: list[str]) -> Iterator[list[str]]:
    """A line for each method, with all measures."""
    for method in names:
        if method in found:
            cells = [_cell(found, method, *m) for m in (MEASURES | SECONDS).items()]
            yield [SETS[name].title, _title(method, found[method]), *cells]


def _wide(name: str, found: Found, names: list[str]) -> list[str]:
    """One line, with the measure of the set."""
    measure = SETS[name].measure
    cells = [_cell(found, method, measure, MEASURES[measure]) for method in names]
    return [SETS[name].title, *cells]


def _title(method: str, rows: list[Row]) -> str:
    """Name of a method; of the blur, with the widths."""
    if method != BLUR:
        return method
    low, high = np.percentile([row["width"] for row in rows], (0, 100))
    return f"blur, σ {low:g}" + (f" to {high:g}" if high > low else "")


def _cell(found: Found, method: str, name: str, digits: int) -> str:
    """Mean over the cases, of each seed; over the seeds, mean and spread."""
    if method not in found or (method in (NOISY, BLUR) and name in SECONDS):
        return "–"
    seeds: dict[int | None, list[float]] = {}
    for row in found[method]:
        seeds.setdefault(row.get("seed"), []).append(row[name])
    if not seeds:
        return "failed"
    some = min(len(values) for values in seeds.values()) < len(found[NOISY])
    means = (float(np.mean(values)) for values in seeds.values())
    return mean_and_spread(means, digits) + (" (some failed)" if some else "")


if __name__ == "__main__":
    main()
