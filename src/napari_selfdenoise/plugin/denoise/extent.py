"""Which images of a stack are denoised: all, those in view, or some that are typed."""

from __future__ import annotations

from napari.layers import Image as ImageLayer
from qtpy.QtWidgets import QComboBox, QFormLayout, QLineEdit, QWidget

from napari_selfdenoise.images import IN_VIEW, STACK, is_large
from napari_selfdenoise.plugin.docks.panel import bare, combo_box
from napari_selfdenoise.plugin.viewer.layers import outer_axes, plane_shape

ALL = "all"


class ExtentChoice(QWidget):
    """A row to choose what is denoised; hidden where there is one image, not large.

    All of them teach the network, whichever are denoised.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.combo = combo_box(
            "extent",
            "Which images are denoised: choose, or type frames such as 3 to 20 (the "
            "first is 0). Of large images, what I see is the part in view. All of "
            "them are learned from.",
            [(text, text) for text in (ALL, IN_VIEW, STACK)],
        )
        typed = QLineEdit()
        typed.setAcceptDrops(False)  # files dropped here are for the dock
        self.combo.setLineEdit(typed)
        self.combo.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        form = bare(QFormLayout(self))
        form.addRow("Denoise", self.combo)
        self._layer: ImageLayer | None = None
        self.hide()

    def show_layer(self, layer: ImageLayer | None) -> None:
        """Show the row for a stack; begin with all images of another layer."""
        if layer is not self._layer:
            self.combo.setCurrentText(ALL)
        self._layer = layer
        self.setVisible(_has_parts(layer))

    def choice(self) -> str:
        """What was chosen or typed; empty for all images."""
        text = self.combo.currentText().strip()
        return "" if text == ALL or self._layer is None else text


def _has_parts(layer: ImageLayer | None) -> bool:
    """Whether there is more to choose from than all of a layer."""
    if layer is None or layer.rgb:
        return False
    return bool(outer_axes(layer)) or is_large(plane_shape(layer))
