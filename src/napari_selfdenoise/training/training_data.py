"""What a training reads of its images, before anything is decided."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.defects import (
    CleanImage,
    nothing_to_learn,
    rounding_notes,
)
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import Image
from napari_selfdenoise.parts.context import (
    AutomaticContext,
    FullVolume,
    NeighbouringPlanes,
    NoContext,
)
from napari_selfdenoise.parts.masking import LARGEST_BIN
from napari_selfdenoise.training.pixel_summary import PixelSummary
from napari_selfdenoise.training.plane_reader import PlaneReader, TrainingPlane
from napari_selfdenoise.training.targets import Targets
from napari_selfdenoise.training.volume_patches import unbroken_runs

FIRST_PIXELS = 2**21
"""Pixels that are read before a training begins, of all channels together.

All that is decided of a large image follows from them.
"""

_LEAST_PIXELS = 2**18
"""Pixels of each channel that are read before, at least: noise is measured in them."""

_PIXEL_BYTES = 24
"""Memory that a pixel takes while more of them are added: its value and where it is
good, twice, and the plane that it is read from."""

_RUN = 16
"""Neighbouring planes that are read together, where they are each other's context."""


class Reader(Protocol):
    """What reads planes to learn from, one after the other."""

    @property
    def is_over(self) -> bool:
        """Whether all is read, or as much as there is room for."""

    @property
    def pixels_left(self) -> int:
        """How many are still to be read, at most."""

    @property
    def runs_left(self) -> int:
        """How many times `read_run` still reads something, at most."""

    def read_run(self) -> list[TrainingPlane]:
        """Read what comes next."""


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Images without their defects, and the planes of them that are learned from.

    Parameters
    ----------
    images : sequence of Image
        As they were given.
    clean : sequence of CleanImage
        The same, with outliers and line offsets taken out where they are read.
    planes : list of list of TrainingPlane
        Of each channel; none of channels that are empty.
    rounding : str
        What is lost of values far from zero, in sentences; may be empty.
    readers : list of Reader
        Of each channel: what else is to be learned from, once it is read.
    summaries : list of PixelSummary
        Of each channel: what findings need of the planes that were read.
    pairing : tuple of str
        What was found of second exposures or noise-free images, in sentences.
    """

    images: Sequence[Image]
    clean: Sequence[CleanImage]
    planes: list[list[TrainingPlane]]
    rounding: str
    readers: list[Reader]
    summaries: list[PixelSummary]
    pairing: tuple[str, ...] = ()

    @classmethod
    def read(
        cls,
        images: Sequence[Image],
        config: TrainingConfig,
        targets: Targets | None = None,
        max_memory: int | None = None,
    ) -> TrainingData:
        """Read as many pixels as are needed to begin with.

        Where planes are learned from one by one, that is a part of them.

        Parameters
        ----------
        images : sequence of Image
            Observations.
        config : TrainingConfig
            How patches are cut.
        targets : Targets, optional
            Second exposures or noise-free images.
        max_memory : int, optional
            Bytes that the training may take; what is learned from has half of it.

        Raises
        ------
        RequestError
            If float32 cannot hold the values, or no channel holds anything to learn
            from, or no pixel has a target.
        """
        sentences = dict.fromkeys(n for image in images for n in rounding_notes(image))
        subtract = config.line_offsets == "subtract"
        clean = [CleanImage(image, subtract) for image in images]
        for image in clean:
            image.kept_planes = max(1, FIRST_PIXELS // math.prod(image.plane_shape))
        room = _room(max_memory, images[0].channels)
        readers, rounding = _readers(clean, config, room), " ".join(sentences)
        first = max(FIRST_PIXELS // len(readers), _LEAST_PIXELS)
        planes = [
            reader.read(first if may_grow(config) else math.inf) for reader in readers
        ]
        if not any(planes):
            raise nothing_to_learn(images[0])
        if targets is None:
            summaries = [reader.summary for reader in readers]
            return cls(images, clean, planes, rounding, [*readers], summaries)
        planes = [targets.paired(some, clean, subtract) for some in planes]
        if not any(planes):
            raise RequestError(
                "No pixel was recorded in both images.",
                "Choose two recordings of the same scene.",
            )
        summaries = [_summary(some) for some in planes]
        return cls(
            images, clean, planes, rounding, [*readers], summaries, targets.notes
        )

    @property
    def channels(self) -> int:
        """How many channels each image has."""
        return self.images[0].channels

    def volume_depth(self, context: FullVolume) -> int:
        """Planes in a row, none of them blank, that all images have in all channels.

        So many can be cut from each as a patch; 0 where nothing was read.
        """
        longest: dict[tuple[int, int], int] = {}
        for channel, planes in enumerate(self.planes):
            for run in unbroken_runs(planes, context):
                key = channel, id(run[0].image)
                longest[key] = max(longest.get(key, 0), len(run))
        return min(longest.values(), default=0)

    @property
    def least_pixels(self) -> int:
        """Pixels of the channel that has the fewest, with those still to be read."""
        return min(
            sum(one.clean.pixels.size for one in planes) + reader.pixels_left
            for planes, reader in zip(self.planes, self.readers, strict=True)
            if planes
        )

    def recorded(self) -> list[list[NDArray[np.float32]]]:
        """Planes of each channel, (Y, X), raw units; NaN where nothing was recorded."""
        return [[one.clean.recorded for one in channel] for channel in self.planes]


def _summary(planes: Sequence[TrainingPlane]) -> PixelSummary:
    """What was read of planes, all of which are learned from."""
    found = PixelSummary(sum(one.clean.pixels.size for one in planes))
    for one in planes:
        found.add((id(one.image), one.plane), one.clean)
    return found


def may_grow(config: TrainingConfig) -> bool:
    """Whether planes may be added to a training that is under way."""
    return config.supervision == "self" and isinstance(config.context, NoContext)


def _room(max_memory: int | None, channels: int) -> int | None:
    """Pixels of each channel that there is room for; None for as many as teach."""
    if max_memory is None:
        return None
    return max(_LEAST_PIXELS, max_memory // (2 * _PIXEL_BYTES * channels))


def _readers(
    images: list[CleanImage], config: TrainingConfig, room: int | None
) -> list[PlaneReader]:
    rng = np.random.default_rng(config.seed)
    side = config.patch_size * LARGEST_BIN
    channels = images[0].image.channels
    run, copies = 1, channels if config.channels.kind != "independent" else 1
    if isinstance(config.context, NeighbouringPlanes | AutomaticContext):
        run, copies = _RUN, copies + 1 + 2 * config.context.planes
    elif isinstance(config.context, FullVolume):
        run = _RUN
    grows = may_grow(config)
    return [
        PlaneReader(images, channel, generator, side, run, copies, grows, room)
        for channel, generator in enumerate(rng.spawn(channels))
    ]
