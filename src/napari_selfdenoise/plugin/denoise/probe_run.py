"""One prediction of a tile for the probe, in a worker; nothing of it once given up."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_selfdenoise.long_work import STOP
from napari_selfdenoise.plugin.docks.worker import Run


class ProbeRun(QObject):
    """Predicts the tile of one pixel.

    Parameters
    ----------
    make : callable
        Makes the generator; called in the worker.
    pixel : tuple
        Plane, row and column that it is for.
    parent : QObject
        Qt parent.
    """

    progressed = Signal(object)
    """What the generator yields."""

    ended = Signal()
    """It came to its end, or was stopped."""

    failed = Signal(object)
    """The error that there was."""

    def __init__(
        self,
        make: Callable[[], Generator[Any, Any, Any]],
        pixel: tuple[Any, int, int],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self.pixel = pixel
        self._wanted = True
        self._run = Run(
            make, self._on_progress, self._on_end, self._on_error, self._on_end
        )

    def start(self) -> None:
        """Begin."""
        self._run.start()

    def stop(self) -> None:
        """End at the next yield and keep what was predicted."""
        self._run.send(STOP, final=True)

    def abandon(self) -> None:
        """End at the next yield; nothing more is heard of it."""
        self._wanted = False
        self._run.abandon()

    def _on_progress(self, progress: Any) -> None:
        if self._wanted:
            self.progressed.emit(progress)

    def _on_end(self, *_: Any) -> None:
        if self._wanted:
            self.ended.emit()
        self.deleteLater()

    def _on_error(self, error: Exception) -> None:
        if self._wanted:
            self.failed.emit(error)
        self.deleteLater()
