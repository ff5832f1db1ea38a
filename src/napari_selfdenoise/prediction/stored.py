"""Predictions straight into OME-Zarrs, which go on where they were interrupted."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from napari_selfdenoise.compute import resolve_device
from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.images import (
    Coverage,
    Image,
    PlaneIndex,
    StartedZarr,
    Tile,
    image_digest,
)
from napari_selfdenoise.model import TrainedModel, model_digest
from napari_selfdenoise.parts.estimators import Estimator
from napari_selfdenoise.prediction.chunk_record import ChunkRecord
from napari_selfdenoise.prediction.findings import Findings
from napari_selfdenoise.prediction.grid import Grid
from napari_selfdenoise.prediction.image_planes import TilePrediction
from napari_selfdenoise.prediction.plane_state import PlaneState
from napari_selfdenoise.prediction.predict import (
    Prediction,
    denoised_of,
    predict_tiles,
    ready,
)
from napari_selfdenoise.prediction.results import (
    Denoised,
    are_intensities,
    image_like,
    require_places,
    result_image,
    result_shapes,
)
from napari_selfdenoise.prediction.tile_size import tile_memory, tile_side
from napari_selfdenoise.version import __version__

Paths = Mapping[str, str | os.PathLike[str]]
"""OME-Zarr of each result, by the names that `result_shapes` gives."""


def store_steps(
    image: Image,
    model: TrainedModel,
    paths: Paths,
    *,
    estimator: Estimator | None = None,
    device: str = "auto",
    max_memory: int | None = None,
    pair: Image | None = None,
    dtype: Any = None,
    source: str = "",
    in_background: bool = False,
) -> Prediction:
    """Denoise an image of any size chunk by chunk into OME-Zarrs.

    Until all is denoised, the results are hidden folders beside their own, with a
    record of the chunks that are finished. Where a run was stopped, failed or was
    killed, the next one with the same image, model and settings goes on.

    Parameters
    ----------
    image : Image
        With as many channels as the model; lazy arrays stay lazy.
    model : TrainedModel
        From `train` or `load_model`.
    paths : mapping
        Where to write which results: names that end in .zarr.
    estimator, device, max_memory, pair, in_background
        As for `predict_tiles`.
    dtype : dtype, optional
        Whole numbers that images are rounded to at the end; else they are float32.
    source : str
        What else the image is recognised by, such as the time that its file has: of
        large images, only a sample of the pixels is compared.

    Yields
    ------
    TilePrediction
        Tile by tile, at least once a second. Send `STOP` to end early.

    Returns
    -------
    Denoised
        Without images where it was stopped: nothing is in place then.

    Raises
    ------
    RequestError
        If image, model and settings do not go together, a name cannot be written, or
        another run writes it.
    DenoisingError
        If the device runs out of memory, or the disk is full; what was denoised stays.
    """
    model, second, found = ready(image, model, estimator, pair)
    side = tile_side(model, resolve_device(device), tile_memory(max_memory))
    grid = Grid.of(side, model.config.stride)
    job = job_digest(image, model, second, dtype, source)
    stored = StoredPrediction(image, model, paths, grid, dtype)
    with stored.opened(job):
        yield TilePrediction(stored.fraction, finding=stored.finding)
        if left := stored.left():
            how: Any = {"device": device, "in_background": in_background}
            how |= {"pair": pair, "grid": stored.grid, "chunks": left}
            how |= {"states": stored.states, "max_memory": max_memory}
            steps = predict_tiles(image, model, into=stored.into, **how)
            yield from _recorded(steps, stored)
        if not stored.left():
            stored.finish()
    return stored.result(found)


def _recorded(steps: Prediction, stored: StoredPrediction) -> Prediction:
    """Run a prediction, and write down which chunks it has finished."""
    before, message = stored.fraction, None
    with stored.disk_errors_as_sentences():
        while True:
            try:
                one = steps.send(message)
            except StopIteration as end:
                found: Denoised = end.value
                return found
            if one.chunk is not None and one.found is not None:
                stored.add(one.chunk, one.found)
            if one.learned is not None and one.learned[0] not in stored.states:
                stored.add_state(*one.learned)
            share = before + (1 - before) * one.fraction
            message = yield replace(one, fraction=share)


class StoredPrediction:
    """Results of a prediction in OME-Zarrs, and what is finished of them.

    Parameters
    ----------
    image : Image
        What is denoised.
    model : TrainedModel
        With the estimator that is used.
    paths : mapping
        Where to write which results.
    grid : Grid
        How planes are cut, unless an earlier run has begun.
    dtype : dtype, optional
        Whole numbers that images are rounded to.

    Attributes
    ----------
    finding : str
        What there was of an earlier run, in a sentence; may be empty.

    Raises
    ------
    RequestError
        If the model gives no such results, or a name cannot be written.
    """

    def __init__(
        self,
        image: Image,
        model: TrainedModel,
        paths: Paths,
        grid: Grid,
        dtype: Any = None,
    ) -> None:
        self.image, self.model, self._dtype = image, model, dtype
        self._paths = {name: Path(path) for name, path in paths.items()}
        if not self._paths or len(set(self._paths.values())) < len(self._paths):
            raise RequestError(
                "Each result needs an OME-Zarr of its own.",
                "Name one for each, such as denoised.ome.zarr.",
            )
        if dtype is not None and np.dtype(dtype).kind not in "ui":
            raise RequestError(
                f"Values are rounded to whole numbers; {dtype} holds others.",
                "Choose a type such as uint16, or none.",
            )
        shapes = result_shapes(image, model.config)
        places = {name: _Shape(shapes.get(name, ())) for name in self._paths}
        require_places(places, shapes)
        self.grid, self.finding, self._notes = grid, "", list[str]()
        self._zarrs = self._started()
        first = next(iter(self._paths.values()))
        self._record = ChunkRecord(first.with_name(f".{first.name}.progress"))

    def _started(self) -> dict[str, StartedZarr]:
        samples, chunk = self.model.config.estimator.count, self.grid.chunk
        return {
            name: StartedZarr(path, image_like(self.image, name, samples), chunk)
            for name, path in self._paths.items()
        }

    @contextmanager
    def opened(self, job: str) -> Iterator[None]:
        """Go on with what an earlier run of the same job has left, or begin.

        Raises
        ------
        RequestError
            If another run is writing the same results.
        """
        lock = FileLock(self._record.path.with_suffix(".lock"), timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise RequestError(
                f"{next(iter(self._paths.values()))} is being written by another run.",
                "Wait until it has ended, or choose another name.",
            ) from error
        try:
            self._begin(job)
            yield
        finally:
            lock.release()
            if not self._record.path.exists():
                Path(lock.lock_file).unlink(missing_ok=True)

    def _begin(self, job: str) -> None:
        """Open what is there of the same job, or make everything anew."""
        self._record.read()
        if self._record.job == job and self._goes_on():
            if self.fraction:
                self.finding = (
                    f"Going on: {self.fraction:.0%} was denoised before, in a run that "
                    "was interrupted."
                )
            return
        if self._record.job:
            self.finding = (
                "What an interrupted run has left is of another image, model or "
                "setting: all is denoised anew."
            )
        with self.disk_errors_as_sentences():
            for path in self._record.paths:
                StartedZarr(path, self.image).discard()
            for zarr in self._zarrs.values():
                zarr.begin()
            self._record.begin(job, self.grid, list(self._paths.values()))

    def _goes_on(self) -> bool:
        """Open what an earlier run has left; False where it cannot be used."""
        if self._record.is_complete:
            return all(z.is_there or z.path.exists() for z in self._zarrs.values())
        if self._record.grid is None or not self._record.grid.suits(self.grid):
            return False
        side = min(self.grid.side, self._record.grid.side)
        self.grid = self._record.grid._replace(side=side)
        try:
            for zarr in self._zarrs.values():
                zarr.go_on()
        except (LookupError, OSError, ValueError):
            return False
        self._forget_lost()
        return True

    def _forget_lost(self) -> None:
        """Denoise chunks once more that are not there as they were written."""
        zarrs, known = self._zarrs.values(), _chunks(self.image, self.grid)
        for chunk, sizes in list(self._record.sizes.items()):
            if chunk not in known:
                self._record.forget(chunk)
            elif sizes != [zarr.stored_bytes(chunk) for zarr in zarrs]:
                self._record.forget(chunk)
                for zarr in zarrs:
                    zarr.remove(chunk)

    @property
    def into(self) -> dict[str, Any]:
        """Arrays to write the results to, by name."""
        return {name: zarr.data for name, zarr in self._zarrs.items()}

    @property
    def model_path(self) -> Path:
        """File of the model beside the results, while workers need it."""
        first = next(iter(self._paths.values()))
        return first.with_name(f".{first.name}.model.safetensors")

    @property
    def parts(self) -> dict[str, StartedZarr]:
        """The zarrs that are filled, by name."""
        return self._zarrs

    @property
    def fraction(self) -> float:
        """Share of the pixels that is finished."""
        if self._record.is_complete:
            return 1.0
        pixels = self.image.plane_count * math.prod(self.image.plane_shape)
        return self._record.pixels / pixels

    def left(self) -> list[Tile]:
        """Chunks that are not finished."""
        if self._record.is_complete:
            return []
        return [
            one
            for one in _chunks(self.image, self.grid)
            if one not in self._record.finished
        ]

    def add(self, chunk: Tile, found: Findings) -> None:
        """Write down that a chunk is finished, in all results."""
        sizes = [zarr.stored_bytes(chunk) for zarr in self._zarrs.values()]
        self._record.add(chunk, found, sizes)

    @property
    def states(self) -> Mapping[PlaneIndex, PlaneState]:
        """What is known of large planes."""
        return self._record.states

    def add_state(self, plane: PlaneIndex, state: PlaneState) -> None:
        """Write down what is known of a plane."""
        self._record.add_state(plane, state)

    def finish(self) -> None:
        """Make the smaller copies, and give all results their names."""
        with self.disk_errors_as_sentences():
            if not self._record.is_complete:
                for name, zarr in self._zarrs.items():
                    self._notes += zarr.complete(self._type_of(name))
                self._record.complete()
            for zarr in self._zarrs.values():
                zarr.put_in_place()
            for path in self._record.paths:  # of an earlier run that wanted more
                StartedZarr(path, self.image).discard()
            self.model_path.unlink(missing_ok=True)
            self._record.remove()

    def result(self, more: list[str]) -> Denoised:
        """What was found, and the results where they are in place.

        Parameters
        ----------
        more : list of str
            Sentences on the image.
        """
        complete, findings = not self.left(), Findings()
        for found in self._record.finished.values():
            findings.add(found)
        about = findings, self._coverage(), [*more, *self._rounding()]
        made = denoised_of(self.image, self.model, {}, *about)
        if not complete:
            return made
        images = {
            name: result_image(self.image, name, zarr.written())
            for name, zarr in self._zarrs.items()
        }
        return replace(made, images=images)

    def _rounding(self) -> list[str]:
        return list(dict.fromkeys(self._notes))

    def _type_of(self, name: str) -> Any:
        return self._dtype if are_intensities(name) else None

    def _coverage(self) -> Coverage:
        coverage = Coverage(self.image, self.grid.stride)
        for chunk in self._record.finished:
            coverage.add(chunk)
        return coverage

    @contextmanager
    def disk_errors_as_sentences(self) -> Iterator[None]:
        """Turn errors of the disk into a sentence that says what to try."""
        try:
            yield
        except OSError as error:
            raise DenoisingError(
                f"{next(iter(self._paths.values()))} could not be written: "
                f"{error.strerror or error}.",
                "Check free space and rights, then run it again: what is denoised "
                "stays.",
            ) from error


def _chunks(image: Image, grid: Grid) -> dict[Tile, None]:
    """All chunks of an image, in their order."""
    planes, shape = image.planes(), image.plane_shape
    return {one: None for plane in planes for one in grid.chunks(plane, shape)}


class _Shape:
    """A place of which only the shape is known."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape


def job_digest(
    image: Image, model: TrainedModel, second: Image | None, dtype: Any, source: str
) -> str:
    """Digits of all that decides a result: image, model, settings, version."""
    about = [
        __version__,
        image_digest(image),
        model_digest(model),
        "" if second is None else image_digest(second),
        str(dtype),
        source,
    ]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()
