"""Comparison of noise models in the dock, and the notes that go into the file."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QFormLayout,
    QHeaderView,
    QLineEdit,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_selfdenoise.noise.calibration import Compared, Comparison
from napari_selfdenoise.parts.noise_models import FittedNoise
from napari_selfdenoise.plugin.docks.panel import label
from napari_selfdenoise.plugin.forms.fields import member_title

COLUMNS = ("Kind", "Bits per\npixel", "Behind", "BIC")

_PADDING = 1
"""Pixels of the grid between columns."""

_TIP = (
    "Fit three kinds to three quarters of the pixels and compare them by the others. "
    "Takes a few minutes."
)
_NOT_WITH_SIGNAL = (
    "Kinds are compared by repeated frames alone: choose the mean of the frames under "
    "Signal."
)
_ABOUT = (
    "Fewer bits are better: each kind is judged by pixels that it was not fitted to. "
    "Select a row to use that kind."
)


class Comparing(QWidget):
    """Check box that asks for a comparison, and its table.

    Attributes
    ----------
    wanted : QCheckBox
        Whether kinds are to be compared.
    table : QTableWidget
        One row a kind; hidden until there is a comparison.
    """

    chosen = Signal(object)
    """The `FittedNoise` of the row that was selected."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.wanted = QCheckBox("Compare kinds of noise model")
        self.wanted.setObjectName("compare_kinds")
        self.wanted.setToolTip(_TIP)
        self.table = _ComparisonTable()
        self.about = label("comparison_about")
        self.about.setText(_ABOUT)
        self._rows: tuple[Compared, ...] = ()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for widget in (self.table, self.about):
            column.addWidget(widget)
        self.table.itemSelectionChanged.connect(self._on_selected)
        self.clear()

    def offer(self, *, signal: bool) -> None:
        """Offer a comparison, but not where a layer is given as the signal."""
        self.wanted.setEnabled(not signal)
        self.wanted.setToolTip(_NOT_WITH_SIGNAL if signal else _TIP)

    def asked(self) -> bool:
        """Whether the next calibration is to be a comparison."""
        return self.wanted.isEnabled() and self.wanted.isChecked()

    def clear(self) -> None:
        """Show no comparison."""
        self._rows = ()
        self.table.setRowCount(0)
        self.table.hide()
        self.about.hide()

    def show_comparison(self, found: Comparison) -> None:
        """Show the kinds and select the best; that emits it."""
        self.clear()
        self._rows = found.rows
        self.table.setRowCount(len(found.rows))
        for number, row in enumerate(found.rows):
            for column, text in enumerate(_texts(row, row is found.best)):
                bold = row is found.best and not column
                self.table.setItem(number, column, _item(text, bold))
        self.table.fit()
        self.table.show()
        self.about.show()
        self.table.selectRow(found.rows.index(found.best))

    def _on_selected(self) -> None:
        rows = {item.row() for item in self.table.selectedItems()}
        if len(rows) == 1 and self._rows:
            self.chosen.emit(self._rows[rows.pop()].fitted)


class Notes(QWidget):
    """Camera, date and conditions, as they are noted in the file.

    Attributes
    ----------
    camera, date, conditions : QLineEdit
        Free text.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.camera = _line("note_camera", "such as Prime 95B, no. 12")
        self.date = _line("note_date", "when the frames were recorded")
        self.conditions = _line("note_conditions", "gain, exposure, temperature")
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        for title, field in (
            ("Camera", self.camera),
            ("Date", self.date),
            ("Conditions", self.conditions),
        ):
            form.addRow(title, field)

    def note(self, fitted: FittedNoise) -> FittedNoise:
        """Return a noise model with what is written here."""
        fields = (self.camera, self.date, self.conditions)
        names = ("camera", "date", "conditions")
        texts = (field.text() for field in fields)
        return fitted.noted(**dict(zip(names, texts, strict=True)))

    def show_notes(self, fitted: FittedNoise) -> None:
        """Show what a noise model file says."""
        self.camera.setText(fitted.notes.get("camera", ""))
        self.date.setText(fitted.notes.get("date", ""))
        self.conditions.setText(fitted.notes.get("conditions", ""))


def _line(name: str, hint: str) -> QLineEdit:
    field = QLineEdit()
    field.setObjectName(name)
    field.setPlaceholderText(hint)
    field.setToolTip("A note that is kept in the noise model file.")
    return field


class _ComparisonTable(QTableWidget):
    """Four columns as wide as a dock: names wrap, figures have the width they need."""

    def __init__(self) -> None:
        super().__init__(0, len(COLUMNS))
        self.setObjectName("comparison")
        self.setHorizontalHeaderLabels(COLUMNS)
        self.verticalHeader().hide()
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        across = self.horizontalHeader()
        across.setHighlightSections(False)  # bold titles would need more room
        across.setMinimumSectionSize(1)
        across.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        across.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Wrap names anew."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self.fit()

    def fit(self) -> None:
        """Be as high as the rows: it is the dock that scrolls."""
        for column in range(1, self.columnCount()):
            width = self.sizeHintForColumn(column) + _PADDING
            self.horizontalHeader().resizeSection(column, width)
        self.resizeRowsToContents()
        rows = sum(self.rowHeight(row) for row in range(self.rowCount()))
        edge = 2 * self.frameWidth()
        self.setFixedHeight(self.horizontalHeader().sizeHint().height() + rows + edge)


def _texts(row: Compared, best: bool) -> tuple[str, ...]:
    title = member_title(type(row.fitted.config)).split(" (")[0]
    behind = f"{row.behind:.4f}\n± {row.error:.4f}" if row.behind else "0"
    return (
        f"{title}: best" if best else title,
        f"{row.bits:.4f}",
        behind,
        f"+{row.bic:,.0f}" if row.bic else "0",
    )


def _item(text: str, bold: bool) -> QTableWidgetItem:
    item = QTableWidgetItem(text)
    item.setToolTip(" ".join(text.split()))
    font = item.font()
    font.setBold(bold)
    item.setFont(font)
    return item
