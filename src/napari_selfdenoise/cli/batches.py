"""Flags for many inputs, and what is done with them one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import click

from napari_selfdenoise.batch import (
    IMAGE_ENDINGS,
    NAME,
    Job,
    Outcome,
    Outcomes,
    Outputs,
    Work,
    find_jobs,
    is_folder,
    is_pattern,
    require_name,
    run_jobs,
)
from napari_selfdenoise.cli.outputs import require_writable, result_paths
from napari_selfdenoise.cli.runs import Written
from napari_selfdenoise.cli.screen import Shown, progress_bar, say
from napari_selfdenoise.errors import RequestError

Denoise = Callable[[str, dict[str, Path]], tuple[Written, Sequence[str]]]
"""Denoises an input into files by the names of the results; returns notes as well."""

recursive_option = click.option(
    "--recursive", is_flag=True, help="Look through sub-folders of INPUT as well."
)

_OPTIONS = (
    recursive_option,
    click.option(
        "--skip-existing",
        is_flag=True,
        help="Leave out what has a result: go on where a run has ended.",
    ),
    click.option(
        "--name",
        "name",
        default=NAME,
        show_default=True,
        metavar="TEMPLATE",
        help="Of each result, where OUTPUT is a folder: {name} is that of the input "
        "without its ending, {folder} that of its folder, {number} its number. An "
        "ending .ome.zarr writes OME-Zarr.",
    ),
    click.option(
        "--log",
        metavar="FILE",
        help="Append one line of JSON for each input to FILE, as soon as it is done.",
    ),
)


def batch_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the flags for many inputs."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


class BatchOptions(NamedTuple):
    """What the flags of `batch_options` say."""

    recursive: bool
    skip_existing: bool
    name: str
    log: str | None

    @classmethod
    def take(cls, values: dict[str, Any]) -> BatchOptions:
        """Take them out of a verb's values."""
        return cls(*(values.pop(name) for name in cls._fields))

    def are_for(self, sources: Sequence[str]) -> bool:
        """Whether there may be several inputs, or flags that are for many are given."""
        several = len(sources) > 1 or any(map(_may_be_many, sources))
        return several or self != BatchOptions(False, False, NAME, None)


def _may_be_many(source: str) -> bool:
    return is_pattern(source) or is_folder(Path(source))


class Batch:
    """Inputs of a verb, and the files of their results.

    Parameters
    ----------
    options : BatchOptions
        Of the verb.
    sources : sequence of str
        Files, folders and patterns.
    target : str
        Folder of the results; it is made where it is not there.
    outputs : str
        Names of the results, separated by commas.
    read : iterable of str
        What else is read, and must stay.

    Raises
    ------
    RequestError
        If there is nothing to denoise, or results would replace each other or what is
        read, or cannot be written.
    """

    def __init__(
        self,
        options: BatchOptions,
        sources: Sequence[str],
        target: str,
        outputs: str,
        read: Iterable[str] = (),
    ) -> None:
        self._options, self._outputs = options, outputs
        require_name(options.name)
        require_log(options.log)
        if options.skip_existing and "{number" in options.name:
            raise RequestError(
                "Numbers of inputs change as others come, so that --skip-existing "
                "would take one for the other.",
                'Leave {number} out of --name, such as "{folder} {name}.tif".',
            )
        self.jobs = _jobs(options, sources, target, self._outputs_of)
        self._require_kept(read)

    @property
    def to_do(self) -> list[Job]:
        """Jobs that are not skipped."""
        return [job for job in self.jobs if not self._skips(job)]

    def run(self, denoise: Denoise) -> Outcomes:
        """Denoise one after the other; say and log how each ended.

        Parameters
        ----------
        denoise : callable
            Its results are written as a whole, or not at all.
        """
        outcomes, work = Outcomes(), work_of(self._outputs, denoise)
        with ExitStack() as stack:
            show = stack.enter_context(progress_bar())
            listeners = [outcomes.each.append, _teller(len(self.jobs), show)]
            if self._options.log:
                begin_log(self._options.log)
                listeners.append(partial(append_line, self._options.log))
            try:
                run_jobs(self.jobs, work, listeners, self._skips)
            except KeyboardInterrupt:
                say(outcomes.summary(len(self.jobs)))
                raise
        return outcomes

    def report(self, outcomes: Outcomes) -> dict[str, Any]:
        """Report of the verb; `failed` counts inputs without a result."""
        return outcomes.report() | {"table": outcomes.summary(len(self.jobs))}

    def _outputs_of(self, target: Path) -> list[Path]:
        return list(result_paths(target, self._outputs).values())

    def _files(self, job: Job) -> list[Path]:
        return self._outputs_of(job.target)

    def _skips(self, job: Job) -> bool:
        return self._options.skip_existing and all(map(is_result, self._files(job)))

    def _require_kept(self, read: Iterable[str]) -> None:
        """Raise an error if a result would replace what is read."""
        kept = {Path(one).resolve() for one in read}
        kept |= {job.source.resolve() for job in self.jobs}
        # A result that is a folder would replace all that lies in it.
        within = {place: one for one in kept for place in (one, *one.parents)}
        results = [file.resolve() for job in self.jobs for file in self._files(job)]
        results += [Path(self._options.log).resolve()] if self._options.log else []
        lost = next((within[file] for file in results if file in within), None)
        if lost:
            raise RequestError(
                f"The result would overwrite {lost}, which would be lost.",
                "Choose another folder or another --name for the results.",
            )


def require_log(path: str | None) -> None:
    """Raise an error if a log would replace an image or a model, or is a folder."""
    require_writable(path)
    endings = (*IMAGE_ENDINGS, ".safetensors")
    if path and (Path(path).is_dir() or path.lower().endswith(endings)):
        raise RequestError(
            f"{path} cannot be a log.", "Name a text file, such as results.jsonl."
        )


def is_result(path: Path) -> bool:
    """Whether a result is there, as a file or an OME-Zarr."""
    return path.is_dir() if path.suffix.lower() == ".zarr" else path.is_file()


def _jobs(
    options: BatchOptions, sources: Sequence[str], target: str, outputs: Outputs
) -> list[Job]:
    """What is to be done; of a single file, OUTPUT may be a file."""
    single = len(sources) == 1 and not _may_be_many(sources[0])
    if single and target.lower().endswith(IMAGE_ENDINGS):
        require_writable(target)
        return [Job(Path(sources[0]), Path(target))]
    folder = results_folder(target)
    return find_jobs(sources, folder, options.name, options.recursive, outputs)


def work_of(outputs: str, denoise: Denoise) -> Work:
    """What does a job, and makes its folder where it is not there."""

    def work(job: Job) -> Outcome:
        began, files = time.monotonic(), result_paths(job.target, outputs)
        job.target.parent.mkdir(parents=True, exist_ok=True)
        result, notes = denoise(str(job.source), files)
        every, seconds = (*notes, *result.notes), time.monotonic() - began
        return Outcome(job.source, "denoised", "", seconds, files, every)

    return work


def results_folder(target: str) -> Path:
    """OUTPUT as a folder, of several inputs."""
    folder = Path(target)
    named = not folder.exists() and folder.name.lower().endswith(IMAGE_ENDINGS)
    if named or (folder.exists() and not is_folder(folder)):
        raise RequestError(
            f"There are several inputs, but {folder} is no folder.",
            "Name a folder, or give one input at a time.",
        )
    return folder


def begin_log(path: str) -> None:
    """Make a log, where there is none, before anything is denoised.

    Raises
    ------
    RequestError
        If it cannot be made.
    """
    try:
        Path(path).open("a").close()
    except OSError as error:
        raise RequestError(
            f"The log {path} cannot be written: {error.strerror}.",
            "Name a file in a folder that you may write to.",
        ) from error


def append_line(path: str, outcome: Outcome) -> None:
    """Append an outcome to a log, so that it is there whatever comes."""
    try:
        with Path(path).open("a", encoding="utf-8") as log:
            log.write(f"{outcome.line()}\n")
    except OSError as error:  # what is denoised is worth more than the log
        say(f"The log could not be written: {error}.")


def _teller(total: int, show: Callable[[Shown], None]) -> Callable[[Outcome], None]:
    """What says how far a batch is, and which inputs failed."""
    from napari_selfdenoise.run_time import left_text

    began, ended, worked = time.monotonic(), 0, 0

    def tell(outcome: Outcome) -> None:
        nonlocal ended, worked
        ended += 1
        worked += outcome.status != "skipped"
        if outcome.status == "failed":
            say(f"{outcome.source} was left out: {outcome.reason}")
        each = (time.monotonic() - began) / max(1, worked)
        left = left_text(each * (total - ended)) if worked else ""
        text = f"{ended} of {total} files{f' ({left})' if left else ''}"
        show(Shown(text, ended / total))

    return tell
