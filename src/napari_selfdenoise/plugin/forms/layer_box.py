"""A list of layers that keeps the layer that is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from magicgui.widgets import create_widget
from napari.layers import Image as ImageLayer

from napari_selfdenoise.plugin.forms.choices import Choice


class LayerBox(Choice):
    """magicgui's list of layers, which holds to the layer and not to its name.

    magicgui knows its choices by their text: where the chosen layer is renamed it
    chooses another one, without a word.
    """

    layers: Sequence[Any] = ()
    first: Any = None

    def offer(self, layers: Sequence[Any], first: Any = None) -> None:
        """Offer layers in this order; keep the choice, else take `first`."""
        self.layers, self.first = list(layers), first
        self.reset_choices()
        self.combo.currentIndexChanged.emit(self.combo.currentIndex())

    def choose(self, layer: Any) -> None:
        """Choose a layer, if it is offered."""
        # Not "is": napari hands a dock its layers in a proxy.
        if layer in self.layers:
            self.value = layer

    def reset_choices(self, *_: Any) -> None:
        """List the layers by the names that they have now."""
        chosen, box = self.value, self.native
        with self.changed.blocked():
            before = box.blockSignals(True)
            box.clear()
            self.choices = [(layer.name, layer) for layer in self.layers]
            kept = chosen if chosen in self.layers else self.first
            self._widget._mgui_set_value(kept)
            box.blockSignals(before)


def layer_box(name: str, tip: str, none: str = "") -> LayerBox:
    """Make a list of image layers.

    Parameters
    ----------
    name, tip : str
        Object name and tooltip.
    none : str
        Text of the item that stands for no layer; there is no such item without.
    """
    options = {"tooltip": tip, "nullable": bool(none), "widget_type": LayerBox}
    box = create_widget(annotation=ImageLayer, name=name, options=options)
    assert isinstance(box, LayerBox)
    box.null_string = none
    box.combo.setPlaceholderText("none chosen")
    box.reset_choices()
    return box
