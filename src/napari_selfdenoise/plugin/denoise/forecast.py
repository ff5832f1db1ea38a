"""An estimate of how long a run will take, by a probe in a worker."""

from __future__ import annotations

from functools import partial

from qtpy.QtCore import QObject, QTimer, Signal  # type: ignore[attr-defined]

from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.images import Image
from napari_selfdenoise.plugin.docks.dock import ignore
from napari_selfdenoise.plugin.docks.worker import Run
from napari_selfdenoise.run_time import RunEstimate, estimate_steps

WAIT_MS = 600
"""Milliseconds without a change before a probe begins."""


class Forecast(QObject):
    """Estimates how long a run takes, a moment after image or settings changed.

    Attributes
    ----------
    estimate : RunEstimate or None
        The last estimate, if it is of the image and settings as they are.
    """

    found = Signal(object)
    """The estimate; None where there is nothing to tell, or not yet."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.estimate: RunEstimate | None = None
        self._run: Run | None = None
        self._asked: tuple[Image, TrainingConfig] | None = None
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._begin)

    def ask(self, image: Image, config: TrainingConfig) -> None:
        """Estimate a run of these; for the same ones the last estimate stays."""
        if self._asked is not None and _same(self._asked, (image, config)):
            return
        self.cancel()
        self._asked = image, config
        self._soon.start(WAIT_MS)

    def cancel(self) -> None:
        """End the probe, and forget the estimate."""
        self._soon.stop()
        if self._run is not None:
            self._run.abandon()
        self._run, self._asked = None, None
        self._report(None)

    def pause(self) -> None:
        """End a probe that is going on; an estimate stays."""
        if self.estimate is None:
            self.cancel()

    def _begin(self) -> None:
        if self._asked is None:
            return
        make = partial(estimate_steps, *self._asked, in_background=True)
        self._run = Run(make, ignore, self._on_found, self._on_error, ignore)
        self._run.start()

    def _on_found(self, estimate: RunEstimate) -> None:
        if self._run is not None:  # else it was given up meanwhile
            self._run = None
            self._report(estimate)

    def _on_error(self, error: Exception) -> None:
        """Show nothing: the training says what is wrong with the settings."""
        self._run = None

    def _report(self, estimate: RunEstimate | None) -> None:
        self.estimate = estimate
        self.found.emit(estimate)


def _same(one: tuple[Image, TrainingConfig], two: tuple[Image, TrainingConfig]) -> bool:
    return one[0].sizes == two[0].sizes and one[1] == two[1]
