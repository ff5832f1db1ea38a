"""Profiles of several layers along a line that the user draws."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from napari.layers import Shapes
from napari.viewer import Viewer
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal  # type: ignore[attr-defined]

from napari_selfdenoise.evaluation import LineProfile, line_profile
from napari_selfdenoise.images import unit_symbol
from napari_selfdenoise.plugin.docks.dock import ignore
from napari_selfdenoise.plugin.docks.worker import Run
from napari_selfdenoise.plugin.viewer.layers import pixels_of

LINE_LAYER = "Profile line"

_WAIT_MS = 120
"""Rest of the line after which it is read."""


class Profiles(NamedTuple):
    """Profiles by the role of their layers, and the unit of the distances."""

    by_role: Mapping[str, LineProfile]
    unit: str


class Cut(NamedTuple):
    """Where a line cuts a layer.

    Parameters
    ----------
    data : array
        Pixels of the layer.
    place : tuple of int
        Of the plane in view: positions along all axes but the last two.
    ends : ndarray
        Row and column of both ends, (2, 2).
    pixel_size : tuple of float
        Along the last two axes.
    """

    data: Any
    place: tuple[int, ...]
    ends: NDArray[np.float64]
    pixel_size: tuple[float, float]


class Profiler(QObject):
    """Reads the layers in question along the line, whenever it is another.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Where the line is drawn.
    layers : callable
        Gives the layers by their roles, those there are.
    parent : QObject
        Qt parent.
    """

    found = Signal(object)
    """The profiles."""

    failed = Signal(object)
    """The error that there was."""

    def __init__(
        self, viewer: Viewer, layers: Callable[[], dict[str, Any]], parent: QObject
    ) -> None:
        super().__init__(parent)
        self._viewer, self._layers = viewer, layers
        self._line: Any = None
        self._run: Run | None = None
        self._waiting = QTimer(self)
        self._waiting.setSingleShot(True)
        self._waiting.setInterval(_WAIT_MS)
        self._waiting.timeout.connect(self._read)
        viewer.dims.events.current_step.connect(self.later)

    def draw(self) -> Any:
        """Let the user draw a line; returns the layer for it."""
        layers = self._viewer.layers
        if self._line is None or self._line not in layers:
            noisy = self._layers().get("noisy")
            # Other units than the image's would spoil the scale bar.
            units = None if noisy is None else noisy.units[-2:]
            self._line = Shapes(
                name=LINE_LAYER,
                ndim=2,
                units=units,
                edge_color="#E69F00",
                face_color="transparent",
                edge_width=self._width(),
            )
            layers.append(self._line)
            self._line.events.set_data.connect(self.later)
        layers.selection.active = self._line
        self._line.mode = "add_line"
        return self._line

    def later(self, *_: Any) -> None:
        """Read the line once it rests."""
        if self._line is not None:
            self._waiting.start()

    def close(self) -> None:
        """Let go of the viewer."""
        self._waiting.stop()
        self._viewer.dims.events.current_step.disconnect(self.later)
        if self._line is not None:
            self._line.events.set_data.disconnect(self.later)
        self._line = None
        self._give_up()

    def _width(self) -> float:
        """Width of the line: about two pixels of the screen, in the viewer's units."""
        zoom = getattr(self._viewer, "scene", self._viewer).camera.zoom
        return 2.0 / max(zoom, 1e-9)

    def _read(self) -> None:
        line, layers = self._line, self._layers()
        if line is None or line not in self._viewer.layers or not len(line.data):
            return
        if not layers:
            return
        ends = [np.asarray(line.data_to_world(end)) for end in line.data[-1][[0, -1]]]
        point = self._viewer.dims.point
        cuts = {role: cut(layer, point, ends) for role, layer in layers.items()}
        unit = f"{next(iter(layers.values())).units[-1]:~}"
        self._give_up()
        self._run = Run(
            partial(_reading, cuts, unit),
            ignore,
            self._on_found,
            self._on_error,
            ignore,
        )
        self._run.start()

    def _give_up(self) -> None:
        if self._run is not None:
            self._run.abandon()
        self._run = None

    def _on_found(self, profiles: Profiles | None) -> None:
        if self._run is not None and profiles is not None:
            self.found.emit(profiles)

    def _on_error(self, error: Exception) -> None:
        if self._run is not None:
            self.failed.emit(error)


def cut(layer: Any, point: tuple[float, ...], ends: list[NDArray[Any]]) -> Cut:
    """Find where a line cuts a layer in the plane that is in view.

    Parameters
    ----------
    layer : napari.layers.Image
        The layer.
    point : tuple of float
        In view, in the viewer's space.
    ends : list of ndarray
        Ends of the line along the viewer's last two axes, (2,) each.
    """
    world = [(*point[: len(point) - 2], *end) for end in ends]
    inside = np.array([layer.world_to_data(p[-layer.ndim :]) for p in world])
    shape = pixels_of(layer).shape
    place = tuple(
        int(np.clip(round(at), 0, length - 1))
        for at, length in zip(inside[0, :-2], shape[:-2], strict=True)
    )
    size = (float(layer.scale[-2]), float(layer.scale[-1]))
    return Cut(pixels_of(layer), place, inside[:, -2:], size)


def _reading(cuts: Mapping[str, Cut], unit: str) -> Generator[None, object, Profiles]:
    """Read the layers along the line, in a worker."""
    profiles = {}
    for role, one in cuts.items():
        yield None
        plane = np.asarray(one.data[one.place])
        start, end = (tuple(place) for place in one.ends.tolist())
        profiles[role] = line_profile(plane, start, end, one.pixel_size)
    return Profiles(profiles, unit_symbol(unit))
