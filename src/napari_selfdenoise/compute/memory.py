"""How much memory of the machine may be used, and amounts as people type them."""

from __future__ import annotations

import re
from pathlib import Path

import psutil

from napari_selfdenoise.errors import RequestError

_SHARE = 5
"""One part in so many of what is free is taken by default."""

_LIMIT = Path("/sys/fs/cgroup/memory.max")
_USED = Path("/sys/fs/cgroup/memory.current")


def parse_memory(text: str) -> int:
    """Bytes in an amount such as "2GB" or "500 MiB"; a kilobyte has 1024.

    Raises
    ------
    RequestError
        If the text is no amount of memory.
    """
    match = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*([kmgt]?)i?b?\s*", text.lower())
    size = float(match[1]) * 1024 ** " kmgt".index(match[2] or " ") if match else 0
    if size < 1:
        raise RequestError(
            f"{text!r} is no amount of memory.", 'Give something like "2GB".'
        )
    return int(size)


def fair_memory() -> int:
    """Bytes that this program takes by default: a fifth of what is free."""
    return free_bytes() // _SHARE


def free_bytes() -> int:
    """Bytes of memory that are free, also where a container has less than its host."""
    free = int(psutil.virtual_memory().available)
    try:
        limit, used = int(_LIMIT.read_text()), int(_USED.read_text())
    except (OSError, ValueError):  # no container, or one without a limit
        return free
    return max(0, min(free, limit - used))
