"""Everything on the dock that can be read or pressed, and nothing that decides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari.layers import Image as ImageLayer
from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import (
    QFormLayout,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_selfdenoise.config import (
    TrainingConfig,
    budget_text,
    parse_budget,
    parse_config,
)
from napari_selfdenoise.device import available_devices
from napari_selfdenoise.masking import Masking
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.noise_models import NoiseModel
from napari_selfdenoise.plugin.editors import CalmComboBox, bare
from napari_selfdenoise.plugin.form import ChoiceForm, ModelForm
from napari_selfdenoise.plugin.plots import LossPlot, NoisePlot
from napari_selfdenoise.recipes import DESCRIPTIONS, RECIPES
from napari_selfdenoise.training import TrainingProgress

BUDGETS = ("30 s", "1 min", "2 min", "10 min", "until I stop")

_BASIC = ("recipe", "masking", "noise_model", "budget_s", "device", "signal")
_PLOT_HEIGHT = 190
_PROBLEM = "color: #d55e00;"


class Controls(QScrollArea):
    """The form, the buttons, the progress and the plots."""

    _noise_turn = False

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._make_choices()
        self._make_advanced()
        self._make_buttons()
        self._make_report()
        self._lay_out()
        self.recipe.currentIndexChanged.connect(self._fill_from_recipe)
        self._fill_from_recipe()

    # ---- Reading ----

    def config(self) -> TrainingConfig:
        """Return the settings of the form.

        Raises
        ------
        RequestError
            If they do not fit together.
        """
        chosen = {
            "recipe": self.recipe.currentData(),
            "masking": self._masking.value().model_dump(),
            "noise_model": self._noise_model.value().model_dump(),
            "budget_s": parse_budget(self.budget.currentText()),
            "device": self.device.currentData(),
        }
        return parse_config(self.advanced.value().model_dump() | chosen)

    # ---- Showing ----

    def list_layers(self, layers: Sequence[ImageLayer], active: Any) -> None:
        """Offer the layers; keep the choice, else take the active one."""
        chosen = self.layer.currentData()
        self.layer.blockSignals(True)
        self.layer.clear()
        for layer in layers:
            self.layer.addItem(layer.name, layer)
        self.layer.blockSignals(False)
        self.choose(chosen if chosen in layers else active)
        self.layer.currentIndexChanged.emit(self.layer.currentIndex())

    def choose(self, layer: Any) -> None:
        """Choose a layer, if it is offered."""
        for index in range(self.layer.count()):
            # Not "is": napari hands a dock its layers in a proxy.
            if self.layer.itemData(index) == layer:
                self.layer.setCurrentIndex(index)

    def show_axes(self, text: str) -> None:
        """Say how the axes were understood."""
        self.axes.setText(text)

    def show_progress(self, progress: TrainingProgress) -> None:
        """Show a moment of a training: curves, progress, time left."""
        # In turns: without a graphics card, drawing both at once is felt.
        self._noise_turn = not self._noise_turn
        if not self._noise_turn:
            history = progress.history
            self.loss_plot.set_history(history.step, history.smoothed)
        elif progress.noise_curve is not None:
            curve = progress.noise_curve
            self.noise_plot.set_scatter(*progress.scatter)
            self.noise_plot.set_curve(curve.signal, curve.std)
        self.show_fraction(f"{progress.stage}: step {progress.step}", progress.fraction)
        left = progress.remaining_s
        self.eta.setText("" if left is None else f"{left:.0f} s left")

    def show_fraction(self, text: str, fraction: float | None) -> None:
        """Show how far a run is; None where it has no end of its own."""
        self.progress.setRange(0, 0 if fraction is None else 1000)
        self.progress.setValue(0 if fraction is None else round(1000 * fraction))
        self.eta.setText("")
        self.say(text)

    def show_model(self, model: TrainedModel) -> None:
        """Draw what a trained model knows."""
        curve = model.noise_curves[0]
        self.loss_plot.set_history(model.history.step, model.history.smoothed)
        self.noise_plot.set_curve(curve.signal, curve.std)

    def clear_plots(self) -> None:
        """Start with empty plots."""
        self.loss_plot.set_history([], [])
        self.noise_plot.clear()

    def show_idle(self) -> None:
        """Show that nothing is going on."""
        self.progress.setRange(0, 1000)
        self.progress.setValue(0)
        self.eta.setText("")

    def say(self, text: str, problem: bool = False) -> None:
        """Show a sentence."""
        self.status.setText(text)
        self.status.setStyleSheet(_PROBLEM if problem else "")

    def enable(self, *, layer: bool, model: bool, running: bool) -> None:
        """Enable what can be pressed now."""
        self.train.setEnabled(layer and not running)
        self.stop.setEnabled(running)
        self.denoise.setEnabled(layer and model and not running)
        self.save_model.setEnabled(model and not running)
        self.load_model.setEnabled(not running)

    # ---- Making ----

    def _make_choices(self) -> None:
        self.layer = _combo("layer", "The image to denoise.")
        self.axes = _label("axes")
        self.recipe = _combo("recipe", "Published methods, and the default, by name.")
        for name in RECIPES:
            self.recipe.addItem(name, name)
            tip = DESCRIPTIONS[name]
            self.recipe.setItemData(
                self.recipe.count() - 1, tip, Qt.ItemDataRole.ToolTipRole
            )
        self._masking = ChoiceForm(Masking, self, name="masking", separate=True)
        self._noise_model = ChoiceForm(
            NoiseModel, self, name="noise_model", separate=True
        )
        self.masking, self.noise_model = self._masking.combo, self._noise_model.combo
        self.budget = _combo(
            "budget", "How long to train: choose, or type such as 45 s."
        )
        line = QLineEdit()
        line.setAcceptDrops(False)  # files dropped here are for the dock
        self.budget.setLineEdit(line)
        self.budget.setInsertPolicy(CalmComboBox.InsertPolicy.NoInsert)
        for text in BUDGETS:
            self.budget.addItem(text)
        self.device = _combo("device", "Where to compute.")
        self.device.addItem("automatic", "auto")
        for name, text in available_devices().items():
            self.device.addItem(text, name)

    def _make_advanced(self) -> None:
        shown = [name for name in TrainingConfig.model_fields if name not in _BASIC]
        self.advanced = ModelForm(TrainingConfig, shown)
        self.folded = QCollapsible("Advanced settings")
        self.folded.setObjectName("advanced")
        bare(self.folded.layout())
        bare(self.folded.content().layout())
        for title, choice in (
            ("Masking", self._masking),
            ("Noise model", self._noise_model),
        ):
            self.folded.addWidget(_group_of_choice(title, choice))
        self.folded.addWidget(self.advanced)

    def _make_buttons(self) -> None:
        self.train = _button("train", "Train", "Train on the layer, then denoise it.")
        self.stop = _button("stop", "Stop", "End now and keep what was learned.")
        self.denoise = _button(
            "denoise", "Denoise", "Denoise the layer with the model in hand."
        )
        self.save_model = _button("save_model", "Save model…", "Keep the model.")
        self.load_model = _button("load_model", "Load model…", "Take a saved model.")

    def _make_report(self) -> None:
        self.progress = QProgressBar()
        self.progress.setObjectName("progress")
        self.progress.setTextVisible(False)
        self.eta, self.status = _label("eta"), _label("status")
        self.eta.setWordWrap(False)
        self.loss_plot, self.noise_plot = LossPlot(), NoisePlot()
        self.loss_plot.setObjectName("loss_plot")
        self.noise_plot.setObjectName("noise_plot")
        for plot in (self.loss_plot, self.noise_plot):
            plot.setFixedHeight(_PLOT_HEIGHT)  # else a plot asks for 480 pixels

    def _lay_out(self) -> None:
        self._content = QWidget()
        column = QVBoxLayout(self._content)
        column.addLayout(self._rows())
        column.addLayout(self._grid_of_buttons())
        bar = QHBoxLayout()
        bar.addWidget(self.progress, 1)
        bar.addWidget(self.eta)
        column.addLayout(bar)
        # The unfolded settings push nothing out of sight that a run needs but plots.
        for widget in (self.status, self.folded, self.loss_plot, self.noise_plot):
            column.addWidget(widget)
        column.addStretch()
        self.setWidget(self._content)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def minimumSizeHint(self) -> QSize:
        """Ask for the width of the form: it scrolls up and down only."""
        width = self._content.minimumSizeHint().width()
        bar = self.verticalScrollBar().sizeHint().width()
        return QSize(width + bar, super().minimumSizeHint().height())

    def sizeHint(self) -> QSize:
        """Ask for little more width than the form needs: the image needs the rest."""
        return QSize(self.minimumSizeHint().width() + 24, super().sizeHint().height())

    def _rows(self) -> QFormLayout:
        rows = QFormLayout()
        for title, widget in (
            ("Layer", self.layer),
            ("", self.axes),
            ("Recipe", self.recipe),
            ("Masking", self.masking),
            ("Noise model", self.noise_model),
            ("Budget", self.budget),
            ("Device", self.device),
        ):
            rows.addRow(title, widget)
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        return rows

    def _grid_of_buttons(self) -> QGridLayout:
        grid = QGridLayout()
        grid.addWidget(self.train, 0, 0)
        grid.addWidget(self.stop, 0, 1)
        grid.addWidget(self.denoise, 0, 2)
        grid.addWidget(self.save_model, 1, 0)
        grid.addWidget(self.load_model, 1, 1)
        return grid

    def _fill_from_recipe(self) -> None:
        config = RECIPES[self.recipe.currentData()]
        self._masking.setValue(config.masking)
        self._noise_model.setValue(config.noise_model)
        self.advanced.setValue(config)
        self.budget.setCurrentText(budget_text(config.budget_s))


def _group_of_choice(title: str, choice: ChoiceForm) -> QGroupBox:
    """Fields of the chosen member, as long as it has some."""
    group = QGroupBox(title)
    column = QVBoxLayout(group)
    column.setContentsMargins(0, 6, 6, 6)  # the fields have their indent already
    column.addWidget(choice.fields)

    def follow(*_: Any) -> None:
        group.setVisible(choice.has_fields())

    choice.combo.currentIndexChanged.connect(follow)
    return group


def _combo(name: str, tip: str) -> CalmComboBox:
    combo = CalmComboBox()
    combo.setObjectName(name)
    combo.setToolTip(tip)
    combo.setMinimumContentsLength(12)
    return combo


def _button(name: str, text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setObjectName(name)
    button.setToolTip(tip)
    return button


def _label(name: str) -> QLabel:
    label = QLabel()
    label.setObjectName(name)
    label.setWordWrap(True)
    return label
