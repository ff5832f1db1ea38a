"""The context of the planes that are learned from: of some before the training."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Mapping, Sequence

from napari_selfdenoise.context import ContextPlanes
from napari_selfdenoise.images import FieldOfView
from napari_selfdenoise.long_work import STOP, Command
from napari_selfdenoise.parts.context import Context, NeighbouringPlanes
from napari_selfdenoise.training.patches import planes_around
from napari_selfdenoise.training.plane_reader import TrainingPlane
from napari_selfdenoise.training.progress import FOLLOWING, TrainingProgress
from napari_selfdenoise.training.training_data import FIRST_PIXELS, TrainingData
from napari_selfdenoise.training.volume_patches import Place

_EVERY_S = 0.5

_FIRST_PLANES = 8
"""Planes that have their context before the first step, where they are large: of
smaller ones, `FIRST_PIXELS` have it."""

Sent = Command | FieldOfView | None
"""What may be sent to a training."""


def read_contexts(
    data: TrainingData, context: Context
) -> Generator[TrainingProgress, Sent, Sent]:
    """Give the planes that are learned from their context, if there is to be one.

    Planes all over a stack get it now, the others while the training goes on.

    Parameters
    ----------
    data : TrainingData
        Its planes get the pixels of the planes around them; its readers read the rest.
    context : Context
        Not automatic.

    Yields
    ------
    TrainingProgress
        At least once a second.

    Returns
    -------
    Command or FieldOfView or None
        What was sent last; after `STOP`, planes that have no context yet are
        not learned from.
    """
    command: Sent = None
    if not isinstance(context, NeighbouringPlanes):
        return command
    began = time.perf_counter()
    for number, planes in enumerate(data.planes):
        reader = ContextReader(planes, planes_around(planes, context))
        found: list[TrainingPlane] = []
        for _ in range(reader.first):
            if found and command is STOP:
                break
            found += reader.read_run()
            if time.perf_counter() - began > _EVERY_S:
                command = (yield TrainingProgress(FOLLOWING)) or command
                began = time.perf_counter()
        data.planes[number], data.readers[number] = found, reader
    return command


class ContextReader:
    """Finds the context of planes that were read, one after the other.

    Parameters
    ----------
    planes : sequence of TrainingPlane
        Of one channel, in any order.
    around : mapping
        From `planes_around`.

    Attributes
    ----------
    first : int
        How many planes come first, which lie all over the stack.
    """

    def __init__(
        self, planes: Sequence[TrainingPlane], around: Mapping[Place, ContextPlanes]
    ) -> None:
        # As they follow each other: what was measured of planes is used again.
        order = sorted(planes, key=lambda p: around[p.place].sequence(p.plane))
        pixels = max((one.clean.pixels.size for one in planes), default=1)
        self.first = min(len(order), max(_FIRST_PLANES, FIRST_PIXELS // pixels))
        spread = {n * len(order) // max(1, self.first) for n in range(self.first)}
        chosen = sorted(range(len(order)), key=lambda n: n not in spread)
        self._waiting = deque(order[n] for n in chosen)
        self._around = around

    @property
    def is_over(self) -> bool:
        """Whether all planes have their context."""
        return not self._waiting

    @property
    def pixels_left(self) -> int:
        """Pixels of the planes without."""
        return sum(one.clean.pixels.size for one in self._waiting)

    @property
    def runs_left(self) -> int:
        """How many planes are without."""
        return len(self._waiting)

    def read_run(self) -> list[TrainingPlane]:
        """The next plane with its context."""
        one = self._waiting.popleft()
        return [_with_context(one, self._around[one.place])]


def _with_context(one: TrainingPlane, around: ContextPlanes) -> TrainingPlane:
    height, width = one.clean.pixels.shape
    pixels = around.stack(one.plane, slice(0, height), slice(0, width))
    return one._replace(around=pixels, noise_shares=around.noise_shares(one.plane))
