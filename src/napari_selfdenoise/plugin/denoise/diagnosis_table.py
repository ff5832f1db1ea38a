"""The table of a diagnosis, and buttons that apply what it recommends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtCore import Qt, QTimer, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_selfdenoise.diagnosis import Diagnosis
from napari_selfdenoise.plugin.docks.panel import button, label
from napari_selfdenoise.plugin.docks.places import EDGE, LEAST_PLOT, BelowImage
from napari_selfdenoise.plugin.docks.plain_text import plain_tip
from napari_selfdenoise.plugin.docks.plots import CorrelationPlot

COLUMNS = ("Image", "What was found", "What it means", "What will be done", "")

_PLOT_WIDTH = 260


class DiagnosisTable(BelowImage):
    """A diagnosis as rows, its recommendations below them, and its autocorrelogram.

    Attributes
    ----------
    table : QTableWidget
        One row a finding, then one a recommendation.
    plot : CorrelationPlot
        Correlation of the noise with that of its neighbours.
    """

    wanted = Signal(object)
    """Settings that are to be applied: values by dotted name."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.summary = label("diagnosis_summary")
        self.apply_all = button(
            "apply_all",
            "Apply all",
            "Set all this in the Denoise dock.",
        )
        self.table = QTableWidget(0, len(COLUMNS))
        self.table.setObjectName("diagnosis_table")
        self.plot = CorrelationPlot()
        self.plot.setObjectName("correlation_plot")
        self.plot.setFixedWidth(_PLOT_WIDTH)
        self.plot.setMinimumHeight(LEAST_PLOT)
        self._changes: Mapping[str, Any] = {}
        self.apply_all.clicked.connect(lambda: self.wanted.emit(self._changes))
        self._set_up_table()
        self._lay_out()

    def show_diagnosis(self, diagnosis: Diagnosis) -> None:
        """Show what was found of an image."""
        self._changes = diagnosis.changes
        self.summary.setText(_summary(diagnosis))
        self.apply_all.setEnabled(bool(self._changes))
        rows = [
            (row.subject, (row.found, row.meaning, row.action), row.changes)
            for row in diagnosis.findings
        ] + [
            (f"Recommended {one.setting}", (one.choice, one.reason, ""), one.changes)
            for one in diagnosis.recommended
        ]
        self.table.setRowCount(0)
        for subject, texts, changes in rows:
            self._add_row(subject, texts, changes)
        found = diagnosis.autocorrelogram
        if found is None or not found.pixels:
            self.plot.clear()
        else:
            self.plot.set_correlation(found.lags, found.rho, found.error)

    def _add_row(
        self, subject: str, texts: Sequence[str], changes: Mapping[str, Any]
    ) -> None:
        number = self.table.rowCount()
        self.table.insertRow(number)
        for column, text in enumerate((_titled(subject), *texts)):
            item = QTableWidgetItem(text)
            item.setToolTip(plain_tip(text))
            self.table.setItem(number, column, item)
        if changes:
            apply = QPushButton("Apply")
            apply.setObjectName(f"apply.{subject}")
            apply.setToolTip("Set this in the Denoise dock; other settings stay.")
            apply.clicked.connect(lambda: self.wanted.emit(changes))
            self.table.setCellWidget(number, len(COLUMNS) - 1, apply)

    def _set_up_table(self) -> None:
        table = self.table
        table.setHorizontalHeaderLabels(COLUMNS)
        table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        table.setSelectionMode(QTableWidget.SelectionMode.NoSelection)
        table.setWordWrap(True)
        table.setTextElideMode(Qt.TextElideMode.ElideNone)
        stretch, fit = (
            QHeaderView.ResizeMode.Stretch,
            QHeaderView.ResizeMode.ResizeToContents,
        )
        across = table.horizontalHeader()
        for column in range(len(COLUMNS)):
            words = 0 < column < len(COLUMNS) - 1
            across.setSectionResizeMode(column, stretch if words else fit)
        table.verticalHeader().hide()
        # Words wrap otherwise once all columns have found their width.
        self._settled = QTimer(self)
        self._settled.setSingleShot(True)
        self._settled.timeout.connect(table.resizeRowsToContents)
        across.sectionResized.connect(lambda *_: self._settled.start())

    def _lay_out(self) -> None:
        above = QHBoxLayout()
        above.addWidget(self.summary, 1)
        above.addWidget(self.apply_all)
        words = QVBoxLayout()
        words.addLayout(above)
        words.addWidget(self.table, 1)
        across = QHBoxLayout(self)
        across.setContentsMargins(*EDGE)
        across.addLayout(words, 1)
        across.addWidget(self.plot)


def _summary(diagnosis: Diagnosis) -> str:
    forecast = diagnosis.finding("forecast")
    gain = f" Expected gain: {forecast.found}" if forecast else ""
    return f"{diagnosis.image}, channel {diagnosis.channel + 1}.{gain}"


def _titled(subject: str) -> str:
    return subject[:1].upper() + subject[1:]
