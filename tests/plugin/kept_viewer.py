"""One viewer for many tests, and how it becomes as new between them.

A viewer takes a second to open and another to close, a dock a fraction of that. Tests
that look at the viewer itself, such as how it closes, open their own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from napari import Viewer
from napari._app_model import get_app_model
from napari._app_model._app import NapariApplication
from napari._qt._qapp_model.qactions import init_qactions
from napari._qt.qt_viewer import QtViewer
from napari.plugins import _initialize_plugins
from napari.settings import get_settings
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication

from napari_selfdenoise.plugin.docks import run_record


class KeptViewer:
    """A viewer that is opened when it is first needed and then kept."""

    def __init__(self) -> None:
        self._viewer: Any = None

    @contextmanager
    def lent(self) -> Iterator[Any]:
        """Lend the viewer, and clear away afterwards what was done to it."""
        if self._viewer is None:
            self._viewer = self._open()
        yield self._viewer
        get_settings().reset()
        clear(self._viewer)

    def close(self) -> None:
        """Close it, so that no viewer is open."""
        if self._viewer is not None:
            window, self._viewer = self._viewer, None
            window.close()
            QtViewer._instances.clear()
            QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)

    def _open(self) -> Viewer:
        # Menus are registered once an application. Other viewers have one of their own,
        # and its end lets napari register them again: with a new one, then.
        NapariApplication.destroy(get_app_model().name)
        _initialize_plugins.cache_clear()
        init_qactions.cache_clear()
        return Viewer(show=False, show_welcome_screen=False)


def clear(viewer: Any) -> None:
    """Leave nothing of what a test did: docks, layers, runs, view and keys."""
    docks = [dock.inner_widget() for dock in _docks(viewer)]
    viewer.window.remove_dock_widget("all")
    for widget in docks:
        getattr(widget, "native", widget).deleteLater()
    viewer.layers.clear()
    run_record._RECORDS.pop(viewer, None)
    viewer.keymap.clear()
    viewer.dims.reset()
    # Before there were scenes, the camera was all that is looked with.
    (viewer.scene if hasattr(viewer, "scene") else viewer.camera).reset()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    QApplication.processEvents()


def _docks(viewer: Any) -> list[Any]:
    return list(viewer.window._wrapped_dock_widgets.values())
