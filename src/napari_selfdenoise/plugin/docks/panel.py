"""What the docks' controls have in common: names, layer lists, progress, status."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLayout,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_selfdenoise.plugin.docks.plots import Plot
from napari_selfdenoise.plugin.docks.status import Status
from napari_selfdenoise.plugin.forms.choices import Choice

PLOT_HEIGHT = 80, 190
"""Least and greatest height of a plot, in px: small screens show both."""

_SPACING = 5
"""Between the parts of a panel, in pixels."""

_MOST_TURNS = 8
"""How often the scroll bar may come and go in a row."""

_TURN_S = 0.5
"""Seconds from one to the next, at most, if they are of one row."""


class Panel(QScrollArea):
    """A column of controls that scrolls up and down, with progress and status.

    Attributes
    ----------
    progress : QProgressBar
        Share of the run that is done.
    eta, status : QLabel
        Time left; what is being done.
    details : QToolButton
        Unfolds what the status has no room for.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.progress = QProgressBar()
        self.progress.setObjectName("progress")
        self.progress.setTextVisible(False)
        self.eta, self.status = label("eta"), Status("status")
        self.details = self.status.details
        self.eta.setWordWrap(False)
        self._content = QWidget()
        self._filtering = False
        self._earlier_width, self._turned_at, self._turns = 0, 0.0, 0
        self._message, self._of_files = ("", "", False), ("", False)

    # ---- Showing ----

    def say(self, text: str, problem: bool = False, details: str = "") -> None:
        """Show a sentence, and fold what only some want to know."""
        self._message = text, details, problem
        self._show_message()

    def say_of_files(self, text: str, problem: bool = False) -> None:
        """Say of files what stays, whatever is said of a run; empty to forget it."""
        self._of_files = text, problem
        self._show_message()

    def forget_problem(self) -> None:
        """Take back a complaint: something has worked since."""
        if self._message[-1]:
            self.say("")

    def _show_message(self) -> None:
        (text, details, problem), (files, refused) = self._message, self._of_files
        # The colour would be that of the run's words as well.
        problem = problem or (refused and not text)
        self.status.say(text, details, problem, second=files)

    def show_fraction(
        self, text: str, fraction: float | None, details: str = ""
    ) -> None:
        """Show how far a run is; None where it has no end of its own."""
        self.progress.setRange(0, 0 if fraction is None else 1000)
        self.progress.setValue(0 if fraction is None else round(1000 * fraction))
        self.eta.setText("")
        self.say(text, details=details)

    def show_idle(self) -> None:
        """Show that nothing is going on."""
        self.progress.setRange(0, 1000)
        self.progress.setValue(0)
        self.eta.setText("")

    # ---- Layout ----

    def lay_out(self, *parts: QWidget | QLayout) -> None:
        """Put parts below each other."""
        column = QVBoxLayout(self._content)
        column.setContentsMargins(4, 6, 4, 6)
        column.setSpacing(_SPACING)
        for part in parts:
            if isinstance(part, QLayout):
                column.addLayout(part)
            else:
                column.addWidget(part, int(isinstance(part, Plot)))
        column.addStretch()
        self.setWidget(self._content)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def words(self) -> QVBoxLayout:
        """The status, and below it what unfolds the rest."""
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(self.status)
        words.addWidget(self.details, 0, Qt.AlignmentFlag.AlignRight)
        return words

    def bar(self) -> QHBoxLayout:
        """Progress, and the time left beside it."""
        bar = QHBoxLayout()
        bar.addWidget(self.progress, 1)
        bar.addWidget(self.eta)
        return bar

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Ask for the width anew when the form has changed: sections unfold.

        The scroll bar makes sentences narrower, so that they take another line, or one
        less, and the bar comes or goes: within one resize, no other one is answered, or
        both would go on until the program crashes.
        """
        if watched is self._content and event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        if watched is self._content and isinstance(event, QResizeEvent):
            self._calm(event.oldSize().width(), event.size().width())
        if self._filtering:
            return False
        self._filtering = True
        try:
            return bool(super().eventFilter(watched, event))
        finally:
            self._filtering = False

    def _calm(self, old: int, new: int) -> None:
        """Keep the scroll bar where it comes and goes without end: napari would hang.

        With the bar, sentences may take a line less than without it, or a plot shrink.
        """
        if old == new:
            return
        now = time.monotonic()
        back = new == self._earlier_width and now - self._turned_at < _TURN_S
        self._turns = self._turns + 1 if back else 0
        self._earlier_width, self._turned_at = old, now
        if self._turns == _MOST_TURNS:
            self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)

    def minimumSizeHint(self) -> QSize:
        """Ask for the width of the form: it scrolls up and down only."""
        width = self._content.minimumSizeHint().width()
        around = self.verticalScrollBar().sizeHint().width() + 2 * self.frameWidth()
        return QSize(width + around, super().minimumSizeHint().height())

    def sizeHint(self) -> QSize:
        """Ask for no more width than the form needs: the image needs the rest."""
        return QSize(self.minimumSizeHint().width(), super().sizeHint().height())


def rows(*titled: tuple[str, QWidget]) -> QFormLayout:
    """Controls below each other, each with its title; None as title: no label."""
    form = QFormLayout()
    for title, widget in titled:
        form.addRow(title, widget)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    form.setVerticalSpacing(_SPACING)
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
    """Keep plots from asking for 480 pixels each: they share what is left over."""
    least, most = PLOT_HEIGHT
    for plot in plots:
        plot.setMinimumHeight(least)
        plot.setMaximumHeight(most)
        plot.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)


def line(*widgets: QWidget) -> QHBoxLayout:
    """Buttons beside each other, narrow enough for three in a dock."""
    across = QHBoxLayout()
    across.setSpacing(3)
    for widget in widgets:
        if isinstance(widget, QPushButton):
            widget.setStyleSheet("QPushButton { padding: 4px 1px; }")
        across.addWidget(widget, 1)
    return across


class Section(QCollapsible):
    """A part of a dock that is folded at first: ▶ when it is folded, ▼ when it is not.

    Parameters
    ----------
    name, title : str
        Object name, and the words on its button.
    """

    def __init__(self, name: str, title: str, parent: QWidget | None = None) -> None:
        super().__init__(title, parent)
        self.setObjectName(name)
        for layout in (self.layout(), self.content().layout()):
            bare(layout).setSpacing(0)
        self._draw_arrows()

    def changeEvent(self, event: Any) -> None:
        """Draw the arrows anew in the text colour of another theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange:
            self._draw_arrows()

    def _draw_arrows(self) -> None:
        self.toggleButton().ensurePolished()  # else it has no colours of a theme yet
        self.setExpandedIcon("▼")
        self.setCollapsedIcon("▶")


def folded(name: str, title: str, *parts: QWidget | QLayout) -> Section:
    """Make a section that is folded at first."""
    section = Section(name, title)
    for part in parts:
        if isinstance(part, QLayout):
            holder = QWidget()
            holder.setLayout(bare(part))
            section.addWidget(holder)  # a section follows the height of widgets only
        else:
            section.addWidget(part)
    return section


def combo_box(
    name: str, tip: str, choices: Sequence[tuple[str, Any]] = (), tips: Any = ()
) -> QComboBox:
    """Make a list to choose from.

    Parameters
    ----------
    name, tip : str
        Object name and tooltip.
    choices : sequence of (str, value)
        Texts and data of the items.
    tips : sequence of str
        Tooltips of the items; that of the chosen one takes the place of `tip`.
    """
    combo = Choice(choices, tips, name=name, tooltip=tip).combo
    combo.setMinimumContentsLength(12)
    return combo


def widen_list(combo: QComboBox) -> None:
    """Let the list that opens be as wide as its texts, however narrow the box."""
    view = combo.view()
    view.setTextElideMode(Qt.TextElideMode.ElideNone)
    view.setMinimumWidth(view.sizeHintForColumn(0) + 24)


def bare(layout: Any) -> Any:
    """Return the layout without margins."""
    layout.setContentsMargins(0, 0, 0, 0)
    return layout


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
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setWordWrap(True)
    return made
