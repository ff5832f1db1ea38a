"""The verb `watch`: denoises files as a microscope writes them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from napari_selfdenoise.batch import (
    NAME,
    Arrivals,
    Job,
    Outcomes,
    attempt,
    images_in,
    is_folder,
    job_of,
    require_name,
)
from napari_selfdenoise.cli.batch_learning import Each
from napari_selfdenoise.cli.batches import (
    append_line,
    begin_log,
    recursive_option,
    require_log,
    results_folder,
    work_of,
)
from napari_selfdenoise.cli.inputs import Inputs, correction_files, input_options
from napari_selfdenoise.cli.limits import memory_option
from napari_selfdenoise.cli.outputs import (
    outputs_option,
    require_given,
    require_writable,
    result_paths,
    type_option,
)
from napari_selfdenoise.cli.report import reports
from napari_selfdenoise.cli.screen import say
from napari_selfdenoise.cli.settings import run_config, training_options
from napari_selfdenoise.errors import RequestError

_LOOK_S = 0.5


@click.command(name="watch")
@click.argument("folder", metavar="FOLDER")
@click.argument("target", metavar="OUTPUT")
@click.option(
    "--model",
    "model_path",
    metavar="FILE",
    help="Denoise with this model; else one is trained on the first file.",
)
@click.option("--save-model", metavar="FILE", help="Keep the model that is trained.")
@click.option(
    "--settle",
    type=click.FloatRange(min=0),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="A file is complete once it has not changed for so long.",
)
@click.option(
    "--idle",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="End after so long without a new file. Default: go on until Ctrl-C.",
)
@click.option(
    "--name",
    default=NAME,
    show_default=True,
    metavar="TEMPLATE",
    help="Of each result, as for denoise.",
)
@click.option(
    "--log",
    metavar="FILE",
    help="Append one line of JSON for each file to FILE, as soon as it is done.",
)
@recursive_option
@outputs_option
@type_option
@memory_option
@training_options
@input_options
@reports
def watch_verb(
    folder: str,
    target: str,
    model_path: str | None,
    save_model: str | None,
    outputs: str,
    as_source: bool,
    **values: Any,
) -> dict[str, Any]:
    """Denoise the images in FOLDER into OUTPUT as they are written, until Ctrl-C.

    Files that have no result yet come first. A file is read once it is complete.
    """
    from napari_selfdenoise.model import load_model

    started = time.perf_counter()
    watch = _Watch(folder, target, outputs, values)
    memory = {"max_memory": values.pop("max_memory")}
    require_writable(save_model)
    inputs = Inputs.take(values, memory["max_memory"])
    model = load_model(model_path) if model_path else None
    config = run_config(values, model.config if model else None)
    require_given(config, watch.files(watch.example))
    each = Each(config, inputs, as_source, model=model, save_to=save_model, **memory)
    outcomes = watch.run(each)
    return {
        "seconds": time.perf_counter() - started,
        "model": model_path or (save_model if each.model else None),
        **outcomes.report(),
        "table": outcomes.summary(len(outcomes.each)),
    } | inputs.report()


class _Watch:
    """Looks through a folder again and again.

    Parameters
    ----------
    folder, target : str
        What is watched, and where results go.
    outputs : str
        Names of the results, separated by commas.
    values : dict
        Flags of the verb, of which those on files are taken.

    Raises
    ------
    RequestError
        If there is no such folder, or results cannot be written.
    """

    def __init__(
        self, folder: str, target: str, outputs: str, values: dict[str, Any]
    ) -> None:
        self._folder, self._target, self._outputs = Path(folder), Path(target), outputs
        self._name, self._log = values.pop("name"), values.pop("log")
        self._recursive, self._idle = values.pop("recursive"), values.pop("idle")
        settle = values.pop("settle")
        self._arrivals = Arrivals(settle if math.isfinite(settle) else 0.0)
        self._sources: dict[Path, Path] = {}  # of each result
        if not is_folder(self._folder):
            raise RequestError(
                f"There is no folder {folder} to watch.", "Make it first."
            )
        require_name(self._name)
        if "{number" in self._name or "{name}" not in self._name:
            raise RequestError(
                "Files that come one after the other have no numbers, and each needs a "
                "name of its own.",
                'Give --name {name} and no {number}, such as "{folder} {name}.tif".',
            )
        require_log(self._log)
        require_writable(results_folder(target))
        self._read = {Path(p).resolve() for p in correction_files(values).values()}

    @property
    def example(self) -> Job:
        """A job as they will be."""
        return Job(self._folder / "name.tif", self._target / "name denoised.tif")

    def files(self, job: Job) -> dict[str, Path]:
        """File of each result by its name."""
        return result_paths(job.target, self._outputs)

    def run(self, each: Each) -> Outcomes:
        """Denoise what arrives, until Ctrl-C or nothing new came for long."""
        outcomes = Outcomes()
        say(f"Watching {self._folder}. Ctrl-C ends it.")
        if self._log:
            begin_log(self._log)
        try:
            for job in self._arriving():
                how = each.predict if each.model else each.denoise
                outcome = attempt(job, work_of(self._outputs, how))
                outcomes.replace(outcome)  # it may have been cut before
                text = f"{job.source.name}: {outcome.status}. {outcome.reason}"
                say(text.rstrip())
                if self._log:
                    append_line(self._log, outcome)
        except KeyboardInterrupt:
            say("Stopped watching.")
        except FileNotFoundError:
            say(f"Stopped watching: {self._folder} is gone.")
        return outcomes

    def _arriving(self) -> Iterator[Job]:
        """Files without a result, each once it is complete."""
        last = time.monotonic()
        for _ in _moments(self._folder, self._recursive):
            for job in self._complete():
                yield job
                last = time.monotonic()
            if self._arrivals.waiting:
                last = time.monotonic()
            if self._idle is not None and time.monotonic() - last >= self._idle:
                return

    def _complete(self) -> Iterator[Job]:
        """Files that are complete by now, and have no result."""
        jobs = [
            job_of(one, self._target, self._name, 0)
            for one in images_in(self._folder, self._recursive)
            if not one.lies_in(self._target) and one.path.resolve() not in self._read
        ]
        made = {file.resolve() for job in jobs for file in self.files(job).values()}
        left = {
            job.source: job
            for job in jobs
            if job.source.resolve() not in made
            and not self._is_done(job)
            # Of two files that would have one result, the first one has it.
            and self._sources.setdefault(job.target, job.source) == job.source
        }
        yield from (left[path] for path in self._arrivals.look(left))

    def _is_done(self, job: Job) -> bool:
        """Whether all results are there, and no older than their file."""
        try:
            written = job.source.stat().st_mtime_ns
            results = [f.stat().st_mtime_ns for f in self.files(job).values()]
        except OSError:
            return False
        return written <= min(results)


def _moments(folder: Path, recursive: bool) -> Iterator[None]:
    """When to look: soon after a change, and every half second while there is none."""
    from watchfiles import watch

    yield None
    milliseconds = int(1000 * _LOOK_S)
    for _ in watch(
        folder,
        recursive=recursive,
        rust_timeout=milliseconds,
        yield_on_timeout=True,
        raise_interrupt=True,
        ignore_permission_denied=True,
    ):
        yield None
