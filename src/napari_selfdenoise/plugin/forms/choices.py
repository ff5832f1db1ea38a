"""Choices: one of a few values, some greyed out with a reason; and files."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from magicgui.widgets import ComboBox, FileEdit
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QFileDialog

from napari_selfdenoise.plugin.forms.eliding import Eliding
from napari_selfdenoise.plugin.forms.wheel import CalmWheel

_TIP = Qt.ItemDataRole.ToolTipRole

FILES = {
    "image": ("Choose an image", "TIFF images (*.tif *.tiff)"),
    "noise_model": ("Choose a noise model", "Noise models (*.noise.json)"),
}
"""Title and name filter of the dialog that looks for a file, by what it holds."""


class Choice(ComboBox):
    """magicgui's combo box, with items that can be greyed out and say why.

    Parameters
    ----------
    choices : sequence of (str, value), or callable
        As magicgui takes them.
    tips : sequence of str
        What each is. That of the chosen one is the tooltip of the box, where that has
        none of its own.
    **options
        Of magicgui's combo box.

    Attributes
    ----------
    combo : QComboBox
        magicgui's native widget, for layouts.
    """

    def __init__(
        self, choices: Any = (), tips: Sequence[str] = (), **options: Any
    ) -> None:
        super().__init__(choices=choices, **options)
        self.combo: QComboBox = self.native
        self.combo.setObjectName(self.name)
        # It may be narrower than its texts.
        self.combo.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.combo.setMinimumContentsLength(10)
        CalmWheel(self.combo)
        Eliding(self.combo)
        self._tips, self._has_tip = tips, bool(self.tooltip)
        for index, tip in enumerate(tips):
            self.combo.setItemData(index, tip, _TIP)
        self.combo.currentIndexChanged.connect(self._show_tip)
        self._show_tip()

    def kinds(self) -> list[str]:
        """Return what can be chosen, as text."""
        return [str(choice) for choice in self.choices]

    def refuse(self, reasons: Sequence[str | None]) -> None:
        """Grey out items, each with the reason above what its tooltip says else.

        Parameters
        ----------
        reasons : sequence of str or None
            One an item; None where it can be chosen.
        """
        for index, reason in enumerate(reasons):
            item = self.combo.model().item(index)  # type: ignore[attr-defined]
            tip = self._tips[index] if self._tips else ""
            # Plain text does not wrap by itself.
            why = textwrap.fill(f"Not now: {reason}", 78) if reason else ""
            item.setEnabled(reason is None)
            item.setToolTip("\n\n".join(filter(None, [why, tip])))
        self._show_tip()

    def _show_tip(self, *_: Any) -> None:
        if self._tips and not self._has_tip:
            self.combo.setToolTip(self.combo.currentData(_TIP))


class ChosenFile(FileEdit):
    """magicgui's editor of a path, which keeps a path as it is written.

    Parameters
    ----------
    kind : str
        What the file holds: "image" or "noise_model".
    **options
        Of magicgui's editor.
    """

    def __init__(self, kind: str, **options: Any) -> None:
        self._title, self._names = FILES[kind]
        super().__init__(nullable=True, **options)
        self.choose_btn.text = "…"
        self.choose_btn.native.setFixedWidth(32)
        # Files dropped here are for the dock.
        self.line_edit.native.setAcceptDrops(False)

    def get_value(self) -> Path | None:
        """Return the path, or None where none is written."""
        text = self.line_edit.value.strip()
        return Path(text) if text else None

    def set_value(self, value: Any) -> None:
        """Show the path."""
        self.line_edit.value = "" if value is None else str(value)

    def _on_choose_clicked(self) -> None:
        start = self.line_edit.value.strip()
        name, _ = QFileDialog.getOpenFileName(
            self.native, self._title, start, self._names
        )
        if name:
            self.value = Path(name)
