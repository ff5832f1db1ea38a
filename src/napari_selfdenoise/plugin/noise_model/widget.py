"""The dock widget that calibrates: frames of a still scene to a noise model file."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from napari.layers import Image as ImageLayer
from napari.viewer import Viewer
from qtpy.QtWidgets import QFileDialog

from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.images import as_frames
from napari_selfdenoise.noise.inspection import bootstrap_steps
from napari_selfdenoise.parts.noise_models import (
    SUFFIX,
    FittedNoise,
    load_noise_model,
    noise_model_path,
    save_noise_model,
)
from napari_selfdenoise.plugin.docks.dock import IMAGES, Dock, open_dock
from napari_selfdenoise.plugin.docks.save_dialog import ask_where_to_save
from napari_selfdenoise.plugin.forms.fields import member_title
from napari_selfdenoise.plugin.noise_model.bootstrapping import denoised_of, is_blind
from napari_selfdenoise.plugin.noise_model.controls import NoiseModelControls
from napari_selfdenoise.plugin.noise_model.inspecting import Inspector
from napari_selfdenoise.plugin.noise_model.measuring import (
    Calibration,
    Compared,
    bootstrapping,
    calibrating,
    comparing,
)
from napari_selfdenoise.plugin.viewer.layers import (
    Box,
    bounding_box,
    denoisable_image,
    understood,
)
from napari_selfdenoise.plugin.viewer.origin import Origin, free_suffix
from napari_selfdenoise.plugin.viewer.results import add_distribution

_FILES = f"Noise models (*{SUFFIX})"


class NoiseModelWidget(Dock):
    """Measure how a camera's noise depends on the signal, and keep it in a file.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer whose layers hold the frames.

    Attributes
    ----------
    fitted : FittedNoise or None
        The noise model in hand.
    """

    title: ClassVar[str] = "Noise model"
    suffixes: ClassVar[tuple[str, ...]] = (*IMAGES, SUFFIX)

    def __init__(self, napari_viewer: Viewer) -> None:
        self.controls = NoiseModelControls()
        super().__init__(napari_viewer, self.controls, self.controls.noise_plot)
        self.fitted: FittedNoise | None = None
        self._path: Path | None = None
        self._name = ""
        self._place: tuple[Box, Origin] | None = None
        self.inspector = Inspector(napari_viewer, self)
        self._connect_controls()
        self._list_layers()
        self._show_state()

    # ---- What the user does ----

    def calibrate(self) -> None:
        """Fit the chosen kind of noise model to the chosen frames."""
        controls = self.controls
        layer, signal = controls.frames.currentData(), controls.signal.currentData()
        try:
            self._require_idle()
            stack = as_frames(denoisable_image(layer))
            mean = None if signal is None else denoisable_image(signal)
            config = controls.kind.value
        except (RequestError, DenoisingError) as error:
            self._complain(error)
            return
        self._measure_anew(layer)
        if controls.comparing.asked():
            compare = partial(comparing, stack)
            self._begin(compare, self._on_progress, self._on_compared)
            return
        make = partial(calibrating, stack, config, mean)
        self._begin(make, self._on_progress, self._on_calibrated)

    def save(self, path: str | Path | None = None) -> bool:
        """Save the noise model; asks for the file's name where none is given.

        Returns
        -------
        bool
            Whether it is saved.
        """
        if path is None:
            start = f"{self._measured_in() or 'camera'}{SUFFIX}"
            path = ask_where_to_save(
                self,
                "Save noise model",
                start,
                _FILES,
                lambda path, _: noise_model_path(path),
            )
        if not path or self.fitted is None:
            return False
        self._forget_files()
        self.fitted = self.controls.notes.note(self.fitted)
        try:
            self._path = save_noise_model(self.fitted, path)
        except (RequestError, DenoisingError) as error:
            self._complain(error)
            return False
        self._report_file(f"Saved {self._path}")
        return True

    def load(self, path: str | Path | None = None) -> None:
        """Take a noise model from a file; asks for it where none is given."""
        if path is None:
            path, _ = QFileDialog.getOpenFileName(self, "Load noise model", "", _FILES)
        if path:
            self._forget_files()
            self._begin_loading(_load, Path(path), self._on_loaded)

    def use_for_denoising(self) -> None:
        """Save where that is still to be done; train with it in the Denoise dock."""
        if self._path is None and not self.save():
            return
        open_dock(self.viewer, "Denoise").use_noise_model(self._path)

    def bootstrap(self) -> None:
        """Fit the chosen kind of noise model to a layer and what it was denoised to."""
        controls = self.controls
        layer, denoised = controls.frames.currentData(), controls.signal.currentData()
        try:
            self._require_idle()
            noisy = as_frames(denoisable_image(layer))
            if denoised is None:
                denoised = denoised_of(layer, self.viewer.layers)
            signal, config = denoisable_image(denoised), controls.kind.value
        except (RequestError, DenoisingError) as error:
            self._complain(error)
            return
        self._measure_anew(layer)
        blind = is_blind(denoised)
        fit = partial(bootstrap_steps, noisy, signal, config, blind=blind)
        make = partial(bootstrapping, fit, noisy, signal)
        self._begin(make, self._on_progress, self._on_calibrated)

    def _measure_anew(self, layer: ImageLayer) -> None:
        """Take away what was shown, as another layer is measured."""
        self._forget_files()
        self._name = layer.name
        self._place = bounding_box(layer), Origin.of(layer, "calibration")
        self.controls.noise_plot.clear()
        self.controls.findings.setText("")
        self.controls.comparing.clear()

    def inspect(self) -> None:
        """Show the noise model in hand, and others, below the image."""
        self.inspector.show_fitted(self._inspected_name(), self.fitted)

    def _inspected_name(self) -> str:
        if self._path is not None:
            return self._path.name.removesuffix(SUFFIX)
        kind = "" if self.fitted is None else self.fitted.kind.replace("_", " ")
        return f"{self._measured_in()} {kind}".strip()

    def _measured_in(self) -> str:
        """The image that the noise model in hand is of, whatever is measured now."""
        return "" if self.fitted is None else self.fitted.provenance.get("image", "")

    def _open(self, path: Path) -> None:
        """Open a TIFF file as a layer; take a noise model from its file."""
        if path.name.lower().endswith(SUFFIX):
            self._begin_loading(_load, path, self._on_loaded)
        else:
            self._read(path)

    # ---- What the worker says ----

    def _on_progress(self, fraction: float) -> None:
        self.controls.show_fraction("Measuring the noise", fraction)

    def _on_calibrated(self, found: Calibration | None) -> None:
        self._ended()
        if found is None:
            self.controls.say("Stopped: nothing was measured.")
            return
        self._take(found.fitted, None)
        self.controls.noise_plot.set_scatter(*found.scatter)
        self._add_distribution(found.fitted)
        words = "Noise model ready: save it, or press Use for denoising."
        if found.fitted.warnings:
            words = (
                "Noise model ready, with a warning: read it below before you use it."
            )
        self.controls.show_fraction(words, 1.0)

    def _on_compared(self, found: Compared | None) -> None:
        self._ended()
        if found is None:
            self.controls.say("Stopped: nothing was measured.")
            return
        self.controls.comparing.show_comparison(found.comparison)  # selects the best
        self.controls.noise_plot.set_scatter(*found.scatter)
        words = (
            "Noise models compared: the best is selected. Save it, or press Use for "
            "denoising."
        )
        if found.comparison.best.fitted.warnings:
            words = "Noise models compared, with a warning: read it below first."
        self.controls.show_fraction(words, 1.0)

    def _choose_kind(self, fitted: FittedNoise) -> None:
        """Take the noise model of a row of the comparison."""
        self._take(fitted, None)
        self._add_distribution(fitted)

    def _on_loaded(self, found: tuple[Path, FittedNoise]) -> None:
        path, fitted = found
        self._ended()
        self.controls.noise_plot.clear()
        self.controls.comparing.clear()
        self.controls.notes.show_notes(fitted)
        self._take(fitted, path)
        self._report_file(
            f"Loaded a noise model of {fitted.provenance.get('image', 'an image')}."
        )

    def _take(self, fitted: FittedNoise, path: Path | None) -> None:
        self.fitted, self._path = fitted, path
        self.controls.noise_plot.set_curve(fitted.curve.signal, fitted.curve.std)
        self.controls.findings.say(*in_words(fitted))
        self._show_state()

    def _add_distribution(self, fitted: FittedNoise) -> None:
        assert self._place is not None
        box, origin = self._place
        made = {
            "config": fitted.config.model_dump(mode="json"),
            "provenance": fitted.provenance,
            "noise_curves": [fitted.curve.to_json()],
        }
        layers = self.viewer.layers
        active, selected = layers.selection.active, set(layers.selection)
        for layer in origin.earlier(layers):
            layers.remove(layer)
        name = f"{self._name} noise distribution"
        name += free_suffix([name], {layer.name for layer in layers})
        add_distribution(self.viewer, fitted.curve, name, box, made, origin)
        layers.selection = {layer for layer in selected if layer in layers}
        if active in layers.selection:
            layers.selection.active = active

    # ---- What the viewer does ----

    def _connect_controls(self) -> None:
        controls = self.controls
        controls.calibrate.clicked.connect(self.calibrate)
        controls.stop.clicked.connect(self.stop)
        controls.save.clicked.connect(lambda: self.save())
        controls.load.clicked.connect(lambda: self.load())
        controls.use.clicked.connect(self.use_for_denoising)
        controls.inspect.clicked.connect(self.inspect)
        controls.bootstrap.clicked.connect(self.bootstrap)
        self.inspector.failed.connect(self._complain)
        controls.comparing.chosen.connect(self._choose_kind)
        for box in (controls.frames, controls.signal):
            box.currentIndexChanged.connect(self._show_state)

    def _list_layers(self, event: Any = None) -> None:
        images = self._images()
        for layer in images:  # to connect twice is to connect once
            for name in ("data", "axis_labels"):
                layer.events[name].connect(self._show_state)
        frames = self.controls.frames
        before = frames.currentData()
        self.controls.list_layers(images, self._first_choice())
        self._forget_removed(before, frames.currentData())

    def _show_state(self, *_: Any) -> None:
        layer = self.controls.frames.currentData()
        self.controls.axes.setText(understood(layer))
        self.controls.enable(
            layer=layer is not None,
            noise=self.fitted is not None,
            running=self._run is not None,
        )
        self.changed.emit()

    def _choose(self, layer: ImageLayer) -> None:
        self.controls.frames_box.choose(layer)

    def _let_go(self) -> None:
        self.inspector.close()
        self.controls.list_layers([], None)


def in_words(fitted: FittedNoise) -> tuple[str, str]:
    """Sentences about a noise model: those that are shown, and those that unfold."""
    a, b = fitted.poisson_gaussian
    low, high = fitted.signal_range
    gain = (
        f"Camera gain about {a:.3g} grey values per photon."
        if a > 0
        else "The gain does not show, as noise does not grow with the signal."
    )
    details = [
        f"{member_title(type(fitted.config))}, for signals from {low:.4g} to "
        f"{high:.4g}.",
        f"Noise variance ≈ a · signal + b, a = {a:.4g}, b = {b:.4g}.",
        f"Fit: {fitted.bits_per_pixel:.3f} bits per pixel; of several kinds tried on "
        "the same frames, the lowest fits best.",
    ]
    return "\n".join([*fitted.warnings, gain]), "\n".join(details)


def _load(path: Path) -> tuple[Path, FittedNoise]:
    return path, load_noise_model(path)
