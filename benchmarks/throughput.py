"""Megapixels per second in training and prediction, and peak memory by image size.

    python benchmarks/throughput.py [--widths 16 32] [--steps 300]
        [--sizes 512 1024 2048 4096 | --large] [--orientations 4 1] [--store zarr tiff]
        [--workers 2]
        [--peers n2v n2v2 --careamics PYTHON] [--peer-seconds 20]
        [--peer-sizes 4096 4098] [--log FILE]

Training: pixels of patches that went through the network, and pixels whose error taught
it, over the seconds of the whole training; for ours the settling of the noise curve is
part of it. On the frame that `quality.py` calls fish, and by default in turn with the
peers, whose scripts count the same.

Prediction: each size in a process of its own, from a file that is read tile by tile to
a file that is written tile by tile, closing included. zarr: chunked files. tiff: mapped
files, written by the package's writer. "Peak" is all resident memory, to which the
system also counts what it keeps of mapped files; "own" leaves that out (Linux only);
"at rest" is resident before the prediction. A peer's script holds the image in memory.
It predicts it whole if the sides are multiples of four (at 4096 that takes a machine
with room), else in tiles; its peak includes a second of training on that image.
Workers: the same from OME-Zarr to OME-Zarr by as many processes of a local cluster, of
one thread each, once they are started; their memory is not counted.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr
from common import (
    SETS,
    Case,
    Log,
    Ours,
    Peer,
    Pixels,
    Row,
    add_peer_options,
    describe_machine,
    gpu_peak_bytes,
    image_of,
    in_fresh_process,
    interleaved,
    load_everything,
    memory_bytes,
    ours,
    peak_memory_bytes,
    peer_threads,
    peers_of,
    print_table,
    require_valid,
    say,
)

TRAINING = (
    "training",
    "width",
    "seconds",
    "forwarded, Mpx/s",
    "supervised, Mpx/s",
    "GFLOP/s",
    "peak, MiB",
    "GPU, MiB",
)
PREDICTION = (
    "prediction",
    "side, px",
    "seconds",
    "Mpx/s",
    "Mpx/s a core",
    "at rest, MiB",
    "own, MiB",
    "peak, MiB",
    "GPU, MiB",
)
SIZES = (512, 1024, 2048, 4096)
LARGE = (256, *SIZES, 8192)
CHUNK = 512


def main() -> None:
    """Print a table of training and one of prediction."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", default="fast")
    parser.add_argument("--widths", type=int, nargs="*", default=[16, 32])
    parser.add_argument("--steps", type=int, default=300, help="of each training")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings of ours"
    )
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    sizes.add_argument(
        "--large", action="store_const", const=LARGE, dest="sizes", help=f"{LARGE}"
    )
    parser.add_argument(
        "--orientations", type=int, nargs="+", choices=(4, 1), default=[4, 1]
    )
    parser.add_argument("--workers", type=int, nargs="*", default=[])
    parser.add_argument(
        "--store", nargs="+", choices=("zarr", "tiff"), default=["zarr"]
    )
    parser.add_argument("--peer-seconds", type=float, default=20, help="of training")
    parser.add_argument("--peer-sizes", type=int, nargs="*", default=[4096, 4098])
    parser.add_argument("--log", type=Path, help="append each row as a line of JSON")
    add_peer_options(parser)
    options = parser.parse_args()
    peers = peers_of(parser, options)
    base = ours(options, options.recipe)
    mine = [_of_width(base, width) for width in options.widths]
    require_valid([base, *mine])
    print(in_fresh_process(describe_machine, **{"peers' threads": peer_threads()}))
    log = Log(options.log, resume=False)
    print_table(TRAINING, _trainings(mine, peers, options, log))
    print()
    print_table(PREDICTION, _predictions(base, peers, options, log))


def _of_width(base: Ours, width: int) -> Ours:
    return replace(base, changes=(*base.changes, ("network.width", width)))


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:.0f}" if size else "–"


# -- Training --------------------------------------------------------------------------


def _trainings(
    mine: list[Ours], peers: list[Peer], options: argparse.Namespace, log: Log
) -> Iterator[list[str]]:
    case = next(SETS["fish"].cases(1))
    short = [replace(peer, seconds=options.peer_seconds) for peer in peers]
    for method in interleaved(mine, short):
        try:
            row = _trained(method, case)
        except RuntimeError as error:
            say(str(error))
            continue
        log.add({**row, "benchmark": "training throughput", "method": method.name})
        rates = (row[f"pixels_{kind}"] for kind in ("forwarded", "supervised"))
        seconds = row["seconds_train"]
        yield [
            method.name,
            str(row.get("width", "–")),
            f"{seconds:.1f}",
            *(f"{pixels / seconds / 1e6:.3g}" for pixels in rates),
            f"{row['flops'] / seconds / 1e9:.0f}" if "flops" in row else "–",
            *(_mebibytes(row.get(key, 0)) for key in ("peak_memory_bytes", "gpu")),
        ]


def _trained(method: Ours | Peer, case: Case) -> Row:
    if isinstance(method, Peer):
        return method.run(case, seed=0).about
    changes = dict(method.changes)
    return in_fresh_process(_training_row, method.recipe, changes, case.training)


def _training_row(name: str, changes: Row, noisy: Pixels) -> Row:
    """Train on one image (Y, X), and count."""
    load_everything()
    from napari_selfdenoise import recipe, train

    begin = time.perf_counter()
    model = train(image_of(noisy), recipe(name).override(changes))
    seconds = time.perf_counter() - begin
    config, steps = model.config, model.provenance["steps"]
    patches, side = steps * config.batch_size, min(config.patch_size, *noisy.shape)
    forwarded = patches * side**2
    return {
        "width": config.network.width,
        "seconds_train": seconds,
        "steps": steps,
        "pixels_forwarded": forwarded,
        "pixels_supervised": patches * _targets(config.masking, side),
        # A backward pass takes twice what a forward pass does.
        "flops": 3 * config.network.flops_per_pixel * forwarded,
        "peak_memory_bytes": peak_memory_bytes(),
        "gpu": gpu_peak_bytes(),
    }


def _targets(masking: Any, side: int) -> float:
    """Mean number of targets in a patch; some masks are drawn with random spacing."""
    import torch

    luck = torch.Generator().manual_seed(0)
    masks = [masking.draw(1, side, side, luck) for _ in range(16)]
    return float(np.mean([mask.positions.shape[1] for mask in masks]))


# -- Prediction ------------------------------------------------------------------------


def _predictions(
    base: Ours, peers: list[Peer], options: argparse.Namespace, log: Log
) -> Iterator[list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        changes = dict(base.changes) | {"steps": options.steps}
        place = Path(folder) / "model"
        model = in_fresh_process(_save_model, base.recipe, changes, place)
        for row in _prediction_rows(model, peers, options):
            log.add({"benchmark": "prediction throughput", **row})
            seconds, pixels = row["seconds_predict"], row["side"] ** 2
            memory = (row.get(name, 0) for name in ("rest", "own", "peak", "gpu"))
            yield [
                row["method"],
                f"{row['side']}",
                f"{seconds:.1f}",
                f"{pixels / seconds / 1e6:.3g}",
                _per_core(pixels / seconds / 1e6, row.get("cores")),
                *map(_mebibytes, memory),
            ]


def _per_core(rate: float, cores: int | None) -> str:
    """Megapixels a second of each core; not known of peers."""
    return f"{rate / cores:.3g}" if cores else "–"


def _save_model(name: str, changes: Row, path: Path) -> Path:
    """Train for as long as the estimator needs to find what it finds on such images."""
    from napari_selfdenoise import recipe, save_model, train

    frame = next(SETS["fish"].cases(1)).training
    return save_model(train(image_of(frame), recipe(name).override(changes)), path)


def _prediction_rows(
    model: Path, peers: list[Peer], options: argparse.Namespace
) -> Iterator[Row]:
    for side in sorted({*options.sizes, *(options.peer_sizes if peers else ())}):
        if side in options.sizes:
            yield from _our_predictions(model, side, options)
        if side in options.peer_sizes:
            for peer in peers:
                yield from _peer_prediction(peer, side)


def _our_predictions(
    model: Path, side: int, options: argparse.Namespace
) -> Iterator[Row]:
    for store, count in itertools.product(options.store, options.orientations):
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            in_fresh_process(_make_source, place, side, store)
            row = in_fresh_process(_predict, model, place, store, count == 4)
        views = "1 orientation" if count == 1 else f"{count} orientations"
        name = f"{options.recipe}, {views}, {store}"
        yield {"method": name, "side": side, **row}
    for workers, count in itertools.product(options.workers, options.orientations):
        row = in_fresh_process(_predict_by_workers, model, side, workers, count == 4)
        name = f"{options.recipe}, {workers} workers, {count} orientations, zarr"
        yield {"method": name, "side": side, **row}


def _predict_by_workers(model_path: Path, side: int, workers: int, flips: bool) -> Row:
    """Predict an image by the workers of a local cluster; seconds."""
    from distributed import LocalCluster

    from napari_selfdenoise import load_model, read_image
    from napari_selfdenoise.long_work import run_to_end
    from napari_selfdenoise.prediction import cluster_steps

    model = load_model(model_path)
    model = replace(model, config=model.config.override({"flips": flips}))
    how = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": ":0"}
    with tempfile.TemporaryDirectory() as name, LocalCluster(**how) as cluster:
        folder = Path(name)
        _make_source(folder, side, "zarr")
        cluster.get_client().run(load_everything)
        opens = partial(read_image, folder / "in.zarr", axes="YX")
        paths = {"denoised": folder / "out.ome.zarr"}
        begin = time.perf_counter()
        run_to_end(cluster_steps(opens, model, paths, cluster.scheduler_address))
        seconds = time.perf_counter() - begin
    return {"seconds_predict": seconds, "cores": workers}


def _peer_prediction(peer: Peer, side: int) -> Iterator[Row]:
    """Its prediction of a large image, after as little training as it allows."""
    large = mosaic(side, side).astype(np.float32)
    hasty = replace(peer, seconds=1.0, epochs=1)
    try:
        about = hasty.run(Case(f"{side}", large, [], []), seed=0).about
    except RuntimeError as error:
        say(f"{side} px: {error}")
        return
    yield {
        "method": f"{peer.method} {peer.setting}",
        "side": side,
        "seconds_predict": about["seconds_predict"],
        "peak": about["peak_memory_bytes"],
    }


def mosaic(rows: int, columns: int) -> np.ndarray:
    """Image (Y, X) made of the noisy frame again and again, 16-bit."""
    frame = next(SETS["fish"].cases(1)).training.astype(np.uint16)
    repeats = np.ceil(np.divide((rows, columns), frame.shape)).astype(int)
    return np.tile(frame, repeats)[:rows, :columns]


def _make_source(folder: Path, side: int, store: str) -> None:
    """Write a noisy square, band by band."""
    shape = (side, side)
    if store == "zarr":
        pixels = zarr.create_array(folder / "in.zarr", shape=shape, **_chunks("uint16"))
    else:
        pixels = tifffile.memmap(folder / "in.tif", shape=shape, dtype=np.uint16)
    for top in range(0, side, CHUNK):
        rows = min(CHUNK, side - top)
        pixels[top : top + rows] = mosaic(rows, side)


def _chunks(dtype: str) -> dict[str, Any]:
    return {"chunks": (CHUNK, CHUNK), "dtype": dtype, "compressors": None}


def _predict(model_path: Path, folder: Path, store: str, flips: bool) -> Row:
    """Predict the image of a file into a file; seconds, and memory in bytes."""
    load_everything()
    from napari_selfdenoise import denoise, load_model
    from napari_selfdenoise.compute.device import compute_threads

    model = load_model(model_path)
    model = replace(model, config=model.config.override({"flips": flips}))
    source = _open_source(folder, store)
    rest = memory_bytes("VmRSS")
    begin = time.perf_counter()
    with _own_memory() as own, _open_target(folder, source, store) as target:
        denoise(source, model, into={"denoised": target})
        del target
    return {
        "seconds_predict": time.perf_counter() - begin,
        "cores": compute_threads(),
        "rest": rest,
        "own": max(own),
        "peak": peak_memory_bytes(),
        "gpu": gpu_peak_bytes(),
    }


def _open_source(folder: Path, store: str) -> Any:
    """An image on disk, read bit by bit."""
    if store == "zarr":
        return image_of(zarr.open_array(folder / "in.zarr", mode="r"))
    return image_of(tifffile.memmap(folder / "in.tif", mode="r"))


@contextmanager
def _open_target(folder: Path, source: Any, store: str) -> Iterator[Any]:
    """A place on disk for the result, complete when the context ends."""
    from napari_selfdenoise.images import ImageWriter

    shape = source.shape
    if store == "zarr":
        yield zarr.create_array(folder / "out.zarr", shape=shape, **_chunks("float32"))
        return
    with ImageWriter(folder / "out.tif", source) as writer:
        yield writer.data


@contextmanager
def _own_memory() -> Iterator[list[int]]:
    """Resident memory without mapped files, looked at 50 times a second; bytes."""
    seen, ended = [memory_bytes("RssAnon")], threading.Event()

    def look() -> None:
        while not ended.wait(0.02):
            seen.append(memory_bytes("RssAnon"))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    yield seen
    ended.set()
    thread.join()


if __name__ == "__main__":
    main()
