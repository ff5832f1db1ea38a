"""Predictions on many machines, by a scheduler of dask.distributed."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from itertools import groupby, islice
from typing import Any

import torch

from napari_selfdenoise.context import depth_axis
from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.images import Image, PlaneIndex, Tile
from napari_selfdenoise.long_work import STOP, Command
from napari_selfdenoise.model import TrainedModel, save_model
from napari_selfdenoise.parts.context import FullVolume
from napari_selfdenoise.parts.estimators import Estimator
from napari_selfdenoise.prediction.blend_sample import SAMPLE_PIXELS
from napari_selfdenoise.prediction.cluster_tasks import (
    Learned,
    Task,
    denoise_chunks,
    first_device,
    learn_plane,
)
from napari_selfdenoise.prediction.grid import Grid
from napari_selfdenoise.prediction.image_planes import TilePrediction
from napari_selfdenoise.prediction.predict import Prediction, ready
from napari_selfdenoise.prediction.stored import Paths, StoredPrediction, job_digest
from napari_selfdenoise.prediction.tile_size import tile_memory, tile_side

_CONNECT_S = 10
_LOOK_S = 0.2
_RETRIES = 5
"""How often a chunk is tried again whose worker was lost."""

_NOBODY = "No worker is there: waiting for one to come."

_AHEAD = 3
"""Chunks that wait for each thread of the cluster: more would fill the scheduler."""


def cluster_steps(
    open_image: Callable[[], Image],
    model: TrainedModel,
    paths: Paths,
    scheduler: str,
    *,
    estimator: Estimator | None = None,
    max_memory: int | None = None,
    dtype: Any = None,
    source: str = "",
) -> Prediction:
    """Denoise an image into OME-Zarrs by the workers of a cluster.

    Each worker opens image and model once, and then denoises and writes chunk after
    chunk. What is finished is written down as by `store_steps`; so both go on with
    what the other one has left.

    Parameters
    ----------
    open_image : callable
        Opens the image; it is called on each worker, too, so files must have the same
        names there.
    model : TrainedModel
        From `train` or `load_model`.
    paths : mapping
        Where to write which results, in a folder that all workers can write to.
    scheduler : str
        Address, such as "tcp://10.0.0.1:8786", or path of a scheduler file.
    estimator, dtype, source
        As for `store_steps`.
    max_memory : int, optional
        Bytes that each worker may take, as for `store_steps`.

    Yields
    ------
    TilePrediction
        At least once a second. Send `STOP` to end early.

    Returns
    -------
    Denoised
        As of `store_steps`.

    Raises
    ------
    RequestError
        If the package "distributed" is missing, or as for `store_steps`.
    DenoisingError
        If there is no scheduler at that address, or workers were lost again and again.
    """
    with _connected(scheduler) as client:
        image = open_image()
        model, _, found = ready(image, model, estimator, None)
        grid = _grid(client, model, max_memory)
        stored = StoredPrediction(image, model, paths, grid, dtype)
        with stored.opened(job_digest(image, model, None, dtype, source)):
            yield TilePrediction(stored.fraction, finding=stored.finding)
            if left := stored.left():
                task = _task(open_image, stored)
                yield from _spread(client, task, stored, left)
            if not stored.left():
                stored.finish()
        return stored.result(found)


@contextmanager
def _connected(scheduler: str) -> Iterator[Any]:
    """A client of a scheduler, and sentences for what is wrong with it."""
    try:
        from distributed import Client, KilledWorker
        from distributed.comm import CommClosedError
    except ImportError as error:
        raise RequestError(
            'A cluster needs the package "distributed", which is not installed.',
            'Install it: pip install "napari-selfdenoise[cluster]".',
        ) from error
    is_file = scheduler.endswith(".json")
    where = {"scheduler_file": scheduler} if is_file else {"address": scheduler}
    try:
        client = Client(**where, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise DenoisingError(
            f"No scheduler answers at {scheduler}: {error or type(error).__name__}.",
            "Start one with `dask scheduler`, and give the address that it prints.",
        ) from error
    try:
        with client:
            yield client
    except (CancelledError, CommClosedError) as error:
        raise DenoisingError(
            f"The scheduler at {scheduler} was lost.",
            "Start it again, and this command: what is denoised stays.",
        ) from error
    except KilledWorker as error:
        raise DenoisingError(
            f"Workers were lost again and again over one chunk: {error}.",
            "Give them more memory, or --max-memory; then run it again: what is "
            "denoised stays.",
        ) from error


def _grid(client: Any, model: TrainedModel, max_memory: int | None) -> Grid:
    """How planes are cut: as for GPUs only if all workers have one."""
    devices = client.run(first_device).values()
    gpus = bool(devices) and all(name != "cpu" for name in devices)
    device = torch.device("cuda" if gpus else "cpu")
    side = tile_side(model, device, tile_memory(max_memory))
    return Grid.of(side, model.config.stride)


def _task(open_image: Callable[[], Image], stored: StoredPrediction) -> Task:
    """What all tasks have in common; the model becomes a file beside the results."""
    model = save_model(stored.model, stored.model_path)
    paths = tuple((name, zarr.path.absolute()) for name, zarr in stored.parts.items())
    name = f"{paths[0][1]} {time.time()}"
    return Task(name, open_image, model.absolute(), paths, stored.grid)


def _spread(
    client: Any, task: Task, stored: StoredPrediction, left: list[Tile]
) -> Generator[TilePrediction, Command | None, None]:
    """Let workers denoise what is left, and write down what is finished."""
    from distributed import as_completed

    waiting = _submissions(client, task, stored, left)
    running = as_completed(islice(waiting, _room(client)), loop=client.loop)
    while running.count():
        for future in running.next_batch(block=False):
            done = future.result()
            if isinstance(done, Learned):
                _keep_state(stored, done)
                done = []
            for chunk, found in done:
                stored.add(chunk, found)
                place = stored.image.slices(chunk.plane, chunk.rows, chunk.columns)
                yield TilePrediction(stored.fraction, place, chunk, found)
            running.update(islice(waiting, max(0, _room(client) - running.count())))
        alone = "" if client.nthreads() else _NOBODY
        if (yield TilePrediction(stored.fraction, finding=alone)) is STOP:
            return
        time.sleep(_LOOK_S)


def _keep_state(stored: StoredPrediction, learned: Learned) -> None:
    if learned.state is not None:
        stored.add_state(learned.plane, learned.state)


def _room(client: Any) -> int:
    """How many tasks may be under way."""
    threads = sum(client.nthreads().values())
    return int(max(1, threads) * _AHEAD)


def _submissions(
    client: Any, task: Task, stored: StoredPrediction, left: list[Tile]
) -> Iterator[Any]:
    """Futures of all tasks, each submitted when it is taken."""
    image, config = stored.image, stored.model.config
    height, width = image.plane_shape
    how = {"retries": _RETRIES, "pure": False}
    if isinstance(config.context, FullVolume):
        # Planes of a volume are predicted together: one worker has them all.
        for chunks in _volumes(image, depth_axis(image, config.context.axis), left):
            yield client.submit(denoise_chunks, task, chunks, **how)
        return
    planes = [(p, list(some)) for p, some in groupby(left, key=lambda c: c.plane)]
    if height * width <= SAMPLE_PIXELS:
        for _, some in planes:  # to learn of so small a plane is to denoise it
            yield client.submit(denoise_chunks, task, some, **how)
        return
    states: list[Any] = [Learned(p, stored.states.get(p)) for p, _ in planes]
    for number, (_, some) in enumerate(planes):
        # The next plane is learned while the chunks of this one wait or are denoised.
        for ahead in range(number, min(number + 2, len(planes))):
            known = states[ahead]
            if isinstance(known, Learned) and known.state is None:
                states[ahead] = client.submit(learn_plane, task, known.plane, **how)
                yield states[ahead]
        for chunk in some:
            yield client.submit(denoise_chunks, task, [chunk], states[number], **how)
        states[number] = None


def _volumes(image: Image, axis: str, left: list[Tile]) -> list[list[Tile]]:
    """Chunks of the planes of each volume along an axis."""
    depth = image.outer_axes.index(axis) if axis else -1

    def volume(chunk: Tile) -> PlaneIndex:
        return tuple(0 if n == depth else at for n, at in enumerate(chunk.plane))

    return [list(some) for _, some in groupby(sorted(left, key=volume), key=volume)]
