"""Limits of memory that a user puts on a run, and what a run took."""

from __future__ import annotations

import sys
from typing import Any

import click


def _parsed(context: Any, option: Any, text: str | None) -> int | None:
    """Bytes in an amount that was typed; None where there was none."""
    from napari_selfdenoise.compute import parse_memory

    return None if text is None else parse_memory(text)


memory_option = click.option(
    "--max-memory",
    callback=_parsed,
    help='Memory that the run may take, such as "2GB", besides some 500 MB of '
    "libraries. Default: a fifth of what is free to denoise, and 250 MB a channel to "
    "learn from.",
)


def peak_memory() -> int | None:
    """Most bytes of memory that this process has taken; None where nobody knows."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
