"""The value of the selected image at the mouse, a few times a second."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image as ImageLayer
from napari.viewer import Viewer
from qtpy.QtCore import QObject, QTimer, Signal  # type: ignore[attr-defined]

from napari_selfdenoise.plugin.viewer.marks import marks

_EVERY_MS = 40


class Pointer(QObject):
    """Reports what the pixel under the mouse holds, while it is asked to.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Where the mouse is followed.
    parent : QObject
        Qt parent.
    """

    pointed = Signal(str, float)
    """Name of the layer, and its value under the mouse."""

    def __init__(self, viewer: Viewer, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._event: Any = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._report)

    def follow(self, wanted: bool = True) -> None:
        """Follow the mouse, or no longer."""
        callbacks = self._viewer.mouse_move_callbacks
        if wanted and self._on_move not in callbacks:
            callbacks.append(self._on_move)
        elif not wanted:
            self.stop()

    def stop(self) -> None:
        """No longer follow the mouse."""
        self._timer.stop()
        if self._on_move in self._viewer.mouse_move_callbacks:
            self._viewer.mouse_move_callbacks.remove(self._on_move)

    def _on_move(self, viewer: Any, event: Any) -> None:
        self._event = event.position, event.view_direction, event.dims_displayed
        if not self._timer.isActive():
            self._timer.start(_EVERY_MS)

    def _report(self) -> None:
        layer = self._viewer.layers.selection.active
        if not _holds_signals(layer):
            return
        position, direction, displayed = self._event
        value = layer.get_value(
            position,
            view_direction=direction,
            dims_displayed=displayed,
            world=True,
        )
        if layer.multiscale and value is not None:
            value = value[-1]
        if value is not None and np.isfinite(value):
            self.pointed.emit(layer.name, float(value))


def _holds_signals(layer: Any) -> bool:
    """Whether the values of a layer are intensities of an image."""
    is_image = isinstance(layer, ImageLayer) and not layer.rgb
    return is_image and "axes" not in marks(layer.metadata)
