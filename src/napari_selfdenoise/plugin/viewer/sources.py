"""Layers that settings can be taken from: beads, painted shapes, noise curves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Image as ImageLayer
from napari.layers import Labels
from napari.viewer import Viewer
from numpy.typing import NDArray

from napari_selfdenoise.plugin.viewer.marks import marks

Source = tuple[str, Callable[[], Any]]
"""A layer's name, and what gives the data that is taken from it."""


def sources(viewer: Viewer, kind: str) -> list[Source]:
    """Layers that a setting can be taken from, each with its name and data.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Whose layers.
    kind : str
        "image": pixels of an image, (Y, X) or (planes, Y, X); "labels": what is painted
        in the plane that is shown, (Y, X); "noise": a noise curve as JSON.
    """
    return list(_SOURCES[kind](viewer))


def _images(viewer: Viewer) -> Iterator[Source]:
    for layer in viewer.layers:
        if isinstance(layer, ImageLayer) and not layer.rgb and layer.ndim > 1:
            yield layer.name, partial(_shown, layer, viewer.dims.point, 3)


def _labels(viewer: Viewer) -> Iterator[Source]:
    for layer in viewer.layers:
        if isinstance(layer, Labels) and layer.ndim > 1:
            yield layer.name, partial(_shown, layer, viewer.dims.point, 2)


def _noise(viewer: Viewer) -> Iterator[Source]:
    for layer in viewer.layers:
        curves = marks(layer.metadata).get("noise_curves", [])
        for number, curve in enumerate(curves):
            channel = f", channel {number}" if len(curves) > 1 else ""
            yield f"{layer.name}{channel}", partial(dict, curve)


_SOURCES: dict[str, Callable[[Viewer], Iterator[Source]]] = {
    "image": _images,
    "labels": _labels,
    "noise": _noise,
}


def _shown(layer: Any, point: tuple[float, ...], ndim: int) -> NDArray[Any]:
    """The last axes of a layer's array, at the place of the others that is shown."""
    data = layer.data[0] if layer.multiscale else layer.data
    place = layer.world_to_data(point)[-layer.ndim :]
    outer = [
        int(np.clip(round(at), 0, length - 1))
        for at, length in zip(place, data.shape, strict=True)
    ]
    return np.asarray(data[tuple(outer[: max(0, layer.ndim - ndim)])])
