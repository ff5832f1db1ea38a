"""How each of many files ended, and what is printed of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from napari_selfdenoise.batch.files import Job
from napari_selfdenoise.errors import DenoisingError, RequestError

Status = Literal["denoised", "skipped", "failed"]


@dataclass(frozen=True)
class Outcome:
    """How one file ended.

    Parameters
    ----------
    source : Path
        What was to be denoised.
    status : str
        "denoised"; "skipped", where the result was there; "failed".
    reason : str
        Why it failed, in a sentence.
    seconds : float
        That it took.
    outputs : dict
        File of each result by its name.
    notes : tuple of str
        What the user should know of the result.
    """

    source: Path
    status: Status
    reason: str = ""
    seconds: float = 0.0
    outputs: dict[str, Path] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def row(self) -> dict[str, Any]:
        """All of it as JSON can hold it."""
        return {
            "source": str(self.source),
            "status": self.status,
            "reason": self.reason,
            "seconds": round(self.seconds, 3),
            "outputs": {name: str(path) for name, path in self.outputs.items()},
            "notes": list(self.notes),
        }

    def line(self) -> str:
        """The same as one line of JSON, to be appended to a log."""
        return json.dumps(self.row())


@dataclass
class Outcomes:
    """How all files ended, as far as they were reached."""

    each: list[Outcome] = field(default_factory=list)

    def replace(self, outcome: Outcome) -> None:
        """Add an outcome, in place of one of the same file."""
        self.each = [one for one in self.each if one.source != outcome.source]
        self.each.append(outcome)

    def count(self, status: Status) -> int:
        """How many ended in one way."""
        return sum(one.status == status for one in self.each)

    @property
    def failed(self) -> list[Outcome]:
        """Those that failed."""
        return [one for one in self.each if one.status == "failed"]

    def outputs(self) -> dict[str, list[str]]:
        """Files that were written, by the name of the result."""
        found: dict[str, list[str]] = {}
        for one in self.each:
            for name, path in one.outputs.items():
                if one.status == "denoised":
                    found.setdefault(name, []).append(str(path))
        return found

    def report(self) -> dict[str, Any]:
        """All of it as JSON can hold it; what failed comes first in the warnings."""
        failed = [f"{one.source} was left out: {one.reason}" for one in self.failed]
        notes = [
            f"{one.source.name}: {note}" for one in self.each for note in one.notes
        ]
        return {
            "outputs": self.outputs(),
            "denoised": self.count("denoised"),
            "skipped": self.count("skipped"),
            "failed": len(failed),
            "files": [one.row() for one in self.each],
            "warnings": [*failed, *dict.fromkeys(notes)],
        }

    def summary(self, total: int) -> str:
        """A table of how many ended how, and why some failed.

        Parameters
        ----------
        total : int
            How many there are in all.
        """
        counts: list[tuple[str, int]] = [
            ("denoised", self.count("denoised")),
            ("skipped, as the result is there", self.count("skipped")),
            ("failed", self.count("failed")),
            ("not reached", total - len(self.each)),
        ]
        width = len(str(total))
        lines = [f"{n:>{width}}  {text}" for text, n in counts if n]
        lines += [f"failed: {one.source}: {one.reason}" for one in self.failed]
        return "\n".join(lines)


Work = Callable[[Job], Outcome]


def run_jobs(
    jobs: Sequence[Job],
    work: Work,
    done: Iterable[Callable[[Outcome], None]] = (),
    skips: Callable[[Job], bool] = lambda _: False,
) -> Outcomes:
    """Do one job after the other; one that fails does not stop the others.

    Parameters
    ----------
    jobs : sequence of Job
        What there is to do.
    work : callable
        Denoises one file.
    done : iterable of callable
        Called with each outcome.
    skips : callable
        Whether the result of a job is there.
    """
    outcomes, listeners = Outcomes(), list(done)
    for job in jobs:
        outcome = Outcome(job.source, "skipped") if skips(job) else attempt(job, work)
        outcomes.each.append(outcome)
        for listener in listeners:
            listener(outcome)
    return outcomes


def attempt(job: Job, work: Work) -> Outcome:
    """Do one job; whatever goes wrong becomes its outcome."""
    began = time.monotonic()
    try:
        return work(job)
    except Exception as error:  # noqa: BLE001 - a night of work does not end with one
        seconds = time.monotonic() - began
        return Outcome(job.source, "failed", why(error), seconds)


def why(error: Exception) -> str:
    """An error in a sentence; one that nobody foresaw with its kind."""
    if isinstance(error, RequestError | DenoisingError):
        return str(error)
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
