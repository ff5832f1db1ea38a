"""What makes no sense beside the rest is greyed out, and says why."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from qtpy.QtCore import QObject, QTimer, Signal  # type: ignore[attr-defined]

from napari_selfdenoise.config import TrainingConfig, why_not
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.plugin.forms.choices import Choice
from napari_selfdenoise.plugin.forms.form import UnionForm


class Greying(QObject):
    """Greys out, after each change, the choices that the others rule out.

    Where the form makes no sense as it is, everything can be chosen: whoever got there
    must get out again.

    Parameters
    ----------
    config : callable
        Returns the form's settings, or raises a `RequestError`.
    choices : mapping
        Editor of each choice, by the name of its field.
    parent : QObject
        Qt parent.
    """

    examined = Signal(object)
    """The settings after a change; None where they make no sense."""

    def __init__(
        self,
        config: Callable[[], TrainingConfig],
        choices: Mapping[str, UnionForm | Choice],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._config, self._choices = config, choices
        # A recipe changes everything at once: one look after all of it.
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self.update)

    def later(self, *_: object) -> None:
        """Look again as soon as there is nothing else to do."""
        self._soon.start()

    def update(self) -> None:
        """Look at all choices now."""
        try:
            config = self._config()
        except RequestError:
            config = None
        for name, editor in self._choices.items():
            editor.refuse(_reasons(config, name, editor))
        self.examined.emit(config)


def _reasons(
    config: TrainingConfig | None, name: str, editor: UnionForm | Choice
) -> list[str | None]:
    if config is None:
        return [None] * len(editor.kinds())
    now = editor.combo.currentIndex()
    return [
        None if index == now else _reason(config, name, editor, kind)
        for index, kind in enumerate(editor.kinds())
    ]


def _reason(
    config: TrainingConfig, name: str, editor: UnionForm | Choice, kind: str
) -> str | None:
    """Why not: neither as it would be by default nor as it was left in the form."""
    reason = why_not(config, name, kind)
    page = editor.made_page(kind) if isinstance(editor, UnionForm) else None
    if reason is None or page is None:
        return reason
    try:
        config.override({name: page.value.model_dump()})
    except RequestError:
        return reason
    return None
