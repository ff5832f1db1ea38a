"""Sample images in napari's File menu."""

from __future__ import annotations

from typing import Any

from napari_selfdenoise.image import Image
from napari_selfdenoise.samples import (
    FMD_CREDIT,
    fish_average,
    fish_frame,
    poisson_gaussian_stack,
)

LayerData = tuple[Any, dict[str, Any], str]


def fish() -> list[LayerData]:
    """Return a real noisy frame and the average of 50 such frames."""
    return [_layer(image, FMD_CREDIT) for image in (fish_frame(), fish_average())]


def synthetic() -> list[LayerData]:
    """Return four noisy frames of synthetic cells and their true signal."""
    credit = "Made by napari-selfdenoise: variance = 12 (signal - 100) + 150"
    return [_layer(image, credit) for image in poisson_gaussian_stack()]


def _layer(image: Image, credit: str) -> LayerData:
    attributes = {
        "name": image.name,
        "axis_labels": tuple(image.axes.lower()),
        "metadata": {"credit": credit},
    }
    return image.data, attributes, "image"
