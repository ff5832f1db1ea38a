"""What else can be done with models: exporting one, and taking one of the last."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QMenu, QPushButton, QWidget

from napari_selfdenoise.export import FORMATS, Exported, export_steps
from napari_selfdenoise.model import ModelLibrary, TrainedModel
from napari_selfdenoise.plugin.docks.file_run import FileRun
from napari_selfdenoise.plugin.docks.save_dialog import ask_where_to_save

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


class Exporter(FileRun):
    """Exports a model in a worker; `written` has what became of it."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._window = parent

    def ask(self, model: TrainedModel | None) -> None:
        """Export a model to the file that the user names."""
        path = ask_where_to_save(
            self._window, "Export model", "model.zip", _FILTERS, _with_ending
        )
        if path is not None and model is not None:
            self.begin(partial(export_steps, model, path))


def in_words(made: Exported) -> str:
    """A sentence on a file that was exported, and what to know of it."""
    return " ".join([f"Exported {made.path}.", *made.notes])


def _with_ending(path: Path, chosen: str) -> Path:
    """A path with the ending of the format that was chosen, where it has none."""
    if path.suffix.lower() in FORMATS:
        return path
    ending = chosen.rpartition("*")[2].rstrip(")") or ".zip"
    return path.with_name(path.name + ending)
