"""Files that are dropped on napari's canvas, or opened by its File menu."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

LayerData = tuple[Any, ...]
Reader = Callable[[Any], list[LayerData]]

_NO_LAYER: list[LayerData] = [(None,)]
"""What napari takes for a file that was read, but is no layer."""


def tiff_reader(path: Any) -> Reader | None:
    """Return what reads a TIFF as one layer, as the docks do."""
    return _read_tiff if isinstance(path, str) else None


def model_reader(path: Any) -> Reader | None:
    """Return what loads a model or a noise model into the Denoise dock."""
    return _load if isinstance(path, str) else None


def _read_tiff(path: Any) -> list[LayerData]:
    from napari_selfdenoise.images import read_image
    from napari_selfdenoise.plugin.viewer.layers import layer_from_image

    return [(*layer_from_image(read_image(path)), "image")]


def _load(path: Any) -> list[LayerData]:
    import napari

    from napari_selfdenoise.plugin.docks.dock import open_dock

    viewer = napari.current_viewer()
    if viewer is not None:
        open_dock(viewer, "Denoise").open_files([Path(path)])
    return _NO_LAYER
