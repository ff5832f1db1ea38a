"""A run in napari's activity dock, and a notification at the end of a long one."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from napari.utils import progress
from napari.utils.notifications import show_info
from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QProgressBar

from napari_selfdenoise.plugin.docks.plain_text import without_tags

LONG_S = 30.0
"""Seconds from which on a user may have turned to something else."""

_STEPS = 100  # of the bar in the activity dock
_EVERY_MS = 200  # milliseconds between updates of that bar


class _Nowhere:
    """A file that drops all text: napari's progress bars would print to stderr."""

    def write(self, text: str) -> None:
        """Drop it."""

    def flush(self) -> None:
        """Do nothing."""


class Activity(QObject):
    """Shows in napari how far a bar is, between `begin` and `end`.

    Parameters
    ----------
    bar : QProgressBar
        What is shown in the dock.
    said : callable
        Gives the words to end a long run with.
    parent : QObject
        Qt parent.
    """

    def __init__(
        self, bar: QProgressBar, said: Callable[[], str], parent: QObject
    ) -> None:
        super().__init__(parent)
        self._bar, self._message, self._title = bar, said, ""
        self._shown: progress | None = None
        self._since = 0.0
        self._goes_on = self._updating = False
        # Napari works off all events when it draws a bar: that must not happen in the
        # midst of what shows a progress here.
        self._timer = QTimer(self)
        self._timer.setInterval(_EVERY_MS)
        self._timer.timeout.connect(self._update)

    def begin(self, title: str) -> None:
        """Show that a run goes on; for its next part, that it still does."""
        if not self._goes_on:
            self._title, self._since = title, time.monotonic()
        self._goes_on = True
        self._timer.start()

    def end(self) -> None:
        """Show that it is over."""
        self._goes_on = False

    def close(self) -> None:
        """End without a notification."""
        self._timer.stop()
        self._goes_on = False
        self._hide()

    def _update(self) -> None:
        if self._updating:
            return
        self._updating = True
        if self._goes_on:
            self._show()
        else:
            self._timer.stop()
            self._hide()
            self._report()
        self._updating = False

    def _show(self) -> None:
        if self._shown is None:
            self._shown = progress(total=_STEPS, desc=self._title, file=_Nowhere())
        if self._bar.maximum() > 0:
            share = self._bar.value() / self._bar.maximum()
            self._shown.update(max(0, round(_STEPS * share) - self._shown.n))

    def _hide(self) -> None:
        shown, self._shown = self._shown, None
        if shown is not None:
            shown.close()

    def _report(self) -> None:
        if time.monotonic() - self._since >= LONG_S:
            first = re.split(r"(?<=[.!?])\s", self._message(), maxsplit=1)[0]
            show_info(without_tags(f"{self._title}: the run has ended. {first}"))
