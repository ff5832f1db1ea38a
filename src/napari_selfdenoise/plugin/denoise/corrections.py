"""The section of the Denoise dock that corrects an image: axes, dark, flat, mask."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

from napari.layers import Image as ImageLayer
from napari.layers import Labels
from qtpy.QtWidgets import QWidget

from napari_selfdenoise.defects import Corrections
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import Image
from napari_selfdenoise.plugin.denoise.axes_choice import AxesChoice
from napari_selfdenoise.plugin.docks.panel import Section, bare, rows
from napari_selfdenoise.plugin.forms.layer_box import layer_box
from napari_selfdenoise.plugin.viewer.layers import image_from_layer, pixels_of
from napari_selfdenoise.plugin.viewer.marks import marks

_PARTS = {
    "dark": (
        "Dark frame",
        "What the camera records without light: one image, or a stack, of which the "
        "mean is used. It is subtracted, but for its median.",
    ),
    "flat": (
        "Flat field",
        "An evenly lit field: one image, or a stack, of which the mean is used. The "
        "image is divided by it.",
    ),
    "mask": (
        "Mask",
        "A labels layer: what is labelled 0 was never recorded. It is not learned "
        "from, and stays as it is.",
    ),
}


class CorrectionsSection(Section):
    """A folded section with a layer for each correction, of those that fit in size.

    Attributes
    ----------
    combos : dict
        By "dark", "flat" and "mask"; their items have their layer as data, None for
        none.
    axes : AxesChoice
        What the layer's axes are, and its pixel size.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("corrections", "Corrections", parent)
        self._boxes = {
            name: layer_box(name, tip, none="none") for name, (_, tip) in _PARTS.items()
        }
        self.combos = {name: box.combo for name, box in self._boxes.items()}
        for combo in self.combos.values():
            combo.currentIndexChanged.connect(self._show_title)
        titles = [title for title, _ in _PARTS.values()]
        content = QWidget()
        content.setLayout(rows(*zip(titles, self.combos.values(), strict=True)))
        self.axes = AxesChoice(named=True)
        bare(content.layout())
        self.addWidget(self.axes)
        self.addWidget(content)

    def value(self, image: Image) -> Corrections:
        """Return the corrections that are chosen for an image; no pixels are read.

        Raises
        ------
        RequestError
            If it does not fit the image: its layer has changed.
        """
        chosen = {
            name: _correction(name, combo.currentData(), image)
            for name, combo in self.combos.items()
            if combo.currentData() is not None
        }
        corrections = Corrections(**chosen)
        corrections.require_fits(image)
        return corrections

    def list_layers(self, layers: Sequence[Any], source: ImageLayer | None) -> None:
        """Offer the layers that fit the one that is denoised; keep what is chosen."""
        others = [layer for layer in layers if layer != source]
        for name, box in self._boxes.items():
            box.offer([layer for layer in others if _fits(name, layer, source)])

    def _show_title(self, *_: Any) -> None:
        """Name the chosen corrections in the title, which stays when folded."""
        chosen = [
            _PARTS[name][0].lower()
            for name, combo in self.combos.items()
            if combo.currentData() is not None
        ]
        self.setText(f"Corrections: {', '.join(chosen)}" if chosen else "Corrections")


def corrected_first(
    corrections: Corrections,
    image: Image,
    steps: Callable[..., Any],
    *what: Any,
    **others: Image,
) -> Generator[Any, Any, Any]:
    """Correct an image and others, in a worker, and then run a generator on them."""
    given = {name: corrections.apply(other) for name, other in others.items()}
    return (yield from steps(corrections.apply(image), *what, **given))


def all_corrected_first(
    images: Sequence[tuple[Corrections, Image]],
    steps: Callable[..., Any],
    **others: Image,
) -> Generator[Any, Any, Any]:
    """Do as `corrected_first` for several images; others go with the first of them."""
    given = {name: images[0][0].apply(other) for name, other in others.items()}
    corrected = [corrections.apply(image) for corrections, image in images]
    return (yield from steps(corrected, **given))


def _correction(name: str, layer: Any, image: Image) -> Image:
    """A layer as dark frame, flat field or mask of an image."""
    if name != "mask":
        return image_from_layer(layer)
    # As napari lays them over each other: by their last axes.
    return Image(pixels_of(layer), image.axes[-layer.ndim :], name=layer.name)


def _fits(name: str, layer: Any, source: ImageLayer | None) -> bool:
    kind = Labels if name == "mask" else ImageLayer
    if source is None or not isinstance(layer, kind) or marks(layer.metadata):
        return False  # of another kind, or a result of this plugin
    try:
        image = image_from_layer(source)
        Corrections(**{name: _correction(name, layer, image)}).require_fits(image)
    except RequestError:
        return False
    return True
