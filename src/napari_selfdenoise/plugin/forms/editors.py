"""Editors of one value: a number, a word, one of a few, a few together, or none.

Each has `value()`, `setValue()` and `valueChanged`. Bounds, unit and step are read from
the pydantic field.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from functools import partial
from typing import Any

import annotated_types as at
from pydantic.fields import FieldInfo
from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QValidator, QWheelEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QPushButton,
    QSpinBox,
    QWidget,
)

INT_MIN, INT_MAX = -(2**31), 2**31 - 1
"""What a QSpinBox can hold."""

FLOAT_MAX = 1e300
DECIMALS = 25
"""So many that every double above 1e-8 comes back from a QDoubleSpinBox as it was."""

FILES = {
    "image": ("Choose an image", "TIFF images (*.tif *.tiff)"),
    "noise_model": ("Choose a noise model", "Noise models (*.noise.json)"),
}
"""Title and name filter of the dialog that looks for a file, by what it holds."""


# Editors of one plain value ----------------------------------------------------------


class _CalmWheel:
    """A wheel turn that is meant to scroll the dock changes no number on its way."""

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():  # type: ignore[attr-defined]
            super().wheelEvent(event)  # type: ignore[misc]
        else:
            event.ignore()


class IntEdit(_CalmWheel, QSpinBox):
    """A whole number; reports when it is entered, not at every key."""

    def __init__(self, field: FieldInfo, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        low, high, step = _bounds(field, 1)
        self.setRange(
            INT_MIN if low is None else max(math.ceil(low), INT_MIN),
            INT_MAX if high is None else min(math.floor(high), INT_MAX),
        )
        self.setSingleStep(int(step or 1))
        _prepare_spin_box(self, field)

    def value(self) -> int:
        """Return the number, also when it is typed and not yet entered."""
        # On macOS a pressed button takes no focus, so the text is still pending then.
        self.interpretText()
        return super().value()


class FloatEdit(_CalmWheel, QDoubleSpinBox):
    """A number of any size, shown as short as it can be and never rounded."""

    def __init__(self, field: FieldInfo, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        low, high, step = _bounds(field, None)
        self.setDecimals(DECIMALS)
        self.setRange(
            -FLOAT_MAX if low is None else low, FLOAT_MAX if high is None else high
        )
        self._step = step
        _prepare_spin_box(self, field)

    def value(self) -> float:
        """Return the number, also when it is typed and not yet entered."""
        self.interpretText()
        return super().value()

    def stepBy(self, steps: int) -> None:
        """Move by a tenth of the leading digit's place: 0.002 goes to 0.0021."""
        value = self.value()
        step = self._step or (_tenth_of_place(value) if value else 0.1)
        self.setValue(float(f"{value + steps * step:.6g}"))
        self.selectAll()

    def textFromValue(self, value: float) -> str:
        """Write 0.0005 as "0.0005" and 3.0 as "3"."""
        return repr(float(value)).removesuffix(".0")

    def valueFromText(self, text: str | None) -> float:
        """Read a number with point or comma, with or without exponent."""
        return float(self._digits(text or ""))

    def validate(self, text: str | None, pos: int) -> tuple[QValidator.State, str, int]:
        """Accept a number within the bounds, and wait while it may become one."""
        digits = self._digits(text or "")
        if not re.fullmatch(r"[-+]?\d*\.?\d*(e[-+]?\d*)?", digits):
            return QValidator.State.Invalid, text or "", pos
        inside = _is_number(digits) and self.minimum() <= float(digits) <= (
            self.maximum()
        )
        state = QValidator.State.Acceptable if inside else QValidator.State.Intermediate
        return state, text or "", pos

    def _digits(self, text: str) -> str:
        return text.removesuffix(self.suffix()).strip().replace(",", ".").lower()


class BoolEdit(QCheckBox):
    """Yes or no."""

    valueChanged = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.toggled.connect(self.valueChanged)

    def value(self) -> bool:
        """Return whether the box is checked."""
        return self.isChecked()

    def setValue(self, value: bool) -> None:
        """Check the box or not."""
        self.setChecked(value)


class TextEdit(QLineEdit):
    """A line of text."""

    valueChanged = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.textChanged.connect(self.valueChanged)

    def value(self) -> str:
        """Return the text."""
        return self.text()

    def setValue(self, value: str) -> None:
        """Show the text."""
        self.setText(value)


class PathEdit(QWidget):
    """The path of a file, typed or looked for.

    Parameters
    ----------
    kind : str
        What the file holds: "image" or "noise_model".
    """

    valueChanged = Signal(str)

    def __init__(self, kind: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title, self._filter = FILES[kind]
        self.line, self.browse = QLineEdit(), QPushButton("…")
        self.line.setAcceptDrops(False)  # files dropped here are for the dock
        self.browse.setFixedWidth(32)
        self.browse.clicked.connect(self._look_for)
        self.line.textChanged.connect(self.valueChanged)
        row = bare(QHBoxLayout(self))
        row.addWidget(self.line, 1)
        row.addWidget(self.browse)

    def value(self) -> str:
        """Return the path as it is written."""
        return self.line.text().strip()

    def setValue(self, value: Any) -> None:
        """Show the path."""
        self.line.setText(str(value or ""))

    def setPlaceholderText(self, text: str) -> None:
        """Say what is there instead of a file."""
        self.line.setPlaceholderText(text)

    def _look_for(self) -> None:
        name, _ = QFileDialog.getOpenFileName(
            self, self._title, self.value(), self._filter
        )
        if name:
            self.setValue(name)


class TakeButton(QPushButton):
    """A menu of layers that a value can be taken from, as they are when it opens.

    Parameters
    ----------
    offers : callable
        Returns name and data of each.
    take : callable
        Receives name and data of the chosen one.
    """

    def __init__(
        self,
        offers: Callable[[], Sequence[tuple[str, Callable[[], Any]]]],
        take: Callable[[str, Callable[[], Any]], None],
    ) -> None:
        super().__init__("Layer…")
        self._offers, self._take = offers, take
        self.setToolTip("Take it from a layer.")
        menu = QMenu(self)
        menu.aboutToShow.connect(self.fill)
        self.setMenu(menu)

    def fill(self) -> None:
        """List what there is now."""
        menu = self.menu()
        menu.clear()
        for name, data in self._offers():
            menu.addAction(name.replace("&", "&&")).triggered.connect(
                partial(self._chosen, name, data)
            )
        if menu.isEmpty():
            menu.addAction("No layer fits").setEnabled(False)

    def _chosen(self, name: str, data: Callable[[], Any], *_: Any) -> None:
        self._take(name, data)


class CalmComboBox(_CalmWheel, QComboBox):
    """A combo box that leaves the wheel alone and may be narrower than its texts."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._tips: dict[int, str] = {}
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.setMinimumContentsLength(10)

    def refuse(self, reasons: Sequence[str | None]) -> None:
        """Grey out items, each with the reason above what its tooltip says else.

        Parameters
        ----------
        reasons : sequence of str or None
            One an item; None where it can be chosen.
        """
        for index, reason in enumerate(reasons):
            item = self.model().item(index)  # type: ignore[attr-defined]
            tip = self._tips.setdefault(index, item.toolTip())
            # Plain text does not wrap by itself.
            said = textwrap.fill(f"Not now: {reason}", 78) if reason else ""
            item.setEnabled(reason is None)
            item.setToolTip("\n\n".join(filter(None, [said, tip])))


class OptionEdit(CalmComboBox):
    """One of a few constants: a Literal or the members of an Enum.

    Attributes
    ----------
    options : list
        The constants.
    """

    valueChanged = Signal()

    def __init__(self, options: Sequence[Any], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        # Kept here, as a QVariant would turn a string Enum into a string.
        self.options = list(options)
        for option in self.options:
            self.addItem(_option_text(option))
        self.currentIndexChanged.connect(self.valueChanged)

    def value(self) -> Any:
        """Return the chosen constant."""
        return self.options[self.currentIndex()]

    def setValue(self, value: Any) -> None:
        """Choose the constant."""
        self.setCurrentIndex(self.options.index(value))


# Editors that are made of editors ----------------------------------------------------


class Composite(QWidget):
    """Editor of a value that has parts; one setValue is one valueChanged at most."""

    valueChanged = Signal()

    refused = Signal(object)
    """What was to be taken from elsewhere does not fit: the error."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._loading = self._stale = False

    def _part_changed(self) -> None:
        self._stale = True
        if not self._loading:
            self.valueChanged.emit()

    @contextmanager
    def _one_change(self) -> Iterator[None]:
        self._loading, self._stale = True, False
        try:
            yield
        finally:
            self._loading = False
        if self._stale:
            self.valueChanged.emit()


class TupleEdit(Composite):
    """A few values side by side, such as a size in rows and columns."""

    def __init__(self, parts: Sequence[Any], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._parts = parts
        # napari gives a spin box 90 px, and two do not fit a dock then.
        self.setStyleSheet("QAbstractSpinBox { min-width: 48px; }")
        row = bare(QHBoxLayout(self))
        for part in parts:
            row.addWidget(part, 1)
            part.valueChanged.connect(self._part_changed)

    def value(self) -> tuple[Any, ...]:
        """Return the parts' values."""
        return tuple(part.value() for part in self._parts)

    def setValue(self, value: Sequence[Any]) -> None:
        """Fill the parts."""
        with self._one_change():
            for part, item in zip(self._parts, value, strict=True):
                part.setValue(item)


class OptionalEdit(Composite):
    """A value, or None where the box "auto" is checked."""

    def __init__(self, inner: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.inner = inner
        self.automatic = QCheckBox("auto")
        # napari gives a spin box 90 px: too much beside the box in a narrow dock.
        self.setStyleSheet("QAbstractSpinBox { min-width: 56px; }")
        row = bare(QHBoxLayout(self))
        row.addWidget(self.automatic)
        row.addWidget(inner, 1)
        self.automatic.toggled.connect(inner.setHidden)
        self.automatic.toggled.connect(self._part_changed)
        inner.valueChanged.connect(self._part_changed)

    def value(self) -> Any:
        """Return the inner value, or None for automatic."""
        return None if self.automatic.isChecked() else self.inner.value()

    def setValue(self, value: Any) -> None:
        """Show the value; None hides the number that was there and keeps it."""
        with self._one_change():
            self.automatic.setChecked(value is None)
            if value is not None:
                self.inner.setValue(value)


# Helpers ---------------------------------------------------------------------------


def _bounds(
    field: FieldInfo, gap: int | None
) -> tuple[float | None, float | None, float | None]:
    """Return lowest, highest and step; `gap` parts an open bound from its neighbour."""
    found: dict[type, Any] = {type(m): m for m in field.metadata}
    low = found[at.Ge].ge if at.Ge in found else None
    high = found[at.Le].le if at.Le in found else None
    if at.Gt in found:
        low = _above(found[at.Gt].gt, gap)
    if at.Lt in found:
        high = -_above(-found[at.Lt].lt, gap)
    step = found[at.MultipleOf].multiple_of if at.MultipleOf in found else None
    return low, high, step


def _above(bound: float, gap: int | None) -> float:
    if gap:
        return math.floor(bound) + gap
    # The next double after 0 has more decimals than the spin box.
    return math.nextafter(bound, math.inf) if bound else 1e-20


def _tenth_of_place(value: float) -> float:
    return float(10.0 ** (math.floor(math.log10(abs(value))) - 1))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _option_text(option: Any) -> str:
    value = option.value if isinstance(option, Enum) else option
    return str(value).replace("_", " ")


def extra(field: FieldInfo) -> dict[str, Any]:
    """Return what the field says beyond pydantic, such as its unit."""
    extra = field.json_schema_extra
    return dict(extra) if isinstance(extra, dict) else {}


def _prepare_spin_box(box: QSpinBox | QDoubleSpinBox, field: FieldInfo) -> None:
    # The default WheelFocus would take the focus with the first turn of the wheel.
    box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    box.setKeyboardTracking(False)
    box.lineEdit().setAcceptDrops(False)  # files dropped here are for the dock
    unit = extra(field).get("unit")
    box.setSuffix(f" {unit}" if unit else "")


def bare(layout: Any) -> Any:
    """Return the layout without margins."""
    layout.setContentsMargins(0, 0, 0, 0)
    return layout
