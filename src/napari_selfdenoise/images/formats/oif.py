"""Read OIF and OIB, of Olympus' confocal microscopes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from napari_selfdenoise.images.axes import Steps
from napari_selfdenoise.images.formats.recorded import (
    LAZY_BYTES,
    Listed,
    Recorded,
    library,
    native,
)
from napari_selfdenoise.images.laziness import stays_on_disk
from napari_selfdenoise.images.units import in_micrometres, positive, unit_symbol

_SECTIONS = 16
"""Numbered sections of settings that are looked for: more than there are."""


def images_in(path: Path) -> list[Listed]:
    """The image of an OIF or OIB file; small pictures next to it are left out."""
    return [Listed("", partial(_read, path))]


def _read(path: Path) -> Recorded:
    with library("oiffile", "OIF").OifFile(path) as file:
        settings, series = file.mainfile, file.series[0]
        size = math.prod(file.shape) * file.dtype.itemsize
        large = stays_on_disk(size, LAZY_BYTES)
        data = file.asarray(out="memmap") if large else native(file.asarray())
    outer = series.axes if math.prod(series.shape) > 1 else "I" * len(series.shape)
    axes = (*outer, *"YXS"[: data.ndim - len(outer)])
    return Recorded(data, axes, pixel_sizes(settings), _channel_names(settings))


def pixel_sizes(settings: Mapping[str, Any]) -> Steps:
    """Pixel size and time between frames of a settings file, by axis letter."""
    steps: Steps = {}
    for number in range(_SECTIONS):
        section = settings.get(f"Axis {number} Parameters Common", {})
        axis, count = section.get("AxisCode"), section.get("MaxSize", 0)
        first, last = (section.get(f"{end}Position", 0) for end in ("Start", "End"))
        # Along X and Y positions are the edges of the field, else centres of planes.
        gaps = count if axis in ("X", "Y") else count - 1
        size = positive(abs(last - first) / gaps) if gaps > 0 else None
        if size and axis in ("X", "Y", "Z", "T"):
            steps[axis] = _usual(size, unit_symbol(section.get("UnitName", "")))
    return steps


def _usual(size: float, unit: str) -> tuple[float, str]:
    """A length in µm, a time in s: the file has nm and ms along Z and T."""
    factor = in_micrometres(unit)
    if factor is not None:
        return size * factor, "µm"
    return (size / 1000, "s") if unit == "ms" else (size, unit)


def _channel_names(settings: Mapping[str, Any]) -> tuple[str, ...]:
    names = []
    for number in range(1, _SECTIONS):
        section = settings.get(f"GUI Channel {number} Parameters", {})
        name = section.get("DyeName") or section.get("CH Name")
        names += [str(name)] if name else []
    return tuple(names)
