"""Origin of a layer: the run that made it; names and places of a run's layers."""

from __future__ import annotations

import itertools
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from napari_selfdenoise.plugin.viewer.marks import METADATA_KEY, marks


@dataclass(frozen=True)
class Origin:
    """The run that made a layer, as its metadata name it.

    Parameters
    ----------
    source : str
        Name of the layer that they were made from.
    source_id : str
        Its identity, whatever it is called.
    made_by : str
        Which dock made them.
    run : int
        When the run began, in ns: a later run has a larger number.
    """

    source: str
    source_id: str
    made_by: str
    run: int

    @classmethod
    def of(cls, source: Any, made_by: str) -> Origin:
        """Begin a run on a layer."""
        return cls(source.name, str(source.unique_id), made_by, time.time_ns())

    def mark(self, layer: Any, name: str, more: dict[str, Any]) -> None:
        """Write into a layer's metadata what it is and where it came from.

        Parameters
        ----------
        layer : napari.layers.Layer
            The layer; what others wrote into its metadata stays.
        name : str
            What this plugin calls it.
        more : dict
            Other metadata of it.
        """
        found = more | vars(self) | {"layer": name}
        layer.metadata = dict(layer.metadata) | {METADATA_KEY: found}

    def own(self, layers: Iterable[Any]) -> list[Any]:
        """The layers of this run that are still as they were made."""
        return [
            layer
            for layer in layers
            if marks(layer.metadata).get("run") == self.run and is_as_made(layer)
        ]

    def earlier(self, layers: Iterable[Any]) -> list[Any]:
        """The layers of the last run before this one that are still as they were made.

        Layers that the user has renamed, edited or locked are hers.
        """
        found = [layer for layer in layers if self._is_earlier(marks(layer.metadata))]
        last = max((marks(layer.metadata)["run"] for layer in found), default=None)
        of_last = (la for la in found if marks(la.metadata)["run"] == last)
        return [layer for layer in of_last if is_as_made(layer)]

    def place(self, layers: Sequence[Any]) -> int:
        """Where a layer goes: above the source and what was made of it."""
        ids = [str(layer.unique_id) for layer in layers]
        if self.source_id not in ids:
            return len(ids)
        above = layers[ids.index(self.source_id) + 1 :]
        made = itertools.takewhile(self._made_of_source, above)
        return ids.index(self.source_id) + 1 + sum(1 for _ in made)

    def _made_of_source(self, layer: Any) -> bool:
        return marks(layer.metadata).get("source_id") == self.source_id

    def _is_earlier(self, known: Any) -> bool:
        alike = ("source_id", "made_by")
        if any(known.get(name) != getattr(self, name) for name in alike):
            return False
        return bool(known["run"] < self.run)


def is_as_made(layer: Any) -> bool:
    """Whether a layer that this plugin made was neither renamed, edited nor locked."""
    known = marks(layer.metadata)
    changed = known.get("edited", False) or getattr(layer, "locked", False)
    return not changed and known.get("layer") == layer.name


def note_edits(layer: Any) -> None:
    """Mark a layer as the user's once other data are put into it."""
    layer.events.data.connect(_note_edit)


def _note_edit(event: Any) -> None:
    known = marks(event.source.metadata)
    event.source.metadata[METADATA_KEY] = {**known, "edited": True}


def free_suffix(names: Collection[str], taken: Collection[str]) -> str:
    """Suffix for all names of a run, such as " [2]", so that none of them is taken."""
    for number in itertools.count(1):
        suffix = f" [{number}]" if number > 1 else ""
        if not any(f"{name}{suffix}" in taken for name in names):
            return suffix
    raise AssertionError
