"""Marks where a result is not to be trusted, in a worker, at a press of a button."""

from __future__ import annotations

import weakref
from functools import partial

from napari.layers import Image as ImageLayer
from napari.viewer import Viewer
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QPushButton

from napari_selfdenoise.defects import Corrections
from napari_selfdenoise.images import Image
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.plugin.denoise.corrections import corrected_first
from napari_selfdenoise.plugin.docks.dock import ignore
from napari_selfdenoise.plugin.docks.worker import Run
from napari_selfdenoise.plugin.viewer.doubt_layer import show_doubt
from napari_selfdenoise.prediction import Doubt, IntervalProgress, doubt_steps

_TITLE = "Where not to trust"

_TIP = (
    "Lay over the result where it is a guess. Orange: nearly all from the "
    "surroundings, and unsure. Magenta: the pixel does not fit them. Blue: mended or "
    "clipped. Each pixel is predicted without its own value, which takes as long as "
    "Denoise or longer."
)

_NO_MODEL = "Train, or load a model first."

_NOT_BLIND = (
    "This model has learned to use each pixel's own value: what it predicts without "
    "it cannot be judged. Train on single exposures, with the squared error as "
    "objective."
)

_IN_THE_LIST = 'See "where not to trust" in the layer list.'


class DoubtButton(QPushButton):
    """The button "Where not to trust", which says how far it is."""

    def __init__(self) -> None:
        super().__init__(_TITLE)
        self.setObjectName("doubt")
        self.offer(None, ready=False)

    def offer(self, model: TrainedModel | None, ready: bool) -> None:
        """Enable it where a layer is ready and the model can do without a pixel."""
        reason = _NO_MODEL if model is None else ""
        if model is not None and model.config.uses_own_value:
            reason = _NOT_BLIND
        self.setEnabled(ready and not reason)
        self.setToolTip(reason or _TIP)

    def show_fraction(self, fraction: float | None) -> None:
        """Say how far it is; None where nothing goes on."""
        shown = "" if fraction is None else f": {100 * fraction:.0f} %"
        self.setText(f"{_TITLE}{shown}")


class Doubter(QObject):
    """Looks for doubts in the result of one layer at a time.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Where the mask is shown.
    shown : DoubtButton
        Shows how far it is.
    parent : QObject
        Qt parent.
    """

    found = Signal(str)
    """What was found, in sentences."""

    failed = Signal(object)
    """The error that there was."""

    def __init__(self, viewer: Viewer, shown: DoubtButton, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer, self._button = viewer, shown
        self._source: weakref.ref[ImageLayer] | None = None
        self._run: Run | None = None

    def begin(
        self,
        layer: ImageLayer,
        image: Image,
        model: TrainedModel,
        corrections: Corrections,
        device: str,
    ) -> None:
        """Look for doubts in what a model makes of a layer's image."""
        self.close()
        self._source = weakref.ref(layer)
        steps = partial(doubt_steps, model=model, device=device, in_background=True)
        make = partial(corrected_first, corrections, image, steps)
        self._run = Run(make, self._on_progress, self._on_found, self._on_error, ignore)
        self._button.show_fraction(0.0)
        self._run.start()

    def close(self) -> None:
        """End what goes on."""
        if self._run is not None:
            self._run.abandon()
            self._ended()

    def _ended(self) -> None:
        self._run = None
        self._button.show_fraction(None)

    def _on_progress(self, progress: IntervalProgress) -> None:
        if self._run is not None:
            self._button.show_fraction(progress.fraction)

    def _on_found(self, doubt: Doubt | None) -> None:
        if self._run is None:
            return  # it was given up meanwhile
        self._ended()
        source = self._source() if self._source else None
        if doubt is None or source not in self._viewer.layers:
            return
        show_doubt(self._viewer, source, doubt)
        self.found.emit(f"{doubt} {doubt.intervals} {_IN_THE_LIST}")

    def _on_error(self, error: Exception) -> None:
        if self._run is not None:
            self._ended()
            self.failed.emit(error)
