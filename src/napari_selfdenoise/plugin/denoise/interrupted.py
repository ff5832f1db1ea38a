"""A row on a training that was interrupted: go on with it, or throw it away."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import partial
from typing import Any, NamedTuple

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_selfdenoise.plugin.denoise.kept_images import read_kept
from napari_selfdenoise.plugin.docks.dock import ignore, loading
from napari_selfdenoise.plugin.docks.panel import bare, button, label, line
from napari_selfdenoise.plugin.docks.worker import Run
from napari_selfdenoise.training import (
    Interrupted,
    KeptImage,
    KeptTraining,
    Reopened,
    last_interrupted,
)


class InterruptedRow(QWidget):
    """A sentence and two buttons; hidden where no training was interrupted.

    Attributes
    ----------
    go_on, discard : QPushButton
        The two ways.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text = label("interrupted")
        self.go_on = button(
            "go_on",
            "Go on",
            "Open its image if need be, set the form as it was, and train on.",
        )
        self.discard = button("discard", "Discard", "Remove what it has learned.")
        column = bare(QVBoxLayout(self))
        column.addWidget(self._text)
        column.addLayout(line(self.go_on, self.discard))
        self.say("")

    def say(self, text: str) -> None:
        """Show that there is one; empty where there is none."""
        self._text.setText(text)
        self.setVisible(bool(text))

    def enable(self, idle: bool) -> None:
        """Let a training go on, unless another run goes on."""
        self.go_on.setEnabled(idle)


class Resumption(NamedTuple):
    """All that a training needs to go on.

    Parameters
    ----------
    found : Interrupted
        The training.
    kept : KeptTraining
        Its folder, which is held for it.
    reopened : Reopened
        Its checkpoint, and the model that it began with.
    read : list of (data, options)
        Layers of its images that were not open.
    """

    found: Interrupted
    kept: KeptTraining
    reopened: Reopened
    read: list[tuple[Any, dict[str, Any]]]


class Interruptions(QObject):
    """Looks for trainings that were interrupted, in a worker, and shows the last one.

    Parameters
    ----------
    row : InterruptedRow
        Where it is shown.
    parent : QObject
        Qt parent.
    """

    wanted = Signal(object)
    """The training that is to go on."""

    def __init__(self, row: InterruptedRow, parent: QObject) -> None:
        super().__init__(parent)
        self._row, self._closed = row, False
        self.last: Interrupted | None = None
        row.go_on.clicked.connect(self._go_on)
        row.discard.clicked.connect(self._discard)

    def look(self) -> None:
        """Look for one; none is shown until it is found."""
        if not self._closed:
            self._show(None)
            make = partial(loading, last_interrupted)
            Run(make, ignore, self._on_found, ignore, ignore).start()

    def close(self) -> None:
        """Show nothing any more."""
        self._closed = True

    def _go_on(self) -> None:
        if self.last is not None:
            self.wanted.emit(self.last)

    def _discard(self) -> None:
        if self.last is not None:
            self.last.kept.discard()
        self.look()

    def _on_found(self, found: Interrupted | None) -> None:
        if not self._closed:
            self._show(found)

    def _show(self, found: Interrupted | None) -> None:
        self.last = found
        self._row.say("" if found is None else str(found))


def resuming(
    found: Interrupted, missing: Sequence[KeptImage]
) -> Generator[None, object, Resumption]:
    """Read, in a worker, what a training goes on from, and images that are not open.

    Raises
    ------
    RequestError
        If it goes on elsewhere, or an image is not to be had; then it is let go of.
    """
    yield None
    kept = KeptTraining(found.kept.folder)
    reopened = kept.reopen()
    try:
        return Resumption(found, kept, reopened, [read_kept(one) for one in missing])
    except Exception:
        kept.release()
        raise
