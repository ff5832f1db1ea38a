"""Diagnoses a layer in a worker, and shows the table below the image."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

from napari.viewer import Viewer
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_selfdenoise.diagnosis import Diagnosis, diagnose_steps
from napari_selfdenoise.images import Image
from napari_selfdenoise.plugin.denoise.diagnosis_table import DiagnosisTable
from napari_selfdenoise.plugin.docks.dock import ignore
from napari_selfdenoise.plugin.docks.places import place_below
from napari_selfdenoise.plugin.docks.plots import follow_theme
from napari_selfdenoise.plugin.docks.worker import Run

TITLE = "Diagnosis"


class Diagnoser(QObject):
    """Diagnoses one image at a time.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Whose window the table is shown in.
    parent : QObject
        Qt parent.

    Attributes
    ----------
    table : DiagnosisTable or None
        The last one that was shown.
    """

    wanted = Signal(object)
    """Settings that are to be applied: values by dotted name."""

    failed = Signal(object)
    """The error that there was."""

    busy = Signal(bool)
    """Whether a diagnosis goes on."""

    def __init__(self, viewer: Viewer, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.table: DiagnosisTable | None = None
        self._place: Any = None
        self._run: Run | None = None

    def diagnose(self, image: Image, channel: int = 0) -> None:
        """Diagnose a channel of an image, and show the table when that is done."""
        self.close()
        make = partial(diagnose_steps, image, channel)
        self._run = Run(make, ignore, self._on_found, self._on_error, ignore)
        self.busy.emit(True)
        self._run.start()

    def close(self) -> None:
        """End a diagnosis that goes on."""
        if self._run is not None:
            self._run.abandon()
            self._run = None
            self.busy.emit(False)

    def _on_found(self, diagnosis: Diagnosis | None) -> None:
        if self._run is None:
            return  # it was given up meanwhile
        self._run = None
        self.busy.emit(False)
        if diagnosis is not None:
            self._show(diagnosis)

    def _on_error(self, error: Exception) -> None:
        if self._run is not None:
            self._run = None
            self.busy.emit(False)
            self.failed.emit(error)

    def _show(self, diagnosis: Diagnosis) -> None:
        """Show a new table in the place of the last one, if that is still there."""
        self._take_away()
        self.table = DiagnosisTable()
        self.table.wanted.connect(self.wanted)
        self.table.show_diagnosis(diagnosis)
        unfollow = follow_theme(self._viewer, self.table.plot)
        self.table.destroyed.connect(lambda *_: unfollow())
        self._place = place_below(self._viewer, self.table, TITLE)

    def _take_away(self) -> None:
        if self._place is not None:
            with suppress(LookupError, RuntimeError):  # closed by the user
                self._viewer.window.remove_dock_widget(self._place)
        self._place = self.table = None
