"""Layers that a run fills: preview, denoised, other outputs, noise."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Image as ImageLayer
from napari.viewer import Viewer
from numpy.typing import NDArray

from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.images import (
    FieldOfView,
    Image,
    is_huge,
    is_in_memory,
    is_large,
    levels,
)
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.parts.noise_models import NoiseCurve
from napari_selfdenoise.plugin.viewer.in_view import data_point
from napari_selfdenoise.plugin.viewer.layers import (
    FILE_KEY,
    Box,
    appearance,
    bounding_box,
    distribution_layer,
    known_of,
    pixels_of,
    place_of,
    provenance,
    result_appearance,
)
from napari_selfdenoise.plugin.viewer.marks import METADATA_KEY, marks
from napari_selfdenoise.plugin.viewer.origin import Origin, free_suffix, note_edits
from napari_selfdenoise.prediction import Denoised, Unfinished, allocate, result_shapes
from napari_selfdenoise.training import Preview

REFRESH_EVERY_S = 0.2

_NO_NOISE = 1e-6
"""Noise std, as a share of the signal, below which there is no noise."""


_NARROW = 0.25
"""Range of the result over the contrast limits of its image, below which it is shown
with limits of its own."""


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
        Settings, which decide what the results are.
    alone : bool
        Whether it is the only one of a run. The results of others are not selected,
        as the user may be at something else.

    Attributes
    ----------
    unfinished : Unfinished
        The denoised image: raw where it has not come yet.
    into : dict
        Arrays that the run writes to, by the names of `result_shapes`.
    made_with : dict
        Metadata of the layers beside the model's provenance.
    """

    def __init__(
        self,
        viewer: Viewer,
        source: ImageLayer,
        image: Image,
        config: TrainingConfig,
        alone: bool = True,
    ) -> None:
        self.viewer, self.image, self.name = viewer, image, source.name
        self._alone, self._replaced = alone, list[Any]()
        # Neither layer nor viewer must be kept alive by a run.
        self._source = weakref.ref(source)
        self._active = viewer.layers.selection.active
        self._look = appearance(source) | {"metadata": {FILE_KEY: known_of(image)}}
        self._box = bounding_box(source)
        self._origin = Origin.of(source, "denoise")
        shapes = result_shapes(image, config)
        self._arrays = {name: allocate(shape) for name, shape in shapes.items()}
        self.unfinished = Unfinished(image, self._arrays["denoised"])
        self.into: dict[str, Any] = {**self._arrays, "denoised": self.unfinished}
        self.made_with: dict[str, Any] = {}
        self._layer: ImageLayer | None = None
        self._refreshed = 0.0

    @property
    def run(self) -> int:
        """The run, as the metadata of its layers name it."""
        return self._origin.run

    @property
    def source_id(self) -> str:
        """Identity of the source, whatever it is called."""
        return self._origin.source_id

    @property
    def shown(self) -> Any:
        """Pixels of the denoised layer; None before there is one."""
        return None if self._layer is None else pixels_of(self._layer)

    @property
    def source_is_there(self) -> bool:
        """Whether the source is still in the viewer."""
        return self._source() in self.viewer.layers

    @property
    def source_is_changed(self) -> bool:
        """Whether the source has other data by now than those that are denoised."""
        source = self._source()
        return source is not None and pixels_of(source) is not self.image.data

    def belongs_to(self, layer: Any) -> bool:
        """Whether this run denoises the layer."""
        return layer is self._source()

    def field_of_view(self) -> FieldOfView:
        """The part of the image that the viewer shows: its middle if it is large."""
        return FieldOfView.visible(self.image, *self._view())

    def part_in_view(self) -> tuple[slice, slice] | None:
        """Rows and columns that the viewer shows; None where planes are small."""
        if not is_large(self.image.plane_shape):
            return None
        most = max(self.image.plane_shape)
        return FieldOfView.visible(self.image, *self._view(), most).part

    def _view(self) -> tuple[Sequence[int], NDArray[Any]]:
        """Position that is shown, and corners of what is, in data pixels."""
        source, ndim = self._source(), self.image.ndim
        if source is None or source.ndim != ndim:  # removed, or other data put in
            return (0,) * ndim, np.full((2, ndim), -1)
        return data_point(source, self.viewer.dims.point), _corners(source)

    def show_preview(self, preview: Preview) -> None:
        """Show a field of view as it is denoised by now."""
        if not self.source_is_there:  # it was on its way when the layer went
            return
        self.unfinished.preview(preview)
        self.show()
        self.refresh(now=True)

    def show(self) -> None:
        """Show the denoised layer, if it is not shown, as long as its source is."""
        if self.source_is_there and self._is_gone():
            name = self._named("denoised") + self._suffix(["denoised"])
            shown = self.unfinished.shown
            with _same_selection(self.viewer, not self._alone):
                self._layer = self._add(shown, name, self._look, {"done": 0.0})

    def refresh(self, now: bool = False) -> None:
        """Draw what has changed, a few times a second at most."""
        if self._layer is None:
            return
        if now or time.perf_counter() - self._refreshed > REFRESH_EVERY_S:
            self._refreshed = time.perf_counter()
            self._layer.refresh(extent=False)

    def hidden(self) -> str:
        """Names of the layers that are not shown at first, as in a sentence."""
        *others, last = [_words(name) for name in self._arrays if name != "denoised"]
        text = ", ".join([*others, last, "noise distribution"])
        text = " and ".join(text.rsplit(", ", 1))
        return text[0].upper() + text[1:]

    def discard(self) -> None:
        """Take the layers of the run away, and leave the viewer as it was before."""
        layers, own = self.viewer.layers, self._origin.own(self.viewer.layers)
        selected = layers.selection.active in own
        for layer in own:
            layers.remove(layer)
        self._layer = None
        if selected and self._active in layers:
            layers.selection.active = self._active

    def finish(self, model: TrainedModel, result: Denoised, keep: bool) -> None:
        """Show all results with their provenance, in place of those of the last run.

        Parameters
        ----------
        model : TrainedModel
            The model that denoised.
        result : Denoised
            Its result.
        keep : bool
            Whether the layers of the last run on this source stay.
        """
        if not self.source_is_there:
            self.discard()
            return
        layers = self.viewer.layers
        with _same_view(self.viewer), _same_selection(self.viewer, not self._alone):
            self._replaced = [] if keep else self._origin.earlier(layers)
            for layer in self._replaced:
                layers.remove(layer)
            self._follow_source()
            self.show()
            self._complete(model, result)
        if self._alone:
            layers.selection.active = self._layer

    def undo(self) -> Callable[[], None]:
        """Return what takes the layers away and brings back those they replaced."""
        # Without the arrays of this run, which its layers alone hold.
        return partial(_bring_back, self.viewer, self._origin, self._replaced)

    def _follow_source(self) -> None:
        """Take the place of the source, if it was calibrated or moved meanwhile."""
        source = self._source()
        if source is None or self.source_is_changed:
            return
        place = place_of(source)
        self._look, self._box = self._look | place, bounding_box(source)
        if self._layer is not None:
            for name, value in place.items():
                setattr(self._layer, name, value)

    def _complete(self, model: TrainedModel, result: Denoised) -> None:
        """Bring the denoised layer to its end, and add the others."""
        curves, several = result.noise_curves, len(model.channels) > 1
        numbers = [f" {n}" if several else "" for n in range(len(curves))]
        drawn = [f"noise distribution{number}" for number in numbers]
        suffix = self._suffix([*self._arrays, *drawn])
        share = "" if result.complete else f" ({_percent(result.done_fraction)} done)"
        made = provenance(model, self.name, curves)[METADATA_KEY]
        made |= self.made_with | _done(result)
        self._settle(f"{self._named('denoised')}{suffix}{share}", made, result.complete)
        for name, data in self._arrays.items():
            # Large ones have no NaN where nothing came: they are shown when all did.
            if name != "denoised" and (result.complete or is_in_memory(data)):
                look = result_appearance(name, self._look, curves)
                title = f"{self._named(name)}{suffix}{share}"
                self._add(data, title, look | {"visible": False}, made)
        for name, curve in zip(drawn, curves, strict=True):
            title = f"{self._named(name)}{suffix}"
            title += free_suffix([title], self._taken())
            add_distribution(self.viewer, curve, title, self._box, made, self._origin)

    def _settle(self, name: str, made: dict[str, Any], complete: bool) -> None:
        """Give the denoised layer its last name, data and metadata."""
        layer = self._layer
        assert layer is not None
        renamed = not self._origin.own([layer])
        if complete and pixels_of(layer) is not self._arrays["denoised"]:
            layer.data = self._for_viewer(self._arrays["denoised"])
        layer.name = layer.name if renamed else name
        self._origin.mark(layer, name, made)
        if complete:
            _show_without_outliers(layer)
        layer.refresh()

    def _is_gone(self) -> bool:
        """Whether the user removed the denoised layer, or put other data into it."""
        layer = self._layer
        shown = self.unfinished.shown
        gone = layer is None or layer not in self.viewer.layers
        return gone or pixels_of(layer) is not shown

    def _named(self, name: str) -> str:
        return f"{self.name} {_words(name)}"

    def _suffix(self, names: Sequence[str]) -> str:
        """End of the layers' names, so that no other layer has one of them.

        But for one that was calibrated, which has the name of a single one of them.
        """
        taken = self._taken(but="calibration")
        return free_suffix([self._named(name) for name in names], taken)

    def _taken(self, but: str = "") -> set[str]:
        """Names of the other layers, but for those that another dock made."""
        return {
            layer.name
            for layer in self.viewer.layers
            if layer is not self._layer
            and (not but or marks(layer.metadata).get("made_by") != but)
        }

    def _add(
        self, data: Any, name: str, look: dict[str, Any], made: dict[str, Any]
    ) -> ImageLayer:
        shown, huge = self._for_viewer(data), is_huge(self.image.plane_shape)
        layer = ImageLayer(shown, name=name, multiscale=huge, **look)
        _add_made(self.viewer, layer, made, self._origin)
        return layer

    def _for_viewer(self, data: Any) -> Any:
        """What napari is to show: of huge planes it reads but what is in view."""
        huge = is_huge(self.image.plane_shape)
        return levels(data, self.image.axes) if huge else data


def _add_made(
    viewer: Viewer, layer: ImageLayer, made: dict[str, Any], origin: Origin
) -> None:
    """Add a layer right above its source, and what else was made of that."""
    # First: whoever lists the layers knows at once that it is no image to denoise.
    origin.mark(layer, layer.name, made)
    note_edits(layer)
    hidden = not layer.visible and viewer.dims.ndisplay == 3
    if hidden:  # napari below 0.9 cannot add it so to the volume view
        layer.visible = True
    viewer.layers.insert(origin.place(list(viewer.layers)), layer)
    if hidden:
        layer.visible = False


def _done(result: Denoised) -> dict[str, Any]:
    """Metadata on how much of an image is denoised, and which planes are complete."""
    if result.complete:
        return {"done": 1.0}
    planes = [list(plane) for plane in result.coverage.planes]
    return {"done": result.done_fraction, "planes_done": planes}


def _percent(share: float) -> str:
    """A share that is neither nothing nor all, as a whole percentage."""
    return f"{min(max(int(100 * share), 1), 99)} %"


def _show_without_outliers(layer: ImageLayer) -> None:
    """Take other contrast limits where those of the image would show all as black.

    An image with hot pixels is shown from the darkest to the hottest; the result has
    none of them.
    """
    low, high = layer.contrast_limits
    layer.reset_contrast_limits()
    darkest, brightest = layer.contrast_limits
    if not 0 < brightest - darkest < _NARROW * (high - low):
        layer.contrast_limits = (low, high)


@contextmanager
def _same_view(viewer: Viewer) -> Iterator[None]:
    """Keep napari from zooming out, as it does when there is one more axis."""
    camera = getattr(viewer, "scene", viewer).camera  # the viewer's own, before 0.9
    zoom, center = camera.zoom, camera.center
    yield
    camera.zoom, camera.center = zoom, center


@contextmanager
def _same_selection(viewer: Viewer, same: bool) -> Iterator[None]:
    """Keep napari from selecting each layer that is added, where that is wanted."""
    before = set(viewer.layers.selection)
    yield
    if same:
        viewer.layers.selection = {one for one in before if one in viewer.layers}


def _bring_back(viewer: Viewer, origin: Origin, replaced: Sequence[Any]) -> None:
    """Take away the layers of a run, and put those of an earlier one in their place."""
    for layer in origin.own(viewer.layers):
        viewer.layers.remove(layer)
    for layer in replaced:
        viewer.layers.insert(origin.place(list(viewer.layers)), layer)


def add_distribution(
    viewer: Viewer,
    curve: NoiseCurve,
    name: str,
    box: Box,
    made: dict[str, Any],
    origin: Origin,
) -> None:
    """Add the layer of the noise distribution, if there is noise.

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
        What the layer's metadata say of how it was made.
    origin : Origin
        Where it came from.
    """
    if curve.std.max() < _NO_NOISE * np.abs(curve.signal).max():
        return
    density, options, axes = distribution_layer(curve, box)
    layer = ImageLayer(density, name=name, multiscale=False, **options)
    _add_made(viewer, layer, made | {"axes": axes}, origin)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _corners(layer: ImageLayer) -> Any:
    """First and last position shown along each axis of the layer's array."""
    if not layer.multiscale:
        return layer.corner_pixels
    return layer.corner_pixels * layer.downsample_factors[layer.data_level]
