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
    """Return what loads a model or a noise model into its dock."""
    return _load if isinstance(path, str) else None


def _read_tiff(path: Any) -> list[LayerData]:
    from napari_selfdenoise.plugin.docks.series import read_layer

    return [(*read_layer(Path(path)), "image")]


def _load(path: Any) -> list[LayerData]:
    import napari

    from napari_selfdenoise.plugin.docks.dock import is_in_front, open_dock

    viewer = napari.current_viewer()
    if viewer is None:
        return _NO_LAYER
    # Both docks take a noise model: to plot it, or for the next training.
    is_noise = str(path).lower().endswith(".noise.json")
    plots = is_noise and is_in_front(viewer, "Noise model")
    dock = "Noise model" if plots else "Denoise"
    open_dock(viewer, dock).open_files([Path(path)])
    return _NO_LAYER
