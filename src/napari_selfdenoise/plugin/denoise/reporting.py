"""Writes the report of the last run, in a worker."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject  # type: ignore[attr-defined]

from napari_selfdenoise.defects import Corrections
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.evaluation import ResidualCheck, check_steps
from napari_selfdenoise.images import Image
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.plugin.docks.file_run import FileRun
from napari_selfdenoise.report import write_report

_REMOVED = "The layers of the run were removed before, so no image is shown."


@dataclass(frozen=True, eq=False)
class LastRun:
    """What a report is about.

    Parameters
    ----------
    model : TrainedModel
        That denoised.
    seconds : float
        Of the whole run.
    notes : tuple of str
        What the user should know of the result.
    noisy, denoised : Image, optional
        While their layers are there.
    corrections : Corrections
        Of the noisy image, before it was denoised.
    """

    model: TrainedModel
    seconds: float
    notes: tuple[str, ...] = ()
    noisy: Image | None = None
    denoised: Image | None = None
    corrections: Corrections = field(default_factory=Corrections)

    def without(self, pixels: Any) -> LastRun:
        """Return it without its images if these pixels are of one of them."""
        known = [image.data for image in (self.noisy, self.denoised) if image]
        if not any(data is pixels for data in known):
            return self
        notes = (*self.notes, _REMOVED)
        return replace(self, noisy=None, denoised=None, notes=notes)


class Reporter(FileRun):
    """Writes the report of one run; `written` has the path of the page.

    Attributes
    ----------
    last : LastRun or None
        What there is to report on.
    """

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.last: LastRun | None = None

    def forget(self, pixels: Any) -> None:
        """Let go of the images of the run if these pixels are of one of them."""
        if self.last is not None:
            self.last = self.last.without(pixels)

    def write(self, path: Path) -> None:
        """Write the page."""
        if self.last is not None:
            self.begin(partial(_reporting, path, self.last))

    def close(self) -> None:
        """End a page that is being written."""
        super().close()
        self.last = None


def _reporting(path: Path, run: LastRun) -> Generator[Any, object, Path]:
    """Check the residual and write the page, in a worker."""
    yield None
    notes, check = list(run.notes), None
    noisy = None if run.noisy is None else run.corrections.apply(run.noisy)
    if noisy is not None and run.denoised is not None:
        check = yield from _checking(noisy, run.denoised, notes)
    return write_report(
        path,
        run.model,
        noisy,
        run.denoised,
        check=check,
        seconds=run.seconds,
        warnings=notes,
    )


def _checking(
    noisy: Image, denoised: Image, notes: list[str]
) -> Generator[Any, object, ResidualCheck | None]:
    """The verdict on the residual; where there is none, a note says why."""
    try:
        return (yield from check_steps(noisy, denoised))
    except RequestError as error:
        notes.append(f"The residual was not checked. {error}")
        return None
