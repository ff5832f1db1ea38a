"""A choice for each axis of a layer without a known name: time, depth or channels."""

from __future__ import annotations

from functools import partial
from typing import Any

from napari.layers import Image as ImageLayer
from qtpy.QtWidgets import QComboBox, QFormLayout, QWidget

from napari_selfdenoise.plugin.docks.panel import bare, combo_box
from napari_selfdenoise.plugin.viewer.layers import OTHER_AXIS, pixels_of, unnamed_axes

_MEANINGS = {
    "time, depth, channels?": "",
    "time": "t",
    "depth": "z",
    "channels": "c",
    "other": OTHER_AXIS,
}
"""Axis label of the layer for each meaning; empty as long as it is not known."""

_TIP = (
    "What the images along this axis are: the layer does not say. "
    "Channels are denoised each on its own; all other images train one network."
)


class AxesChoice(QWidget):
    """A row for each axis of a layer that has no known name; hidden without any.

    What is chosen becomes the layer's axis label. A row stays until another layer is
    shown, so that a choice can be changed.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("axes_choice")
        self._form = bare(QFormLayout(self))
        self._layer: ImageLayer | None = None
        self._shape: tuple[int, ...] = ()
        self._combos: dict[int, QComboBox] = {}
        self.hide()

    def show_layer(self, layer: ImageLayer | None) -> None:
        """Show a row for each axis of a layer that has no known name."""
        shape = () if layer is None else tuple(pixels_of(layer).shape)
        if (layer, shape) != (self._layer, self._shape):
            self._layer, self._shape = layer, shape
            self._make_rows([] if layer is None else unnamed_axes(layer))
        self._show_chosen()
        self.setVisible(bool(self._combos))

    def _make_rows(self, places: list[int]) -> None:
        while self._form.rowCount():
            self._form.removeRow(0)
        self._combos = {}
        for place in places:
            combo = combo_box(f"axis_{place}", _TIP, tuple(_MEANINGS.items()))
            combo.activated.connect(partial(self._choose, place))
            self._form.addRow(f"{self._shape[place]} images:", combo)
            self._combos[place] = combo

    def _show_chosen(self) -> None:
        labels = [] if self._layer is None else list(self._layer.axis_labels)
        for place, combo in self._combos.items():
            items: Any = combo.model()
            others = labels[:place] + labels[place + 1 :]
            combo.setCurrentIndex(max(0, combo.findData(labels[place])))
            for index in range(1, combo.count()):
                name = combo.itemData(index)
                free = name == OTHER_AXIS or name not in others
                items.item(index).setEnabled(free)

    def _choose(self, place: int, index: int) -> None:
        name: Any = self._combos[place].itemData(index)
        if self._layer is None or not name:
            return
        labels = list(self._layer.axis_labels)
        labels[place] = name
        self._layer.axis_labels = tuple(labels)
