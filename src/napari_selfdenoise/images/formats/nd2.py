"""Read ND2, of Nikon's microscopes."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_selfdenoise.images.acquisition import Acquisition
from napari_selfdenoise.images.axes import Steps
from napari_selfdenoise.images.formats.recorded import (
    LAZY_BYTES,
    Listed,
    Recorded,
    library,
    native,
)
from napari_selfdenoise.images.laziness import stays_on_disk
from napari_selfdenoise.images.units import positive

_UNITS = {"DeltaT": "s"} | {f"Position{axis}": "µm" for axis in "XYZ"}
"""What is read of each plane, by OME's names, with its unit."""


def images_in(path: Path) -> list[Listed]:
    """The stage positions of an ND2 file; one image where there is but one."""
    with library("nd2", "ND2").ND2File(path) as file:
        count = file.sizes.get("P", 1)
        names = _position_names(file)
    names = names if len(names) == count else [""] * count
    return [Listed(name, partial(_read, path, n)) for n, name in enumerate(names)]


def _position_names(file: Any) -> list[str]:
    for loop in file.experiment:
        if loop.type == "XYPosLoop":
            return [point.name or "" for point in loop.parameters.points]
    return []


def _read(path: Path, position: int) -> Recorded:
    file = library("nd2", "ND2").ND2File(path)
    axes = tuple(file.sizes)
    several = "P" in axes
    lazy = stays_on_disk(file.nbytes // file.sizes.get("P", 1), LAZY_BYTES)
    with file:  # a lazy array opens it again
        data = file.to_dask() if lazy else file.asarray(position if several else None)
        steps, names, colours = _steps(file), _channel_names(file), _colours(file)
        acquired = None
        with suppress(Exception):  # what cannot be understood is not known
            acquired = _acquisition(file, position)
            steps = _measured_interval(acquired) | steps
    if several:
        data = data[(slice(None),) * axes.index("P") + (position if lazy else 0,)]
        axes = tuple(axis for axis in axes if axis != "P")
    data = data if lazy else native(data)
    return Recorded(data, axes, steps, names, colours=colours, acquisition=acquired)


def _acquisition(file: Any, position: int) -> Acquisition:
    """When and where each plane of a stage position was recorded."""
    places = [(n, at) for n, at in enumerate(file.loop_indices) if _is_at(at, position)]
    axes = "".join(axis for axis in "TZ" if file.sizes.get(axis, 1) > 1)
    shape = tuple(file.sizes[axis] for axis in axes)
    values = {key: np.full(shape, np.nan) for key in _UNITS}
    for number, at in places:
        found = file.frame_metadata(number).channels[0]
        place = tuple(at[axis] for axis in axes)
        values["DeltaT"][place] = found.time.relativeTimeMs / 1000
        for axis, size in zip("XYZ", found.position.stagePositionUm, strict=True):
            values[f"Position{axis}"][place] = size
    return Acquisition(axes, values, _UNITS)


def _is_at(place: Any, position: int) -> bool:
    return int(place.get("P", position)) == position


def _measured_interval(acquired: Acquisition) -> Steps:
    """Time between frames as it was measured, in s; empty where there are no times."""
    if "T" not in acquired.axes:
        return {}
    times = acquired.values["DeltaT"].reshape(len(acquired.values["DeltaT"]), -1)
    interval = positive(np.median(np.diff(times[:, 0])))
    return {"T": (interval, "s")} if interval else {}


def _channel_names(file: Any) -> tuple[str, ...]:
    channels = getattr(file.metadata, "channels", None) or []
    return tuple(one.channel.name or "" for one in channels)


def _colours(file: Any) -> tuple[tuple[int, ...], ...]:
    channels = getattr(file.metadata, "channels", None) or []
    found = [getattr(one.channel, "color", None) for one in channels]
    return tuple((one.r, one.g, one.b) for one in found if one is not None)


def _steps(file: Any) -> Steps:
    steps: Steps = {}
    channels = getattr(file.metadata, "channels", None) or []
    known = channels[0].volume.axesCalibrated if channels else (False,) * 3
    for axis, size, calibrated in zip("XYZ", file.voxel_size(), known, strict=True):
        if positive(size) and calibrated:
            steps[axis] = (size, "µm")
    for loop in file.experiment:
        interval = positive(_period_ms(loop))
        if interval:
            steps["T"] = (interval / 1000, "s")
    return steps


def _period_ms(loop: Any) -> Any:
    """Time between frames, as measured or else as planned; None where unknown."""
    if loop.type != "TimeLoop":
        return None
    measured = getattr(loop.parameters.periodDiff, "avg", None)
    return positive(measured) or loop.parameters.periodMs
