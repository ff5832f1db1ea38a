"""What else can be done with models: exporting one, and taking one of the last."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFileDialog, QMenu, QPushButton, QWidget

from napari_selfdenoise.export import FORMATS, Exported, export_steps
from napari_selfdenoise.model import ModelLibrary, TrainedModel
from napari_selfdenoise.plugin.docks.dock import ignore
from napari_selfdenoise.plugin.docks.worker import Run

_FILTERS = ";;".join(f"{name} (*{ending})" for ending, name in FORMATS.items())


class ModelMenu(QPushButton):
    """A button with a menu: Export, and the last models that were trained here."""

    export_wanted = Signal()
    """The model in hand is to be exported."""

    chosen = Signal(object)
    """The path of one of the last models."""

    def __init__(self) -> None:
        super().__init__("More")
        self.setObjectName("model_menu")
        self.setToolTip(
            "Export the model for other programs, or take one of the last models."
        )
        self.has_model = self.running = False
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        menu.aboutToShow.connect(self.fill)
        self.setMenu(menu)

    def fill(self) -> None:
        """List what there is now."""
        menu = self.menu()
        menu.clear()
        export = menu.addAction("Export model…", self.export_wanted.emit)
        export.setEnabled(self.has_model and not self.running)
        export.setToolTip("For the BioImage Model Zoo, as ONNX, or as TorchScript.")
        menu.addSeparator()
        # Most styles do not draw the title of a section.
        menu.addAction("Last models:").setEnabled(False)
        models = ModelLibrary().models()
        for kept in models:
            # An ampersand would underline the letter behind it.
            text = str(kept).replace("&", "&&")
            action = menu.addAction(text, partial(self.chosen.emit, kept.path))
            action.setEnabled(not self.running)
        if not models:
            menu.addAction("None yet: train one.").setEnabled(False)


class Exporter(QObject):
    """Exports a model in a worker."""

    written = Signal(str)
    """A sentence on the file."""

    failed = Signal(object)
    """The error that there was."""

    busy = Signal(bool)
    """Whether a model is being exported."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._window = parent
        self._run: Run | None = None

    def ask(self, model: TrainedModel | None) -> None:
        """Export a model to the file that the user names."""
        path, chosen = QFileDialog.getSaveFileName(
            self._window, "Export model", "model.zip", _FILTERS
        )
        if path and model is not None:
            self.export(model, _with_ending(Path(path), chosen))

    def export(self, model: TrainedModel, path: Path) -> None:
        """Export a model; one that is being exported comes first."""
        if self._run is not None:
            return
        make = partial(export_steps, model, path)
        self._run = Run(make, ignore, self._on_written, self._on_error, ignore)
        self.busy.emit(True)
        self._run.start()

    def close(self) -> None:
        """End an export."""
        if self._run is not None:
            self._run.abandon()
        self._run = None

    def _on_written(self, made: Exported | None) -> None:
        if self._run is None:
            return
        self._end()
        if made is not None:
            self.written.emit(" ".join([f"Exported {made.path}.", *made.notes]))

    def _on_error(self, error: Exception) -> None:
        if self._run is not None:
            self._end()
            self.failed.emit(error)

    def _end(self) -> None:
        self._run = None
        self.busy.emit(False)


def _with_ending(path: Path, chosen: str) -> Path:
    """A path with the ending of the format that was chosen, where it has none."""
    if path.suffix in FORMATS:
        return path
    ending = chosen.rpartition("*")[2].rstrip(")") or ".zip"
    return path.with_name(path.name + ending)
