"""The layer that marks where a denoised image is not to be trusted."""

from __future__ import annotations

from typing import Any

from napari.layers import Image as ImageLayer
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap
from napari.viewer import Viewer

from napari_selfdenoise.plugin.viewer.layers import place_of
from napari_selfdenoise.plugin.viewer.marks import marks
from napari_selfdenoise.plugin.viewer.origin import Origin, free_suffix, is_as_made
from napari_selfdenoise.prediction import REASONS, Doubt

_COLOURS = {1: "orange", 2: "magenta", 3: "deepskyblue"}
"""Of the reasons; none is a colour that images are often shown in."""

_OPACITY = 0.55


def show_doubt(viewer: Viewer, source: ImageLayer, doubt: Doubt) -> Labels:
    """Lay a mask of doubt over what was made of a layer, in place of the last mask.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Where the layer goes.
    source : napari.layers.Image
        What was denoised.
    doubt : Doubt
        Where that is not to be trusted.

    Returns
    -------
    napari.layers.Labels
        The new layer.
    """
    origin = _origin_of_results(viewer, source)
    for layer in origin.own(viewer.layers):
        if marks(layer.metadata).get("result") == "doubt":
            viewer.layers.remove(layer)
    title = f"{source.name} where not to trust"
    title += free_suffix([title], {layer.name for layer in viewer.layers})
    layer = Labels(
        doubt.labels,
        name=title,
        opacity=_OPACITY,
        colormap=DirectLabelColormap(color_dict={None: "transparent"} | _COLOURS),
        features={"index": [0, *REASONS], "why": ["trusted", *REASONS.values()]},
        **place_of(source),
    )
    made = {"result": "doubt", "intervals": str(doubt.intervals)}
    origin.mark(layer, title, made)
    viewer.layers.insert(origin.place(list(viewer.layers)), layer)
    return layer


def _origin_of_results(viewer: Viewer, source: ImageLayer) -> Origin:
    """Origin of the last results of a layer: the next run replaces the mask with them.

    A run of its own, where there are no results.
    """
    fresh = Origin.of(source, "denoise")
    known = [marks(layer.metadata) for layer in viewer.layers if _is_of(layer, fresh)]
    run = max((found["run"] for found in known), default=fresh.run)
    return Origin(fresh.source, fresh.source_id, fresh.made_by, run)


def _is_of(layer: Any, origin: Origin) -> bool:
    found = marks(layer.metadata)
    alike = ("source_id", "made_by")
    return is_as_made(layer) and all(found.get(n) == getattr(origin, n) for n in alike)
