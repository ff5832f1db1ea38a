"""What a layer does not say, or says wrongly: meanings of its axes, and pixel size."""

from __future__ import annotations

from functools import partial
from typing import Any

from napari.layers import Image as ImageLayer
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QComboBox, QFormLayout, QLineEdit, QPushButton, QWidget

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import likely_axis, pixel_size_text
from napari_selfdenoise.plugin.docks.panel import bare, beside, button, combo_box
from napari_selfdenoise.plugin.viewer.layers import (
    OTHER_AXIS,
    axes_of,
    image_from_layer,
    outer_axes,
    pixels_of,
    set_pixel_size,
    unnamed_axes,
)

_MEANINGS = {"time": "t", "depth": "z", "channels": "c", "other": OTHER_AXIS}
"""Axis label of the layer for each meaning."""

_WORDS = {label.upper(): meaning for meaning, label in _MEANINGS.items()}

_TIP = (
    "What the images along this axis are. Channels are denoised each on its own; all "
    "other images train one network, also as long as a guess is not confirmed."
)


class AxesChoice(QWidget):
    """Rows for axes without a known name, or for all others and the pixel size.

    What is chosen or confirmed becomes the layer's axis label, scale and units; before,
    the layer is not changed. A row stays until another layer is shown, so that a choice
    can be changed.

    Parameters
    ----------
    named : bool
        Whether there are rows for the axes that have a name and for the pixel size, or
        for the axes that had none when the layer was chosen; then it is often hidden.
    """

    refused = Signal(object)
    """A pixel size that was typed cannot be understood: the error."""

    def __init__(self, parent: QWidget | None = None, *, named: bool = False) -> None:
        super().__init__(parent)
        self.setObjectName("named_axes" if named else "axes_choice")
        self._prefix = "known_" if named else ""
        self._form = bare(QFormLayout(self))
        self._named = named
        self._layer: ImageLayer | None = None
        self._shape: tuple[int, ...] = ()
        self._asked: set[int] = set()
        self._combos: dict[int, QComboBox] = {}
        self._confirm: dict[int, QPushButton] = {}
        self._size = self._size_box() if named else None
        self.hide()

    def show_layer(self, layer: ImageLayer | None) -> None:
        """Show the rows of a layer."""
        layer = None if layer is None or layer.ndim < 2 or layer.rgb else layer
        shape = () if layer is None else tuple(pixels_of(layer).shape)
        if (layer, shape) != (self._layer, self._shape):
            self._layer, self._shape, self._asked = layer, shape, set()
            self._make_rows([])
        places: list[int] = []
        if layer is not None:
            self._asked.update(unnamed_axes(layer))
            places = [
                place
                for place in outer_axes(layer)
                if self._named != (place in self._asked)
            ]
        if places != list(self._combos):
            self._make_rows(places)
        self._show_chosen()
        self.setVisible(bool(places) or (self._named and layer is not None))

    def _make_rows(self, places: list[int]) -> None:
        for _ in self._combos:
            self._form.removeRow(0)
        self._combos, self._confirm = {}, {}
        for row, place in enumerate(places):
            self._combos[place] = combo = self._combo(place)
            self._confirm[place] = sure = button(
                f"{self._prefix}confirm_axis_{place}", "Confirm", "The guess is right."
            )
            sure.clicked.connect(partial(self._take_guess, place))
            title = f"{self._shape[place]} images:"
            self._form.insertRow(row, title, beside(combo, sure))

    def _combo(self, place: int) -> QComboBox:
        """A list of meanings, with a guess in front as long as none is known."""
        choices = list(_MEANINGS.items())
        if self._is_open(place):
            choices.insert(0, (f"guess: {self._guess(place)}", ""))
        combo = combo_box(f"{self._prefix}axis_{place}", _TIP, choices)
        combo.setMinimumContentsLength(7)
        combo.activated.connect(partial(self._choose, place))
        return combo

    def _size_box(self) -> QLineEdit:
        box = QLineEdit()
        box.setObjectName("pixel_size")
        box.setAcceptDrops(False)  # files dropped here are for the dock
        box.setPlaceholderText("not known: such as 0.1 µm, Z=0.3 µm")
        box.setToolTip(
            "Along rows and columns, such as 0.1 µm; of other axes by their letter, "
            "such as 0.1 µm, Z=0.3 µm, T=2 s. Press Enter to set it."
        )
        box.returnPressed.connect(self._take_size)
        box.editingFinished.connect(self._show_chosen)  # without Enter: as it was
        self._form.addRow("Pixel size", box)
        return box

    def _is_open(self, place: int) -> bool:
        return self._layer is not None and place in unnamed_axes(self._layer)

    def _guess(self, place: int) -> str:
        assert self._layer is not None
        axes = axes_of(tuple(self._layer.axis_labels))
        return _WORDS[likely_axis(self._shape[place], axes)]

    def _show_chosen(self, *_: Any) -> None:
        if self._layer is None:
            return
        axes = axes_of(tuple(self._layer.axis_labels))
        for place, combo in self._combos.items():
            still_open = self._is_open(place)
            known = axes[place].lower() if axes[place] in "TZC" else OTHER_AXIS
            combo.setCurrentIndex(combo.findData("" if still_open else known))
            self._confirm[place].setVisible(still_open)
        if self._size is not None:
            self._size.setText(pixel_size_text(image_from_layer(self._layer)))

    def _take_guess(self, place: int) -> None:
        self._name(place, _MEANINGS[self._guess(place)])

    def _choose(self, place: int, index: int) -> None:
        if name := self._combos[place].itemData(index):
            self._name(place, name)

    def _name(self, place: int, name: str) -> None:
        """Label an axis; another one of that name takes the label it had."""
        if self._layer is None:
            return
        labels = list(self._layer.axis_labels)
        axes = axes_of(tuple(labels))
        other = axes.find(name.upper()) if name != OTHER_AXIS else -1
        if other not in (-1, place):
            labels[other] = labels[place]
        labels[place] = name
        self._layer.axis_labels = tuple(labels)

    def _take_size(self) -> None:
        if self._layer is None or self._size is None:
            return
        try:
            set_pixel_size(self._layer, self._size.text())
        except RequestError as error:
            self.refused.emit(error)
