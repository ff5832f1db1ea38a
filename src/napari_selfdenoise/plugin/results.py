"""The layers that a run fills: preview, denoised, noise std, noise distribution."""

from __future__ import annotations

import time
import weakref
from typing import Any

import numpy as np
from napari.layers import Image as ImageLayer
from napari.viewer import Viewer

from napari_selfdenoise.image import Image
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.noise_models import noise_distribution
from napari_selfdenoise.plugin.layers import (
    appearance,
    distribution_options,
    noise_std_appearance,
    provenance,
)
from napari_selfdenoise.prediction import allocate
from napari_selfdenoise.training import FieldOfView, Preview

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
    """

    def __init__(self, viewer: Viewer, source: ImageLayer, image: Image) -> None:
        self.viewer, self.image, self.name = viewer, image, source.name
        # Neither layer nor viewer must be kept alive by a run.
        self._source = weakref.ref(source)
        self._look = appearance(source)
        self.denoised = allocate(image.shape)
        self.noise_std = allocate(image.shape)
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
        preview.write_to(self.denoised, self.image)
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

    def finish(self, model: TrainedModel) -> None:
        """Show all that was found, with its provenance."""
        made = provenance(model, self.name)
        self._show()
        assert self._layer is not None
        self._layer.metadata = dict(made)
        self._layer.refresh()
        look = noise_std_appearance(self._look, model)
        self._add(self.noise_std, f"{self.name} noise std", look, made)
        several = len(model.channels) > 1
        for number, curve in enumerate(model.noise_curves):
            suffix = f" {number}" if several else ""
            found = noise_distribution(curve)
            name = f"{self.name} noise distribution{suffix}"
            options = distribution_options(found, name, self._look["units"])
            self.viewer.add_image(found.density, **options, metadata=dict(made))
        self.viewer.layers.selection.active = self._layer

    def _show(self) -> None:
        """Make the denoised layer, or make it again if the user removed it."""
        if self._layer is None or self._layer not in self.viewer.layers:
            name = f"{self.name} denoised"
            self._layer = self._add(self.denoised, name, self._look, {})

    def _add(
        self, data: Any, name: str, look: dict[str, Any], metadata: dict[str, Any]
    ) -> ImageLayer:
        visible = name.endswith("denoised")
        layer: ImageLayer = self.viewer.add_image(
            data, name=name, **look, metadata=dict(metadata), visible=visible
        )
        return layer


def _corners(layer: ImageLayer) -> Any:
    """First and last position shown along each axis of the layer's array."""
    if not layer.multiscale:
        return layer.corner_pixels
    return layer.corner_pixels * layer.downsample_factors[layer.data_level]


def _data_point(layer: ImageLayer, point: tuple[float, ...]) -> tuple[int, ...]:
    """Position in the layer's array of a point in the viewer's space."""
    return tuple(round(p) for p in layer.world_to_data(point)[-layer.ndim :])
