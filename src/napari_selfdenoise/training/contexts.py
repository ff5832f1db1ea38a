"""The context of the planes that are learned from, read once before the training."""

from __future__ import annotations

import time
from collections.abc import Generator

from napari_selfdenoise.context import ContextPlanes
from napari_selfdenoise.images import FieldOfView
from napari_selfdenoise.long_work import STOP, Command
from napari_selfdenoise.parts.context import Context, NeighbouringPlanes
from napari_selfdenoise.training.patches import planes_around
from napari_selfdenoise.training.plane_reader import TrainingPlane
from napari_selfdenoise.training.progress import FOLLOWING, TrainingProgress
from napari_selfdenoise.training.training_data import TrainingData

_EVERY_S = 0.5

Sent = Command | FieldOfView | None
"""What may be sent to a training."""


def read_contexts(
    data: TrainingData, context: Context
) -> Generator[TrainingProgress, Sent, Sent]:
    """Give the planes that are learned from their context, if there is to be one.

    Parameters
    ----------
    data : TrainingData
        Its planes get the pixels of the planes around them.
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
        around = planes_around(planes, context)
        found: list[TrainingPlane] = []
        # As they follow each other: what was measured of planes is used again.
        order = sorted(planes, key=lambda p: around[p.place].sequence(p.plane))
        for one in order:
            if found and command is STOP:
                break
            found.append(_with_context(one, around[one.place]))
            if time.perf_counter() - began > _EVERY_S:
                command = (yield TrainingProgress(FOLLOWING)) or command
                began = time.perf_counter()
        data.planes[number] = found
    return command


def _with_context(one: TrainingPlane, around: ContextPlanes) -> TrainingPlane:
    height, width = one.clean.pixels.shape
    pixels = around.stack(one.plane, slice(0, height), slice(0, width))
    return one._replace(around=pixels, noise_shares=around.noise_shares(one.plane))
