"""Text from files and names that others chose: parsed, printed, put into tables."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""Beginnings of a text that a spreadsheet would compute."""

_HIDDEN = ("Cc", "Cs", "Zl", "Zp")
"""Kinds of characters that steer a terminal, or cannot be written."""

_ORDERS = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Characters that change the order in which letters are shown."""


def parse_json(text: str | bytes) -> Any:
    """Parse JSON of a file that others may have written.

    Raises
    ------
    ValueError
        If it is no JSON, has brackets too deep in each other, or a key twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_without_repeats)
    except RecursionError as error:
        raise ValueError("its brackets are too deep in each other") from error


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found


def printable(text: str) -> str:
    r"""Text with line breaks and tabs, but all else that steers a terminal spelled out.

    Examples
    --------
    >>> printable("cells \x1b[31m.tif")
    'cells \\x1b[31m.tif'
    """
    return "".join(one if _is_shown(one) else _spelled(one) for one in text)


def _is_shown(letter: str) -> bool:
    hidden = unicodedata.category(letter) in _HIDDEN or letter in _ORDERS
    return letter in "\n\t" or not hidden


def _spelled(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


def table_cell(value: Any) -> Any:
    """A value that a spreadsheet does not take for a formula; numbers stay."""
    is_formula = isinstance(value, str) and value.lstrip(" ").startswith(_FORMULA)
    return f"'{value}" if is_formula else value
