"""The layer of a residual: in the place of its image, with colours around zero."""

from __future__ import annotations

from typing import Any

from napari.layers import Image as ImageLayer
from napari.viewer import Viewer

from napari_selfdenoise.images import Image
from napari_selfdenoise.plugin.viewer.layers import appearance
from napari_selfdenoise.plugin.viewer.origin import Origin, free_suffix, note_edits

COLORMAP = "RdBu"
"""White at zero, red below, blue above."""


def add_residual(
    viewer: Viewer, source: ImageLayer, result: Any, residual: Image, reach: float
) -> ImageLayer:
    """Add a residual right above the result and what else was made of its image.

    It takes the place of the last one, unless that was renamed, edited or locked.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Where it goes.
    source : napari.layers.Image
        The noisy layer.
    result : napari.layers.Image or None
        The denoised layer, if it is still there.
    residual : Image
        Of the shape of that layer.
    reach : float
        Residuals from -reach to reach are shown.
    """
    layers = viewer.layers
    origin = Origin.of(source, "evaluate")
    active = layers.selection.active
    for layer in origin.earlier(layers):
        layers.remove(layer)
    name = f"{source.name} residual"
    name += free_suffix([name], {layer.name for layer in layers})
    look: dict[str, Any] = appearance(source) | {
        "colormap": COLORMAP,
        "contrast_limits": (-reach, reach),
        "gamma": 1.0,
        "blending": "translucent_no_depth",
    }
    made = ImageLayer(residual.data, name=name, multiscale=False, **look)
    origin.mark(made, name, {"residual": True})
    note_edits(made)
    above = list(layers).index(result) + 1 if result in layers else 0
    layers.insert(max(above, origin.place(list(layers))), made)
    if active in layers:
        layers.selection.active = active
    return made
