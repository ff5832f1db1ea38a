"""What of a layer is in view: the place of the sliders in its array."""

from __future__ import annotations

from napari.layers import Image as ImageLayer
from napari.viewer import Viewer

from napari_selfdenoise.images import Image


def data_point(layer: ImageLayer, point: tuple[float, ...]) -> tuple[int, ...]:
    """Position in a layer's array of a point in the viewer's space."""
    return tuple(round(p) for p in layer.world_to_data(point)[-layer.ndim :])


def channel_in_view(viewer: Viewer, layer: ImageLayer, image: Image) -> int:
    """Number from 0 of the channel that the sliders show of a layer's image."""
    if "C" not in image.axes:
        return 0
    place = data_point(layer, viewer.dims.point)[image.axes.index("C")]
    return min(max(place, 0), image.channels - 1)
