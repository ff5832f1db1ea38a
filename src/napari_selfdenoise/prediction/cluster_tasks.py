"""What a worker of a cluster does: it denoises chunks, and writes them itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from napari_selfdenoise.compute import available_devices
from napari_selfdenoise.defects import CleanImage
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import Image, PlaneIndex, StartedZarr, Tile
from napari_selfdenoise.model import TrainedModel, load_model
from napari_selfdenoise.prediction.findings import Findings
from napari_selfdenoise.prediction.grid import Grid
from napari_selfdenoise.prediction.plane_estimators import without_defects
from napari_selfdenoise.prediction.plane_state import PlaneState
from napari_selfdenoise.prediction.predict import plane_state, predict_tiles
from napari_selfdenoise.prediction.results import image_like

_ONE_AT_A_TIME = threading.Lock()
"""Held while a chunk is denoised: threads of a worker would share cores and device."""

Found = list[tuple[Tile, Findings]]


@dataclass(frozen=True)
class Task:
    """What all tasks of a prediction have in common; small, as it is sent with each.

    Parameters
    ----------
    name : str
        Of the job, different from all others: what a worker has opened is kept by it.
    open_image : callable
        Opens the image; on a worker, too.
    model : Path
        File of the model, that all workers can read.
    paths : tuple
        Name and OME-Zarr of each result.
    grid : Grid
        How planes are cut.
    device : str
        Name of the device; "auto" is a worker's own GPU, where it has one.
    """

    name: str
    open_image: Callable[[], Image]
    model: Path
    paths: tuple[tuple[str, Path], ...]
    grid: Grid
    device: str = "auto"

    def __hash__(self) -> int:
        """Of the name, which says all."""
        return hash(self.name)

    def __eq__(self, other: object) -> bool:
        """By the name, which says all."""
        return isinstance(other, Task) and other.name == self.name


class Learned(NamedTuple):
    """A plane, and what its chunks have in common; None of a blank one."""

    plane: PlaneIndex
    state: PlaneState | None


def learn_plane(task: Task, plane: PlaneIndex) -> Learned:
    """Learn of a plane what its chunks have in common."""
    with _ONE_AT_A_TIME:
        clean, model, _ = _opened(task)
        how: Any = {"device": task.device, "clean": clean}
        return Learned(plane, plane_state(clean.image, model, plane, task.grid, **how))


def denoise_chunks(
    task: Task, chunks: Sequence[Tile], learned: Learned | None = None
) -> Found:
    """Denoise chunks, and write them into the results.

    Parameters
    ----------
    task : Task
        What they belong to.
    chunks : sequence of Tile
        Of one plane, or of planes that are predicted together.
    learned : Learned, optional
        What is known of their plane.

    Returns
    -------
    list of (Tile, Findings)
        What was found in each; all are written.
    """
    found: Found = []
    with _ONE_AT_A_TIME:
        clean, model, into = _opened(task)
        known = learned is not None and learned.state is not None
        states = dict([learned]) if known and learned else {}
        how: Any = {"device": task.device, "grid": task.grid, "states": states}
        how |= {"into": into, "chunks": chunks, "clean": clean}
        for one in predict_tiles(clean.image, model, **how):
            if one.chunk is not None and one.found is not None:
                found.append((one.chunk, one.found))
    return found


def first_device() -> str:
    """Name of the device that a worker computes on."""
    return next(iter(available_devices()))


@lru_cache(maxsize=2)
def _opened(task: Task) -> tuple[CleanImage, TrainedModel, dict[str, Any]]:
    """Image, model and results of a job: opened and examined once on each worker."""
    if not task.model.is_file():
        raise RequestError(
            f"A worker does not find the folder {task.model.parent}, or not what was "
            "written there.",
            "Give OUTPUT a folder that all machines have under the same name.",
        )
    image, model = task.open_image(), load_model(task.model)
    into = {}
    for name, path in task.paths:
        like = image_like(image, name, model.config.estimator.count)
        zarr = StartedZarr(path, like, task.grid.chunk)
        zarr.go_on()
        into[name] = zarr.data
    return without_defects(image, model), model, into
