"""Everything on the Denoise dock that can be read or pressed; nothing that decides."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from napari.layers import Image as ImageLayer
from qtpy.QtCore import Qt, QTimer, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QKeySequence, QShortcut  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QGroupBox,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from napari_selfdenoise.compute import available_devices
from napari_selfdenoise.config import (
    DESCRIPTIONS,
    RECIPES,
    RULES,
    TITLES,
    TrainingConfig,
    budget_text,
    parse_budget,
    parse_config,
)
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import Image
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.parts.channels import Channels
from napari_selfdenoise.parts.context import Context
from napari_selfdenoise.parts.estimators import Estimator
from napari_selfdenoise.parts.masking import Masking
from napari_selfdenoise.parts.noise_models import NoiseFromFile, NoiseModel
from napari_selfdenoise.parts.psf import PSF
from napari_selfdenoise.plugin.denoise.axes_choice import AxesChoice
from napari_selfdenoise.plugin.denoise.continuing import Continuing
from napari_selfdenoise.plugin.denoise.corrections import CorrectionsSection
from napari_selfdenoise.plugin.denoise.doubting import DoubtButton
from napari_selfdenoise.plugin.denoise.extent import ExtentChoice
from napari_selfdenoise.plugin.denoise.fixes import Fixes
from napari_selfdenoise.plugin.denoise.interrupted import InterruptedRow
from napari_selfdenoise.plugin.denoise.layers_choice import (
    LayersChoice,
    layers_to_choose,
)
from napari_selfdenoise.plugin.denoise.model_menu import ModelMenu
from napari_selfdenoise.plugin.denoise.pair_choice import PairChoice
from napari_selfdenoise.plugin.denoise.probe_panel import ProbePanel
from napari_selfdenoise.plugin.docks.panel import (
    Panel,
    bare,
    beside,
    button,
    combo_box,
    fix_height,
    folded,
    label,
    line,
    rows,
    widen_list,
)
from napari_selfdenoise.plugin.docks.plots import LossPlot, NoisePlot
from napari_selfdenoise.plugin.docks.series import SeriesChoice
from napari_selfdenoise.plugin.docks.status import PROBLEM
from napari_selfdenoise.plugin.forms.form import ModelForm, Offers, UnionForm
from napari_selfdenoise.plugin.forms.greying import Greying
from napari_selfdenoise.plugin.forms.layer_box import layer_box
from napari_selfdenoise.run_time import (
    Moment,
    RunClock,
    RunEstimate,
    denoising_text,
    forecast,
    learning_text,
    left_text,
)
from napari_selfdenoise.training import TrainingProgress

_FEW = "Hardly trained: press Stop unless you want this result."
BUDGETS = ("30 s", "1 min", "2 min", "10 min", "until I stop")

_PARTS = ("masking", "noise_model", "context", "channels", "psf", "estimator")
_BASIC = ("recipe", *_PARTS, "supervision", "budget_s", "device")


class Part:
    """One of the parts of a method: which one, and a place for its fields.

    Fields that a choice cannot do without have their place below it: those of a point
    spread function, and what is to be taken from a file or a layer. Others are settings
    to be found among the advanced ones.

    Parameters
    ----------
    name, title : str
        Of the field.
    union : type
        What can be chosen.
    offers : callable, optional
        What can be taken from layers.
    parent : QWidget
        Qt parent.
    """

    def __init__(
        self, name: str, title: str, union: Any, offers: Offers | None, parent: QWidget
    ) -> None:
        self.choice = UnionForm(union, name=name, offers=offers)
        self.choice.native.setParent(parent)  # only its two parts are laid out
        self.title, self._always_below = title, name == "psf"
        self.below, self.group = QWidget(parent), QGroupBox(title, parent)
        bare(QVBoxLayout(self.below))
        # The fields have their indent already.
        QVBoxLayout(self.group).setContentsMargins(0, 6, 6, 6)
        self.choice.combo.currentIndexChanged.connect(self.place)
        self.place()

    def place(self, *_: Any) -> None:
        """Put the fields where they belong."""
        page, fields = self.choice.page(), self.choice.fields.native
        asks = self._always_below or page.asks()
        home = self.below if asks else self.group
        home.layout().addWidget(fields)  # type: ignore[union-attr]
        self.below.setVisible(asks and self.choice.has_fields())
        self.group.setVisible(not asks and self.choice.has_fields())


class Controls(Panel):
    """The form, the buttons, the progress and the plots.

    Parameters
    ----------
    offers : callable, optional
        What settings can be taken from, as in `ModelForm`.
    parent : QWidget, optional
        Qt parent.
    """

    refused = Signal(object)
    """What was to be taken from a layer does not fit: the error."""

    settings_changed = Signal()
    """Some setting is another, or has just been typed."""

    _noise_turn = False
    _diagnosing = False

    def __init__(
        self, offers: Offers | None = None, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.clock: RunClock | None = None
        self._make_choices()
        self._make_recipe()
        self._make_budget()
        self._make_parts(offers)
        self._make_method()
        self._make_advanced()
        self._make_buttons()
        self._make_plots()
        self.lay_out(
            self._rows(),
            line(self.train, self.stop, self.cancel),
            line(self.denoise, self.save_model, self.load_model),
            line(self.resume, self.keep),
            line(self.doubt, self.save_report, self.model_menu),
            self.continuing,
            self.bar(),
            # The unfolded settings push nothing out of sight that a run needs but
            # plots.
            self.words(),
            self.method,
            self.corrections,
            self.folded,
            self.probe,
            self.loss_plot,
            self.noise_plot,
        )
        self.probe.toggled.connect(self._show_probe)
        self._grey_out()
        self._listen_to_keys()
        self.recipe.currentIndexChanged.connect(self._fill_from_recipe)
        self.recipe.activated.connect(self._fill_from_recipe)  # the same one again
        self._fill_from_recipe()

    # ---- Reading ----

    def config(self) -> TrainingConfig:
        """Return the settings of the form.

        Raises
        ------
        RequestError
            If they do not fit together.
        """
        return self._config(parse_budget(self.budget.currentText()))

    def _config(self, budget_s: float | None = None) -> TrainingConfig:
        chosen = {name: self.part(name).value.model_dump() for name in _PARTS}
        chosen |= {
            "recipe": self.recipe.currentData(),
            "budget_s": budget_s,
            "device": self.device.currentData(),
        }
        return parse_config(self.advanced.value.model_dump() | chosen)

    def settings(self) -> TrainingConfig:
        """Return the settings of the form without the time.

        Raises
        ------
        RequestError
            If they do not fit together.
        """
        return self._config()

    def use_settings(self, config: TrainingConfig) -> None:
        """Choose what a training that continues a model must have in common with it."""
        for name in ("network", "signal"):
            self.advanced.editor(name).value = getattr(config, name)
        for name in ("masking", "noise_model", "context", "channels", "psf"):
            self.part(name).value = getattr(config, name)
        self._greying.later()

    def fill(self, config: TrainingConfig) -> None:
        """Set the whole form, device and time included.

        Parameters
        ----------
        config : TrainingConfig
            As `config` gave it.
        """
        self.recipe.setCurrentIndex(self.recipe.findData(config.recipe))
        for name in _PARTS:
            self.part(name).value = getattr(config, name)
        self.advanced.value = config
        self.budget.setCurrentText(budget_text(config.budget_s))
        self.choose_device(config.device)
        self._greying.later()

    def choose_device(self, name: str) -> None:
        """Choose a device; automatic where it is not there."""
        self.device.setCurrentIndex(max(self.device.findData(name), 0))

    def apply(self, changes: Mapping[str, Any]) -> None:
        """Set what a diagnosis asks for, and leave the rest as it is.

        Parameters
        ----------
        changes : mapping of str to value
            Settings by dotted name; "recipe" fills the form first.

        Raises
        ------
        RequestError
            If the settings do not fit together.
        """
        others = {name: value for name, value in changes.items() if name != "recipe"}
        if "recipe" in changes:
            self.recipe.setCurrentIndex(self.recipe.findData(changes["recipe"]))
            self._fill_from_recipe()
        config = self._config().override(others)
        if "budget_s" in others:
            self.budget.setCurrentText(budget_text(config.budget_s))
        parts = {name.partition(".")[0] for name in others}
        for name in parts.intersection(_PARTS):
            self.part(name).value = getattr(config, name)
        if parts.difference(_PARTS):
            self.advanced.value = config
        self._greying.later()

    def part(self, name: str) -> UnionForm:
        """Return the choice of a part, such as "masking"."""
        return self._parts[name].choice

    # ---- Showing ----

    def list_layers(self, layers: Sequence[ImageLayer], active: Any) -> None:
        """Offer the layers; keep the choice, else take the active one."""
        self.layer_box.offer(layers, active)

    def choose(self, layer: Any) -> None:
        """Choose a layer, if it is offered."""
        self.layer_box.choose(layer)

    def show_axes(self, text: str, problem: bool = False) -> None:
        """Say how the axes were understood, or in colour why that is not enough."""
        self.axes.setText(text)
        self.axes.setStyleSheet(PROBLEM if problem else "")

    def show_layer(self, layer: ImageLayer | None, layers: Sequence[Any]) -> None:
        """Offer what there is to choose of a layer, its file and its camera."""
        self.series.show_layer(layer)
        self.axes_choice.show_layer(layer)
        self.corrections.axes.show_layer(layer)
        self.extent.show_layer(layer)
        self.corrections.list_layers(layers, layer)
        self.pairing.list_layers(layers, layer)

    def other_layers(self) -> dict[str, str]:
        """Names of the layers that are chosen besides the image, by what they are."""
        return {
            kind: combo.currentText()
            for kind, combo in self._other_boxes().items()
            if combo.currentData() is not None
        }

    def choose_others(self, names: Mapping[str, str]) -> None:
        """Choose the layers that `other_layers` has named, and no others.

        Raises
        ------
        RequestError
            If one of them is not there.
        """
        self.pairing.be(names)
        for kind, combo in self._other_boxes().items():
            place = combo.findText(names[kind]) if kind in names else 0
            if place < 0:
                raise RequestError(
                    f"This training needs the layer '{names[kind]}' as well.",
                    "Open it, then press Go on again.",
                )
            combo.setCurrentIndex(place)

    def show_layers(self, layers: Sequence[Any], selected: Collection[Any]) -> None:
        """Offer the layers that can be denoised together with the chosen one."""
        used = [combo.currentData() for combo in self._other_boxes().values()]
        layer = self.layer.currentData()
        self.layers.show_layers(layers_to_choose(layer, layers, selected, used))

    def _other_boxes(self) -> dict[str, QComboBox]:
        supervision = self.pairing.kind.currentData()
        return {**self.corrections.combos, supervision: self.pairing.layer}

    def use_noise_model(self, path: Path) -> None:
        """Choose a noise model file."""
        self.part("noise_model").value = NoiseFromFile(file=path)

    def show_progress(self, progress: TrainingProgress) -> None:
        """Show a moment of a training: curves, progress, time left, what was found."""
        # In turns: without a graphics card, drawing both at once is felt.
        self._noise_turn = not self._noise_turn
        if not self._noise_turn:
            history = progress.history
            self.loss_plot.set_history(history.step, history.smoothed)
        elif progress.noise_curve is not None:
            curve = progress.noise_curve
            self.noise_plot.set_scatter(*progress.scatter)
            self.noise_plot.set_curve(curve.signal, curve.std)
        if self.clock is not None:
            moment = self.clock.learning(progress)
            text = learning_text(progress, self.clock)
            text = f"{text} {progress.warning}".strip()
            self._show_moment(text, moment, progress.finding)

    def show_denoising(
        self, fraction: float, text: str = "", hardly_trained: bool = False
    ) -> None:
        """Show a moment of the denoising: which image or layer, and the time left."""
        if self.clock is not None:
            moment = self.clock.denoising(fraction)
            text = text or denoising_text(fraction, self.clock)
            self._show_moment(f"{_FEW} {text}" if hardly_trained else text, moment)

    def _show_moment(self, text: str, moment: Moment, details: str = "") -> None:
        self.show_fraction(text, moment.fraction, details)
        self.eta.setText(left_text(moment.left_s))

    def begin(self, image: Image, estimate: RunEstimate | None = None) -> None:
        """Let the clock run from now on, for a run over an image."""
        self.clock = RunClock(image, estimate)

    def begin_denoising(self, planes: int) -> None:
        """Let the clock know how many images are denoised."""
        if self.clock is not None:
            self.clock.planes = planes

    def know(self, estimate: RunEstimate) -> None:
        """Let the clock know how long the run takes, which goes on already."""
        if self.clock is not None:
            self.clock.estimate = estimate

    def show_forecast(self, estimate: RunEstimate | None) -> None:
        """Say before a run how long it will take."""
        name = self.recipe.currentText().partition(" (")[0]
        self.forecast.setText(forecast(estimate, name) if estimate else "")
        self.forecast.setVisible(estimate is not None)

    def show_model(self, model: TrainedModel) -> None:
        """Draw what a trained model knows."""
        curve = model.noise_curves[0]
        self.loss_plot.set_history(model.history.step, model.history.smoothed)
        self.noise_plot.set_curve(curve.signal, curve.std)

    def clear_plots(self) -> None:
        """Start with empty plots."""
        self.loss_plot.set_history([], [])
        self.noise_plot.clear()

    def enable(self, *, layer: bool, teaches: bool, model: bool, running: bool) -> None:
        """Enable what can be pressed now."""
        self.train.setEnabled(layer and teaches and not running)
        self.diagnose.setEnabled(layer and not self._diagnosing)
        self.stop.setEnabled(running)
        self.cancel.setEnabled(running)
        self.denoise.setEnabled(layer and model and not running)
        self.save_model.setEnabled(model and not running)
        self.load_model.setEnabled(not running)
        self.model_menu.has_model, self.model_menu.running = model, running
        self.interrupted.enable(idle=not running)
        self.resume.setEnabled(model and not running)
        self.probe.box.setEnabled(model or self.probe.box.isChecked())
        # While it runs, the time left stands beside the bar.
        self.forecast.setVisible(bool(self.forecast.text()) and not running)

    def show_diagnosing(self, busy: bool) -> None:
        """Say that a diagnosis goes on; another one may begin when it is done."""
        self._diagnosing = busy
        self.diagnose.setText("Diagnosing…" if busy else "Diagnose")
        self.diagnose.setEnabled(not busy)

    def show_stop(self, text: str, tip: str) -> None:
        """Say what Stop does now."""
        self.stop.setText(text)
        self.stop.setToolTip(tip)

    # ---- Making ----

    def _make_choices(self) -> None:
        self.layer_box = layer_box("layer", "The image to denoise.")
        self.layer = self.layer_box.combo
        self.layer.setMinimumContentsLength(7)  # "Pin" stands beside it
        self.pin = QCheckBox("Pin")
        self.pin.setObjectName("pin")
        self.pin.setToolTip("Keep to this layer, whatever is selected in napari.")
        self.axes = label("axes")
        self.diagnose = button(
            "diagnose",
            "Diagnose",
            "Measure the noise of this image, and what it asks for; trains nothing.",
        )
        self.fixes, self.interrupted = Fixes(), InterruptedRow()
        self.series, self.axes_choice = SeriesChoice(), AxesChoice()
        self.extent, self.pairing = ExtentChoice(), PairChoice()
        self.layers = LayersChoice()
        self.corrections = CorrectionsSection()
        self.corrections.axes.refused.connect(self.refused.emit)
        self.pairing.chosen.connect(self.settings_changed)

    def _make_recipe(self) -> None:
        self.recipe = combo_box(
            "recipe",
            "Settings to start from.",
            [(TITLES[name], name) for name in RECIPES],
            [f"{name}: {DESCRIPTIONS[name]}" for name in RECIPES],
        )
        widen_list(self.recipe)
        self.recipe.setMinimumContentsLength(7)  # "changed" stands beside it
        self.changed = label("changed")
        self.changed.setText("changed")
        self.changed.setWordWrap(False)
        self.changed.setToolTip(
            "Settings are no longer those of the recipe. Choose it again to undo that."
        )
        self.changed.hide()

    def _make_budget(self) -> None:
        self.budget = combo_box(
            "budget",
            "How long to train: choose, or type such as 45 s.",
            [(text, text) for text in BUDGETS],
        )
        typed = QLineEdit()
        typed.setAcceptDrops(False)  # files dropped here are for the dock
        self.budget.setLineEdit(typed)
        self.budget.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.forecast = label("forecast")
        self.forecast.hide()
        devices = [(text, name) for name, text in available_devices().items()]
        self.device = combo_box(
            "device", "Where to compute.", [("automatic", "auto"), *devices]
        )

    def _make_parts(self, offers: Offers | None) -> None:
        unions = zip(
            _PARTS,
            ("Masking", "Noise model", "Stack", "Channels", "PSF", "Estimator"),
            (Masking, NoiseModel, Context, Channels, PSF, Estimator),
            strict=True,
        )
        self._parts = {
            name: Part(name, title, union, offers, self)
            for name, title, union in unions
        }
        combos = {name: part.choice.combo for name, part in self._parts.items()}
        self.masking, self.noise_model = combos["masking"], combos["noise_model"]
        self.context, self.channels = combos["context"], combos["channels"]
        self.psf, self.estimator = combos["psf"], combos["estimator"]
        for part in self._parts.values():
            part.choice.refused.connect(self.refused.emit)

    def _make_method(self) -> None:
        form = rows()
        for part in self._parts.values():
            form.addRow(part.title, part.choice.combo)
            form.addRow(part.below)
            widen_list(part.choice.combo)
        self.method = folded("method", "Method", form)

    def _make_advanced(self) -> None:
        shown = [name for name in TrainingConfig.model_fields if name not in _BASIC]
        self.advanced = ModelForm(TrainingConfig, shown)
        groups = (part.group for part in self._parts.values())
        device = rows(("Device", self.device))
        self.folded = folded(
            "advanced", "Advanced settings", device, *groups, self.advanced.native
        )

    def _make_buttons(self) -> None:
        self.train = button(
            "train", "Train", "Train on the layer, then denoise it (Ctrl+Enter)."
        )
        self.stop = button("stop", "Stop", "End now and keep what was learned (Esc).")
        self.cancel = button(
            "cancel", "Cancel", "End now and keep nothing: all is as before the run."
        )
        self.keep = QCheckBox("Keep earlier results")
        self.keep.setObjectName("keep")
        self.keep.setToolTip(
            "Else the next run on a layer takes the place of its last one."
        )
        self.denoise = button(
            "denoise", "Denoise", "Denoise the layer with the model in hand."
        )
        self.save_model = button("save_model", "Save model…", "Keep the model.")
        self.load_model = button("load_model", "Load model…", "Take a saved model.")
        self.model_menu = ModelMenu()
        self.doubt = DoubtButton()
        self.save_report = button(
            "save_report",
            "Report…",
            "Save the last run as a web page: images, curves, settings, Methods text.",
        )
        self.save_report.setEnabled(False)
        self.continuing = Continuing()
        self.resume = self.continuing.box

    def _make_plots(self) -> None:
        self.loss_plot, self.noise_plot = LossPlot(), NoisePlot()
        self.loss_plot.setObjectName("loss_plot")
        self.noise_plot.setObjectName("noise_plot")
        fix_height(self.loss_plot, self.noise_plot)
        self.probe = ProbePanel(self.loss_plot, self.noise_plot)

    def _rows(self) -> QFormLayout:
        form = rows()
        form.addRow(self.interrupted)
        form.addRow("Layer", beside(self.layer, self.pin))
        form.addRow(beside(self.axes, self.diagnose))  # from edge to edge: two lines
        form.addRow(self.fixes)
        form.addRow(self.series)
        form.addRow(self.axes_choice)
        form.addRow(self.layers)
        form.addRow(self.pairing)
        form.addRow("Recipe", beside(self.recipe, self.changed))
        form.addRow("Time", self.budget)
        form.addRow(self.extent)
        form.addRow(self.forecast)
        return form

    def _show_probe(self, shown: bool) -> None:
        """Scroll to the probed pixel, once it has its place."""
        if shown:
            QTimer.singleShot(0, self._reveal_probe)

    def _reveal_probe(self) -> None:
        self.ensureWidgetVisible(self.probe)

    def _grey_out(self) -> None:
        # Supervision follows the layers that are chosen: there is no list of it.
        ruled = {name for rule in RULES for name in rule.parts} - {"supervision"}
        choices = {
            name: self.part(name) if name in _PARTS else self.advanced.editor(name)
            for name in ruled
        }
        self._greying = Greying(self._config, choices, self)
        self._greying.examined.connect(self._show_changed)
        self._greying.examined.connect(lambda _: self.settings_changed.emit())
        self.budget.currentTextChanged.connect(lambda _: self.settings_changed.emit())
        self.device.currentIndexChanged.connect(self._greying.later)
        self.resume.toggled.connect(self._greying.later)
        for editor in (*(p.choice for p in self._parts.values()), self.advanced):
            editor.changed.connect(self._greying.later)

    def _show_changed(self, config: TrainingConfig | None) -> None:
        """Say whether the settings are the recipe's; time and device have rows."""
        own = {"budget_s": None, "device": "auto"}
        recipe = RECIPES[self.recipe.currentData()].model_copy(update=own)
        same = config is not None and config.model_copy(update=own) == recipe
        self.changed.setVisible(not same)

    def _listen_to_keys(self) -> None:
        for keys, press in (
            ("Ctrl+Return", self.train.click),
            ("Ctrl+Enter", self.train.click),
            ("Esc", self.stop.click),
        ):
            key = QShortcut(QKeySequence(keys), self)
            # Only while the dock has the focus: napari has keys of its own.
            key.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            key.activated.connect(press)

    def _measured_noise(self) -> bool:
        """Whether a noise model from a file or a layer is chosen: no recipe has it."""
        chosen = self.part("noise_model").value
        return isinstance(chosen, NoiseFromFile) and bool(chosen.file or chosen.curve)

    def _fill_from_recipe(self) -> None:
        config = RECIPES[self.recipe.currentData()]
        for name in _PARTS:
            if name != "noise_model" or not self._measured_noise():
                self.part(name).value = getattr(config, name)
        self.advanced.value = config
        self.budget.setCurrentText(budget_text(config.budget_s))
        self._greying.later()
