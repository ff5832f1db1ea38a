"""Which layers are denoised: the chosen one, those selected in napari, or all alike."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from napari.layers import Image as ImageLayer
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFormLayout, QWidget

from napari_selfdenoise.batch import is_like
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import Image
from napari_selfdenoise.plugin.docks.panel import bare, combo_box
from napari_selfdenoise.plugin.docks.plain_text import plain_tip
from napari_selfdenoise.plugin.viewer.layer_choice import is_plain
from napari_selfdenoise.plugin.viewer.layers import denoisable_image

THIS, SELECTED, ALIKE = "this", "selected", "alike"

_TIP = (
    "Several: one training on all of them, then each is denoised into layers of its "
    "own. Alike are layers with the same axes, type of numbers and channels."
)
_NAMED = 8


class Layers(NamedTuple):
    """Layers that can be chosen together.

    Parameters
    ----------
    kind : str
        `THIS`, `SELECTED` or `ALIKE`.
    words : str
        For the list.
    layers : list of napari.layers.Image
        The one that is chosen in the dock first.
    """

    kind: str
    words: str
    layers: list[ImageLayer]


class LayersChoice(QWidget):
    """A row that is there where other layers are like the chosen one."""

    chosen = Signal()
    """Other layers are to be denoised."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.combo = combo_box("layers", _TIP, [("this one", None)])
        form = bare(QFormLayout(self))
        form.addRow("Layers", self.combo)
        self._offers, self._wanted = [Layers(THIS, "this one", [])], THIS
        self.combo.activated.connect(self._want)
        self.hide()

    def value(self) -> list[ImageLayer]:
        """The layers, the one that is chosen in the dock first; none without one."""
        return list(self._offers[self.combo.currentIndex()].layers)

    def show_layers(self, offers: Sequence[Layers]) -> None:
        """Offer layers; those of the kind that was chosen last, if there are any."""
        self._offers = list(offers)
        self.combo.clear()
        self.combo.addItems([one.words for one in offers])
        self.choose(self._wanted)
        self.setVisible(len(offers) > 1)

    def choose(self, kind: str) -> None:
        """Choose layers of a kind; the one of the dock where there are no such."""
        # The selection is another for a moment whenever napari adds a layer.
        self._wanted, kinds = kind, [one.kind for one in self._offers]
        self.combo.setCurrentIndex(kinds.index(kind) if kind in kinds else 0)
        self._show_names()

    def _want(self, place: int) -> None:
        self.choose(self._offers[place].kind)
        self.chosen.emit()

    def _show_names(self) -> None:
        names = [one.name for one in self.value()]
        more = [f"and {len(names) - _NAMED} more"] if len(names) > _NAMED else []
        tip = f"{_TIP} Now: {', '.join([*names[:_NAMED], *more])}."
        self.combo.setToolTip(plain_tip(tip))


def layers_to_choose(
    layer: ImageLayer | None,
    layers: Sequence[Any],
    selected: Collection[Any],
    used: Collection[Any] = (),
) -> list[Layers]:
    """Layers that can be denoised together with the one that is chosen in the dock.

    Parameters
    ----------
    layer : napari.layers.Image or None
        The chosen one.
    layers : sequence of napari.layers.Layer
        Of the viewer.
    selected : collection of napari.layers.Layer
        Those that are selected in it.
    used : collection of napari.layers.Layer
        That serve as dark frame and the like.
    """
    if layer is None:
        return [Layers(THIS, "this one", [])]
    offers = [Layers(THIS, "this one", [layer])]
    alike = _alike(layer, [one for one in layers if one != layer and one not in used])
    marked = [one for one in alike if one in selected] if layer in selected else []
    if marked:
        count, of = len(marked) + 1, len(selected)
        words = f"the {of} selected" if count == of else f"{count} of {of} selected"
        offers.append(Layers(SELECTED, words, [layer, *marked]))
    if alike:
        offers.append(Layers(ALIKE, f"all {len(alike) + 1} alike", [layer, *alike]))
    return offers


def _alike(layer: ImageLayer, others: Sequence[Any]) -> list[ImageLayer]:
    """Other layers that can be learned from and denoised together with one."""
    image = _image_of(layer)
    plain = ((one, _image_of(one)) for one in others if is_plain(one))
    return [one for one, other in plain if image and other and is_like(image, other)]


def _image_of(layer: ImageLayer) -> Image | None:
    """The image of a layer; None where it cannot be denoised."""
    try:
        return denoisable_image(layer)
    except RequestError:
        return None
