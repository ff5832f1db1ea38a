"""All runs of a viewer: what each was made with, how long it took, how good it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]


@dataclass(frozen=True)
class FinishedRun:
    """A run that has made a result; it holds no pixels.

    Parameters
    ----------
    run : int
        As the metadata of its layers name it.
    source_id, image : str
        Identity and name of the layer that was denoised.
    recipe, masking, noise_model : str
        As the window calls them.
    seconds : float
        From the press of the button to the result.
    steps : int
        Of the training.
    config : mapping
        All settings, as JSON values.
    figures : mapping of str to (float, str)
        Value and unit of what was measured of the result, by name.
    """

    run: int
    source_id: str
    image: str
    recipe: str
    masking: str
    noise_model: str
    seconds: float
    steps: int
    config: Mapping[str, Any]
    figures: Mapping[str, tuple[float, str]] = field(default_factory=dict)


class RunRecord(QObject):
    """The finished runs of one viewer, the first one first."""

    added = Signal()
    """A run has just ended."""

    changed = Signal()
    """A run was added, or something was measured of one."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[FinishedRun] = []
        self._models: WeakValueDictionary[int, Any] = WeakValueDictionary()

    def model_of(self, run: Any) -> Any:
        """Return the model of a run; None where nobody holds it any longer."""
        return self._models.get(run)

    def add(self, run: FinishedRun, model: Any = None) -> None:
        """Add a run that has just ended; its model is not kept alive here."""
        if model is not None:
            self._models[run.run] = model
        last = self.runs[-1] if self.runs else run
        if last.config == run.config:  # many runs hold the same settings once
            run = replace(run, config=last.config)
        self.runs.append(run)
        self.added.emit()
        self.changed.emit()

    def note(self, run: int, figures: Iterable[Any]) -> None:
        """Write down what was measured of the result of a run, if that is known here.

        Parameters
        ----------
        run : int
            As the metadata of its layers name it.
        figures : iterable of Figure
            Those of the same title are replaced; what has no value is left out.
        """
        found = {
            figure.quantity.title: (figure.value, figure.quantity.unit)
            for figure in figures
            if figure.value is not None
        }
        for place, known in enumerate(self.runs):
            if known.run == run:
                self.runs[place] = replace(known, figures={**known.figures, **found})
                self.changed.emit()


_RECORDS: WeakKeyDictionary[Any, RunRecord] = WeakKeyDictionary()


def record_of(viewer: Any) -> RunRecord:
    """Return the record of a viewer, whichever proxy of it a dock was given."""
    return _RECORDS.setdefault(getattr(viewer, "__wrapped__", viewer), RunRecord())
