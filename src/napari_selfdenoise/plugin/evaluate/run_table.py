"""The table of all runs in a viewer, which can be sorted and saved."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QHBoxLayout,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.images import saving, table_cell
from napari_selfdenoise.plugin.docks.panel import button, label
from napari_selfdenoise.plugin.docks.places import EDGE, BelowImage
from napari_selfdenoise.plugin.docks.run_record import FinishedRun, RunRecord
from napari_selfdenoise.plugin.docks.save_dialog import ask_where_to_save, with_ending
from napari_selfdenoise.plugin.docks.status import PROBLEM
from napari_selfdenoise.plugin.docks.worker import sentence

COLUMNS = ("Run", "Image", "Recipe", "Masking", "Noise model", "Time (s)", "Steps")

_ABOUT = "Double-click a run to bring its settings back into the Denoise dock."
_NONE = "No run has ended yet: press Train in the Denoise dock."
_VALUE = Qt.ItemDataRole.UserRole


class RunTable(BelowImage):
    """Runs as rows, the first one first, until a header is clicked.

    Parameters
    ----------
    record : RunRecord
        Of the viewer; the table follows it.

    Attributes
    ----------
    table : QTableWidget
        The rows.
    """

    wanted = Signal(object)
    """A run whose settings are to be brought back."""

    def __init__(self, record: RunRecord, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._record = record
        self.about = label("runs_about")
        self.save_csv = button("save_runs", "Save CSV…", "Save the table as CSV.")
        self.table = QTableWidget(0, len(COLUMNS))
        self.table.setObjectName("runs")
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QTableWidget.SelectionBehavior.SelectRows)
        self.table.verticalHeader().hide()
        self.table.horizontalHeader().setSortIndicator(0, Qt.SortOrder.AscendingOrder)
        self.table.cellDoubleClicked.connect(self._bring_back)
        self.save_csv.clicked.connect(lambda: self.save())
        above = QHBoxLayout()
        above.addWidget(self.about, 1)
        above.addWidget(self.save_csv)
        column = QVBoxLayout(self)
        column.setContentsMargins(*EDGE)
        column.addLayout(above)
        column.addWidget(self.table, 1)
        record.changed.connect(self.show_runs)
        self.show_runs()

    def show_runs(self) -> None:
        """Show the runs that there are, sorted as they were."""
        table, runs = self.table, self._record.runs
        header, rows = as_rows(runs)
        table.setSortingEnabled(False)
        table.setColumnCount(len(header))
        table.setHorizontalHeaderLabels(header)
        table.setRowCount(len(rows))
        for place, row in enumerate(rows):
            for column, value in enumerate(row):
                table.setItem(place, column, _Cell(value, runs[place]))
        across = table.horizontalHeader()
        across.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        if across.sortIndicatorSection() >= len(header):
            across.setSortIndicator(0, Qt.SortOrder.AscendingOrder)
        table.setSortingEnabled(True)
        self.save_csv.setEnabled(bool(runs))
        self._say(_ABOUT if runs else _NONE)

    def save(self, path: str | Path | None = None) -> None:
        """Save the table as it is sorted; asks for the file where none is given."""
        if path is None:
            path = ask_where_to_save(
                self,
                "Save the table of runs",
                "runs.csv",
                "CSV (*.csv)",
                lambda path, _: with_ending(path, ".csv"),
            )
        if not path:
            return
        path = with_ending(Path(path), ".csv")
        try:
            with saving(path, "table of runs") as part:
                part.write_text(to_csv(self._shown()), encoding="utf-8")
        except (RequestError, DenoisingError) as error:
            self._say(sentence(error), problem=True)
        else:
            self._say(f"Saved {path}")

    def _shown(self) -> list[FinishedRun]:
        """The runs in the order of the table."""
        items = (self.table.item(row, 0) for row in range(self.table.rowCount()))
        return [item.run for item in items if isinstance(item, _Cell)]

    def _bring_back(self, row: int, column: int) -> None:
        self.wanted.emit(self._shown()[row])

    def _say(self, text: str, problem: bool = False) -> None:
        self.about.setText(text)
        self.about.setStyleSheet(PROBLEM if problem else "")


class _Cell(QTableWidgetItem):
    """A value of a run, by which rows are sorted; cells without one come last."""

    def __init__(self, value: Any, run: FinishedRun) -> None:
        is_number = isinstance(value, float | int)
        super().__init__(f"{value:.4g}" if is_number else str(value or ""))
        self.value, self.run = value, run
        if is_number:
            self.setTextAlignment(
                Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            )

    def __lt__(self, other: Any) -> bool:
        mine, theirs = self.value, other.value
        if mine is None or theirs is None:
            return theirs is None and mine is not None
        return bool(mine < theirs)


def as_rows(runs: Sequence[FinishedRun]) -> tuple[list[str], list[list[Any]]]:
    """Header and values of the table; None where a run has no such figure."""
    units: dict[str, str] = {}
    for run in runs:
        units |= {name: unit for name, (_, unit) in run.figures.items()}
    titles = [f"{name} ({unit})" if unit else name for name, unit in units.items()]
    rows = [
        [
            number,
            run.image,
            run.recipe,
            run.masking,
            run.noise_model,
            round(run.seconds, 1),
            run.steps,
            *(run.figures.get(name, (None,))[0] for name in units),
        ]
        for number, run in enumerate(runs, 1)
    ]
    return [*COLUMNS, *titles], rows


def to_csv(runs: Sequence[FinishedRun]) -> str:
    """Return the table as text: every digit, and no text that computes."""
    header, rows = as_rows(runs)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(header)
    table.writerows([[table_cell(value) for value in row] for row in rows])
    return text.getvalue()
