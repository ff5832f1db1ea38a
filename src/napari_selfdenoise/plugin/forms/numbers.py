"""Numbers as they are: never rounded, with their unit, stepped by their first digit.

magicgui's own box shows 0.002 as 0.00 and gives that back.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

import pyqtgraph as pg
from magicgui.backends._qtpy.widgets import QBaseValueWidget
from magicgui.widgets.bases import ValueWidget
from pydantic.fields import FieldInfo
from qtpy.QtCore import QSize
from qtpy.QtWidgets import QSizePolicy

from napari_selfdenoise.plugin.forms.fields import bounds, extra
from napari_selfdenoise.plugin.forms.wheel import CalmWheel


class NumberBox(pg.SpinBox):
    """A spin box that shows all of a number, and takes it as it is typed."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent, step=0)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.lineEdit().setAcceptDrops(False)  # files dropped here are for the dock
        CalmWheel(self)

    def value(self) -> Any:
        """Return the number, also when it is typed and not yet entered."""
        # On macOS a pressed button takes no focus, so the text is still pending then.
        self.editingFinishedEvent()
        return super().value()

    def formatText(self, **_: Any) -> str:
        """Write 0.0005 as "0.0005" and 3.0 as "3", and the unit behind it."""
        number = int(self.val) if self.opts["int"] else float(self.val)
        return repr(number).removesuffix(".0") + self.opts["suffix"]

    def interpret(self) -> Decimal | bool:
        """Read a number with point or comma; False where it is none, or too large."""
        text = self.lineEdit().text().removesuffix(self.opts["suffix"]).strip()
        try:
            number = Decimal(text.replace(",", "."))
        except InvalidOperation:
            return False
        return number if number.is_finite() and self.valueInRange(number) else False

    def stepBy(self, steps: int) -> None:
        """Move by the step, else by a tenth of the first digit: 0.002 to 0.0021."""
        number = Decimal(str(self.value()))
        tenth = Decimal(10) ** (number.adjusted() - 1) if number else Decimal("0.1")
        self.setValue(number + steps * (self.opts["step"] or tenth))
        self.selectAll()

    def sizeHint(self) -> QSize:
        """Ask for no more room than the number needs."""
        return self.minimumSizeHint()

    def _updateHeight(self) -> None:
        """Keep the height of napari's boxes."""


class _Backend(QBaseValueWidget):
    def __init__(self, **options: Any) -> None:
        super().__init__(NumberBox, "value", "setValue", "valueChanged", **options)


class Number(ValueWidget):
    """A whole or real number; bounds, step and unit are those of a pydantic field."""

    def __init__(self, field: FieldInfo, **options: Any) -> None:
        super().__init__(widget_type=_Backend, **options)
        whole, unit = field.annotation is int, extra(field).get("unit")
        low, high, step = bounds(field)
        self.native.setOpts(
            int=whole,
            bounds=(low, high),
            step=step or int(whole),
            suffix=f" {unit}" if unit else "",
        )
