"""What is shown while a verb works: bars on a terminal, lines in a pipe or a log."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from napari_selfdenoise.images import printable

if TYPE_CHECKING:
    from rich.progress import Progress

_LINE_S = 2.0
"""Seconds between two lines where there are no bars."""


class Shown(NamedTuple):
    """What is being done, and how much of it is done.

    Parameters
    ----------
    text : str
        With the time left, where it is known.
    fraction : float or None
        None where no end is in sight.
    """

    text: str
    fraction: float | None = None


class _Bars:
    """The bars on the terminal, all below each other; none where there are no tasks."""

    def __init__(self) -> None:
        self.progress: Progress | None = None

    @contextmanager
    def bar(self) -> Iterator[Callable[[Shown], None]]:
        """A bar as long as the block lasts, and what moves it."""
        outermost = self.progress is None
        self.progress = progress = self.progress or _make_progress()
        if outermost:
            progress.start()
        task = progress.add_task("", total=None)

        def show(shown: Shown) -> None:
            total = None if shown.fraction is None else 1.0
            done = shown.fraction or 0.0
            text = printable(shown.text)
            progress.update(task, total=total, completed=done, description=text)

        try:
            yield show
        finally:
            progress.remove_task(task)
            if outermost:
                progress.stop()
                self.progress = None


_BARS = _Bars()


def say(line: str) -> None:
    """Print a line to stderr, above the bars if there are any."""
    line = printable(line)
    if _BARS.progress is None:
        click.echo(line, err=True)
    else:
        _BARS.progress.console.print(line, markup=False, highlight=False)


@contextmanager
def progress_bar() -> Iterator[Callable[[Shown], None]]:
    """Show progress as long as the block lasts; yields what is called with it."""
    if _is_terminal():
        with _BARS.bar() as show:
            yield show
    else:
        yield _lines()


def _lines() -> Callable[[Shown], None]:
    """What prints a line every two seconds."""
    last = -math.inf

    def show(shown: Shown) -> None:
        nonlocal last
        if time.monotonic() - last > _LINE_S:
            last = time.monotonic()
            say(shown.text)

    return show


def _is_terminal() -> bool:
    return bool(_console().is_terminal)


def _console() -> Any:
    from rich.console import Console

    return Console(stderr=True)


def _make_progress() -> Progress:
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    # The text knows the time left better than the share that is done.
    rest = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    text = TextColumn("{task.description}", markup=False, table_column=rest)
    columns = BarColumn(bar_width=24), text
    return Progress(*columns, console=_console(), transient=True, expand=True)
