"""The dock widget: choose a layer, train, watch, stop, denoise, save, load."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from napari.layers import Image as ImageLayer
from napari.viewer import Viewer
from qtpy.QtCore import QTimer

from napari_selfdenoise.config import (
    TrainingConfig,
    parse_config,
    supervised,
)
from napari_selfdenoise.defects import Corrections
from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.images import IN_VIEW, Image, PlaneIndex, chosen_planes
from napari_selfdenoise.model import (
    SUFFIX,
    TrainedModel,
    load_model,
    save_model,
)
from napari_selfdenoise.parts.estimators import Estimator
from napari_selfdenoise.parts.noise_models import SUFFIX as NOISE_SUFFIX
from napari_selfdenoise.parts.noise_models import load_noise_model
from napari_selfdenoise.plugin.denoise.controls import Controls
from napari_selfdenoise.plugin.denoise.diagnosing import Diagnoser
from napari_selfdenoise.plugin.denoise.doubting import Doubter
from napari_selfdenoise.plugin.denoise.estimating import estimating
from napari_selfdenoise.plugin.denoise.file_dialogs import (
    ask_for_model,
    ask_where_to_save_model,
    ask_where_to_save_report,
)
from napari_selfdenoise.plugin.denoise.finished import finished_run
from napari_selfdenoise.plugin.denoise.fixes import Mender
from napari_selfdenoise.plugin.denoise.forecast import Forecast
from napari_selfdenoise.plugin.denoise.interrupted import (
    Interruptions,
    Resumption,
    resuming,
)
from napari_selfdenoise.plugin.denoise.kept_images import (
    find_kept,
    layer_of_kept,
)
from napari_selfdenoise.plugin.denoise.layers_choice import SELECTED, THIS
from napari_selfdenoise.plugin.denoise.model_menu import Exporter, in_words
from napari_selfdenoise.plugin.denoise.outcome import outcome
from napari_selfdenoise.plugin.denoise.probing import Prober, Subject
from napari_selfdenoise.plugin.denoise.queue import Queue
from napari_selfdenoise.plugin.denoise.readiness import (
    axes_text,
    image_of,
    why_not_continued,
    why_not_trained,
)
from napari_selfdenoise.plugin.denoise.reporting import LastRun, Reporter
from napari_selfdenoise.plugin.denoise.work import kept_training, predicting, training
from napari_selfdenoise.plugin.docks.dock import IMAGES, Dock, ignore, loading
from napari_selfdenoise.plugin.docks.run_record import record_of
from napari_selfdenoise.plugin.docks.save_dialog import with_ending
from napari_selfdenoise.plugin.docks.series import layer_of
from napari_selfdenoise.plugin.docks.worker import Run
from napari_selfdenoise.plugin.viewer.in_view import channel_in_view
from napari_selfdenoise.plugin.viewer.layer_choice import is_plain
from napari_selfdenoise.plugin.viewer.layers import (
    denoisable_image,
    fits,
    image_from_layer,
    layer_from_image,
    pixels_of,
)
from napari_selfdenoise.plugin.viewer.results import Results
from napari_selfdenoise.plugin.viewer.sources import sources
from napari_selfdenoise.prediction import (
    Denoised,
    TilePrediction,
    predict_tiles,
)
from napari_selfdenoise.run_time import RunEstimate, with_estimate, worth_estimating
from napari_selfdenoise.training import (
    Interrupted,
    KeptImages,
    KeptTraining,
    TrainingProgress,
    preload,
)

PREVIEW_EVERY_S = 2.0
"""Seconds of training between two previews."""

_STOP_TRAINING = (
    "Stop",
    "End the training and keep what was learned: the image is then denoised with it.",
)
_STOP_DENOISING = (
    "Stop denoising",
    "End here: what is denoised is kept, the rest shows the raw image.",
)

_NOT_CHOSEN = (
    "Choose an image. Results and reference images are never chosen by themselves."
)


class DenoiseWidget(Dock):
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

    title: ClassVar[str] = "Denoise"
    suffixes: ClassVar[tuple[str, ...]] = (*IMAGES, SUFFIX, NOISE_SUFFIX)

    def __init__(self, napari_viewer: Viewer) -> None:
        self.controls = Controls(partial(sources, napari_viewer))
        plots = self.controls.loss_plot, self.controls.noise_plot
        drawn = (*plots, self.controls.probe.plot)
        super().__init__(napari_viewer, self.controls, *drawn)
        self.model: TrainedModel | None = None
        self._results: Results | None = None
        self._estimator: Estimator | None = None
        self._settings: TrainingConfig | None = None
        self._corrections = Corrections()
        self._pair: Image | None = None
        self._extent = ""
        self._planes: list[PlaneIndex] | None = None
        self._part: tuple[slice, slice] | None = None
        self._as_chosen = False
        self._preview_due = 0.0
        self._forecast = Forecast(self)
        self._mender = Mender(self.controls.fixes, self)
        self._diagnoser = Diagnoser(napari_viewer, self)
        self._doubter = Doubter(napari_viewer, self.controls.doubt, self)
        self._prober = Prober(napari_viewer, self.controls.probe, self)
        self._reporter = Reporter(self)
        self._exporter = Exporter(self)
        self._interruptions = Interruptions(self.controls.interrupted, self)
        self._kept: KeptTraining | None = None
        self._queue = Queue([], self.controls.corrections)
        self._stops, self._since = 0, 0.0
        self._before: TrainedModel | None = None
        self._connect_controls()
        napari_viewer.layers.events.removed.connect(self._on_removed)
        napari_viewer.layers.selection.events.active.connect(self._follow)
        self._list_layers()
        self._show_state()
        self._interruptions.look()
        # While the user looks for an image. What fails here is told by the training.
        Run(partial(loading, preload), ignore, ignore, ignore, ignore).start()

    # ---- What the user does ----

    def train(self) -> None:
        """Train on the chosen layers, then denoise all of them."""
        try:
            self._require_idle()
            config = self._supervised(self.controls.config())
            layers = self.controls.layers.value()
            kept = KeptTraining.named(layers[0].name if layers else "")
            self._train(layers, config, kept)
        except (RequestError, DenoisingError) as error:
            self._complain(error)

    def _train(
        self,
        layers: Sequence[ImageLayer],
        config: TrainingConfig,
        kept: KeptTraining,
        resume: bool = False,
    ) -> None:
        """Train anew, or go on with a training that is kept.

        Raises
        ------
        RequestError, DenoisingError
            If that cannot begin.
        """
        queue = Queue(layers, self.controls.corrections)
        lessons = queue.lessons(config)
        taught = self.controls.pairing.value()
        results = self._take(queue, config, None, taught)
        self._forecast.pause()
        self.controls.begin(results.image, self._forecast.estimate)
        self._count_planes()
        self._preview_due, self._kept = 0.0, kept
        self.controls.clear_plots()
        start = self.model if self.controls.resume.isChecked() else None
        about = KeptImages(queue.kept_images(), self.controls.other_layers())
        keep = partial(kept_training, kept, None if resume else about, start)
        make = partial(training, results, lessons, config, start, taught, keep)
        if self._forecast.estimate is None and worth_estimating(config):
            make = partial(with_estimate, results.image, config, make)
        self._begin(make, self._on_training, self._on_trained)

    def _go_on(self, found: Interrupted) -> None:
        """Open what a training that was interrupted needs."""
        try:
            self._require_idle()
        except RequestError as error:
            self._complain(error)
            return
        self._forget_files()
        self._before = self.model
        layers = self.viewer.layers
        missing = [one for one in found.images.images if not layer_of_kept(layers, one)]
        self._begin(partial(resuming, found, missing), ignore, self._on_reopened)

    def denoise(self) -> None:
        """Denoise the chosen layers with the model in hand and the chosen estimator."""
        try:
            self._require_idle()
            queue = Queue(self.controls.layers.value(), self.controls.corrections)
            image = denoisable_image(queue.layer)
            if self.model is None:
                raise RequestError("There is no model yet.", "Train, or load one.")
            self.model.require_fits(image)
            estimator = self.controls.part("estimator").value
            config = estimating(self.model, estimator)
            taught = self.controls.pairing.value()
            results = self._take(queue, config, estimator, taught)
        except (RequestError, DenoisingError) as error:
            self._complain(error)
            return
        self.controls.begin(results.image)
        self._predict()

    def diagnose(self) -> None:
        """Measure the noise of the channel in view, and show what it asks for."""
        layer = self.controls.layer.currentData()
        try:
            image = denoisable_image(layer)
            channel = channel_in_view(self.viewer, layer, image)
            self._diagnoser.diagnose(image, channel)
        except (RequestError, DenoisingError) as error:
            self._complain(error)

    def doubt(self) -> None:
        """Mark where what the model in hand makes of the layer is not to be trusted."""
        layer = self.controls.layer.currentData()
        if self.model is None:
            return
        try:
            self._require_idle()
            image = denoisable_image(layer)
            self.model.require_fits(image)
            corrections = self.controls.corrections.value(image)
        except (RequestError, DenoisingError) as error:
            self._complain(error)
            return
        self._forget_files()
        device = self.controls.device.currentData()
        self._doubter.begin(layer, image, self.model, corrections, device)

    def _apply(self, changes: Mapping[str, Any]) -> None:
        """Set what a diagnosis asks for."""
        try:
            self.controls.apply(changes)
        except (RequestError, DenoisingError) as error:
            self._complain(error)

    def stop(self) -> None:
        """End the training and go on to denoise; pressed again, end that too."""
        if self._run is not None:
            super().stop()
            self._stops += 1
            self.controls.show_stop(*_STOP_DENOISING)

    def use_noise_model(self, path: Path) -> None:
        """Choose a noise model file for the next training."""
        self._forget_files()
        self._take_noise_model(path)

    def save_model(self, path: str | Path | None = None) -> None:
        """Save the model in hand to a file; asks for its name where none is given."""
        if path is None:
            path = ask_where_to_save_model(self)
        if not path or self.model is None:
            return
        self._forget_files()
        try:
            self._report_file(f"Saved {save_model(self.model, path)}")
        except (RequestError, DenoisingError) as error:
            self._complain(error)

    def export_model(self) -> None:
        """Write the model in hand for other programs; asks for a name."""
        self._forget_files()
        self._exporter.ask(self.model)

    def save_report(self, path: str | Path | None = None) -> None:
        """Save the last run as one HTML page; asks for its name if none is given."""
        if path is None:
            path = ask_where_to_save_report(self)
        if path:
            self._forget_files()
            self._reporter.write(with_ending(Path(path), ".html"))

    def use_run_settings(self, config: Mapping[str, Any]) -> None:
        """Set the form as it was for a run.

        Parameters
        ----------
        config : mapping
            All settings, as JSON values.
        """
        try:
            self.controls.fill(parse_config(dict(config)))
        except (RequestError, DenoisingError) as error:
            self._complain(error)

    def load_model(self, path: str | Path | None = None) -> None:
        """Take a model from a file; asks for it where none is given."""
        if path is None:
            path = ask_for_model(self)
        if path:
            self._forget_files()
            self._load_model(Path(path))

    def _open(self, path: Path) -> None:
        """Open a TIFF file as a layer; use a model or noise model from its file."""
        if path.name.lower().endswith(NOISE_SUFFIX):
            self._take_noise_model(path)
        elif path.suffix.lower() == SUFFIX:
            self._load_model(path)
        else:
            self._read(path)

    def _take_noise_model(self, path: Path) -> None:
        try:
            load_noise_model(path)  # now, not at Train
            self.controls.use_noise_model(path)
            self.controls.config()
        except (RequestError, DenoisingError) as error:
            self._refuse_files(error, path)
        else:
            self._report_file(f"The next training uses the noise model {path.name}.")

    def _load_model(self, path: Path) -> None:
        if self._run is None:
            self._results, self._before = None, self.model
        self._begin_loading(load_model, path, self._on_loaded)

    # ---- What the worker says ----

    def _on_training(self, progress: TrainingProgress | RunEstimate | None) -> None:
        if isinstance(progress, RunEstimate):
            self.controls.know(progress)
            return
        if progress is None or self._results is None or self._run is None:
            return
        self.controls.show_progress(progress)
        if progress.preview is not None:
            self._results.show_preview(progress.preview)
        if progress.step and progress.elapsed_s >= self._preview_due:
            self._preview_due = progress.elapsed_s + PREVIEW_EVERY_S
            self._run.send(self._results.field_of_view())

    def _on_reopened(self, resumption: Resumption) -> None:
        """Set the form as it was for a training, and go on with it."""
        self._ended()
        found, kept, reopened, read = resumption
        before = self.model
        for data, options in read:
            self.viewer.add_image(data, **options)
        try:
            layers = self._use_kept(found.images)
            self.controls.resume.setChecked(reopened.start is not None)
            self.model = reopened.start or self.model
            chosen = self.controls.device.currentData()
            self.controls.fill(reopened.checkpoint.config)
            if chosen != "auto":  # the one that it ran on may be what failed
                self.controls.choose_device(chosen)
            device = {"device": self.controls.device.currentData()}
            config = reopened.checkpoint.config.model_copy(update=device)
            self._train(layers, config, kept, resume=True)
            self._before = before  # what Cancel goes back to
        except (RequestError, DenoisingError) as error:
            kept.release()
            self._complain(error)
        self._interruptions.look()

    def _use_kept(self, images: KeptImages) -> list[ImageLayer]:
        """Choose the layers that a training learned from, and return them.

        Raises
        ------
        RequestError
            If one is not there.
        """
        layers = [find_kept(self.viewer.layers, one) for one in images.images]
        self.viewer.layers.selection = set(layers)
        self._choose(layers[0])
        self.controls.choose_others(images.others)
        self.controls.layers.choose(SELECTED if len(layers) > 1 else THIS)
        return layers

    def _on_trained(self, model: TrainedModel) -> None:
        stops, self.model = self._stops, model
        self._forget_training()
        self.controls.show_model(model)
        self._ended()
        there = self._results is not None and self._results.source_is_there
        if stops > 1 and there:
            self._report_nothing_denoised()
        elif there:
            self._predict()
        elif self._queue.several and stops < 2:
            self._discard()
            self._queue.fail()
            self._denoise_next()
        else:
            self._report_gone()

    def _take(
        self,
        queue: Queue,
        config: TrainingConfig,
        estimator: Estimator | None,
        taught: Mapping[str, Image],
    ) -> Results:
        """Begin with the first of some layers; returns where its results go.

        Raises
        ------
        RequestError, DenoisingError
            If that cannot be.
        """
        if queue.several and taught:
            raise RequestError(
                "A second layer goes with one image, not with several.",
                "Choose no other layer under With, or this one under Layers.",
            )
        results = self._results_of(queue, config)
        self._choose_extent(results)
        self._forget_files()
        self._doubter.close()
        self._queue, self._settings = queue, config
        self._estimator, self._before, self._stops = estimator, self.model, 0
        self._work_on(results, taught)
        return results

    def _results_of(self, queue: Queue, config: TrainingConfig) -> Results:
        """Places for the results of the layer that comes now.

        Raises
        ------
        RequestError, DenoisingError
            If it cannot be denoised, or there is no room.
        """
        layer = queue.layer
        image = denoisable_image(layer)
        assert layer is not None
        return Results(self.viewer, layer, image, config, alone=not queue.several)

    def _work_on(self, results: Results, taught: Mapping[str, Image]) -> None:
        """Fill these results: of a corrected image, and of what taught it."""
        self._results, self._since = results, time.monotonic()
        self._corrections = corrections = self._queue.now.corrections
        results.made_with = {"corrections": corrections.names()} if corrections else {}
        results.made_with |= {kind: image.name for kind, image in taught.items()}
        self._pair = taught.get("pair")

    def _choose_extent(self, results: Results) -> None:
        """Keep which images are to be denoised, whatever is typed meanwhile.

        Raises
        ------
        RequestError
            If there are no such images.
        """
        self._extent = self.controls.extent.choice()
        self._find_planes(results)

    def _find_planes(self, results: Results) -> None:
        shown = results.field_of_view().plane
        image, extent = results.image, self._extent
        self._planes = chosen_planes(image, extent, shown) if extent else None
        self._part = results.part_in_view() if extent == IN_VIEW else None

    def _count_planes(self) -> None:
        """Let the clock know how many images are denoised, where not all of one are."""
        if self._planes is not None:
            self.controls.begin_denoising(self._queue.total * len(self._planes))
        elif self._queue.several:
            self.controls.begin_denoising(self._queue.planes)

    def _predict(self) -> None:
        results, model = self._results, self.model
        if results is None or model is None:
            return
        self._stops, self._as_chosen = 0, False
        self._find_planes(results)  # what is in view may be another by now
        self._count_planes()
        denoise = partial(
            predict_tiles,
            model=model,
            into=results.into,
            estimator=self._estimator,
            device=self.controls.device.currentData(),
            first=results.field_of_view().plane,
            only=self._planes,
            within=self._part,
            in_background=True,
        )
        make = partial(predicting, results, self._corrections, denoise, self._pair)
        several = self._queue.several
        fail = self._on_layer_failed if several else self._complain
        self._begin(make, self._on_tile, self._on_denoised, fail)
        self.controls.show_stop(*_STOP_DENOISING)
        if several:
            self._show_denoising(0.0)

    def _on_tile(self, tile: TilePrediction | None) -> None:
        if tile is None or self._results is None:
            return
        self._show_denoising(tile.fraction)
        self._as_chosen = self._planes is not None and tile.fraction >= 1
        if tile.index is not None:
            self._results.show()
            self._results.refresh()

    def _show_denoising(self, fraction: float) -> None:
        queue, few = self._queue, self.model is not None and self.model.hardly_trained
        self.controls.show_denoising(queue.fraction(fraction), queue.text(), few)

    def _on_denoised(self, result: Denoised) -> None:
        self._ended()
        if self._results is None or self.model is None:
            return
        if self._queue.several:
            self._end_layer(self._results, self.model, result)
        elif not self._results.source_is_there:
            self._report_gone()
        elif not result.done_fraction:
            self._report_nothing_denoised()
        else:
            hidden, changed = self._results.hidden(), self._results.source_is_changed
            self._keep(self._results, self.model, result)
            chosen = self._as_chosen
            text, more = outcome(self.model, result, hidden, changed, chosen)
            self.controls.show_fraction(text, 1.0, more)

    def _keep(self, results: Results, model: TrainedModel, result: Denoised) -> None:
        """Show the results of a layer, which are the user's from now on."""
        results.finish(model, result, self.controls.keep.isChecked())
        if result.complete and not self._corrections and self._pair is None:
            made = results.unfinished
            self._prober.know(model, made.image, made.array)
        self._note_run(results, model, result)
        self._results = None

    # ---- Several layers ----

    def _end_layer(
        self, results: Results, model: TrainedModel, result: Denoised
    ) -> None:
        """Keep the results of one of several layers, and go on with the next one."""
        if not results.source_is_there:
            self._discard()
            self._queue.fail()
        elif not result.done_fraction:
            self._discard()
        else:
            self._keep(results, model, result)
            partly = not result.complete and not self._as_chosen
            self._queue.keep(results.undo(), result.notes, partly)
        if self._stops:
            self._end_layers()
        else:
            self._denoise_next()

    def _on_layer_failed(self, error: Exception) -> None:
        if not isinstance(error, RequestError | DenoisingError):
            self._complain(error)  # with the traceback, for a report
        self._queue.fail(error)
        self._denoise_next()

    def _denoise_next(self) -> None:
        """Denoise the next of several layers; after the last one, say how all ended."""
        if self.model is None or not self._queue.advance():
            self._end_layers()
            return
        try:
            self._queue.require_there(self.viewer.layers)
            results = self._results_of(self._queue, self._settings or self.model.config)
            self._find_planes(results)
        except (RequestError, DenoisingError) as error:
            self._on_layer_failed(error)
            return
        self._work_on(results, {})
        self._predict()

    def _end_layers(self) -> None:
        """Say how several layers ended."""
        if self.model is not None:
            text, more = self._queue.outcome(self.model)
            self.controls.show_fraction(text, 1.0)
            self.controls.say(text, problem=self._queue.failed, details=more)
        self._queue.undo.clear()  # what is there now is the user's

    def _note_run(self, results: Results, model: TrainedModel, made: Denoised) -> None:
        """Write the run into the record of the viewer, and offer its report."""
        seconds = time.monotonic() - self._since
        config = self._settings or model.config
        run = finished_run(results, model, config, seconds)
        record_of(self.viewer).add(run, model)
        denoised = made.denoised.with_data(results.shown)
        self._reporter.last = LastRun(
            model, seconds, made.notes, results.image, denoised, self._corrections
        )
        self.controls.save_report.setEnabled(True)

    def _report_gone(self) -> None:
        self._discard()
        self.controls.say(
            "The layer is gone, so nothing is denoised. Its model is kept."
        )

    def _report_nothing_denoised(self) -> None:
        self._discard()
        self.controls.say("Stopped: nothing is denoised. The model is kept.")

    def _discard(self) -> None:
        results, self._results = self._results, None
        if results is not None:
            results.discard()

    def _take_away(self, results: Results) -> None:
        """Take the layers of what was denoised away, once its source is gone."""
        if not self._closed:
            results.discard()

    def _forget_training(self) -> None:
        """Remove what a training needs to go on: its model is in hand, or unwanted."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.discard()
            self._interruptions.look()

    def _on_error(self, error: Exception) -> None:
        super()._on_error(error)
        self._offer_training()

    def _on_abort(self) -> None:
        super()._on_abort()
        self._queue.undo.clear()
        self._offer_training()

    def _offer_training(self) -> None:
        """Offer to go on with a training that has failed, if it can."""
        if self._kept is not None:
            self._kept = None
            self._interruptions.look()

    def _on_cancelled(self) -> None:
        """Show the state before the run."""
        self._forget_training()
        while self._queue.undo:
            self._queue.undo.pop()()
        self.model = self._before
        self.controls.clear_plots()
        if self.model is not None:
            self.controls.show_model(self.model)
        super()._on_cancelled()

    def _ended(self) -> None:
        self.controls.show_stop(*_STOP_TRAINING)
        super()._ended()

    def _on_loaded(self, model: TrainedModel) -> None:
        self.model = model
        self.controls.clear_plots()
        self.controls.show_model(model)
        self._ended()
        self._report_file(
            f"Loaded a model of recipe {model.config.recipe}, trained on "
            f"{', '.join(model.provenance.get('images', [])) or 'an image'}. "
            "Press Denoise."
        )

    # ---- What the viewer does ----

    def _connect_controls(self) -> None:
        controls = self.controls
        controls.show_stop(*_STOP_TRAINING)
        controls.train.clicked.connect(self.train)
        controls.stop.clicked.connect(self.stop)
        controls.cancel.clicked.connect(self.cancel)
        controls.denoise.clicked.connect(self.denoise)
        controls.save_model.clicked.connect(lambda: self.save_model())
        controls.load_model.clicked.connect(lambda: self.load_model())
        controls.save_report.clicked.connect(lambda: self.save_report())
        controls.model_menu.export_wanted.connect(self.export_model)
        controls.model_menu.chosen.connect(self.load_model)
        self._exporter.written.connect(lambda made: self._report_file(in_words(made)))
        self._exporter.failed.connect(self._complain)
        self._exporter.busy.connect(controls.model_menu.setDisabled)
        self._reporter.written.connect(lambda page: self._report_file(f"Saved {page}"))
        self._reporter.failed.connect(self._complain)
        self._reporter.busy.connect(controls.save_report.setDisabled)
        self._connect_layers()
        controls.device.currentIndexChanged.connect(self._show_probed)
        controls.budget.currentTextChanged.connect(controls.forget_problem)
        controls.refused.connect(self._complain)
        controls.settings_changed.connect(self._show_readiness)
        controls.continuing.settings_wanted.connect(self._use_model_settings)
        controls.diagnose.clicked.connect(self.diagnose)
        controls.doubt.clicked.connect(self.doubt)
        self._doubter.found.connect(controls.say)
        self._doubter.failed.connect(self._complain)
        self._diagnoser.wanted.connect(self._apply)
        self._diagnoser.failed.connect(self._complain)
        self._diagnoser.busy.connect(controls.show_diagnosing)
        self._forecast.found.connect(self._show_forecast)
        controls.extent.combo.currentTextChanged.connect(self._show_forecast)
        self._mender.examined.connect(self._show_readiness)
        self._mender.mended.connect(self._on_mended)
        self._mender.failed.connect(self._complain)
        self._interruptions.wanted.connect(self._go_on)

    def _connect_layers(self) -> None:
        controls = self.controls
        controls.layer.currentIndexChanged.connect(self._show_state)
        controls.layer.activated.connect(self._forget_other_image)
        controls.pin.toggled.connect(self._follow)
        controls.series.chosen.connect(self._open_series)
        for combo in controls.corrections.combos.values():
            combo.activated.connect(self._forget_other_image)
            combo.activated.connect(self._show_layers)
            combo.currentIndexChanged.connect(self._show_probed)
        controls.pairing.layer.activated.connect(self._show_layers)
        controls.layers.chosen.connect(self._show_forecast)
        self.viewer.layers.selection.events.changed.connect(self._show_layers)

    def _open_series(self, path: Path, number: int) -> None:
        """Show another image of a file; open it if that was not done before."""
        self._forget_files()
        layer = layer_of(self._images(), path, number)
        if layer is None:
            self._read(path, number)
        else:
            self._choose(layer)

    def _list_layers(self, event: Any = None) -> None:
        images = self._images()
        for layer in images:  # to connect twice is to connect once
            for name in ("data", "axis_labels", "scale", "units"):
                layer.events[name].connect(self._show_state)
        before = self.controls.layer.currentData()
        self.controls.list_layers(images, self._first_choice())
        self._forget_removed(before, self.controls.layer.currentData())

    def _follow(self, *_: Any) -> None:
        """Choose the layer that is selected in napari, unless the choice is pinned."""
        active = self.viewer.layers.selection.active
        if not is_plain(active) or self.controls.pin.isChecked():
            return
        if active != self.controls.layer.currentData():
            self._forget_other_image()
            self._list_layers()  # napari may say this before it lists a new layer
            self.controls.choose(active)

    def _forget_other_image(self, *_: Any) -> None:
        """Clear messages about the image that was chosen before."""
        if self._run is None:
            self._forget_image()
            self._forget_files()

    def _on_removed(self, event: Any) -> None:
        if isinstance(event.value, ImageLayer):
            self._reporter.forget(pixels_of(event.value))
        if self._results is not None and self._results.belongs_to(event.value):
            if not self._queue.several:
                self.stop()
            elif self._kept is None:  # else others are still learned from
                super().stop()
            # Not now: napari may be about to remove them itself.
            QTimer.singleShot(0, partial(self._take_away, self._results))

    def _show_state(self, *_: Any) -> None:
        layer = self.controls.layer.currentData()
        self._mender.examine(image_of(layer))
        self.controls.show_layer(layer, [] if layer is None else self.viewer.layers)
        self._show_layers()
        self._show_readiness()
        self._show_probed()
        self.changed.emit()

    def _show_layers(self, *_: Any) -> None:
        layers = self.viewer.layers
        self.controls.show_layers(layers, layers.selection)

    def _show_probed(self, *_: Any) -> None:
        busy, there = self._run is not None, self.model is not None
        self._prober.use(self._probed(), busy=busy, has_model=there)

    def _probed(self) -> Subject | None:
        """What the probe answers about: model in hand, layer and corrections."""
        layer, device = self.controls.layer.currentData(), self.controls.device
        if self.model is None or layer is None:
            return None
        try:
            image = denoisable_image(layer)
            corrections = self.controls.corrections.value(image)
        except (RequestError, DenoisingError):
            return None
        return Subject(self.model, layer, image, corrections, device.currentData())

    def _show_readiness(self) -> None:
        """Show how the layer is understood, or why it cannot be denoised."""
        layer = self.controls.layer.currentData()
        nothing = layer is None and self.controls.layer.count()
        ready = fits(layer)
        obstacle = self._obstacle(layer) if ready else ""
        other = self._other_settings(layer) if ready and not obstacle else ""
        self.controls.continuing.say(other)
        text = _NOT_CHOSEN if nothing else axes_text(layer, image_of(layer))
        self.controls.show_axes(
            obstacle or text,
            problem=bool(obstacle) or (layer is not None and not ready),
        )
        self.controls.enable(
            layer=ready,
            teaches=not obstacle and not other,
            model=self.model is not None,
            running=self._run is not None,
        )
        self.controls.doubt.offer(self.model, ready and self._run is None)
        self._foretell(teaches=not obstacle and not other)

    def _obstacle(self, layer: ImageLayer) -> str:
        """Why nothing can be learned from a layer with the settings as they are."""
        try:
            config = self._supervised(self.controls.settings())
        except (RequestError, DenoisingError):
            return self._mender.obstacle  # Train shows what is wrong with the settings
        return why_not_trained(layer, config) or self._mender.obstacle

    def _supervised(self, config: TrainingConfig) -> TrainingConfig:
        """Settings that go with the second layer that is chosen, if there is one."""
        return supervised(config, self.controls.pairing.supervision)

    def _other_settings(self, layer: ImageLayer) -> str:
        """Why the training could not go on from the model in hand; else empty."""
        if self.model is None or not self.controls.resume.isChecked():
            return ""
        try:
            config = self._supervised(self.controls.settings())
        except (RequestError, DenoisingError):
            return ""  # Train shows what is wrong with them
        return why_not_continued(layer, config, self.model)

    def _use_model_settings(self) -> None:
        if self.model is not None:
            self.controls.use_settings(self.model.config)

    def _on_mended(self, image: Image) -> None:
        """Show what was made of a layer, and choose it."""
        if not self._closed:
            data, options = layer_from_image(image)
            self._choose(self.viewer.add_image(data, **options))

    def _foretell(self, teaches: bool) -> None:
        """Show how long a run will take, once that is known; not during one."""
        if self._run is not None:
            return
        try:
            image = denoisable_image(self.controls.layer.currentData())
            config = self._supervised(self.controls.config())
        except (RequestError, DenoisingError):
            teaches = False
        if teaches:
            self._forecast.ask(image, config)
        else:
            self._forecast.cancel()

    def _show_forecast(self) -> None:
        """Show how long a run will take with the images that are chosen now."""
        if self._run is not None:
            return
        estimate, choice = self._forecast.estimate, self.controls.extent.choice()
        try:
            images = [image_from_layer(la) for la in self.controls.layers.value()]
            if estimate and choice:
                first = next(iter(images[0].planes()))
                chosen = chosen_planes(images[0], choice, first)
                estimate = estimate.of(len(images) * len(chosen))
            elif estimate:
                estimate = estimate.of(sum(image.plane_count for image in images))
        except (RequestError, DenoisingError):
            pass  # in the middle of typing; the run says what is wrong
        self.controls.show_forecast(estimate)

    def _choose(self, layer: ImageLayer) -> None:
        self.controls.choose(layer)

    def _let_go(self) -> None:
        self._results = None
        self._forecast.cancel()
        self._mender.close()
        self._diagnoser.close()
        self._doubter.close()
        self._prober.close()
        self._reporter.close()
        self._exporter.close()
        self._interruptions.close()
        self.viewer.layers.events.removed.disconnect(self._on_removed)
        self.viewer.layers.selection.events.active.disconnect(self._follow)
        self.viewer.layers.selection.events.changed.disconnect(self._show_layers)
        self.controls.list_layers([], None)
