"""Buttons below the layer: ways out where it cannot be denoised as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_selfdenoise.image import Image
from napari_selfdenoise.mending import Mending, fill_steps, missing_steps, ways_out
from napari_selfdenoise.plugin.editors import bare
from napari_selfdenoise.plugin.panel import button, label, line
from napari_selfdenoise.plugin.worker import Run


class Fixes(QWidget):
    """Two buttons and a note; hidden where there is nothing to mend.

    Attributes
    ----------
    fix, other : QPushButton
        The ways out.
    note : QLabel
        What is to be known of the image, though it can be denoised.
    """

    chosen = Signal(object)
    """A way out: what makes the generator that returns another image."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.note = label("missing")
        self.fix = button("fix", "", "Make a new layer; this one stays as it is.")
        self.other = button("fix_other", "", "Make a new layer; this one stays.")
        self._makers: list[Callable[[], Mending]] = []
        self.fix.clicked.connect(lambda: self.chosen.emit(self._makers[0]))
        self.other.clicked.connect(lambda: self.chosen.emit(self._makers[1]))
        column = bare(QVBoxLayout(self))
        column.addWidget(self.note)
        column.addLayout(line(self.fix, self.other))
        self.offer({})

    def offer(self, ways: Mapping[str, Callable[[], Mending]], note: str = "") -> None:
        """Offer ways out, at most two, by their words."""
        self._makers = list(ways.values())
        words = [*ways, "", ""]
        for one, text in zip((self.fix, self.other), words, strict=False):
            one.setText(text)
            one.setVisible(bool(text))
        self.note.setText(note)
        self.note.setVisible(bool(note))
        self.setVisible(bool(ways) or bool(note))


class Mender(QObject):
    """Looks in a worker for missing pixels and colours, and makes the image chosen.

    Parameters
    ----------
    fixes : Fixes
        Where it is offered.
    parent : QObject
        Qt parent.
    """

    mended = Signal(object)
    """The image that was made."""

    failed = Signal(object)
    """The error that there was."""

    def __init__(self, fixes: Fixes, parent: QObject) -> None:
        super().__init__(parent)
        self._fixes = fixes
        self._image: Image | None = None
        self._counting: Run | None = None
        fixes.chosen.connect(self._mend)

    def look_at(self, image: Image | None) -> None:
        """Offer what an image needs; the same one again changes nothing."""
        if image is not None and _same(image, self._image):
            return
        self.close()
        self._image = image
        ways = {} if image is None else ways_out(image)
        self._fixes.offer(ways)
        if image is not None and image.dtype.kind == "f" and not ways:
            make = partial(missing_steps, image)
            self._counting = self._begin(make, self._on_counted)

    def close(self) -> None:
        """Give up looking."""
        if self._counting is not None:
            self._counting.abandon()
        self._counting, self._image = None, None

    def _begin(self, make: Callable[[], Any], on_result: Callable[[Any], None]) -> Run:
        run = Run(make, self._ignore, on_result, self._on_error, self._ignore)
        run.start()
        return run

    def _mend(self, make: Callable[[], Mending]) -> None:
        self._begin(make, self.mended.emit)

    def _on_counted(self, count: int) -> None:
        if self._counting is None or self._image is None:
            return
        self._counting = None
        if count:
            pixels = f"{count:,} pixel{'s' if count != 1 else ''}"
            held = "holds" if count == 1 else "hold"
            note = f"{pixels} {held} no number: left out, and kept as they are."
            way = f"Fill {count:,} missing pixel{'s' if count != 1 else ''}"
            self._fixes.offer({way: partial(fill_steps, self._image)}, note)

    def _on_error(self, error: Exception) -> None:
        self.failed.emit(error)

    def _ignore(self, *_: Any) -> None:
        pass


def _same(image: Image, other: Image | None) -> bool:
    return other is not None and image.data is other.data and image.axes == other.axes
