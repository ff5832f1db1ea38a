"""Dialogs for the files of the Denoise dock; each gives None where it is closed."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QWidget

from napari_selfdenoise.model import SUFFIX, model_path
from napari_selfdenoise.plugin.docks.save_dialog import ask_where_to_save, with_ending

_MODELS = f"Models (*{SUFFIX})"


def ask_for_model(window: QWidget) -> Path | None:
    """Let the user choose a model file."""
    name, _ = QFileDialog.getOpenFileName(window, "Load model", "", _MODELS)
    return Path(name) if name else None


def ask_where_to_save_model(window: QWidget) -> Path | None:
    """Let the user name a model file."""
    start = f"model{SUFFIX}"
    return ask_where_to_save(
        window, "Save model", start, _MODELS, lambda path, _: model_path(path)
    )


def ask_where_to_save_report(window: QWidget) -> Path | None:
    """Let the user name a web page."""
    kinds = "Web pages (*.html)"
    return ask_where_to_save(
        window,
        "Save report",
        "report.html",
        kinds,
        lambda path, _: with_ending(path, ".html"),
    )
