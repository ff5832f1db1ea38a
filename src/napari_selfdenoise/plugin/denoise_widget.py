"""The dock widget: choose a layer, train, watch, stop, denoise, save, load."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any

from napari.layers import Image as ImageLayer
from napari.utils.notifications import notification_manager, show_error
from napari.viewer import Viewer
from qtpy.QtCore import QEvent, QObject, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFileDialog, QMainWindow, QVBoxLayout, QWidget

from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.image import Image, require_denoisable
from napari_selfdenoise.io import read_image
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.model_file import SUFFIX, load_model, save_model
from napari_selfdenoise.plugin.controls import Controls
from napari_selfdenoise.plugin.layers import image_from_layer, layer_from_image
from napari_selfdenoise.plugin.plots import follow_theme
from napari_selfdenoise.plugin.results import Results
from napari_selfdenoise.plugin.worker import Run, sentence
from napari_selfdenoise.prediction import Denoised, TilePrediction, predict_tiles
from napari_selfdenoise.training import (
    STOP,
    TrainingProgress,
    train_steps,
)

PREVIEW_EVERY_S = 2.0
"""Seconds of training between two previews."""

_IMAGES = (".tif", ".tiff")


class DenoiseWidget(QWidget):
    """Denoise an image layer with nothing but itself.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer whose layers are denoised.

    Attributes
    ----------
    model : TrainedModel or None
        The model in hand.
    """

    changed = Signal()
    """A run has begun or ended, or another model is in hand."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.model: TrainedModel | None = None
        self._run: Run | None = None
        self._results: Results | None = None
        self._preview_due = 0.0
        self._docked = self._closing = self._closed = False
        self.controls = Controls(self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.controls)
        self.setAcceptDrops(True)
        self._connect_controls()
        self._follow_viewer()
        self._list_layers()
        self._show_state()

    # ---- What the user does ----

    def train(self) -> None:
        """Train on the chosen layer, then denoise all of it."""
        layer = self.controls.layer.currentData()
        try:
            self._require_idle()
            config = self.controls.config()
            results = Results(self.viewer, layer, _image_of(layer))
        except (RequestError, DenoisingError) as error:
            self._complain(error)
            return
        self._results = results
        self._preview_due = 0.0
        self.controls.clear_plots()
        self._begin(
            partial(train_steps, results.image, config, in_background=True),
            self._on_training,
            self._on_trained,
        )

    def stop(self) -> None:
        """End the run; a training keeps what it has learned."""
        if self._run:
            self._run.send(STOP, final=True)
            self.controls.say("Stopping…")

    def denoise(self) -> None:
        """Denoise the chosen layer with the model in hand."""
        layer = self.controls.layer.currentData()
        try:
            self._require_idle()
            image = _image_of(layer)
            if self.model is None:
                raise RequestError("There is no model yet.", "Train, or load one.")
            self.model.require_fits(image)
            self._results = Results(self.viewer, layer, image)
        except (RequestError, DenoisingError) as error:
            self._complain(error)
            return
        self._predict()

    def save_model(self, path: str | Path | None = None) -> None:
        """Save the model in hand to a file; asks for its name where none is given."""
        if path is None:
            path, _ = QFileDialog.getSaveFileName(
                self, "Save model", f"model{SUFFIX}", f"Models (*{SUFFIX})"
            )
        if not path or self.model is None:
            return
        try:
            self.controls.say(f"Saved {save_model(self.model, path)}")
        except (RequestError, DenoisingError) as error:
            self._complain(error)

    def load_model(self, path: str | Path | None = None) -> None:
        """Take a model from a file; asks for it where none is given."""
        if path is None:
            path, _ = QFileDialog.getOpenFileName(
                self, "Load model", "", f"Models (*{SUFFIX})"
            )
        if not path:
            return
        try:
            self._require_idle()
        except RequestError as error:
            self._complain(error)
            return
        self._begin(partial(_loading, load_model, path), _ignore, self._on_loaded)

    def open_files(self, paths: list[Path]) -> None:
        """Open TIFF files as layers, and take a model file as the model in hand."""
        for path in paths:
            if path.suffix.lower() == SUFFIX:
                self.load_model(path)
            else:
                self._read(path)

    # ---- What the worker says ----

    def _begin(
        self,
        make: Callable[[], Any],
        on_progress: Callable[[Any], None],
        on_result: Callable[[Any], None],
    ) -> None:
        self._run = Run(make, on_progress, on_result, self._on_error, self._on_abort)
        self._run.start()
        self._show_state()

    def _ended(self) -> None:
        self._run = None
        self.controls.show_idle()
        self._show_state()

    def _require_idle(self) -> None:
        if self._run is not None:
            raise RequestError(
                "A run is still going on.", "Wait for its end, or press Stop."
            )

    def _read(self, path: Path) -> None:
        """Read an image beside whatever else is going on."""
        make = partial(_loading, read_image, path)
        Run(make, _ignore, self._on_read, self._complain, _ignore).start()

    def _on_training(self, progress: TrainingProgress | None) -> None:
        if progress is None or self._results is None or self._run is None:
            return
        self.controls.show_progress(progress)
        if progress.preview is not None:
            self._results.show_preview(progress.preview)
        if progress.step and progress.elapsed_s >= self._preview_due:
            self._preview_due = progress.elapsed_s + PREVIEW_EVERY_S
            self._run.send(self._results.field_of_view())

    def _on_trained(self, model: TrainedModel) -> None:
        self.model = model
        self.controls.show_model(model)
        self._ended()
        if self._results is None or not self._results.source_is_there:
            self.controls.say("The layer is gone: its model is kept, nothing denoised.")
            return
        self._predict()

    def _predict(self) -> None:
        results, model = self._results, self.model
        if results is None or model is None:
            return
        make = partial(
            predict_tiles,
            results.image,
            model,
            denoised=results.denoised,
            noise_std=results.noise_std,
            device=self.controls.device.currentData(),
            in_background=True,
        )
        results.show_denoised()
        self._begin(make, self._on_tile, self._on_denoised)

    def _on_tile(self, tile: TilePrediction | None) -> None:
        if tile is None or self._results is None:
            return
        self.controls.show_fraction("Denoising", tile.fraction)
        if tile.index is not None:
            self._results.refresh()

    def _on_denoised(self, result: Denoised) -> None:
        self._ended()
        if self._results is None or self.model is None:
            return
        self._results.finish(self.model)
        done = (
            "Done. Noise std and noise distribution are hidden: press their eyes."
            if result.complete
            else "Stopped: not all of it is denoised. Press Denoise for all of it."
        )
        notes = " ".join(self.model.provenance.get("warnings", []))
        self.controls.show_fraction(f"{done} {notes}".strip(), 1.0)

    def _on_loaded(self, model: TrainedModel) -> None:
        self.model = model
        self.controls.clear_plots()
        self.controls.show_model(model)
        self._ended()
        self.controls.say(
            f"Loaded a model of recipe {model.config.recipe}, trained on "
            f"{', '.join(model.provenance.get('images', [])) or 'an image'}."
        )

    def _on_read(self, image: Image) -> None:
        if self._closed:
            return
        data, options = layer_from_image(image)
        layer = self.viewer.add_image(data, **options)
        self.controls.choose(layer)

    def _on_error(self, error: Exception) -> None:
        self._ended()
        self._complain(error)

    def _on_abort(self) -> None:
        if self._run is not None:
            self._ended()
            self.controls.say("The run was ended by napari; nothing was kept.")

    def _complain(self, error: Exception) -> None:
        self.controls.say(sentence(error), problem=True)
        if isinstance(error, RequestError | DenoisingError):
            show_error(sentence(error))
        else:  # with the traceback, for a report
            notification_manager.receive_error(type(error), error, error.__traceback__)

    # ---- What the viewer does ----

    def _connect_controls(self) -> None:
        controls = self.controls
        controls.train.clicked.connect(self.train)
        controls.stop.clicked.connect(self.stop)
        controls.denoise.clicked.connect(self.denoise)
        controls.save_model.clicked.connect(lambda: self.save_model())
        controls.load_model.clicked.connect(lambda: self.load_model())
        controls.layer.currentIndexChanged.connect(self._show_state)

    def _follow_viewer(self) -> None:
        for event in self._layer_list_events():
            event.connect(self._list_layers)
        self.viewer.layers.events.removed.connect(self._on_removed)
        self._unfollow_theme = follow_theme(
            self.viewer, self.controls.loss_plot, self.controls.noise_plot
        )

    def _layer_list_events(self) -> list[Any]:
        events = self.viewer.layers.events
        return [events.inserted, events.removed, events.reordered, events.renamed]

    def _list_layers(self, event: Any = None) -> None:
        images = [
            layer for layer in self.viewer.layers if isinstance(layer, ImageLayer)
        ]
        for layer in images:  # to connect twice is to connect once
            for name in ("data", "axis_labels", "scale", "units"):
                layer.events[name].connect(self._show_state)
        self.controls.list_layers(images, self.viewer.layers.selection.active)

    def _on_removed(self, event: Any) -> None:
        if self._results is not None and self._results.belongs_to(event.value):
            self.stop()

    def _show_state(self, *_: Any) -> None:
        layer = self.controls.layer.currentData()
        self.controls.show_axes(_understood(layer))
        self.controls.enable(
            layer=layer is not None,
            model=self.model is not None,
            running=self._run is not None,
        )
        self.changed.emit()

    # ---- Files dropped on the dock ----

    def dragEnterEvent(self, event: Any) -> None:
        """Accept TIFF and model files."""
        if _dropped(event):
            event.acceptProposedAction()

    def dropEvent(self, event: Any) -> None:
        """Open the files."""
        event.acceptProposedAction()
        self.open_files(_dropped(event))

    # ---- The end ----

    def event(self, event: QEvent) -> bool:
        """Notice when the dock is closed: napari then takes the parent away."""
        if event.type() == QEvent.Type.ParentChange:
            if self.parent() is None and self._docked:
                self.close_down()
            elif self.parent() is not None:
                self._docked = True
        elif event.type() == QEvent.Type.Show:
            self.window().installEventFilter(self)
        return bool(super().event(event))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Notice when napari is closed."""
        # Not at Close: there napari asks first, and the user may say no. Nor when a
        # dock that floats is closed, which hides it.
        if isinstance(watched, QMainWindow):
            if event.type() == QEvent.Type.Close:
                self._closing = True
            elif event.type() == QEvent.Type.Show:
                self._closing = False
            elif event.type() == QEvent.Type.Hide and self._closing:
                self.close_down()
        return False

    def close_down(self) -> None:
        """End the worker and let go of the viewer."""
        if self._closed:
            return
        self._closed = True
        if self._run is not None:
            self._run.abandon()
        self._run = self._results = None
        self._unfollow_theme()
        for event in self._layer_list_events():
            event.disconnect(self._list_layers)
        self.viewer.layers.events.removed.disconnect(self._on_removed)
        self.controls.list_layers([], None)


def _image_of(layer: ImageLayer | None) -> Image:
    if layer is None:
        raise RequestError(
            "There is no image layer.", "Open an image, or drop a TIFF file here."
        )
    image = image_from_layer(layer)
    require_denoisable(image)
    return image


def _understood(layer: ImageLayer | None) -> str:
    try:
        image = _image_of(layer)
    except (RequestError, DenoisingError) as error:
        return str(error)
    notes = " ".join(require_denoisable(image))
    return f"{image.describe()[0].upper()}{image.describe()[1:]}. {notes}".strip()


def _loading(read: Callable[[Any], Any], path: Any) -> Generator[None, None, Any]:
    """Read a file in a worker."""
    yield None
    return read(path)


def _ignore(*_: Any) -> None:
    """Nothing is shown of a progress."""


def _dropped(event: Any) -> list[Path]:
    """The TIFF and model files among what is dropped."""
    paths = [Path(url.toLocalFile()) for url in event.mimeData().urls()]
    return [path for path in paths if path.suffix.lower() in (*_IMAGES, SUFFIX)]
