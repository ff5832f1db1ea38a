"""Ends the text of a combo box in dots where it is too long, and shows it whole."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import (
    QComboBox,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QToolTip,
)

_EDGE = 6
"""Pixels of the field that napari's style keeps free."""


class Eliding(QObject):
    """Shows the beginning of a text that is too long, and all of it as a tooltip.

    Under a style sheet, Qt cuts it off in the middle of a letter.

    Parameters
    ----------
    combo : QComboBox
        Whose text; also the parent.
    """

    def __init__(self, combo: QComboBox) -> None:
        super().__init__(combo)
        combo.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Paint, or say, what does not fit; leave everything else to Qt."""
        if event.type() not in (QEvent.Type.Paint, QEvent.Type.ToolTip):
            return False
        combo: Any = watched
        whole, shown = combo.currentText(), shown_text(combo)
        if combo.isEditable() or whole == shown:
            return False
        if event.type() == QEvent.Type.Paint:
            _paint(combo, shown)
        else:
            tip = "\n\n".join(filter(None, [whole, combo.toolTip()]))
            QToolTip.showText(event.globalPos(), tip, combo)  # type: ignore[attr-defined]
        return True


def shown_text(combo: QComboBox) -> str:
    """The text of a combo box, as much of it as there is room for."""
    option = QStyleOptionComboBox()
    combo.initStyleOption(option)
    field = combo.style().subControlRect(
        QStyle.ComplexControl.CC_ComboBox,
        option,
        QStyle.SubControl.SC_ComboBoxEditField,
        combo,
    )
    return combo.fontMetrics().elidedText(
        combo.currentText(), Qt.TextElideMode.ElideRight, field.width() - _EDGE
    )


def _paint(combo: QComboBox, text: str) -> None:
    option = QStyleOptionComboBox()
    combo.initStyleOption(option)
    option.currentText = text  # type: ignore[attr-defined]
    painter = QStylePainter(combo)
    painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
    painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)
    painter.end()
