"""What a training learns from, as layers: written down, and found again later."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from napari.layers import Image as ImageLayer

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import Image
from napari_selfdenoise.plugin.docks.series import read_layer
from napari_selfdenoise.plugin.viewer.layers import (
    FILE_KEY,
    image_from_layer,
    pixels_of,
)
from napari_selfdenoise.training import KeptImage


def kept_image_of(layer: ImageLayer, image: Image) -> KeptImage:
    """Describe a layer, so that it can be found again when napari was closed."""
    made = layer.metadata.get(FILE_KEY, {})
    path = made.get("path") or layer.source.path or ""
    options = {
        "axis_labels": list(layer.axis_labels),
        "scale": [float(step) for step in layer.scale],
        "units": [str(unit) for unit in layer.units],
    }
    shape = tuple(int(length) for length in image.shape)
    return KeptImage(
        layer.name, str(path), int(made.get("series", 0)), image.axes, shape, options
    )


def layer_of_kept(layers: Iterable[Any], image: KeptImage) -> ImageLayer | None:
    """The layer of that name, shape and axes; None where there is none."""
    found = (one for one in layers if isinstance(one, ImageLayer))
    return next((one for one in found if _is_kept(one, image)), None)


def find_kept(layers: Iterable[Any], image: KeptImage) -> ImageLayer:
    """Find a layer as `layer_of_kept` does.

    Raises
    ------
    RequestError
        Where there is none.
    """
    layer = layer_of_kept(layers, image)
    if layer is None:
        raise _not_open(image)
    return layer


def _is_kept(layer: ImageLayer, image: KeptImage) -> bool:
    found = layer.name, tuple(pixels_of(layer).shape)
    alike = found == (image.name, image.shape)
    return alike and image_from_layer(layer).axes == image.axes


def read_kept(image: KeptImage) -> tuple[Any, dict[str, Any]]:
    """Read it from its file, in a worker; returns data and options of its layer.

    Raises
    ------
    RequestError
        If there is no such file, or it holds something else by now.
    """
    if not image.path or not Path(image.path).exists():
        raise _not_open(image)
    data, options = read_layer(Path(image.path), image.series)
    if tuple(data.shape) != image.shape:
        raise _not_open(image)
    return data, options | _options(image) | {"name": image.name}


def _options(image: KeptImage) -> dict[str, Any]:
    """Options of a layer, of which JSON has made lists."""
    return {name: tuple(values) for name, values in image.options.items()}


def _not_open(image: KeptImage) -> RequestError:
    return RequestError(
        f"This training needs the layer {image}.", "Open it, then press Go on again."
    )
