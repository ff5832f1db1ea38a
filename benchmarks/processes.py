"""Two processes that train together, against one process with the doubled batch.

    python benchmarks/processes.py [--steps 400] [--batch 4] [--side 128]
        [--seeds 0 1 2] [--kill 3]

A synthetic image with Poisson noise is denoised after so many steps of one process, of
one with the doubled batch, and of two that torchrun starts, on the CPU, each on one
thread. PSNR in dB against the signal; ± half of the range over the seeds. Seconds of a
step are those between the first and the last progress.

With --kill, one of two processes is killed (SIGKILL) so many times at random moments,
which ends the other too, and the training goes on with `--resume`. Its model is
compared with that of two processes that nothing interrupted. Checkpoints are written
after every hundredth of a second then.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from common import (
    Pixels,
    describe_machine,
    in_fresh_process,
    mean_and_spread,
    print_table,
)
from scipy.ndimage import gaussian_filter

from napari_selfdenoise import Image, denoise, load_model, read_image, write_image
from napari_selfdenoise.evaluation import psnr
from napari_selfdenoise.training import checkpoint_path, read_checkpoint

_TRAINS = """
import json, sys
from napari_selfdenoise import read_image, recipe, save_model, train_steps
from napari_selfdenoise.compute import Processes
from napari_selfdenoise.training import LEARNING
steps, seen = train_steps(read_image("noisy.tif"), recipe("fast").override(
    json.loads(sys.argv[2]))), []
try:
    while True:
        seen.append(next(steps))
except StopIteration as end:
    model = end.value
if Processes.started().is_first:
    save_model(model, sys.argv[1])
    known = [p for p in seen if p.stage == LEARNING and p.step]
    a, b = known[0], known[-1]
    print(json.dumps((b.elapsed_s - a.elapsed_s) / (b.step - a.step)))
"""

_KILLED = """
import os, sys
from pathlib import Path
from napari_selfdenoise.training import checkpoint
checkpoint.EVERY_S = 0.01
Path("process" + os.environ["RANK"]).write_text(str(os.getpid()))
from napari_selfdenoise.cli import main
main(sys.argv[1:])
"""

_TOGETHER = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")

HEADER = ("processes", "batch of each", "PSNR", "seconds a step")
KILLS = ("kill", "process", "step", "left behind")


def main() -> None:
    """Print the table, and with --kill that of the kills."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--kill", type=int, default=0)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    print(in_fresh_process(describe_machine, **vars(options)), flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        signal_ = _write_image(folder / "noisy.tif", options.side)
        print_table(HEADER, _rows(folder, signal_, options))
        if options.kill:
            print()
            print_table(KILLS, _kills(folder, options))
            _command(folder, "whole", options).wait()
            print(f"\nEqual to the bit: {_are_equal(folder)}")


def _write_image(path: Path, side: int) -> Pixels:
    """Write a noisy image; returns its signal, (Y, X), in photons."""
    rng = np.random.default_rng(0)
    blobs = gaussian_filter(rng.normal(size=(side, side)), 3, mode="wrap")
    signal_ = 20 + 60 * np.clip(blobs / blobs.std(), 0, None)
    write_image(Image(rng.poisson(signal_).astype(np.uint16), "YX"), path)
    return signal_.astype(np.float32)


# Against the doubled batch ------------------------------------------------------------


def _rows(
    folder: Path, signal_: Pixels, options: argparse.Namespace
) -> Iterator[Sequence[object]]:
    for count, batch in (
        (1, options.batch),
        (1, 2 * options.batch),
        (2, options.batch),
    ):
        runs = [_run(folder, count, batch, seed, options) for seed in options.seeds]
        seconds, found = zip(*runs, strict=True)
        quality = [psnr(one, signal_) for one in found]
        each = mean_and_spread(quality), mean_and_spread(seconds, 3)
        yield count, batch, *each


def _run(
    folder: Path, count: int, batch: int, seed: int, options: argparse.Namespace
) -> tuple[float, Pixels]:
    """Seconds of a step, and what the trained model makes of the image, (Y, X)."""
    changes = {"steps": options.steps, "batch_size": batch, "seed": seed}
    changes |= {"network.width": 8, "patch_size": 32, "budget_s": None}
    changes |= {"device": "cpu", "precision": "float32"}
    (folder / "trains.py").write_text(_TRAINS)
    before = _TOGETHER if count > 1 else ()
    command = [sys.executable, *before, "trains.py", "model", json.dumps(changes)]
    how = {"cwd": folder, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    done = subprocess.run(command, check=True, **how)
    model = load_model(folder / "model")
    denoised = denoise(read_image(folder / "noisy.tif"), model).denoised
    return float(json.loads(done.stdout)), denoised.data


# Killed -------------------------------------------------------------------------------


def _kills(folder: Path, options: argparse.Namespace) -> Iterator[Sequence[object]]:
    moments, more = random.Random(0), ()
    path = checkpoint_path(folder / "killed")
    for number in range(1, options.kill + 1):
        process, begin = _command(folder, "killed", options, *more), time.time()
        while not path.exists() or path.stat().st_mtime < begin:
            if process.poll() is not None:
                yield number, "", "", "it had ended"
                return
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 2))
        rank = moments.randrange(2)
        with suppress(ProcessLookupError):  # it may have ended meanwhile
            os.kill(int((folder / f"process{rank}").read_text()), signal.SIGKILL)
        process.wait()
        if not path.exists():
            yield number, "", "", "it had ended"
            return
        if (folder / "killed.safetensors").exists():
            sys.exit("A model was left behind by a training that had not ended.")
        more = ("--resume",)
        yield number, rank, read_checkpoint(path).step, "a checkpoint"
    _command(folder, "killed", options, *more).wait()


def _command(
    folder: Path, name: str, options: argparse.Namespace, *more: str
) -> subprocess.Popen[bytes]:
    (folder / "killed.py").write_text(_KILLED)
    flags = ["--steps", str(options.steps), "--network.width", "8", *more]
    flags += ["--batch-size", str(options.batch), "--patch-size", "32"]
    flags += ["--device", "cpu", "--precision", "float32", "--no-flips"]
    train = ["killed.py", "train", "noisy.tif", "--model", name, *flags]
    return subprocess.Popen(
        [sys.executable, *_TOGETHER, *train],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _are_equal(folder: Path) -> bool:
    one, other = (
        load_model(folder / name).channels[0].network.state_dict()
        for name in ("killed", "whole")
    )
    return all(torch.equal(one[key], other[key]) for key in one)


if __name__ == "__main__":
    main()
