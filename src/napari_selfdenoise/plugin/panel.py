"""What the docks' controls have in common: names, layer lists, progress, status."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari.layers import Image as ImageLayer
from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtWidgets import (
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLayout,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_selfdenoise.plugin.editors import CalmComboBox
from napari_selfdenoise.plugin.plots import Plot

PLOT_HEIGHT = 190

_PROBLEM = "color: #d55e00;"


class Panel(QScrollArea):
    """A column of controls that scrolls up and down, with progress and status.

    Attributes
    ----------
    progress : QProgressBar
        Share of the run that is done.
    eta, status : QLabel
        Time left; what is being done.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.progress = QProgressBar()
        self.progress.setObjectName("progress")
        self.progress.setTextVisible(False)
        self.eta, self.status = label("eta"), label("status")
        self.eta.setWordWrap(False)
        self._content = QWidget()
        self._problem = False

    # ---- Showing ----

    def say(self, text: str, problem: bool = False) -> None:
        """Show a sentence."""
        self._problem = problem
        self.status.setText(text)
        self.status.setStyleSheet(_PROBLEM if problem else "")

    def forget_problem(self) -> None:
        """Take back a complaint: something has worked since."""
        if self._problem:
            self.say("")

    def show_fraction(self, text: str, fraction: float | None) -> None:
        """Show how far a run is; None where it has no end of its own."""
        self.progress.setRange(0, 0 if fraction is None else 1000)
        self.progress.setValue(0 if fraction is None else round(1000 * fraction))
        self.eta.setText("")
        self.say(text)

    def show_idle(self) -> None:
        """Show that nothing is going on."""
        self.progress.setRange(0, 1000)
        self.progress.setValue(0)
        self.eta.setText("")

    # ---- Layout ----

    def lay_out(self, *parts: QWidget | QLayout) -> None:
        """Put parts below each other."""
        column = QVBoxLayout(self._content)
        for part in parts:
            if isinstance(part, QLayout):
                column.addLayout(part)
            else:
                column.addWidget(part)
        column.addStretch()
        self.setWidget(self._content)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def bar(self) -> QHBoxLayout:
        """Progress, and the time left beside it."""
        bar = QHBoxLayout()
        bar.addWidget(self.progress, 1)
        bar.addWidget(self.eta)
        return bar

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Ask for the width anew when the form has changed: sections unfold."""
        if watched is self._content and event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return bool(super().eventFilter(watched, event))

    def minimumSizeHint(self) -> QSize:
        """Ask for the width of the form: it scrolls up and down only."""
        width = self._content.minimumSizeHint().width()
        around = self.verticalScrollBar().sizeHint().width() + 2 * self.frameWidth()
        return QSize(width + around, super().minimumSizeHint().height())

    def sizeHint(self) -> QSize:
        """Ask for little more width than the form needs: the image needs the rest."""
        return QSize(self.minimumSizeHint().width() + 24, super().sizeHint().height())


def list_layers(combo: CalmComboBox, layers: Sequence[ImageLayer], first: Any) -> None:
    """Offer layers below the items that are none; keep the choice, else take `first`.

    Parameters
    ----------
    combo : QComboBox
        Its items have their layer as data.
    layers : sequence of Image layers
        In this order.
    first : Image layer or None
        Chosen where the choice is gone.
    """
    chosen = combo.currentData()
    combo.blockSignals(True)
    for index in reversed(range(combo.count())):
        if combo.itemData(index) is not None:
            combo.removeItem(index)
    for layer in layers:
        combo.addItem(layer.name, layer)
    combo.setCurrentIndex(-1)  # Qt chooses the first one that comes
    combo.blockSignals(False)
    choose_layer(combo, chosen if chosen in layers else first)
    combo.currentIndexChanged.emit(combo.currentIndex())


def choose_layer(combo: CalmComboBox, layer: Any) -> None:
    """Choose a layer, if it is offered."""
    for index in range(combo.count()):
        # Not "is": napari hands a dock its layers in a proxy.
        if combo.itemData(index) == layer:
            combo.setCurrentIndex(index)


def rows(*titled: tuple[str, QWidget]) -> QFormLayout:
    """Controls below each other, each with its title; None as title: no label."""
    form = QFormLayout()
    for title, widget in titled:
        form.addRow(title, widget)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    return form


def beside(*widgets: QWidget) -> QWidget:
    """Controls in one row; the first one takes what room there is."""
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    for number, widget in enumerate(widgets):
        layout.addWidget(widget, 0 if number else 1)
    return row


def fix_height(*plots: Plot) -> None:
    """Keep plots from asking for 480 pixels each."""
    for plot in plots:
        plot.setFixedHeight(PLOT_HEIGHT)


def combo_box(name: str, tip: str) -> CalmComboBox:
    """Make a list to choose from, with its object name and tooltip."""
    combo = CalmComboBox()
    combo.setObjectName(name)
    combo.setToolTip(tip)
    combo.setMinimumContentsLength(12)
    return combo


def button(name: str, text: str, tip: str) -> QPushButton:
    """Make a button with its object name and tooltip."""
    made = QPushButton(text)
    made.setObjectName(name)
    made.setToolTip(tip)
    return made


def label(name: str) -> QLabel:
    """Make a label for sentences."""
    made = QLabel()
    made.setObjectName(name)
    made.setWordWrap(True)
    return made
