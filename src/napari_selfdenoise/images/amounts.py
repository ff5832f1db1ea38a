"""Amounts of memory and disk space, in words."""

from __future__ import annotations

_UNITS = {"GB": 1e9, "MB": 1e6, "kB": 1e3}


def bytes_in_words(count: int) -> str:
    """Text of a number of bytes, in the largest unit of which it is at least a tenth.

    Examples
    --------
    >>> bytes_in_words(2_340_000_000), bytes_in_words(20_000_000), bytes_in_words(7)
    ('2.3 GB', '20.0 MB', '7 bytes')
    """
    for unit, size in _UNITS.items():
        if 10 * count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
