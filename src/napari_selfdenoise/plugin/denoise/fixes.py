"""Buttons below the layer: ways out where it cannot be denoised as it is."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import Any

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_selfdenoise.defects import (
    Findings,
    Mending,
    examine_steps,
    fill_steps,
    near_zero_steps,
    ways_out,
)
from napari_selfdenoise.images import Image
from napari_selfdenoise.plugin.docks.panel import bare, button, label, line
from napari_selfdenoise.plugin.docks.worker import Run


class Fixes(QWidget):
    """Two buttons and a note; hidden where there is nothing to mend.

    Attributes
    ----------
    fix, other : QPushButton
        The ways out.
    note : QLabel
        Note on an image that can be denoised all the same.
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
    """Checks an image's pixels in a worker, and makes the image that is chosen.

    Parameters
    ----------
    fixes : Fixes
        Where it is offered.
    parent : QObject
        Qt parent.

    Attributes
    ----------
    obstacle : str
        Why nothing can be learned from the image, as far as is known by now.
    """

    examined = Signal()
    """What was found of the image is known now."""

    mended = Signal(object)
    """The image that was made."""

    failed = Signal(object)
    """The error that there was."""

    def __init__(self, fixes: Fixes, parent: QObject) -> None:
        super().__init__(parent)
        self._fixes = fixes
        self._image: Image | None = None
        self._looking: Run | None = None
        self.obstacle = ""
        fixes.chosen.connect(self._mend)

    def examine(self, image: Image | None) -> None:
        """Check an image and offer what it needs, unless it was the last one."""
        if image is not None and _same(image, self._image):
            if self.obstacle and self._image is not None:
                self._look(self._image)  # its pixels may be others by now
            return
        self.close()
        self._image = image
        ways = {} if image is None else ways_out(image)
        self._fixes.offer(ways)
        if image is not None and not ways:
            self._look(image)

    def _look(self, image: Image) -> None:
        if self._looking is None and _has_findings(image):
            self._looking = self._begin(partial(_examine, image), self._on_examined)

    def close(self) -> None:
        """End the check."""
        if self._looking is not None:
            self._looking.abandon()
        self._looking, self._image, self.obstacle = None, None, ""

    def _begin(self, make: Callable[[], Any], on_result: Callable[[Any], None]) -> Run:
        run = Run(make, self._ignore, on_result, self._on_error, self._ignore)
        run.start()
        return run

    def _mend(self, make: Callable[[], Mending]) -> None:
        self._begin(make, self.mended.emit)

    def _on_examined(self, examined: tuple[Image, Findings]) -> None:
        image, found = examined
        if image is not self._image:  # another one was chosen meanwhile
            return
        self._looking, self.obstacle = None, found.obstacle
        self._fixes.offer(*_offers(image, found))
        self.examined.emit()

    def _on_error(self, error: Exception) -> None:
        self.failed.emit(error)

    def _ignore(self, *_: Any) -> None:
        pass


def _examine(image: Image) -> Generator[float, object, tuple[Image, Findings]]:
    return image, (yield from examine_steps(image))


def _offers(
    image: Image, found: Findings
) -> tuple[dict[str, Callable[[], Mending]], str]:
    """Ways out by their words, and a note, for what was found of an image."""
    if found.rounding:
        make = partial(near_zero_steps, image, found.rounding.level)
        note = "" if found.obstacle else str(found.rounding.error)
        return {f"Subtract {found.rounding.level:.4g}": make}, note
    count = found.missing
    if not count:
        return {}, ""
    pixels = f"{count:,} pixel{'s' if count != 1 else ''}"
    held = "holds" if count == 1 else "hold"
    note = f"{pixels} {held} no number: left out, and kept as they are."
    way = f"Fill {count:,} missing pixel{'s' if count != 1 else ''}"
    return {way: partial(fill_steps, image)}, note


def _has_findings(image: Image) -> bool:
    """Whether to look at its pixels: whole numbers are not read from disk for that."""
    kinds = "fui" if image.in_memory else "f"
    return image.dtype.kind in kinds and 0 not in image.shape


def _same(image: Image, other: Image | None) -> bool:
    return other is not None and image.data is other.data and image.axes == other.axes
