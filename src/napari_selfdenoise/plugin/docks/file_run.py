"""A file that is written in a worker, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_selfdenoise.plugin.docks.dock import ignore
from napari_selfdenoise.plugin.docks.worker import Run


class FileRun(QObject):
    """Writes a file in a worker; while one is being written, there is no other."""

    written = Signal(object)
    """What the worker returns."""

    failed = Signal(object)
    """The error that there was."""

    busy = Signal(bool)
    """Whether a file is being written."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._run: Run | None = None

    def begin(self, make: Callable[[], Generator[Any, Any, Any]]) -> None:
        """Write a file by the steps of a generator; not while another is written."""
        if self._run is not None:
            return
        self._run = Run(make, ignore, self._on_written, self._on_error, ignore)
        self.busy.emit(True)
        self._run.start()

    def close(self) -> None:
        """End what is being written."""
        if self._run is not None:
            self._run.abandon()
        self._run = None

    def _on_written(self, made: Any) -> None:
        if self._ended() and made is not None:
            self.written.emit(made)

    def _on_error(self, error: Exception) -> None:
        if self._ended():
            self.failed.emit(error)

    def _ended(self) -> bool:
        """Whether it ends now, and was not given up before."""
        was_running, self._run = self._run is not None, None
        if was_running:
            self.busy.emit(False)
        return was_running
