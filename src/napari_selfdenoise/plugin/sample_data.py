"""Sample images in napari's File menu."""

from __future__ import annotations

from typing import Any

from napari_selfdenoise.images import (
    FMD_CREDIT,
    Image,
    fish_average,
    fish_frame,
    poisson_gaussian_stack,
)
from napari_selfdenoise.plugin.viewer.marks import reference

LayerData = tuple[Any, dict[str, Any], str]


def fish() -> list[LayerData]:
    """Return a real noisy frame, above the average of 50 such frames."""
    return [_reference(fish_average(), FMD_CREDIT), _layer(fish_frame(), FMD_CREDIT)]


def synthetic() -> list[LayerData]:
    """Return four noisy frames of synthetic cells, above their true signal."""
    credit = "Made by napari-selfdenoise: variance = 12 (signal - 100) + 150"
    noisy, signal = poisson_gaussian_stack()
    return [_reference(signal, credit), _layer(noisy, credit)]


def _reference(image: Image, credit: str) -> LayerData:
    """A reference to compare with: hidden, and never chosen for a training."""
    data, attributes, kind = _layer(image, credit)
    attributes["name"] += " (reference)"
    attributes["metadata"] |= reference()
    return data, attributes | {"visible": False}, kind


def _layer(image: Image, credit: str) -> LayerData:
    attributes = {
        "name": image.name,
        "axis_labels": tuple(image.axes.lower()),
        "metadata": {"credit": credit},
    }
    return image.data, attributes, "image"
