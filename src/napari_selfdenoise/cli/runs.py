"""Generators driven by a loop: progress every two seconds, Ctrl-C stops them."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from napari_selfdenoise.cli.report import say
from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.image import Image

Result = TypeVar("Result")

_SAY_S = 2


_KEPT = "keeping what was learned"
_REST = "keeping what is denoised; the rest is NaN"


class Written(NamedTuple):
    """What a prediction wrote: its tiles, what was chosen, and what is missing.

    Parameters
    ----------
    tiles : int
        How many.
    chosen : str
        By the automatic estimator; empty for others.
    warning : str
        Empty where the whole image was denoised.
    notes : tuple of str
        What the user should know of the image.
    """

    tiles: int
    chosen: str
    warning: str
    notes: tuple[str, ...] = ()


def drive(
    steps: Generator[Any, Any, Result],
    stop: Any,
    line: Callable[[Any], str],
    stopping: str = _KEPT,
) -> Result:
    """Run a generator to its end; the first Ctrl-C stops it and keeps its result.

    Parameters
    ----------
    steps : generator
        Yields its progress, and returns its result.
    stop : object
        What it is sent to end it.
    line : callable
        Makes a line to say of its progress.
    stopping : str
        What becomes of it after the first Ctrl-C, as a phrase.
    """
    asked: list[bool] = []

    def _interrupt(*_: Any) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(True)
        say(f"Stopping: {stopping}. Ctrl-C again to throw it away.")

    before = signal.signal(signal.SIGINT, _interrupt)
    said, command, told = 0.0, None, ""
    try:
        while True:
            progress = steps.send(command)
            found = getattr(progress, "finding", "")
            if found != told:
                told = found
                say(found)
            if time.perf_counter() - said > _SAY_S:
                said = time.perf_counter()
                say(line(progress))
            command = stop if asked else None
    except StopIteration as end:
        result: Result = end.value
        return result
    finally:
        signal.signal(signal.SIGINT, before)


def train_aloud(images: list[Image], config: TrainingConfig, start: Any) -> Any:
    """Train, and say how far it is; returns the model."""
    from napari_selfdenoise.training import STOP, train_steps

    for image in images:
        say(f"{image.name}: {image.describe()}")
    return drive(train_steps(images, config, start=start), STOP, _training_line)


def predict_aloud(
    model: Any,
    image: Image,
    paths: dict[str, Path],
    device: str,
    memory: int | None,
    estimator: Any = None,
) -> Written:
    """Denoise straight into files, and say how far it is; NaN where it is stopped.

    Parameters
    ----------
    model : TrainedModel
        What denoises.
    image : Image
        What is denoised.
    paths : dict
        File of each output.
    device : str
        Where to compute.
    memory : int or None
        Bytes that a tile may take.
    estimator : Estimator, optional
        Instead of the model's own.
    """
    from napari_selfdenoise.prediction import predict_tiles
    from napari_selfdenoise.training import STOP

    estimator = estimator or model.config.estimator
    tiles: list[Any] = []
    with ExitStack() as stack:
        into = _open_outputs(stack, image, paths, estimator)
        steps = predict_tiles(
            image,
            model,
            into=into,
            estimator=estimator,
            device=device,
            max_memory=memory,
        )
        counted = _counted(steps, tiles)
        result = drive(counted, STOP, partial(_tile_line, image.name), _REST)
        if not result.complete:
            for data in into.values():
                result.coverage.blank_rest(data)
    share = f"{result.done_fraction:.0%} of {image.name}"
    warning = f"Stopped: {share} is denoised, the rest is NaN."
    warning = "" if result.complete else warning
    return Written(len(tiles), result.chosen, warning, result.notes)


def _counted(steps: Any, tiles: list[Any]) -> Generator[Any, Any, Any]:
    """Run a prediction, and collect the places of its tiles."""
    message = None
    try:
        while True:
            tile = steps.send(message)
            if tile.index is not None:
                tiles.append(tile.index)
            message = yield tile
    except StopIteration as end:
        return end.value


def _tile_line(name: str, tile: Any) -> str:
    return f"Denoising {name}: {tile.fraction:.0%}"


def _open_outputs(
    stack: ExitStack, image: Image, paths: dict[str, Path], estimator: Any
) -> dict[str, Any]:
    """Arrays to fill, by the names of results; files until the stack is closed."""
    from napari_selfdenoise.io import ImageWriter

    into = {}
    for name, path in paths.items():
        samples = estimator.count if name == "posterior-samples" else 0
        like = image.stack_of(samples) if samples else image
        if name.endswith("-std"):
            like = replace(like, look=None)  # no intensities, to be shown as such
        pixels = stack.enter_context(ImageWriter(path, like)).data
        into[name.replace("-", "_")] = pixels
    return into


def _training_line(progress: Any) -> str:
    if not progress.step:
        return str(progress.stage)
    left = progress.remaining_s
    eta = "until Ctrl-C" if left is None else f"{left:.0f} s left"
    return f"{progress.stage}: step {progress.step}, loss {progress.loss:.4g}, {eta}"
