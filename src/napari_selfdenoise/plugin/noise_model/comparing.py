"""Comparison of noise models in the dock, and the notes that go into the file."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
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

COLUMNS = ("Noise model", "Bits per pixel", "Behind", "BIC")

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
        self.table = _table()
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
                self.table.setItem(number, column, _item(text, row is found.best))
        self.table.resizeRowsToContents()
        height = self.table.horizontalHeader().sizeHint().height() + 4
        height += self.table.horizontalScrollBar().sizeHint().height()
        height += sum(self.table.rowHeight(n) for n in range(len(found.rows)))
        self.table.setFixedHeight(height)
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


def _table() -> QTableWidget:
    table = QTableWidget(0, len(COLUMNS))
    table.setObjectName("comparison")
    table.setHorizontalHeaderLabels(COLUMNS)
    table.verticalHeader().hide()
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    header = table.horizontalHeader()
    header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    # Four columns are wider than a dock: without a bar, none reaches the figures.
    table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
    return table


def _texts(row: Compared, best: bool) -> tuple[str, ...]:
    title = member_title(type(row.fitted.config)).split(" (")[0]
    behind = f"{row.behind:.4f} ± {row.error:.4f}" if row.behind else "0"
    return (
        f"{title}: best" if best else title,
        f"{row.bits:.4f}",
        behind,
        f"+{row.bic:,.0f}" if row.bic else "0",
    )


def _item(text: str, best: bool) -> QTableWidgetItem:
    item = QTableWidgetItem(text)
    font = item.font()
    font.setBold(best)
    item.setFont(font)
    return item
