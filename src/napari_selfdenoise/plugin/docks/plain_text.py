"""Text that Qt shows letter by letter: names of layers and files may hold HTML."""

from __future__ import annotations

import html
import re

from qtpy.QtCore import Qt

_TAG = re.compile(r"<(?=[\w/!?])")


def plain_tip(text: str) -> str:
    """Return a tooltip that shows a text as it is, whatever Qt would take it for."""
    if not Qt.mightBeRichText(text):  # type: ignore[attr-defined]
        return text
    return f"<qt>{html.escape(text)}</qt>".replace("\n", "<br>")


def without_tags(text: str) -> str:
    """Return a text in which nothing begins a tag, for napari's notifications.

    Examples
    --------
    >>> without_tags("<b>cells</b>: 1 < 2")
    '‹b>cells‹/b>: 1 < 2'
    """
    return _TAG.sub("‹", text)
