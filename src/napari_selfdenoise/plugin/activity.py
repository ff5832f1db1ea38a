"""A run in napari's activity dock, and a word at the end of a long one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from napari.utils import progress
from napari.utils.notifications import show_info
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QProgressBar

LONG_S = 30.0
"""Seconds from which on a user may have turned to something else."""

_STEPS = 100


class _Nowhere:
    """Where napari's progress would else print to."""

    def write(self, text: str) -> None:
        """Drop it."""

    def flush(self) -> None:
        """There is nothing to do."""


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
        self._bar, self._said, self._title = bar, said, ""
        self._shown: progress | None = None
        self._since = 0.0
        bar.valueChanged.connect(self._follow)

    def begin(self, title: str) -> None:
        """Show that a run goes on; for its next part, that it still does."""
        if self._shown is None:
            self._title, self._since = title, time.monotonic()
            self._shown = progress(total=_STEPS, desc=title, file=_Nowhere())

    def close(self) -> None:
        """Show nothing any more, and say nothing either."""
        self._since = math.inf
        self.end()

    def _follow(self, value: int) -> None:
        if self._shown is None or self._bar.maximum() <= 0:
            return
        step = round(_STEPS * value / self._bar.maximum()) - self._shown.n
        if step > 0:
            self._shown.update(step)

    def end(self) -> None:
        """Show that it is over."""
        if self._shown is None:
            return
        self._shown.close()
        self._shown = None
        if time.monotonic() - self._since >= LONG_S:
            show_info(f"{self._title}: the run has ended. {self._said()}")
