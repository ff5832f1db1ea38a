"""A table of figures of merit: whatever was measured, by its name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtWidgets import QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from napari_selfdenoise.evaluation import Figure
from napari_selfdenoise.plugin.docks.plain_text import plain_tip

_VALUES = 0.45
"""Share of the width that values take at most; what is longer wraps."""

_PADDING = 8
"""Pixels around the text of a cell."""


class FigureTable(QTableWidget):
    """Names and values; pointing at a row says what it means."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, 2, parent)
        self.setObjectName("figures")
        self.setHorizontalHeaderLabels(("Figure", "Value"))
        self.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QTableWidget.SelectionMode.NoSelection)
        self.verticalHeader().hide()
        across = self.horizontalHeader()
        across.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        across.setSectionResizeMode(1, QHeaderView.ResizeMode.Fixed)
        self.show_figures(())

    def show_figures(self, figures: Sequence[Figure]) -> None:
        """Show figures in the place of those before."""
        self.setRowCount(len(figures))
        for row, figure in enumerate(figures):
            texts = figure.quantity.title, figure.text
            about = ": ".join(texts), figure.quantity.meaning, figure.reason
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                item.setToolTip(plain_tip("\n".join(filter(None, about))))
                self.setItem(row, column, item)
        self.setVisible(bool(figures))
        self._fit()

    def resizeEvent(self, event: Any) -> None:
        """Wrap names and values anew."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self._fit()

    def _fit(self) -> None:
        """Give values the width that they need, and rows their height."""
        needed = self.sizeHintForColumn(1) + _PADDING
        most = round(_VALUES * self.viewport().width())
        self.horizontalHeader().resizeSection(1, min(needed, most))
        self.resizeRowsToContents()
        # As high as its rows: it is the dock that scrolls.
        rows = sum(self.rowHeight(row) for row in range(self.rowCount()))
        edge = 2 * self.frameWidth()
        self.setFixedHeight(self.horizontalHeader().sizeHint().height() + rows + edge)
