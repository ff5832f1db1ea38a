"""Where a file is to be saved, with the ending that its format needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QWidget


def ask_where_to_save(
    window: QWidget,
    title: str,
    start: str,
    kinds: str,
    complete: Callable[[Path, str], Path],
) -> Path | None:
    """Let the user name a file; None where they change their mind.

    The dialog asks before it replaces a file, but knows the name only as it was typed.
    Where a file has the name with its ending, the dialog opens again with that one.

    Parameters
    ----------
    window : QWidget
        That the dialog belongs to.
    title : str
        Of the dialog.
    start : str
        Name that is proposed.
    kinds : str
        Kinds of files, as Qt writes them.
    complete : callable
        From the name that was typed, and the kind that was chosen, to the file's path.
    """
    while True:
        name, chosen = QFileDialog.getSaveFileName(window, title, start, kinds)
        if not name:
            return None
        path = complete(Path(name), chosen)
        if path == Path(name) or not path.exists():
            return path
        start = str(path)


def with_ending(path: Path, suffix: str) -> Path:
    """A path with an ending where it has none at all."""
    return path if path.suffix else path.with_suffix(suffix)
