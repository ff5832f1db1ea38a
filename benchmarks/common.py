"""What every benchmark needs: the data, the machine's description, a table."""

from __future__ import annotations

import itertools
import os
import platform
import sys
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray


def read(name: str) -> NDArray[np.float32]:
    """Pixels of a file of the benchmark data, or a sentence and the end."""
    path = Path(os.environ.get("SELFDENOISE_DATA", "../shared/data")) / name
    if not path.is_file():
        sys.exit(f"{name} is not there: SELFDENOISE_DATA must name the data's folder.")
    return tifffile.imread(path).astype(np.float32)


def describe_machine(**more: object) -> str:
    """Machine, versions and whatever else decides the figures."""
    from napari_selfdenoise.device import compute_threads, resolve_device

    versions = ", ".join(
        f"{name} {metadata.version(name)}"
        for name in ("napari-selfdenoise", "torch", "numpy")
    )
    rest = ", ".join(f"{key} {value}" for key, value in more.items())
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, device "
        f"{resolve_device('auto')}, {compute_threads()} compute threads; Python "
        f"{platform.python_version()}, {versions}; {rest}"
    )


def print_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table that reads as text and as Markdown."""
    for line in itertools.chain([header, ["---"] * len(header)], rows):
        print("| " + " | ".join(str(cell) for cell in line) + " |", flush=True)
