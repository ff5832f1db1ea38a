"""Docks that open at once, and show their controls when PyTorch has been imported.

PyTorch takes seconds to import: napari would stand still for as long. This module
imports nothing of that kind.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from napari.utils.notifications import notification_manager
from napari.viewer import Viewer
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_selfdenoise.plugin.docks.worker import Run

_PLUGIN = "napari_selfdenoise.plugin"


class Opening(QWidget):
    """A dock that is to come; the dock itself where that is imported already.

    Attributes of the dock are those of this widget, once it is there.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer that the dock is for.

    Attributes
    ----------
    dock : Dock or None
        What has been opened.
    """

    home: ClassVar[tuple[str, str]]
    """Module and class of the dock."""

    def __new__(cls, napari_viewer: Viewer) -> Any:
        """Make the dock at once where nothing has to be imported for it."""
        module, name = cls.home
        ready = getattr(sys.modules.get(f"{_PLUGIN}.{module}"), name, None)
        return super().__new__(cls) if ready is None else ready(napari_viewer)

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self.dock: Any = None
        self._viewer = napari_viewer
        self._waiting: list[tuple[str, Any]] = []
        self._docked = self._closed = False
        self.label = QLabel("Starting: this takes a few seconds the first time…")
        self.label.setTextFormat(Qt.TextFormat.PlainText)
        self.label.setWordWrap(True)
        self.label.setFixedWidth(260)
        self.label.setAlignment(Qt.AlignmentFlag.AlignTop)
        # Else napari puts an empty space below it, which stays.
        self.label.setSizePolicy(
            QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding
        )
        self._column = QVBoxLayout(self)
        self._column.addWidget(self.label)
        make = partial(_importing, f"{_PLUGIN}.{self.home[0]}")
        self._run = Run(
            make, self._on_nothing, self._on_imported, self._on_error, self._on_nothing
        )
        self._run.start()

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the dock."""
        dock = self.__dict__.get("dock")
        if dock is None:
            raise AttributeError(f"{name}: the dock is still opening.")
        return getattr(dock, name)

    def open_files(self, paths: list[Path]) -> None:
        """Open files in the dock, as soon as it is there."""
        self._when_open("open_files", paths)

    def use_noise_model(self, path: Path) -> None:
        """Choose a noise model in the dock, as soon as it is there."""
        self._when_open("use_noise_model", path)

    def use_run_settings(self, config: Any) -> None:
        """Set the form as it was for a run, as soon as it is there."""
        self._when_open("use_run_settings", config)

    def event(self, event: QEvent) -> bool:
        """Notice when napari closes the dock: it takes the parent away."""
        if event.type() == QEvent.Type.ParentChange:
            if self.parent() is not None:
                self._docked = True
            elif self._docked:
                self._closed = True
                if self.dock is not None:
                    self.dock.close_down()
        return bool(super().event(event))

    def _when_open(self, what: str, argument: Any) -> None:
        if self.dock is None:
            self._waiting.append((what, argument))
        else:
            getattr(self.dock, what)(argument)

    def _on_nothing(self, *_: Any) -> None:
        pass

    def _on_imported(self, module: Any) -> None:
        if self._closed:
            return
        self.dock = getattr(module, self.home[1])(self._viewer)
        self.label.hide()
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.addWidget(self.dock)
        for what, argument in self._waiting:
            self._when_open(what, argument)

    def _on_error(self, error: Exception) -> None:
        self.label.setText(f"This dock could not be opened: {error}")
        notification_manager.receive_error(type(error), error, error.__traceback__)


class DenoiseOpening(Opening):
    """The Denoise dock, or its placeholder until it is imported."""

    home = ("denoise.widget", "DenoiseWidget")


class NoiseModelOpening(Opening):
    """The Noise model dock, or its placeholder until it is imported."""

    home = ("noise_model.widget", "NoiseModelWidget")


class EvaluateOpening(Opening):
    """The Evaluate dock, or its placeholder until it is imported."""

    home = ("evaluate.widget", "EvaluateWidget")


def _importing(module: str) -> Generator[None, object, Any]:
    yield None
    return importlib.import_module(module)
