"""Follows the mouse over the image, and shows what is known of the pixel under it."""

from __future__ import annotations

import weakref
from collections.abc import Generator
from functools import partial
from typing import Any, NamedTuple

from napari.layers import Image as ImageLayer
from napari.viewer import Viewer
from qtpy.QtCore import QObject, QTimer

from napari_selfdenoise.defects import Corrections
from napari_selfdenoise.images import Image, PlaneIndex
from napari_selfdenoise.long_work import STOP
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.plugin.denoise.probe_panel import ProbePanel
from napari_selfdenoise.plugin.denoise.probe_run import ProbeRun
from napari_selfdenoise.plugin.docks.worker import sentence
from napari_selfdenoise.prediction import PixelProbe, ProbeProgress

EVERY_MS = 30
"""Milliseconds between two answers, at least: the mouse moves more often."""

_WAITING = "A run is going on: pixels are probed after it."
_NO_MODEL = "There is no model to probe. Train, or load one."
_NO_IMAGE = "There is no image to probe. Choose one that can be denoised."
_FLAT = "Pixels are probed in the 2D view."
_PREDICTING = "Predicting this part of the image…"

Pixel = tuple[PlaneIndex, int, int]


class Subject(NamedTuple):
    """What is probed; another one of any of them asks for other predictions.

    Parameters
    ----------
    model : TrainedModel
        The model in hand.
    layer : napari.layers.Image
        The layer that is chosen.
    image : Image
        Its pixels, as they are recorded.
    corrections : Corrections
        What is done to them first.
    device : str
        Where to compute.
    """

    model: TrainedModel
    layer: ImageLayer
    image: Image
    corrections: Corrections
    device: str

    def is_like(self, other: Subject | None) -> bool:
        """Whether the predictions of another one hold for this one."""
        if other is None:
            return False
        return (
            self.model is other.model
            and self.layer is other.layer
            and self.image.data is other.image.data
            and self.image.axes == other.image.axes
            and self.device == other.device
            and _are_alike(self.corrections, other.corrections)
        )


class Prober(QObject):
    """Probes the pixel under the mouse while its panel is unfolded.

    Tiles are predicted in a worker, one at a time; what is kept of them is shown at
    once.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Whose mouse is followed.
    panel : ProbePanel
        Where it is shown.
    parent : QObject
        Qt parent.
    """

    def __init__(self, viewer: Viewer, panel: ProbePanel, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer, self._panel = viewer, panel
        self._subject: Subject | None = None
        self._probe: PixelProbe | None = None
        self._pixel: Pixel | None = None
        self._run: ProbeRun | None = None
        self._problem, self._nothing, self._busy = "", _NO_MODEL, False
        self._result: tuple[TrainedModel, Any, Any] | None = None
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._look)
        panel.toggled.connect(self._follow)

    # ---- What is probed ----

    def use(self, subject: Subject | None, busy: bool, has_model: bool) -> None:
        """Probe another model or image from now on; nothing where there is none.

        Parameters
        ----------
        subject : Subject or None
            What is in hand.
        busy : bool
            Whether a run goes on, which needs the machine.
        has_model : bool
            Whether it is the image that is missing, where there is no subject.
        """
        self._busy = busy
        self._nothing = _NO_IMAGE if has_model else _NO_MODEL
        same = subject is not None and subject.is_like(self._subject)
        if not same:
            self._end_run()
            self._subject, self._probe, self._problem = subject, None, ""
            self._pixel = None
            if self._panel.box.isChecked():
                self._panel.say("" if subject else self._nothing)
        elif busy:
            self._end_run()

    def know(self, model: TrainedModel, image: Image, denoised: Any) -> None:
        """Take estimates from the result of a run, as long as somebody keeps it.

        Parameters
        ----------
        model : TrainedModel
            That denoised.
        image : Image
            What was denoised.
        denoised : ndarray
            The complete result, of the image's shape.
        """
        self._result = model, image.data, weakref.ref(denoised)
        self._probe = None

    def close(self) -> None:
        """Let go of mouse, worker and layer."""
        self._follow(False)
        self._end_run()
        self._subject = self._probe = self._result = None

    def _known_result(self, subject: Subject) -> Image | None:
        """The denoised image, where a run has made it already."""
        if self._result is None or subject.corrections:
            return None
        model, data, denoised = self._result
        found = denoised()
        if model is not subject.model or data is not subject.image.data:
            return None
        return None if found is None else subject.image.with_data(found)

    # ---- The mouse ----

    def _follow(self, on: bool) -> None:
        """Listen to the mouse, or no longer."""
        callbacks = self._viewer.mouse_move_callbacks
        if on and self._on_move not in callbacks:
            callbacks.append(self._on_move)
        elif not on and self._on_move in callbacks:
            callbacks.remove(self._on_move)
        if not on:
            self._soon.stop()
            self._end_run()
            self._probe = self._pixel = None
        elif self._subject is None:
            self._panel.say(self._nothing)

    def _on_move(self, viewer: Any, event: Any) -> None:
        """Note which pixel the mouse points at; it is shown a moment later."""
        if self._subject is None:
            return
        if viewer.dims.ndisplay != 2:
            self._panel.say(_FLAT)
            return
        pixel = pixel_at(self._subject.layer, self._subject.image, event.position)
        if pixel is None or pixel == self._pixel:
            return  # what was shown last stays: the mouse is on its way to the plot
        self._pixel = pixel
        if not self._soon.isActive():
            self._soon.start(EVERY_MS)

    # ---- The answer ----

    def _look(self) -> None:
        """Show what is kept of the pixel, and predict what is not."""
        if self._pixel is None or self._subject is None:
            return
        if self._problem:
            self._panel.say(self._problem)
            return
        known = None if self._probe is None else self._probe.probe(*self._pixel)
        if known is not None:
            self._panel.show_evidence(known, self._subject.image.outer_axes)
        elif self._busy:
            self._panel.say(_WAITING)
        else:
            self._panel.say(_PREDICTING)
        self._predict()

    def _predict(self) -> None:
        """Predict the tile of the pixel, unless it is, or another one still is."""
        if self._busy or self._pixel is None or self._subject is None:
            return
        probe = self._probe
        if probe is not None and probe.is_complete(*self._pixel):
            return
        if self._run is None:
            self._begin(self._pixel, self._subject)
        elif probe is not None and not _share_tile(probe, self._run.pixel, self._pixel):
            self._run.stop()

    def _begin(self, pixel: Pixel, subject: Subject) -> None:
        result = self._known_result(subject)
        make = partial(_predicting, self._probe, subject, result, pixel)
        self._run = ProbeRun(make, pixel, self)
        self._run.progressed.connect(self._on_progress)
        self._run.ended.connect(self._on_end)
        self._run.failed.connect(self._on_error)
        self._run.start()

    def _end_run(self) -> None:
        if self._run is not None:
            self._run.abandon()
        self._run = None

    def _on_progress(self, progress: PixelProbe | ProbeProgress | None) -> None:
        if isinstance(progress, PixelProbe):
            self._probe = progress
        elif progress is not None and progress.ready:
            self._look()

    def _on_end(self) -> None:
        self._run = None
        self._look()

    def _on_error(self, error: Exception) -> None:
        self._run, self._problem = None, sentence(error)
        self._look()


def _predicting(
    probe: PixelProbe | None, subject: Subject, denoised: Image | None, pixel: Pixel
) -> Generator[Any, Any, Any]:
    """Predict the tile of a pixel; yields a new probe first, where there is none."""
    yield None
    if probe is None:
        image = subject.corrections.apply(subject.image)
        probe = PixelProbe(
            image, subject.model, denoised=denoised, device=subject.device
        )
        if (yield probe) is STOP:
            return None
    return (yield from probe.predict_steps(*pixel, in_background=True))


def pixel_at(layer: ImageLayer, image: Image, position: Any) -> Pixel | None:
    """The pixel of an image under a point of the viewer's space; None beside it.

    Parameters
    ----------
    layer : napari.layers.Image
        The layer.
    image : Image
        Its pixels.
    position : sequence of float
        Along each axis of the viewer.
    """
    if layer.ndim != len(image.axes):
        return None
    place = [round(float(at)) for at in layer.world_to_data(position)[-layer.ndim :]]
    if not all(0 <= at < n for at, n in zip(place, image.shape, strict=True)):
        return None
    by_axis = dict(zip(image.axes, place, strict=True))
    plane = tuple(by_axis[axis] for axis in image.outer_axes)
    return plane, by_axis["Y"], by_axis["X"]


def _share_tile(probe: PixelProbe, one: Pixel, other: Pixel) -> bool:
    return probe.tile_of(*one) == probe.tile_of(*other)


def _are_alike(one: Corrections, other: Corrections) -> bool:
    """Whether two corrections take the same arrays."""
    pairs = ((one.dark, other.dark), (one.flat, other.flat), (one.mask, other.mask))
    return all(a is b if a is None or b is None else a.data is b.data for a, b in pairs)
