"""Layers saved by napari's File menu as TIFF, with pixel size, units and axes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_selfdenoise.images import Image

_SUFFIXES = (".tif", ".tiff")


def write_calibrated(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Save a layer as it is: whole numbers stay, all else becomes 32-bit float."""
    image, _ = _image_of(data, attributes)
    return _save(image, path)


def write_whole_numbers(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Save a layer in the type of the image that it was made from, rounded to it."""
    import numpy as np

    from napari_selfdenoise.images import rounded, storable

    image, source = _image_of(data, attributes)
    if np.dtype(source).kind not in "ui":
        note = f"Not rounded: the source holds numbers of the type {source}."
        return _save(image, path, note)
    kind = storable(source)
    if image.dtype == kind:
        return _save(image, path)
    made = rounded(image, kind)
    return _save(made.image, path, *made.notes())


def _image_of(data: Any, attributes: dict[str, Any]) -> tuple[Image, str]:
    """The image of a layer that is to be saved, and the type of its source."""
    from napari.layers import Image as ImageLayer

    from napari_selfdenoise.images import Look
    from napari_selfdenoise.plugin.viewer.layers import image_from_layer, type_of_source

    layer = ImageLayer(data, **attributes)
    image = image_from_layer(layer)
    low, high = layer.contrast_limits
    look = image.look or Look()
    if len(look.ranges) < 2:  # napari has one for all channels, the file one for each
        look = replace(look, ranges=((float(low), float(high)),))
    return replace(image, look=look), type_of_source(layer)


def _save(image: Image, path: str, *notes: str) -> list[str]:
    """Write a TIFF and show what was written; returns its path."""
    from napari.utils.notifications import show_info

    from napari_selfdenoise.images import write_image
    from napari_selfdenoise.plugin.docks.plain_text import without_tags

    # The name as it was typed may end in ".5 denoised", which is no suffix. napari has
    # asked about a file of that very name only.
    complete = path.lower().endswith(_SUFFIXES)
    place = Path(path if complete else f"{path}.tif")
    write_image(image, place, overwrite=complete)
    saved = f"Saved {place.name}: {image.describe()}."
    show_info(without_tags(" ".join([saved, *notes])))
    return [str(place)]
