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
    """Image layers in the order of the viewer, those that are not plain last."""
    images = [layer for layer in layers if isinstance(layer, ImageLayer)]
    return sorted(images, key=lambda layer: not is_plain(layer))


def first_choice(layers: Iterable[Any], active: Any) -> Any:
    """The active layer if it is plain, else the topmost that is; None without any."""
    plain = [layer for layer in layers if is_plain(layer)]
    return active if active in plain else next(reversed(plain), None)
