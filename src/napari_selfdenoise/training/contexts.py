"""The context of the planes that are learned from: of some before the training."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Sequence

from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.images import FieldOfView
from napari_selfdenoise.long_work import STOP, Command
from napari_selfdenoise.parts.context import NeighbouringPlanes
from napari_selfdenoise.training.patches import FindContext, context_of
from napari_selfdenoise.training.plane_reader import TrainingPlane
from napari_selfdenoise.training.progress import FOLLOWING, JOINING, TrainingProgress
from napari_selfdenoise.training.training_data import (
    FIRST_PIXELS,
    Reader,
    TrainingData,
)

_EVERY_S = 0.5

_FIRST_PLANES = 8
"""Planes that have their context before the first step, where they are large: of
smaller ones, `FIRST_PIXELS` have it."""

Sent = Command | FieldOfView | None
"""What may be sent to a training."""


def read_contexts(
    data: TrainingData, config: TrainingConfig
) -> Generator[TrainingProgress, Sent, Sent]:
    """Give the planes that are learned from their context, if there is to be one.

    Planes all over a stack get it now, the others while the training goes on.

    Parameters
    ----------
    data : TrainingData
        Its planes get the pixels of the planes around them and of other channels; its
        readers read the rest.
    config : TrainingConfig
        With context and channels that are not automatic.

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
    began = time.perf_counter()
    for number, planes in enumerate(data.planes):
        find = context_of(planes, config)
        if find is None:
            continue
        reader = ContextReader(planes, find, data.readers[number])
        found: list[TrainingPlane] = []
        for _ in range(reader.first):
            if found and command is STOP:
                break
            found += reader.read_run()
            if time.perf_counter() - began > _EVERY_S:
                command = (yield TrainingProgress(_doing(config))) or command
                began = time.perf_counter()
        data.planes[number], data.readers[number] = found, reader
    return command


def _doing(config: TrainingConfig) -> str:
    """What a user reads while contexts are found."""
    around = isinstance(config.context, NeighbouringPlanes)
    return FOLLOWING if around else JOINING


class ContextReader:
    """Finds the context of planes that were read, one after the other.

    Parameters
    ----------
    planes : sequence of TrainingPlane
        Of one channel, in any order.
    find : callable
        From `context_of`.
    rest : Reader
        Reads more planes once all of these have their context.

    Attributes
    ----------
    first : int
        How many planes come first, which lie all over the stack.
    """

    def __init__(
        self, planes: Sequence[TrainingPlane], find: FindContext, rest: Reader
    ) -> None:
        # As they follow each other: what was measured of planes is used again.
        order = sorted(planes, key=lambda one: find(one).sequence(one.plane))
        pixels = max((one.clean.pixels.size for one in planes), default=1)
        self.first = min(len(order), max(_FIRST_PLANES, FIRST_PIXELS // pixels))
        spread = {n * len(order) // max(1, self.first) for n in range(self.first)}
        chosen = sorted(range(len(order)), key=lambda n: n not in spread)
        self._waiting = deque(order[n] for n in chosen)
        self._find, self._rest = find, rest

    @property
    def is_over(self) -> bool:
        """Whether all planes are read and have their context."""
        return not self._waiting and self._rest.is_over

    @property
    def pixels_left(self) -> int:
        """Pixels of the planes without, and of those to be read."""
        waiting = sum(one.clean.pixels.size for one in self._waiting)
        return waiting + self._rest.pixels_left

    @property
    def runs_left(self) -> int:
        """How many times `read_run` still reads something, at most."""
        return len(self._waiting) + self._rest.runs_left

    def read_run(self) -> list[TrainingPlane]:
        """The next planes with their context."""
        planes = [self._waiting.popleft()] if self._waiting else self._rest.read_run()
        return [self._with_context(one) for one in planes]

    def _with_context(self, one: TrainingPlane) -> TrainingPlane:
        (height, width), found = one.clean.pixels.shape, self._find(one)
        pixels = found.stack(one.plane, slice(0, height), slice(0, width))
        shares = found.noise_shares(one.plane)
        return one._replace(around=pixels, noise_shares=shares)
