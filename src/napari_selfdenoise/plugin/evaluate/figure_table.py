"""A table of figures of merit: whatever was measured, by its name."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtWidgets import QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from napari_selfdenoise.evaluation import Figure


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
        across.setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        across.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.show_figures(())

    def show_figures(self, figures: Sequence[Figure]) -> None:
        """Show figures in the place of those before."""
        self.setRowCount(len(figures))
        for row, figure in enumerate(figures):
            tip = " ".join(filter(None, (figure.quantity.meaning, figure.reason)))
            for column, text in enumerate((figure.quantity.title, figure.text)):
                item = QTableWidgetItem(text)
                item.setToolTip(tip)
                self.setItem(row, column, item)
        self.resizeRowsToContents()
        self.setVisible(bool(figures))
        # As high as its rows: it is the dock that scrolls.
        rows = sum(self.rowHeight(row) for row in range(len(figures)))
        edge = 2 * self.frameWidth()
        self.setFixedHeight(self.horizontalHeader().sizeHint().height() + rows + edge)
