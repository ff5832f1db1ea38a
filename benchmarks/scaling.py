"""Memory and time by image size, kills of predictions, and clusters that lose workers.

    python benchmarks/scaling.py memory [--sizes 4096 16384 32768] [--max-memory 1GB]
    python benchmarks/scaling.py training [--gigabytes 40] [--budget 60s]
    python benchmarks/scaling.py kills [--kills 20] [--size 2048]
    python benchmarks/scaling.py workers [--size 4096]

All with `--orientations 4|1` and `--seed N`. memory: `selfdenoise predict` from an
OME-Zarr of each size into another, in a process of its own; "peak" is all its resident
memory, libraries and all, "MiB besides" what it took beyond a run on an image of 256
px. Results are compared with a prediction in one tile, at the smallest size. training:
`selfdenoise train` on one plane of so many gigabytes. kills: a prediction is killed
(SIGKILL) at random moments and started again; nothing may lie where its result is to
be until it has ended, and the result has to be that of an undisturbed run. One that has
ended is begun anew, until there were so many kills. workers: the
same prediction by one process, by a cluster of two workers, and by two workers of which
one is killed in the middle.

Large images are made of the chunks of a small one, which share its disk space.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import zarr
from common import describe_machine, in_fresh_process, print_table, say
from scipy.ndimage import gaussian_filter

from napari_selfdenoise.prediction.chunk_record import ChunkRecord

SMALL = 2048
CHUNK = 1024
SELFDENOISE = (sys.executable, "-m", "napari_selfdenoise")


def main() -> None:
    """Print the table of one part."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=tuple(PARTS))
    parser.add_argument("--sizes", type=int, nargs="+", default=[4096, 16384, 32768])
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--max-memory", default="1GB")
    parser.add_argument("--gigabytes", type=float, default=40)
    parser.add_argument("--budget", default="60s")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--orientations", type=int, choices=(4, 1), default=1)
    parser.add_argument("--width", type=int, default=8, help="of the network")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(describe_machine(**vars(options)), flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        in_fresh_process(_write_small, folder / "small.zarr", options.seed)
        header, rows = PARTS[options.part]
        print_table(header, rows(folder, options))


# -- Images and models -----------------------------------------------------------------


def _write_small(path: Path, seed: int) -> None:
    """Photons in a random landscape, on a camera with a little read noise."""
    rng = np.random.default_rng(seed)
    hills = gaussian_filter(rng.random((SMALL, SMALL)), 6, mode="wrap")
    light = 100 + 500 * (hills - hills.min()) / np.ptp(hills)
    noisy = rng.poisson(light) + rng.normal(0, 3, light.shape)
    array = _create(path, SMALL)
    array[...] = np.clip(noisy, 0, 65535).astype(np.uint16)


def _create(path: Path, side: int) -> Any:
    chunks = (CHUNK, CHUNK)
    return zarr.create_array(str(path), shape=(side, side), chunks=chunks, dtype="u2")


def _image(folder: Path, side: int) -> Path:
    """A square plane that consists of the chunks of the small one, again and again."""
    path, count = folder / f"{side}.zarr", -(-side // CHUNK)
    _create(path, side)
    repeats = SMALL // CHUNK
    for row in range(count):
        (path / "c" / str(row)).mkdir(parents=True)
        for column in range(count):
            source = Path("c", str(row % repeats), str(column % repeats))
            os.link(folder / "small.zarr" / source, path / "c" / str(row) / str(column))
    return path


def _model(folder: Path, options: argparse.Namespace) -> str:
    """A model of the small image; its name."""
    how = ["--steps", "200", "--network.width", str(options.width), "--patch-size"]
    how += ["64", "--device", "cpu", "--seed", str(options.seed)]
    how += ["--flips" if options.orientations == 4 else "--no-flips"]
    _run(folder, "train", "small.zarr", "--axes", "YX", "--model", "model", *how)
    return "model"


# -- Runs ------------------------------------------------------------------------------


def _start(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    command = [*SELFDENOISE, *arguments, "--json"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, cwd=folder, **pipes)


class Run(NamedTuple):
    """Report of a verb, its seconds, those of the CPU, and its peak memory in bytes."""

    report: dict[str, Any]
    seconds: float
    cpu_s: float
    peak: int


def _run(folder: Path, *arguments: str) -> Run:
    """Run a verb to its end."""
    began, peak, cpu_s = time.perf_counter(), 0, 0.0
    process = _start(folder, *arguments)
    while process.poll() is None:
        peak = max(peak, _peak(process.pid))
        with suppress(psutil.Error):
            times = psutil.Process(process.pid).cpu_times()
            cpu_s = max(cpu_s, times.user + times.system)
        time.sleep(0.05)
    seconds = time.perf_counter() - began
    report = json.loads(process.communicate()[0])
    if process.returncode:
        sys.exit(f"{' '.join(arguments)}: {report}")
    return Run(report, seconds, cpu_s, peak)


def _peak(number: int) -> int:
    """Most resident memory of a process so far, in bytes."""
    try:
        text = Path(f"/proc/{number}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", text)
    return 1024 * int(found[1]) if found else 0


def _pixels(folder: Path, name: str) -> Any:
    return zarr.open_group(folder / name, mode="r")["0"]


def _largest_difference(one: Any, other: Any) -> float:
    """Largest difference of two arrays, row of chunks by row of chunks."""
    found = 0.0
    for top in range(0, one.shape[0], CHUNK):
        rows = slice(top, top + CHUNK)
        found = max(found, float(np.abs(one[rows] - other[rows]).max()))
    return found


# -- Parts -----------------------------------------------------------------------------


def _memory(folder: Path, options: argparse.Namespace) -> Iterator[list[str]]:
    model, limit = _model(folder, options), ["--max-memory", options.max_memory]
    smallest = ["predict", model, "256.zarr", "rest.ome.zarr", "--axes", "YX"]
    _image(folder, 256)
    rest = _run(folder, *smallest, *limit).peak
    for side in options.sizes:
        source, out = _image(folder, side).name, f"out {side}.ome.zarr"
        predict = ["predict", model, source, out, "--axes", "YX", *limit]
        _, seconds, cpu_s, peak = _run(folder, *predict)
        mega = side**2 / 1e6
        seam = ""
        if side == min(options.sizes):
            seam = f"{in_fresh_process(_seam, folder, source, out):.1e}"
        yield [
            str(side),
            f"{seconds:.0f}",
            f"{cpu_s:.0f}",
            f"{mega / cpu_s:.2f}",
            f"{peak / 2**20:.0f}",
            f"{(peak - rest) / 2**20:.0f}",
            seam,
        ]


def _seam(folder: Path, source: str, out: str) -> float:
    """Largest difference from a prediction in one tile, over the range of values."""
    from napari_selfdenoise import load_model, read_image
    from napari_selfdenoise.long_work import run_to_end
    from napari_selfdenoise.prediction import predict_tiles
    from napari_selfdenoise.prediction.grid import Grid

    image, model = read_image(folder / source, axes="YX"), load_model(folder / "model")
    side = image.shape[0]
    grid = Grid.of(side, model.config.stride)
    steps = predict_tiles(image, model, device="cpu", grid=grid)
    whole = run_to_end(steps).denoised.data
    tiled = _pixels(folder, out)[...]
    return float(np.abs(whole - tiled).max() / np.ptp(whole))


def _training(folder: Path, options: argparse.Namespace) -> Iterator[list[str]]:
    side = int((options.gigabytes * 1e9 / 2) ** 0.5) // CHUNK * CHUNK
    source = _image(folder, side).name
    how = ["--budget", options.budget, "--network.width", str(options.width)]
    train = ["train", source, "--axes", "YX", "--model", "large", *how]
    for limit in ([], ["--max-memory", options.max_memory]):
        report, seconds, _, peak = _run(folder, *train, *limit)
        gigabytes = f"{2 * side**2 / 1e9:.1f}"
        named = " ".join(limit[1:]) or "–"
        about = str(report["steps"]), f"{seconds:.0f}", f"{peak / 2**20:.0f}"
        yield [gigabytes, named, *about]


def _kills(folder: Path, options: argparse.Namespace) -> Iterator[list[str]]:
    model, source = _model(folder, options), _image(folder, options.size).name
    predict = ["predict", model, source, "--axes", "YX", "--max-memory", "300MB"]
    whole_s = _run(folder, *predict, "whole.ome.zarr").seconds
    moments, number = random.Random(options.seed), 0
    result = folder / "killed.ome.zarr"
    while number < options.kills:
        process = _start(folder, *predict, result.name)
        seconds = moments.uniform(2, 2 + 0.6 * whole_s)
        try:
            process.wait(seconds)
            yield ["", "", "", f"the result, which differs by {_apart(folder):g}"]
            shutil.rmtree(result)
            continue
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        if result.exists():
            sys.exit("A result was left behind by a prediction that had not ended.")
        number += 1
        record = ChunkRecord(folder / f".{result.name}.progress")
        record.read()
        done = len(record.finished)
        yield [str(number), f"{seconds:.1f}", str(done), "no result"]
    _run(folder, *predict, result.name)
    yield ["", "", "", f"the result, which differs by {_apart(folder):g}"]


def _apart(folder: Path) -> float:
    pair = [_pixels(folder, f"{name}.ome.zarr") for name in ("killed", "whole")]
    return _largest_difference(*pair)


def _workers(folder: Path, options: argparse.Namespace) -> Iterator[list[str]]:
    from distributed import LocalCluster

    model, source = _model(folder, options), _image(folder, options.size).name
    predict = ["predict", model, source, "--axes", "YX", "--max-memory", "1GB"]
    seconds = _run(folder, *predict, "one.ome.zarr").seconds
    yield _worker_row("one process", seconds, options.size, 1, 0.0)
    how = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    for name, kills in (("two workers", False), ("two, one killed", True)):
        with LocalCluster(**how) as cluster:
            spread = [*predict, f"{name}.ome.zarr"]
            spread += ["--scheduler", cluster.scheduler_address]
            if kills:
                seconds = _run_and_kill(folder, spread, cluster, seconds / 2)
            else:
                seconds = _run(folder, *spread).seconds
        pair = [_pixels(folder, f"{one}.ome.zarr") for one in (name, "one")]
        apart = _largest_difference(*pair)
        yield _worker_row(name, seconds, options.size, 2, apart)


def _run_and_kill(
    folder: Path, command: list[str], cluster: Any, moment: float
) -> float:
    """Run a prediction, kill a worker in the middle, and return its seconds."""
    began = time.perf_counter()
    process = _start(folder, *command)
    time.sleep(moment)
    victim = next(iter(cluster.workers.values()))
    os.kill(victim.pid, signal.SIGKILL)
    say(f"killed worker {victim.pid} after {moment:.0f} s")
    out, _ = process.communicate()
    if process.returncode:
        sys.exit(f"The prediction failed: {out!r}")
    return time.perf_counter() - began


def _worker_row(
    name: str, seconds: float, side: int, cores: int, apart: float
) -> list[str]:
    rate = side**2 / 1e6 / seconds
    return [name, f"{seconds:.0f}", f"{rate:.3g}", f"{rate / cores:.3g}", f"{apart:g}"]


PARTS = {
    "memory": (
        (
            "side, px",
            "seconds",
            "of CPU",
            "Mpx per CPU s",
            "peak, MiB",
            "MiB besides",
            "seam",
        ),
        _memory,
    ),
    "training": (("GB", "--max-memory", "steps", "seconds", "peak, MiB"), _training),
    "kills": (("kill", "after, s", "chunks done", "left behind"), _kills),
    "workers": (
        ("prediction by", "seconds", "Mpx/s", "Mpx/s a core", "differs by"),
        _workers,
    ),
}


if __name__ == "__main__":
    main()
