"""Rows of the Denoise dock for a second layer of the scene, which teaches as well."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from napari.layers import Image as ImageLayer
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFormLayout, QWidget

from napari_selfdenoise.config import Supervision
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import Image
from napari_selfdenoise.pairing import require_alike
from napari_selfdenoise.plugin.docks.panel import bare, combo_box
from napari_selfdenoise.plugin.forms.layer_box import layer_box
from napari_selfdenoise.plugin.viewer.layers import image_from_layer
from napari_selfdenoise.plugin.viewer.marks import marks

_KINDS: dict[str, Supervision] = {
    "a second exposure": "pair",
    "the same without noise": "noise_free",
}


class PairChoice(QWidget):
    """Two rows: which layer, and what it is; hidden where no layer has the same size.

    Attributes
    ----------
    layer, kind : QComboBox
        The layers by name, None for none, and what the chosen one is.
    """

    chosen = Signal()
    """Another layer, or it is something else."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._box = layer_box(
            "pair",
            "A second layer of the scene: another exposure, which is denoised together "
            "with the first, or the scene without noise, to learn from.",
            none="no other layer",
        )
        self.layer = self._box.combo
        self.layer.setMinimumContentsLength(7)
        self.kind = combo_box(
            "pair_kind",
            "A second exposure is as noisy, with noise of its own (Noise2Noise). "
            "Without noise: a long exposure, or the mean of many (supervised).",
            list(_KINDS.items()),
        )
        self.kind.setMinimumContentsLength(7)
        self._form = bare(QFormLayout(self))
        self._form.addRow("With", self.layer)
        self._form.addRow("It is", self.kind)
        self.layer.currentIndexChanged.connect(self._show_kind)
        self.kind.currentIndexChanged.connect(self.chosen)
        self._show_kind()
        self.hide()

    def list_layers(self, layers: Sequence[Any], source: ImageLayer | None) -> None:
        """Offer the layers of the axes and size of the one that is denoised."""
        fitting = [one for one in layers if one != source and _fits(one, source)]
        self._box.offer(fitting)
        self.setVisible(bool(fitting))

    def be(self, kinds: Collection[str]) -> None:
        """Choose what a second layer is, if that is one of these."""
        for kind in _KINDS.values():
            if kind in kinds:
                self.kind.setCurrentIndex(self.kind.findData(kind))

    def value(self) -> dict[str, Image]:
        """The chosen layer as an argument of `train_steps`; empty where there is none.

        Raises
        ------
        RequestError
            If the layer is no image any more.
        """
        layer = self.layer.currentData()
        return {} if layer is None else {self._kind: image_from_layer(layer)}

    @property
    def supervision(self) -> Supervision:
        """What is learned from."""
        return "self" if self.layer.currentData() is None else self._kind

    @property
    def _kind(self) -> Supervision:
        kind: Supervision = self.kind.currentData()
        return kind

    def _show_kind(self, *_: Any) -> None:
        """Ask what a layer is once it is chosen; a reference layer has no noise."""
        layer = self.layer.currentData()
        if layer is not None and marks(layer.metadata).get("reference"):
            self.kind.setCurrentIndex(self.kind.findData("noise_free"))
        self._form.setRowVisible(1, layer is not None)
        self.chosen.emit()


def _fits(layer: Any, source: ImageLayer | None) -> bool:
    """Whether a layer may show the scene of another one: no result of this plugin."""
    known = marks(getattr(layer, "metadata", {}))
    if source is None or not isinstance(layer, ImageLayer):
        return False
    if known and not known.get("reference"):
        return False
    try:
        require_alike(image_from_layer(source), image_from_layer(layer))
    except RequestError:
        return False
    return True
