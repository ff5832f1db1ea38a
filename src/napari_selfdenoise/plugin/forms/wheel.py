"""A wheel turn that is meant to scroll the dock changes no setting on its way."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QWidget


class CalmWheel(QObject):
    """Leaves the wheel to what is scrolled, unless a box has the focus.

    Parameters
    ----------
    box : QWidget
        A spin box or a combo box.
    """

    def __init__(self, box: QWidget) -> None:
        super().__init__(box)
        box.installEventFilter(self)
        # The default WheelFocus would take the focus with the first turn of the wheel.
        box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Ignore the wheel, so that it goes on to what is around the box."""
        if event.type() != QEvent.Type.Wheel or watched.hasFocus():  # type: ignore[attr-defined]
            return False
        event.ignore()
        return True
