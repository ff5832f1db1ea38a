"""The Continue box, and what to do where a model cannot be trained further."""

from __future__ import annotations

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from napari_selfdenoise.plugin.docks.panel import bare, button, label, line
from napari_selfdenoise.plugin.docks.status import PROBLEM


class Continuing(QWidget):
    """The box Continue; below it the reason where that cannot be, and two buttons.

    Attributes
    ----------
    box : QCheckBox
        Whether Train starts from the model in hand.
    """

    settings_wanted = Signal()
    """The settings of the model are to be used."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.box = QCheckBox("Continue")
        self.box.setObjectName("resume")
        self.box.setToolTip("Train starts from what the model in hand has learned.")
        self._reason = label("continue_reason")
        self._reason.setStyleSheet(PROBLEM)
        use = button(
            "use_settings",
            "Use the model's settings",
            "Set network, signal head, masking, noise model and PSF as in the model.",
        )
        untick = button("untick", "Untick Continue", "Train from the beginning.")
        use.clicked.connect(self.settings_wanted)
        untick.clicked.connect(lambda: self.box.setChecked(False))
        self._buttons = use, untick
        column = bare(QVBoxLayout(self))
        column.addWidget(self._reason)
        column.addLayout(line(*self._buttons))
        self.say("")

    def say(self, reason: str) -> None:
        """Show why the training cannot continue from the model; empty where it can."""
        self._reason.setText(reason)
        self.setVisible(bool(reason))
