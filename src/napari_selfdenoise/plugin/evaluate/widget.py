"""The dock widget that evaluates: residual, figures, runs, before and after."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from napari.layers import Image as ImageLayer
from napari.viewer import Viewer

from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.evaluation import (
    Evaluation,
    FullEvaluation,
    evaluation_steps,
)
from napari_selfdenoise.images import Image
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.parts.noise_models import NoiseCurve
from napari_selfdenoise.plugin.docks.dock import IMAGES, Dock, open_dock
from napari_selfdenoise.plugin.docks.places import place_below
from napari_selfdenoise.plugin.docks.run_record import FinishedRun, record_of
from napari_selfdenoise.plugin.docks.worker import sentence
from napari_selfdenoise.plugin.evaluate.comparing import Blink, Swipe, require_alike
from napari_selfdenoise.plugin.evaluate.controls import STEPS, EvaluateControls
from napari_selfdenoise.plugin.evaluate.profiling import Profiler, Profiles
from napari_selfdenoise.plugin.evaluate.run_table import RunTable
from napari_selfdenoise.plugin.viewer.layer_choice import (
    last_denoised,
    reference_for,
    result_of,
)
from napari_selfdenoise.plugin.viewer.layers import denoisable_image
from napari_selfdenoise.plugin.viewer.marks import marks
from napari_selfdenoise.plugin.viewer.residual_layer import add_residual
from napari_selfdenoise.prediction import evaluate_model_steps

RUNS = "Runs"


class EvaluateWidget(Dock):
    """Look at what a denoising has removed, and at how good its result is.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer whose layers are compared.

    Attributes
    ----------
    runs : RunTable or None
        The table that was shown last.
    """

    title: ClassVar[str] = "Evaluate"
    suffixes: ClassVar[tuple[str, ...]] = IMAGES

    def __init__(self, napari_viewer: Viewer) -> None:
        self.controls = EvaluateControls()
        super().__init__(napari_viewer, self.controls, *self.controls.plots)
        self.record = record_of(napari_viewer)
        self.runs: RunTable | None = None
        self._runs_place: Any = None
        self._without_reference = False
        self._measured: tuple[Any, Any] | None = None
        self._blink = Blink(napari_viewer, self._noisy, self)
        self._swipe = Swipe(napari_viewer, self)
        self._profiler = Profiler(napari_viewer, self._roles, self)
        self._connect_controls()
        self._list_layers()
        self._show_state()

    # ---- What the user does ----

    def evaluate(self) -> None:
        """Measure the chosen result in a worker."""
        noisy, result, reference = self._chosen()
        try:
            self._require_idle()
            images = [_image(layer) for layer in (noisy, result)]
            require_alike(noisy, result)
            known = None if reference is None else _image(reference)
        except (RequestError, DenoisingError) as error:
            self._complain(error)
            return
        self._forget_files()
        self.controls.clear()
        # Neither is to be kept alive by a run.
        self._measured = weakref.ref(noisy), weakref.ref(result)
        model = self.record.model_of(marks(result.metadata).get("run"))
        curves = _curves_of(result, images[0])
        steps = partial(evaluation_steps, images[0], images[1], known, curves)
        make = partial(_evaluating, images[0], images[1], steps, model)
        self._begin(make, self._on_progress, self._on_evaluated)

    def draw_profile(self) -> None:
        """Let the user draw the line that intensities are read along."""
        self._profiler.draw()
        self.controls.say("Draw a line on the image: press, drag, let go.")

    def show_runs(self) -> None:
        """Show the table of runs below the image."""
        with suppress(LookupError, RuntimeError):  # closed by the user
            if self._runs_place is not None:
                self.viewer.window.remove_dock_widget(self._runs_place)
        self.runs = RunTable(self.record)
        self.runs.wanted.connect(self._bring_back)
        self._runs_place = place_below(self.viewer, self.runs, RUNS)

    def _bring_back(self, run: FinishedRun) -> None:
        """Set the form of the Denoise dock as it was for a run."""
        open_dock(self.viewer, "Denoise").use_run_settings(run.config)

    def _turn_swipe(self, on: bool) -> None:
        if not on:
            self._swipe.end()
            return
        try:
            self._swipe.begin(*self._chosen()[:2])
        except (RequestError, DenoisingError) as error:
            self.controls.show_swipe(None)
            self._complain(error)
        else:
            self.controls.forget_problem()
            self.controls.show_swipe(0.5)

    def _move_swipe(self, place: int) -> None:
        self._swipe.move_to(place / STEPS)

    def _open(self, path: Path) -> None:
        """Open a TIFF file as a layer."""
        self._read(path)

    # ---- What the worker says ----

    def _on_progress(self, fraction: float) -> None:
        self.controls.show_fraction("Measuring what was removed", fraction)

    def _on_evaluated(self, found: FullEvaluation | None) -> None:
        self._ended()
        if found is None:
            self.controls.say("Stopped: nothing was evaluated.")
            return
        noisy, result = (known() for known in self._measured or (_gone, _gone))
        self.controls.show_evaluation(found)
        if noisy is None or noisy not in self.viewer.layers:
            self.controls.say("The noisy layer is gone: its residual is no layer.")
            return
        layer = add_residual(self.viewer, noisy, result, found.residual, found.reach)
        self.controls.say(f'Done: see "{layer.name}" in the layer list.')
        run = marks(result.metadata).get("run") if result is not None else None
        if run is not None:
            self.record.note(run, found.measured.figures)

    def _on_profiles(self, profiles: Profiles) -> None:
        self.controls.profile_plot.show_profiles(profiles.by_role, profiles.unit)
        self.controls.say("")

    def _on_no_profile(self, error: Exception) -> None:
        self.controls.profile_plot.clear()
        self.controls.say(sentence(error), problem=True)

    # ---- What the viewer does ----

    def _connect_controls(self) -> None:
        controls = self.controls
        controls.evaluate.clicked.connect(self.evaluate)
        controls.stop.clicked.connect(self.stop)
        controls.show_runs.clicked.connect(self.show_runs)
        controls.profile.clicked.connect(self.draw_profile)
        controls.swipe.toggled.connect(self._turn_swipe)
        controls.swipe_position.valueChanged.connect(self._move_swipe)
        controls.blink.pressed.connect(self._blink.show_noisy)
        controls.blink.released.connect(self._blink.restore)
        controls.noisy.activated.connect(self._choose_its_result)
        controls.reference.activated.connect(self._note_reference)
        for combo in (controls.noisy, controls.result, controls.reference):
            combo.currentIndexChanged.connect(self._on_other_choice)
        self._swipe.moved.connect(controls.show_swipe)
        self._swipe.ended.connect(partial(controls.show_swipe, None))
        self._profiler.found.connect(self._on_profiles)
        self._profiler.failed.connect(self._on_no_profile)
        self.record.added.connect(self._choose_last_run)

    def _chosen(self) -> tuple[Any, Any, Any]:
        """Noisy layer, result and reference; None where there is none."""
        controls = self.controls
        boxes = controls.noisy, controls.result, controls.reference
        noisy, result, reference = (box.currentData() for box in boxes)
        return noisy, result, reference

    def _noisy(self) -> Any:
        return self._chosen()[0]

    def _roles(self) -> dict[str, Any]:
        """The chosen layers that a profile can be read from, by their roles."""
        named = zip(("noisy", "result", "reference"), self._chosen(), strict=True)
        return {
            role: layer
            for role, layer in named
            if layer is not None and not layer.rgb and layer.ndim > 1
        }

    def _list_layers(self, event: Any = None) -> None:
        layers, images = self.viewer.layers, self._images()
        noisy = self.controls.noisy.currentData()
        noisy = noisy if noisy in images else self._first_noisy()
        reference = None if self._without_reference else reference_for(images, noisy)
        self.controls.list_layers(images, noisy, result_of(layers, noisy), reference)
        self._show_state()

    def _first_noisy(self) -> Any:
        """The active layer if it was denoised, else what was denoised last, if any.

        Who has just opened a reference means neither that nor nothing.
        """
        layers, first = self.viewer.layers, self._first_choice()
        if result_of(layers, first) is not None:
            return first
        return last_denoised(layers) or first

    def _choose_its_result(self, *_: Any) -> None:
        """Choose what was made of another noisy layer."""
        result = result_of(self.viewer.layers, self._noisy())
        if result is not None:
            self.controls.result_box.choose(result)

    def _choose_last_run(self) -> None:
        """Choose the layers of a run that has just ended."""
        run = self.record.runs[-1]
        for layer in self.viewer.layers:
            if str(layer.unique_id) == run.source_id:
                self.controls.noisy_box.choose(layer)
                self._choose_its_result()

    def _note_reference(self, *_: Any) -> None:
        self._without_reference = self.controls.reference.currentData() is None

    def _on_other_choice(self, *_: Any) -> None:
        self._profiler.later()
        if self._swipe.layers != self._chosen()[:2]:
            self._swipe.end()
        self._show_state()

    def _show_state(self, *_: Any) -> None:
        noisy, result, _reference = self._chosen()
        pair = noisy is not None and result is not None
        self.controls.enable(pair=pair, running=self._run is not None)
        self.changed.emit()

    def _choose(self, layer: ImageLayer) -> None:
        self.controls.noisy_box.choose(layer)

    def _let_go(self) -> None:
        self.record.added.disconnect(self._choose_last_run)
        self._swipe.end()
        self._blink.close()
        self._profiler.close()
        self.controls.list_layers([], None, None, None)


def _evaluating(
    noisy: Image,
    denoised: Image,
    steps: Callable[[], Generator[float, Any, FullEvaluation | None]],
    model: TrainedModel | None,
) -> Generator[float, Any, FullEvaluation | None]:
    """Measure all, in a worker; with the model where it is still there."""
    found = yield from steps()
    if found is None or model is None:
        return found
    more = yield from evaluate_model_steps(noisy, denoised, model)
    return replace(found, measured=Evaluation.joined([found.measured, more]))


def _curves_of(result: ImageLayer, noisy: Image) -> Sequence[NoiseCurve] | None:
    """Noise curves that a result of this plugin was made with, one a channel."""
    found = marks(result.metadata).get("noise_curves", [])
    curves = [NoiseCurve.from_json(curve) for curve in found]
    return curves if len(curves) == noisy.channels else None


def _image(layer: ImageLayer | None) -> Any:
    """Pixels of a layer; an error names the layer that they cannot be taken from."""
    try:
        return denoisable_image(layer)
    except RequestError as error:
        if layer is None:
            raise
        raise RequestError(f"{layer.name}: {error.message}", error.hint) from error


def _gone() -> None:
    """In place of a reference to a layer that is gone."""
