"""Trainings that are killed: each goes on, and ends as if nothing had happened.

    python benchmarks/interruptions.py [--kills 20] [--steps 3000] [--seed 0]

`selfdenoise train` runs on a synthetic image, on the CPU. It is killed (SIGKILL) at
random moments, from its first second on, and goes on with `--resume`. Checkpoints are
written after every hundredth of a second here, in place of every minute, so that kills
meet writing as well. In the end the model is compared with that of a training that
nothing interrupted. What a kill leaves is looked at each time: no model, and a
checkpoint that can be read or none.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from common import describe_machine, print_table

from napari_selfdenoise import Image, load_model, write_image
from napari_selfdenoise.training import checkpoint_path, read_checkpoint

_SCRIPT = """
import sys
from napari_selfdenoise.training import checkpoint
checkpoint.EVERY_S = 0.01
from napari_selfdenoise.cli import main
main(sys.argv[1:])
"""

HEADER = ("kill", "after", "step", "left behind")


def main() -> None:
    """Kill, go on, and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(describe_machine(**vars(options)), flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_image(folder / "noisy.tif", options.seed)
        print_table(HEADER, _kills(folder, options))
        _command(folder, "killed", options.steps, "--resume").wait()
        _command(folder, "whole", options.steps).wait()
        print(f"\nEqual to the bit: {_are_equal(folder)}")


def _write_image(path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    wave = 60 + 30 * np.sin(np.arange(96) / 5)
    pixels = rng.poisson(np.broadcast_to(wave, (96, 96))).astype(np.uint16)
    write_image(Image(pixels, "YX"), path)


def _kills(
    folder: Path, options: argparse.Namespace
) -> Iterator[tuple[object, object, object, object]]:
    moments, more = random.Random(options.seed), ()
    path = checkpoint_path(folder / "killed")
    for number in range(options.kills):
        process = _command(folder, "killed", options.steps, *more)
        seconds = moments.uniform(1, 8)
        try:
            process.wait(seconds)
            yield number + 1, "", "", "it had ended"
            return
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        if (folder / "killed.safetensors").exists():
            sys.exit("A model was left behind by a training that had not ended.")
        step = read_checkpoint(path).step if path.exists() else 0
        more = ("--resume",) if step else ()
        left = [one.name for one in folder.iterdir() if one.suffix == ".part"]
        kind = "a checkpoint" if step else "nothing"
        yield number + 1, f"{seconds:.1f} s", step, f"{kind}, {len(left)} parts"


def _command(
    folder: Path, name: str, steps: int, *more: str
) -> subprocess.Popen[bytes]:
    flags = ["--steps", str(steps), "--network.width", "8", "--patch-size", "32"]
    flags += ["--batch-size", "2", "--device", "cpu", "--no-flips", *more]
    train = [sys.executable, "-c", _SCRIPT, "train", "noisy.tif", "--model", name]
    return subprocess.Popen(
        [*train, *flags],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _are_equal(folder: Path) -> bool:
    one, other = (load_model(folder / name) for name in ("killed", "whole"))
    pairs = zip(
        one.channels[0].network.state_dict().values(),
        other.channels[0].network.state_dict().values(),
        strict=True,
    )
    return all(torch.equal(a, b) for a, b in pairs)


if __name__ == "__main__":
    main()
