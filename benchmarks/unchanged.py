"""Whether the program computes what an earlier version computed, to the bit.

    python benchmarks/unchanged.py REVISION [--steps 40] [--side 128] [--seed 0]
        [--recipes fast ollion pn2v khademi deconoising structn2v] [--keep FOLDER]

The earlier version is any revision of this repository. Each recipe is trained in a
process of its own, on the middle of the fish sample, and what comes of it is compared:
noise curve and result images; and what the program of today makes of the model
file that the earlier one wrote. With --keep, results of the revision are kept in a
folder, and taken from it where they are there already.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
RECIPES = ("fast", "ollion", "pn2v", "khademi", "deconoising", "structn2v")
HEADER = ("recipe", "noise curve", "images", "model file read today")

Results = dict[str, NDArray[np.float32]]


def main() -> None:
    """Print the table; exit with 1 where anything differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("revision", nargs="?")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--recipes", nargs="+", default=RECIPES)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        compute(options)
    elif options.revision:
        sys.exit(compare(options))
    else:
        parser.error("Name a revision to compare with.")


def compute(options: argparse.Namespace) -> None:
    """Train and denoise with the version that is imported; keep what comes of it."""
    from napari_selfdenoise import Image, denoise, load_model, recipe, save_model, train
    from napari_selfdenoise.images import fish_frame

    frame = fish_frame()
    start = [(length - options.side) // 2 for length in frame.data.shape]
    rows, columns = (slice(n, n + options.side) for n in start)
    image = Image(frame.data[rows, columns], "YX")
    model = load_model(options.model) if options.model else None
    if model is None:
        (name,) = options.recipes
        changes = {"steps": options.steps, "seed": options.seed, "device": "cpu"}
        changes |= {"budget_s": None, "precision": "float32"}
        model = train(image, recipe(name).override(changes))
        save_model(model, options.write.with_suffix(".safetensors"))
    result = denoise(image, model, device="cpu")
    (curve,) = result.noise_curves
    arrays = {f"image {name}": one.data for name, one in result.images.items()}
    arrays |= {"curve signal": curve.signal, "curve std": curve.std}
    np.savez(options.write, **arrays)


def compare(options: argparse.Namespace) -> int:
    """Compare all recipes with a revision; returns 1 where anything differs."""
    from common import describe_machine, print_table

    print(describe_machine(seed=options.seed, revision=options.revision))
    with tempfile.TemporaryDirectory() as temporary:
        then, now = (Path(temporary) / name for name in ("then", "now"))
        then = options.keep or then
        for folder in (then, now):
            folder.mkdir(parents=True, exist_ok=True)
        earlier = Path(temporary) / "earlier"
        git("worktree", "add", "--detach", str(earlier), options.revision)
        try:
            rows = [_row(name, options, earlier, then, now) for name in options.recipes]
        finally:
            git("worktree", "remove", "--force", str(earlier))
    print_table(HEADER, rows)
    return int(any("differ" in cell for row in rows for cell in row))


def _row(
    name: str, options: argparse.Namespace, earlier: Path, then: Path, now: Path
) -> list[str]:
    """What differs of one recipe."""
    old, new, again = (
        then / f"{name}.npz",
        now / f"{name}.npz",
        now / f"{name}-read.npz",
    )
    if not old.exists():
        run(earlier, name, options, old)
    run(ROOT, name, options, new)
    run(ROOT, name, options, again, old.with_suffix(".safetensors"))
    first, second, read = (dict(np.load(path)) for path in (old, new, again))
    groups = [
        {key for key in first if key.startswith(start)} for start in ("curve", "image")
    ]
    return [
        name,
        *(difference(first, second, keys) for keys in groups),
        difference(first, read, set(first)),
    ]


def difference(first: Results, second: Results, keys: set[str]) -> str:
    """Say how far results are apart, relative to the range of the first ones."""
    if set(first) != set(second):
        return f"differ: {', '.join(set(first) ^ set(second))}"
    worst = 0.0
    for key in keys:
        if first[key].shape != second[key].shape:
            return f"differ: {first[key].shape} and {second[key].shape}"
        if not np.array_equal(first[key], second[key], equal_nan=True):
            apart = np.nanmax(np.abs(first[key] - second[key]))
            worst = max(worst, float(apart / (np.nanmax(np.abs(first[key])) or 1)))
            worst = worst or float("inf")  # NaN in other places
    return f"differ by {worst:.1g}" if worst else "the same"


def run(
    source: Path,
    name: str,
    options: argparse.Namespace,
    file: Path,
    model: Path | None = None,
) -> None:
    """Compute with the version in a folder, in a process of its own."""
    command = [sys.executable, __file__, "--write", str(file), "--recipes", name]
    for option in ("steps", "side", "seed"):
        command += [f"--{option}", str(getattr(options, option))]
    command += ["--model", str(model)] if model else []
    paths = [str(source / "src"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    subprocess.run(command, env=environment, check=True)


def git(*command: str) -> None:
    """Run git in this repository."""
    subprocess.run(["git", *command], cwd=ROOT, check=True, capture_output=True)


if __name__ == "__main__":
    main()
