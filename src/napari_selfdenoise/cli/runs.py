"""Generators driven by a loop that shows their progress; Ctrl-C stops them."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from napari_selfdenoise.cli.screen import Shown, progress_bar, say
from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.images import Image
from napari_selfdenoise.long_work import STOP

if TYPE_CHECKING:
    from napari_selfdenoise.images import ImageWriter
    from napari_selfdenoise.run_time import RunClock

Result = TypeVar("Result")

_AGAIN = "Ctrl-C again to throw it away."
_LEARNED = f"Stopping: keeping what was learned. {_AGAIN}"
_REST = f"Stopping: keeping what is denoised; the rest is NaN. {_AGAIN}"
_GOES_ON = "Stopping: what is denoised is kept. The same command goes on with it."
_NOT_LEARNED = "Stopping: nothing is learned yet, so nothing is kept."
_NOT_WHOLE = "Stopping: the image that was begun is not written."
_NOT_DENOISED = "Stopping: nothing is denoised yet, so no image is written."


class Written(NamedTuple):
    """Summary of a prediction: its tiles, its blend, and what is missing.

    Parameters
    ----------
    tiles : int
        How many.
    chosen : str
        Blend of the automatic estimator; empty for others.
    warning : str
        Empty where the whole image was denoised.
    notes : tuple of str
        Sentences for the user about the image.
    """

    tiles: int
    chosen: str
    warning: str
    notes: tuple[str, ...] = ()


def drive(
    steps: Generator[Any, Any, Result],
    stop: Any,
    line: Callable[[Any], Shown],
    keeps: Callable[[Any], bool],
    sentences: tuple[str, str],
) -> Result:
    """Run a generator to its end; the first Ctrl-C stops it and keeps its result.

    Parameters
    ----------
    steps : generator
        Yields its progress, and returns its result.
    stop : object
        Value that ends it by `send`.
    line : callable
        Makes what is shown from its progress.
    keeps : callable
        Returns whether there is something to keep, from the last progress.
    sentences : tuple of str
        Printed at the first Ctrl-C: one where there is something to keep, one where
        there is nothing.
    """
    interrupts: list[bool] = []
    progress: Any = None

    def _interrupt(*_: Any) -> None:
        if interrupts:
            raise KeyboardInterrupt
        interrupts.append(True)
        something, nothing = sentences
        kept = keeps(progress)
        say(something if kept else nothing)
        if not kept:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, _interrupt)
    try:
        with progress_bar() as show:
            command, last_text, warned = None, "", ""
            while True:
                try:
                    progress = steps.send(command)
                except StopIteration as end:
                    result: Result = end.value
                    return result
                found = getattr(progress, "finding", "")
                if found != last_text:
                    last_text = found
                    say(found)
                if not warned and (warned := getattr(progress, "warning", "")):
                    say(warned)
                show(line(progress))
                command = stop if interrupts else None
    finally:
        signal.signal(signal.SIGINT, before)


def foretell(image: Image, config: TrainingConfig) -> RunClock:
    """Print how long a run will take, and return its clock."""
    from napari_selfdenoise.run_time import (
        RunClock,
        estimate_run,
        forecast,
        worth_estimating,
    )

    if not worth_estimating(config):
        return RunClock(image)
    try:
        found = estimate_run(image, config)
    except (RequestError, DenoisingError):  # the training says what is wrong, too
        return RunClock(image)
    say(forecast(found, config.recipe))
    return RunClock(image, found)


def train_with_progress(
    images: list[Image],
    config: TrainingConfig,
    start: Any,
    clock: RunClock | None = None,
    **taught: Any,
) -> Any:
    """Train, and print the progress; returns the model.

    With a clock, the time left is that of a whole run, denoising and all. Second
    exposures or noise-free images are given as to `train_steps`.
    """
    from napari_selfdenoise.run_time import RunClock
    from napari_selfdenoise.training import train_steps

    for image in images:
        say(f"{image.name}: {image.describe()}")
    line = partial(_training_line, clock or RunClock(images[0]))
    steps = train_steps(images, config, start=start, **taught)
    return drive(steps, STOP, line, _has_learned, (_LEARNED, _NOT_LEARNED))


def _has_learned(progress: Any) -> bool:
    return progress is not None and progress.step > 0


def predict_with_progress(
    model: Any,
    image: Image,
    paths: dict[str, Path],
    device: str,
    memory: int | None,
    estimator: Any = None,
    clock: RunClock | None = None,
    pair: Image | None = None,
    dtype: Any = None,
    whole: bool = False,
    source: str = "",
) -> Written:
    """Denoise straight into files, and print the progress; NaN where it is stopped.

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
    clock : RunClock, optional
        Of the run that this is the end of.
    pair : Image, optional
        A second exposure, which is denoised together with the image.
    dtype : dtype, optional
        Whole numbers that images are rounded to.
    whole : bool
        Whether nothing is written of an image that is stopped.
    source : str
        File of the image.
    """
    from napari_selfdenoise.defects import require_numbers
    from napari_selfdenoise.images import file_stamp
    from napari_selfdenoise.prediction import store_steps
    from napari_selfdenoise.run_time import RunClock

    if whole:
        require_numbers(image)
    how: Any = {"estimator": estimator or model.config.estimator, "device": device}
    how |= {"max_memory": memory, "pair": pair}
    if all(path.suffix.lower() == ".zarr" for path in paths.values()):
        named = {name.replace("-", "_"): path for name, path in paths.items()}
        steps = store_steps(
            image, model, named, dtype=dtype, source=file_stamp(source), **how
        )
        return store_with_progress(steps, image, clock)
    line = partial(_tile_line, image.name, clock or RunClock(image))
    return _fill(model, image, paths, line, how, dtype, whole)


def _fill(
    model: Any,
    image: Image,
    paths: dict[str, Path],
    line: Callable[[Any], Shown],
    how: dict[str, Any],
    dtype: Any,
    whole: bool,
) -> Written:
    """Denoise into TIFFs, which appear at the end, or where it is stopped."""
    from napari_selfdenoise.prediction import predict_tiles

    tiles: list[Any] = []
    with ExitStack() as stack:
        writers = _writers(image, paths, how["estimator"], dtype)
        into = {
            name.replace("-", "_"): stack.enter_context(writer).data
            for name, writer in writers.items()
        }
        steps = predict_tiles(image, model, into=into, **how)
        counted = _counted(steps, tiles)
        sentences = _REST, _NOT_WHOLE if whole else _NOT_DENOISED
        keeps = partial(_keeps, tiles, whole)
        result = drive(counted, STOP, line, keeps, sentences)
        if not (result.complete or result.done_fraction):
            raise KeyboardInterrupt  # no file of NaN takes the place of an older one
        if not result.complete:
            for data in into.values():
                result.coverage.blank_rest(data)
    return _written(len(tiles), image.name, result, _rounding_notes(writers))


def store_with_progress(
    steps: Generator[Any, Any, Any], image: Image, clock: RunClock | None = None
) -> Written:
    """Run a prediction into OME-Zarrs, which are there once all is denoised.

    Parameters
    ----------
    steps : generator
        From `store_steps` or `cluster_steps`.
    image : Image
        What is denoised.
    clock : RunClock, optional
        Of the run that this is the end of.

    Raises
    ------
    KeyboardInterrupt
        If it is stopped: the next run goes on.
    """
    from napari_selfdenoise.run_time import RunClock

    tiles: list[Any] = []
    line = partial(_tile_line, image.name, clock or RunClock(image))
    counted, sentences = _counted(steps, tiles), (_GOES_ON, _GOES_ON)
    result = drive(counted, STOP, line, lambda _: True, sentences)
    if not result.complete:
        raise KeyboardInterrupt
    return _written(len(tiles), image.name, result, [])


def _keeps(tiles: list[Any], whole: bool, progress: Any) -> bool:
    """Whether what is denoised so far is worth a file."""
    return bool(tiles) and not whole


def _written(tiles: int, name: str, result: Any, more: list[str]) -> Written:
    from napari_selfdenoise.prediction import raw_share_in_words

    share = f"{result.done_fraction:.0%} of {name}"
    warning = f"Stopped: {share} is denoised, the rest is NaN."
    warning = "" if result.complete else warning
    kept = raw_share_in_words(result.blends)
    notes = (*result.notes, kept) if kept else result.notes
    return Written(tiles, result.chosen, warning, (*notes, *more))


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


def require_room_for(
    image: Image, paths: dict[str, Path], config: TrainingConfig
) -> None:
    """Raise the errors of files that cannot hold a result, before a run of minutes.

    Raises
    ------
    RequestError
        If one has more axes than its kind of file can hold.
    """
    _writers(image, paths, config.estimator)


def _writers(
    image: Image, paths: dict[str, Path], estimator: Any, dtype: Any = None
) -> dict[str, ImageWriter]:
    """What writes each result, by its name."""
    from napari_selfdenoise.images import ImageWriter
    from napari_selfdenoise.prediction import are_intensities, image_like

    found = {}
    for name, path in paths.items():
        samples = estimator.count if name == "posterior-samples" else 0
        like = image_like(image, name.replace("-", "_"), samples)
        numbers = dtype if are_intensities(name.replace("-", "_")) else None
        found[name] = ImageWriter(path, like, dtype=numbers)
    return found


def _rounding_notes(writers: dict[str, ImageWriter]) -> list[str]:
    """What rounding has changed, by the names of results where there are several."""
    several = sum(bool(writer.notes) for writer in writers.values()) > 1
    return [
        f"{name}: {note}" if several else note
        for name, writer in writers.items()
        for note in writer.notes
    ]


def _tile_line(name: str, clock: RunClock, tile: Any) -> Shown:
    """Such as "cells: denoising image 7 of 20 (40 s left)"."""
    from napari_selfdenoise.run_time import denoising_text

    left = _left(clock.denoising(tile.fraction).left_s, f"{tile.fraction:.0%}")
    text = denoising_text(tile.fraction, clock).rstrip(".")
    return Shown(f"{name}: {text[0].lower()}{text[1:]}{left}", tile.fraction)


def _training_line(clock: RunClock, progress: Any) -> Shown:
    """Such as "Learning, 12 %, then about 10 s more (53 s left; step 80, …)"."""
    from napari_selfdenoise.run_time import learning_text

    moment = clock.learning(progress)
    text = learning_text(progress, clock).rstrip(".")
    if not progress.step:
        return Shown(text)
    more = f"step {progress.step}, loss {progress.loss:.4g}"
    text = text.replace("you stop it", "Ctrl-C") + _left(moment.left_s, more)
    return Shown(text, progress.fraction)


def _left(seconds: float | None, more: str) -> str:
    from napari_selfdenoise.run_time import left_text

    return f" ({', '.join(filter(None, (left_text(seconds), more)))})"
