"""Which image layers a dock offers, and which it never chooses by itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from napari.layers import Image as ImageLayer

from napari_selfdenoise.plugin.viewer.marks import marks


def is_plain(layer: Any) -> bool:
    """Whether a layer is an image that this plugin neither made nor compares with.

    To denoise a result once more, or a reference, is seldom what is wanted.
    """
    return isinstance(layer, ImageLayer) and not marks(layer.metadata)


def offered(layers: Iterable[Any]) -> list[ImageLayer]:
    """Image layers in the order of the viewer, those that are not plain last.

    Layers that are there for a moment only are left out.
    """
    images = [
        layer
        for layer in layers
        if isinstance(layer, ImageLayer) and not marks(layer.metadata).get("temporary")
    ]
    return sorted(images, key=lambda layer: not is_plain(layer))


def first_choice(layers: Iterable[Any], active: Any) -> Any:
    """The active layer if it is plain, else the topmost that is; None without any."""
    plain = [layer for layer in layers if is_plain(layer)]
    return active if active in plain else next(reversed(plain), None)


def result_of(layers: Iterable[Any], noisy: Any) -> Any:
    """The denoised layer of the last run on a layer; None where there is none."""
    if noisy is None:
        return None
    found = [
        (marks(layer.metadata).get("run", 0), place, layer)
        for place, layer in enumerate(layers)
        if marks(layer.metadata).get("source_id") == str(noisy.unique_id)
        and "denoised" in marks(layer.metadata).get("layer", "")
    ]
    return max(found)[-1] if found else None


def last_denoised(layers: Iterable[Any]) -> Any:
    """The layer that the last run denoised; None where none is left."""
    layers = list(layers)
    runs = {
        marks(result.metadata).get("run", 0): layer
        for layer in layers
        if (result := result_of(layers, layer)) is not None
    }
    return runs[max(runs)] if runs else None


def reference_for(layers: Iterable[Any], noisy: Any) -> Any:
    """The only layer marked as a reference whose planes have the size of a layer's."""
    if noisy is None:
        return None
    found = [
        layer
        for layer in layers
        if isinstance(layer, ImageLayer)
        and marks(layer.metadata).get("reference")
        and _plane_shape(layer) == _plane_shape(noisy)
    ]
    return found[0] if len(found) == 1 else None


def _plane_shape(layer: ImageLayer) -> tuple[int, ...]:
    data = layer.data[0] if layer.multiscale else layer.data
    return tuple(data.shape[-2:])
