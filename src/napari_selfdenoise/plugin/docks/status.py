"""Messages in three lines at most; the rest unfolds."""

from __future__ import annotations

import re
from collections.abc import Iterator

from qtpy.QtCore import QRect, Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QLabel, QToolButton, QVBoxLayout, QWidget

LINES = 3

PROBLEM = "color: #d55e00;"
_FLAT = "QToolButton { border: none; background: transparent; padding: 0px; }"
_HIGH = 10_000


class Status(QLabel):
    """Sentences, of which as many are shown as there is room for.

    Attributes
    ----------
    details : QToolButton
        Unfolds the rest; there only where there is one. See `with_details`.
    """

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(True)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._text = self._details = self._second_message = ""
        self.details = QToolButton()
        self.details.setObjectName(f"{name}_details" if name != "status" else "details")
        self.details.setCheckable(True)
        self.details.setStyleSheet(_FLAT)
        self.details.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        self.details.toggled.connect(self._lay_out)
        self.details.hide()

    def with_details(self) -> QVBoxLayout:
        """Return the sentences, and below them the button that unfolds the rest."""
        column = QVBoxLayout()
        column.setSpacing(0)
        column.addWidget(self)
        column.addWidget(self.details, 0, Qt.AlignmentFlag.AlignRight)
        return column

    def text(self) -> str:
        """Return all sentences, folded ones included."""
        parts = self._text, self._details, self._second_message
        return " ".join(map(_in_one, filter(None, parts)))

    def shown(self) -> str:
        """Return the sentences without the details."""
        return _in_one(self._text)

    def setText(self, text: str | None) -> None:
        """Show sentences."""
        self.say(text or "")

    def say(
        self, text: str, details: str = "", problem: bool = False, second: str = ""
    ) -> None:
        """Show sentences, and fold others.

        Parameters
        ----------
        text : str
            Shown, as far as there is room. Its lines become paragraphs when they are
            unfolded.
        details : str
            Shown when they are unfolded, likewise.
        problem : bool
            Whether something is wrong, which the colour shows.
        second : str
            Shown below, with room of its own.
        """
        self.setStyleSheet(PROBLEM if problem else "")
        message = text, details, second
        if message != (self._text, self._details, self._second_message):
            self._text, self._details, self._second_message = message
            self._lay_out()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Show as many sentences as the new width has room for."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self._lay_out()

    def _lay_out(self, *_: object) -> None:
        messages = _in_one(self._text), _in_one(self._second_message)
        shown = [self._fitting(message) for message in messages]
        self.details.setVisible((*shown, self._details) != (*messages, ""))
        self.details.setText("less ▴" if self.details.isChecked() else "details ▾")
        if self.details.isChecked():
            shown = [self._text, self._details, self._second_message]
        super().setText("\n".join(filter(None, shown)))

    def _fitting(self, text: str) -> str:
        """The longest beginning that fits: whole sentences, else words."""
        if self._fits(text):
            return text
        pieces = _beginnings(text, r"(?<=[.!?…])\s")
        fitting = [piece for piece in pieces if self._fits(piece)]
        if not fitting or self._fits(fitting[-1], 1):  # too little to be all
            cut = (f"{piece} …" for piece in _beginnings(text, r"\s"))
            fitting = [piece for piece in cut if self._fits(piece)]
        return fitting[-1] if fitting else text

    def _fits(self, text: str, lines: int = LINES) -> bool:
        room = QRect(0, 0, max(self.width(), 120), _HIGH)
        needed, most = (  # so many line spacings may be less than so many lines
            self.fontMetrics().boundingRect(room, Qt.TextFlag.TextWordWrap, one)
            for one in (text, "\n".join(["x"] * lines))
        )
        return needed.height() <= most.height()


def _in_one(text: str) -> str:
    """All lines in one."""
    return text.replace("\n", " ")


def _beginnings(text: str, gap: str) -> Iterator[str]:
    """Beginnings of a text that end at a gap, the shortest first."""
    for match in re.finditer(gap, text):
        yield text[: match.start()]
