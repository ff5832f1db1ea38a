"""The panel that shows noise models: their list, what to show, and the plots."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QPushButton,
    QSplitter,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_selfdenoise.noise.inspection import ELECTRONS, GREY_VALUES
from napari_selfdenoise.plugin.docks.panel import bare, button, combo_box, label
from napari_selfdenoise.plugin.docks.places import EDGE, BelowImage
from napari_selfdenoise.plugin.docks.plain_text import plain_tip
from napari_selfdenoise.plugin.docks.plots import Plot
from napari_selfdenoise.plugin.noise_model.inspection_plots import (
    DensityPlot,
    Drawn,
    MapPlot,
    ShapePlot,
    StdPlot,
)

_LIST_WIDTH = 310
_ICON = 12

_LEAST_PLOT = 90
"""Least height of a plot in px: below the image of a low window is no more room."""

_LEAST_LIST = 40
"""The same of the list, which scrolls."""

_HELP = (
    "What the plots tell: the page “What your noise plot tells you” of the "
    "documentation. Right-click a plot to save it as CSV, PNG, SVG or PDF."
)


class InspectionPanel(BelowImage):
    """Noise models in a list, and four views of those that are ticked.

    Attributes
    ----------
    models : QListWidget
        The noise models, each with a tick and its colour.
    std, density, skewness, divergence, predicted, measured
        The plots.
    """

    changed = Signal()
    """Other models are ticked, chosen or wanted in another unit."""

    removed = Signal(int)
    """A model is to be taken off the list, by its place."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("noise_inspection")
        self._make_controls()
        self._make_plots()
        self._lay_out()
        self._connect()

    @property
    def plots(self) -> tuple[Plot, ...]:
        """All plots."""
        curves = self.std, self.density, self.skewness, self.divergence
        return (*curves, self.predicted, self.measured)

    def add(self, name: str, colour: str) -> None:
        """List a noise model, ticked and chosen."""
        icon = QPixmap(_ICON, _ICON)
        icon.fill(QColor(colour))
        item = QListWidgetItem(QIcon(icon), name)
        item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
        item.setCheckState(Qt.CheckState.Checked)
        item.setToolTip(plain_tip(name))
        self.models.addItem(item)
        self.models.setCurrentItem(item)

    def ticked(self, index: int) -> bool:
        """Whether a noise model is shown."""
        return self.models.item(index).checkState() == Qt.CheckState.Checked

    def unit(self) -> str:
        """Return the unit that is chosen."""
        return str(self.units.currentData())

    def draw(self, models: Sequence[Drawn], chosen: Drawn | None) -> None:
        """Show noise models, and the maps of one of them."""
        unit = self.unit()
        for plot in self.plots:
            plot.set_unit(unit)  # type: ignore[attr-defined]
        for plot in (self.std, self.skewness, self.divergence):
            plot.draw(models)
        maps = None if chosen is None else chosen.figures.maps
        self.predicted.draw(maps)
        self.measured.draw(maps)

    def set_log(self) -> None:
        """Make the axes as the boxes say."""
        for plot in (self.std, self.density, self.skewness, self.divergence):
            plot.set_log(self.log_x.isChecked(), self.log_y.isChecked())

    def _make_controls(self) -> None:
        self.models = QListWidget()
        self.models.setObjectName("inspected_models")
        self.models.setMinimumHeight(_LEAST_LIST)
        self.models.setToolTip(
            "Ticked noise models are drawn over each other. Maps are those of the "
            "selected one."
        )
        self.add_button = button(
            "add_inspected", "Add…", "Show a noise model of a file or of a layer too."
        )
        self.remove_button = button(
            "remove_inspected", "Remove", "Take the selected noise model off the list."
        )
        self.save_button = button(
            "save_inspected", "Save…", "Save a plot as CSV, PNG, SVG or PDF."
        )
        self.units = combo_box(
            "inspection_unit",
            "Electrons: grey values over the gain, from the darkest signal on.",
            ((GREY_VALUES, GREY_VALUES), (ELECTRONS, ELECTRONS)),
        )
        self.log_x = _box("log_signal", "log signal", "A logarithmic signal axis.")
        self.log_y = _box("log_noise", "log noise", "A logarithmic axis of noise.")
        self.follow = _box(
            "follow_mouse",
            "signal under the mouse",
            "Take the signal from the pixel under the mouse, of the selected layer. "
            "Select a denoised layer: values of a noisy one scatter around the signal.",
        )
        self.note = label("inspection_note")
        self.caption = QLabel()
        self.caption.setTextFormat(Qt.TextFormat.PlainText)
        self.caption.setObjectName("signal_caption")

    def _make_plots(self) -> None:
        self.std, self.density = StdPlot(), DensityPlot()
        self.skewness, self.divergence = ShapePlot("skewness"), ShapePlot("divergence")
        self.predicted, self.measured = MapPlot("predicted"), MapPlot("measured")
        for plot in self.plots:
            plot.setMinimumHeight(_LEAST_PLOT)
        self.views = QTabWidget()
        self.views.setObjectName("inspection_views")
        at_one = QWidget()
        column = bare(QVBoxLayout(at_one))
        column.addWidget(self.density, 1)
        column.addWidget(self.caption)
        self.views.addTab(at_one, "At one signal")
        self.views.addTab(_side_by_side(self.skewness, self.divergence), "Shape")
        self.views.addTab(_side_by_side(self.predicted, self.measured), "Maps")
        self.views.setToolTip(_HELP)

    def _lay_out(self) -> None:
        left = QWidget()
        left.setFixedWidth(_LIST_WIDTH)
        column = bare(QVBoxLayout(left))
        column.setSpacing(3)
        buttons = bare(QHBoxLayout())
        for each in (self.add_button, self.remove_button, self.save_button):
            each.setStyleSheet("QPushButton { padding: 4px 1px; }")
            buttons.addWidget(each)
        boxes = bare(QGridLayout())
        boxes.addWidget(self.follow, 0, 0, 1, 3)
        choices: tuple[QWidget, ...] = (self.log_x, self.log_y, self.units)
        for place, choice in enumerate(choices):
            boxes.addWidget(choice, 1, place)
        boxes.setColumnStretch(2, 1)
        column.addWidget(self.models, 1)
        column.addLayout(buttons)
        column.addLayout(boxes)
        column.addWidget(self.note)
        plots = QSplitter(Qt.Orientation.Horizontal)
        plots.addWidget(self.std)
        plots.addWidget(self.views)
        plots.setChildrenCollapsible(False)
        plots.setSizes([100, 120])
        row = QHBoxLayout(self)
        row.setContentsMargins(*EDGE)
        row.addWidget(left)
        row.addWidget(plots, 1)

    def _connect(self) -> None:
        self.models.itemChanged.connect(lambda *_: self.changed.emit())
        self.models.currentRowChanged.connect(lambda *_: self.changed.emit())
        self.units.currentIndexChanged.connect(lambda *_: self.changed.emit())
        self.log_x.toggled.connect(self.set_log)
        self.log_y.toggled.connect(self.set_log)
        self.remove_button.clicked.connect(self._remove)
        self.save_button.setMenu(self._save_menu(self.save_button))

    def _save_menu(self, parent: QPushButton) -> QMenu:
        menu = QMenu(parent)
        curves = "Noise curve", "At one signal", "Skewness", "KL divergence"
        titles = (*curves, "Predicted map", "Measured map")
        for title, plot in zip(titles, self.plots, strict=True):
            menu.addMenu(title).addActions(plot.actions()[1:])  # but "Show all"
        return menu

    def _remove(self) -> None:
        if self.models.currentRow() >= 0:
            self.removed.emit(self.models.currentRow())


def _box(name: str, text: str, tip: str) -> QCheckBox:
    made = QCheckBox(text)
    made.setObjectName(name)
    made.setToolTip(tip)
    return made


def _side_by_side(*plots: QWidget) -> QWidget:
    holder = QWidget()
    row = bare(QHBoxLayout(holder))
    for plot in plots:
        row.addWidget(plot, 1)
    return holder
