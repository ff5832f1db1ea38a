"""A folder of many files, of which some are bad, and a second run over it.

    python benchmarks/many_files.py [--files 200] [--steps 200] [--seed 0]

`selfdenoise denoise FOLDER OUTPUT` on synthetic frames, five of which cannot be used:
cut short, three channels in place of one, no image at all, unreadable, and without a
single number. Then two results are deleted, and the same runs with `--skip-existing`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from common import describe_machine, print_table

HEADER = ("run", "denoised", "skipped", "failed", "exit status", "seconds")


def main() -> None:
    """Print a table of both runs, and the reasons."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(describe_machine(**vars(options)), flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder / "acquired", options.files, options.seed)
        first, row = _run(folder, "first", options.steps)
        made = sorted((folder / "results").glob("*.tif"))
        for path in made[:2]:
            path.unlink()
        _, again = _run(folder, "again", options.steps, "--skip-existing")
        print_table(HEADER, [row, again])
        print()
        for outcome in first:
            if outcome["status"] == "failed":
                print(f"- {Path(outcome['source']).name}: {outcome['reason']}")


def _write(folder: Path, count: int, seed: int) -> None:
    """Frames with photon noise; the last five are bad."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    wave = 60 + 30 * np.sin(np.arange(96) / 5)[None, :] * np.ones((96, 1))
    frames = [rng.poisson(wave).astype(np.uint16) for _ in range(count)]
    for number, frame in enumerate(frames):
        tifffile.imwrite(folder / f"cell{number:03}.tif", frame)
    names = [folder / f"cell{number:03}.tif" for number in range(count - 5, count)]
    names[0].write_bytes(names[0].read_bytes()[:2000])
    stack = np.stack(frames[:3])
    tifffile.imwrite(names[1], stack, imagej=True, metadata={"axes": "CYX"})
    names[2].write_text("no image")
    names[3].write_bytes(b"")
    tifffile.imwrite(names[4], np.full((96, 96), np.nan, np.float32))


def _run(
    folder: Path, name: str, steps: int, *more: str
) -> tuple[list[dict[str, Any]], list[object]]:
    """Run the verb: outcomes of the files, and a row of the table."""
    log, began = folder / f"{name}.jsonl", time.perf_counter()
    flags = ["--steps", str(steps), "--network.width", "8", "--patch-size", "32"]
    flags += ["--device", "cpu", "--log", str(log), *more]
    command = [sys.executable, "-m", "napari_selfdenoise", "denoise", "acquired"]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    ended = subprocess.run([*command, "results", *flags], cwd=folder, **pipes)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    kinds = ("denoised", "skipped", "failed")
    counts = [sum(line["status"] == kind for line in lines) for kind in kinds]
    seconds = f"{time.perf_counter() - began:.0f}"
    return lines, [name, *counts, ended.returncode, seconds]


if __name__ == "__main__":
    main()
