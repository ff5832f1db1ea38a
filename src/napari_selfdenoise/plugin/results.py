"""The layers that a run fills: preview, denoised, what else was asked for, noise."""

from __future__ import annotations

import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from napari.layers import Image as ImageLayer
from napari.viewer import Viewer

from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.image import Image
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.noise_models import NoiseCurve
from napari_selfdenoise.plugin.layers import (
    METADATA_KEY,
    Box,
    appearance,
    bounding_box,
    distribution_layer,
    provenance,
    result_appearance,
)
from napari_selfdenoise.prediction import allocate, result_shapes
from napari_selfdenoise.preview import FieldOfView, Preview

REFRESH_EVERY_S = 0.2


class Results:
    """Layers of one run, in the place and look that the source has at its start.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Where the layers go.
    source : napari.layers.Image
        The layer that is denoised; it is only read.
    image : Image
        Its pixels.
    config : TrainingConfig
        Says what there is to be found.

    Attributes
    ----------
    arrays : dict
        What the run writes to, by the names of `result_shapes`.
    """

    def __init__(
        self, viewer: Viewer, source: ImageLayer, image: Image, config: TrainingConfig
    ) -> None:
        self.viewer, self.image, self.name = viewer, image, source.name
        # Neither layer nor viewer must be kept alive by a run.
        self._source = weakref.ref(source)
        self._look, self._box = appearance(source), bounding_box(source)
        shapes = result_shapes(image, config)
        self.arrays = {name: allocate(shape) for name, shape in shapes.items()}
        self._layer: ImageLayer | None = None
        self._refreshed = 0.0

    @property
    def source_is_there(self) -> bool:
        """Whether the source is still in the viewer."""
        return self._source() in self.viewer.layers

    def belongs_to(self, layer: Any) -> bool:
        """Whether this run denoises the layer."""
        return layer is self._source()

    def field_of_view(self) -> FieldOfView:
        """What the user sees of the image now."""
        source, ndim = self._source(), self.image.ndim
        if source is None or source.ndim != ndim:  # removed, or other data put in
            return FieldOfView.visible(self.image, (0,) * ndim, np.full((2, ndim), -1))
        point = _data_point(source, self.viewer.dims.point)
        return FieldOfView.visible(self.image, point, _corners(source))

    def show_preview(self, preview: Preview) -> None:
        """Show a field of view as it is denoised by now."""
        if not self.source_is_there:  # it was on its way when the layer went
            return
        preview.write_to(self.arrays["denoised"], self.image)
        self._show()
        self.refresh(now=True)

    def show_denoised(self) -> None:
        """Show the layer that the tiles will be written to."""
        self._show()

    def refresh(self, now: bool = False) -> None:
        """Draw what has changed, a few times a second at most."""
        if self._layer is None:
            return
        if now or time.perf_counter() - self._refreshed > REFRESH_EVERY_S:
            self._refreshed = time.perf_counter()
            self._layer.refresh(extent=False)

    def hidden(self) -> str:
        """Name the layers that are not shown at first, as a sentence begins."""
        *others, last = [_words(name) for name in self.arrays if name != "denoised"]
        text = ", ".join([*others, last, "noise distribution"])
        text = " and ".join(text.rsplit(", ", 1))
        return text[0].upper() + text[1:]

    def finish(self, model: TrainedModel, curves: Sequence[NoiseCurve]) -> None:
        """Show all that was found, with its provenance.

        Parameters
        ----------
        model : TrainedModel
            What it was found with.
        curves : sequence of NoiseCurve
            Noise of each channel of this image.
        """
        made = provenance(model, self.name, curves)
        self._show()
        assert self._layer is not None
        self._layer.metadata = dict(made)
        self._layer.refresh()
        with _same_view(self.viewer):
            for name, data in self.arrays.items():
                if name != "denoised":
                    look = result_appearance(name, self._look, curves)
                    self._add(data, name, look, made)
        several = len(model.channels) > 1
        for number, curve in enumerate(curves):
            suffix = f" {number}" if several else ""
            name = f"{self.name} noise distribution{suffix}"
            add_distribution(self.viewer, curve, name, self._box, made)
        self.viewer.layers.selection.active = self._layer

    def _show(self) -> None:
        """Make the denoised layer, or make it again if the user removed it."""
        if self._layer is None or self._layer not in self.viewer.layers:
            self._layer = self._add(self.arrays["denoised"], "denoised", self._look, {})

    def _add(
        self, data: Any, name: str, look: dict[str, Any], metadata: dict[str, Any]
    ) -> ImageLayer:
        layer: ImageLayer = self.viewer.add_image(
            data,
            name=f"{self.name} {_words(name)}",
            **look,
            metadata=dict(metadata),
            visible=name == "denoised",
        )
        return layer


@contextmanager
def _same_view(viewer: Viewer) -> Iterator[None]:
    """Keep napari from zooming out, as it does when there is one more axis."""
    camera = getattr(viewer, "scene", viewer).camera  # the viewer's own, before 0.9
    zoom, center = camera.zoom, camera.center
    yield
    camera.zoom, camera.center = zoom, center


def add_distribution(
    viewer: Viewer, curve: NoiseCurve, name: str, box: Box, made: dict[str, Any]
) -> None:
    """Add the layer that shows how residuals scatter at each signal.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Where it goes.
    curve : NoiseCurve
        Of the image.
    name : str
        Of the layer.
    box : Box
        Of the image's layer.
    made : dict
        What the layer's metadata say of where it came from.
    """
    density, options = distribution_layer(curve, box)
    axes = options.pop("metadata")[METADATA_KEY]
    kept = {METADATA_KEY: made[METADATA_KEY] | axes}
    viewer.add_image(density, name=name, **options, metadata=kept)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _corners(layer: ImageLayer) -> Any:
    """First and last position shown along each axis of the layer's array."""
    if not layer.multiscale:
        return layer.corner_pixels
    return layer.corner_pixels * layer.downsample_factors[layer.data_level]


def _data_point(layer: ImageLayer, point: tuple[float, ...]) -> tuple[int, ...]:
    """Position in the layer's array of a point in the viewer's space."""
    return tuple(round(p) for p in layer.world_to_data(point)[-layer.ndim :])
