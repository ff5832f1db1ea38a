"""Layers that a run denoises one after the other, and how each of them ended."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from napari.layers import Image as ImageLayer

from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.defects import Corrections
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import Image
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.plugin.denoise.corrections import CorrectionsSection
from napari_selfdenoise.plugin.denoise.kept_images import kept_image_of
from napari_selfdenoise.plugin.denoise.outcome import outcome_of_several
from napari_selfdenoise.plugin.docks.worker import sentence
from napari_selfdenoise.plugin.viewer.layers import denoisable_image
from napari_selfdenoise.run_time import Portions
from napari_selfdenoise.training import KeptImage, why_not_learned

_GONE = "The layer was removed."


@dataclass(frozen=True, eq=False)
class Task:
    """A layer that is to be denoised; it is not kept alive.

    Parameters
    ----------
    source : weakref of napari.layers.Image
        The layer.
    name : str
        What it was called when the run began.
    corrections : Corrections
        Of its image.
    """

    source: weakref.ref[ImageLayer]
    name: str
    corrections: Corrections


class Queue:
    """What a run has to do, and what became of it; often one layer only.

    Parameters
    ----------
    layers : sequence of napari.layers.Image
        What is to be denoised, in this order.
    corrections : CorrectionsSection
        What is chosen for all of them.

    Attributes
    ----------
    total, planes : int
        How many layers there are, and images in them.
    tasks : list of Task
        Those of them that can be denoised.
    undo : list of callable
        Each brings back what was there before one of the results.

    Raises
    ------
    RequestError
        If the first layer cannot be denoised, or corrected.
    """

    def __init__(
        self, layers: Sequence[ImageLayer], corrections: CorrectionsSection
    ) -> None:
        self.total, self.planes, self._place = len(layers), 0, 0
        self.tasks: list[Task] = []
        self.undo: list[Callable[[], None]] = []
        self._partly = ""
        self._failed: list[tuple[str, str]] = []
        self._notes: list[str] = []
        for layer in layers:
            self._add(layer, corrections)
        images = self.images()
        self._portions = Portions(images)
        self.planes = sum(image.plane_count for image in images)

    def _add(self, layer: ImageLayer, corrections: CorrectionsSection) -> None:
        try:
            chosen = corrections.value(denoisable_image(layer))
        except RequestError as error:
            if not self.tasks:
                raise
            self._failed.append((layer.name, str(error)))
        else:
            self.tasks.append(Task(weakref.ref(layer), layer.name, chosen))

    def images(self) -> list[Image]:
        """Images of the layers, which are not kept here."""
        return [denoisable_image(task.source()) for task in self.tasks]

    def lessons(self, config: TrainingConfig) -> list[tuple[Corrections, Image]]:
        """Images that can be learned from, with what corrects them.

        Raises
        ------
        RequestError
            If none can.
        """
        images = self.images()
        reasons = [why_not_learned(image, config) for image in images]
        if images and all(reasons):
            raise RequestError(reasons[0])
        every = list(zip(self.tasks, images, reasons, strict=True))
        self._notes += [
            f"'{task.name}' was not learned from: {why}"
            for task, _, why in every
            if why
        ]
        return [(task.corrections, image) for task, image, why in every if not why]

    def kept_images(self) -> tuple[KeptImage, ...]:
        """The layers, as they can be found again."""
        sources = [task.source() for task in self.tasks]
        there = [layer for layer in sources if layer is not None]
        return tuple(map(kept_image_of, there, self.images()))

    @property
    def several(self) -> bool:
        """Whether there is more than one layer."""
        return self.total > 1

    @property
    def now(self) -> Task:
        """The layer that is denoised now."""
        return self.tasks[self._place]

    @property
    def layer(self) -> ImageLayer | None:
        """The same; None where there is none, or it is nowhere any more."""
        return self.now.source() if self.tasks else None

    def require_there(self, layers: Collection[Any]) -> None:
        """Refuse a layer that is not in the viewer any more.

        Raises
        ------
        RequestError
            If it is not.
        """
        if self.layer not in layers:
            raise RequestError(_GONE)

    def advance(self) -> bool:
        """Go over to the next layer; says whether there is one."""
        self._place = min(self._place + 1, len(self.tasks))
        return self._place < len(self.tasks)

    def fraction(self, fraction: float) -> float:
        """Share of all that is done when so much of this layer is."""
        return self._portions.fraction(self._place, fraction)

    def text(self) -> str:
        """Which layer is denoised; empty where there is one only."""
        if not self.several:
            return ""
        number = self.total - len(self.tasks) + self._place + 1
        return f"Denoising '{self.now.name}': layer {number} of {self.total}."

    def fail(self, error: Exception | None = None) -> None:
        """Note why the layer is not denoised; without an error, that it is gone."""
        why = _GONE if error is None else sentence(error)
        self._failed.append((self.now.name, why))

    def keep(
        self, undo: Callable[[], None], notes: Sequence[str], partly: bool
    ) -> None:
        """Note that the layer is denoised, or a part of it."""
        self.undo.append(undo)
        self._partly = self.now.name if partly else ""
        self._notes += [f"'{self.now.name}': {note}" for note in notes]

    @property
    def failed(self) -> bool:
        """Whether some layer could not be denoised."""
        return bool(self._failed)

    def outcome(self, model: TrainedModel) -> tuple[str, str]:
        """Sentences on how all ended: those that are shown, and those that unfold."""
        count = len(self.undo) - bool(self._partly)
        text = outcome_of_several(count, self.total, self._partly, self._failed)
        few = model.provenance.get("few_steps", "")
        notes = "\n".join(self._notes)
        return f"Hardly trained. {few}\n{text}" if few else text, notes
