"""Files opened in the dock, and a list of the images in those that hold several."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from napari.layers import Image as ImageLayer
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFormLayout, QWidget

from napari_selfdenoise.images import read_image, series_names
from napari_selfdenoise.plugin.docks.panel import bare, combo_box
from napari_selfdenoise.plugin.viewer.layers import FILE_KEY, layer_from_image


def read_layer(path: Path, number: int | None = None) -> tuple[Any, dict[str, Any]]:
    """Read a file, in a worker; returns data and options of its layer.

    Parameters
    ----------
    path : Path
        A TIFF.
    number : int, optional
        Of its images, where it has several; else the first.
    """
    names: list[str] = []
    with suppress(Exception):  # a damaged file: reading it says why
        names = series_names(path)
    several = len(names) > 1
    image = read_image(path, series=(number or 0) if several else None)
    data, options = layer_from_image(image)
    made = options["metadata"][FILE_KEY]
    made |= {"path": str(path.absolute()), "series": number or 0}
    if several:
        titles = [name or f"image {place}" for place, name in enumerate(names)]
        options["name"] = f"{image.name} {titles[number or 0]}"
        made["titles"] = titles
    return data, options


def several_note(options: dict[str, Any]) -> str:
    """Note that a layer's file holds more images; empty where it does not."""
    made = options["metadata"][FILE_KEY]
    titles = made.get("titles", [])
    if not titles:
        return ""
    shown = titles[made["series"]]
    return (
        f"{Path(made['path']).name} holds {len(titles)} images; this is {shown}. "
        "Others can be opened under Series."
    )


class SeriesChoice(QWidget):
    """The images of the file that a layer came from; hidden where there is but one."""

    chosen = Signal(object, int)
    """Another image of the file is wanted: its path, and the number in it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("series_choice")
        self.combo = combo_box("series", "The images in this file: opens another one.")
        form = bare(QFormLayout(self))
        form.addRow("Series", self.combo)
        self.combo.activated.connect(self._choose)
        self._path, self._shown = Path(), 0
        self.hide()

    def show_layer(self, layer: ImageLayer | None) -> None:
        """List the images of the file that a layer came from."""
        made = {} if layer is None else layer.metadata.get(FILE_KEY, {})
        titles = made.get("titles", [])
        self.setVisible(bool(titles))
        if not titles:
            return
        self._path, self._shown = Path(made["path"]), made["series"]
        self.combo.clear()
        self.combo.addItems(titles)
        self.combo.setCurrentIndex(self._shown)

    def _choose(self, number: int) -> None:
        if number != self._shown:
            self.chosen.emit(self._path, number)


def layer_of(layers: Any, path: Path, number: int) -> ImageLayer | None:
    """The layer that shows an image of a file already."""
    for layer in layers:
        made = layer.metadata.get(FILE_KEY, {})
        if (made.get("path"), made.get("series")) == (str(path.absolute()), number):
            return layer  # type: ignore[no-any-return]
    return None
