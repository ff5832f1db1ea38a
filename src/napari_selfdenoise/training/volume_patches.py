"""Patches of volumes: which planes they consist of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from napari_selfdenoise.context import depth_axis
from napari_selfdenoise.defects import CleanImage
from napari_selfdenoise.images import PlaneIndex
from napari_selfdenoise.parts.context import FullVolume

Place = tuple[int, tuple[int, int], tuple[int, ...]]
"""Identity of an image, first row and column of a region in it, and its shape."""


class _Plane(Protocol):
    """A plane that was read, or a region of it."""

    @property
    def image(self) -> CleanImage: ...
    @property
    def plane(self) -> PlaneIndex: ...
    @property
    def place(self) -> Place: ...


Plane = TypeVar("Plane", bound=_Plane)


def unbroken_runs(planes: Sequence[Plane], context: FullVolume) -> list[list[Plane]]:
    """Planes that follow each other along depth, none of them missing, in order.

    Parameters
    ----------
    planes : sequence of TrainingPlane
        Of one channel, without those that are blank.
    context : FullVolume
        Along which axis they lie.
    """
    volumes: dict[object, dict[int, Plane]] = {}
    for one in planes:
        place, rest = _place(one, context)
        volumes.setdefault((one.place, rest), {})[place] = one
    runs: list[list[Plane]] = []
    for by_place in volumes.values():
        before = None
        for place in sorted(by_place):
            if before is None or place > before + 1:
                runs.append([])
            runs[-1].append(by_place[place])
            before = place
    return runs


def _place(one: Plane, context: FullVolume) -> tuple[int, PlaneIndex]:
    """Number of a plane along depth, and along all other axes."""
    image = one.image.image
    axis = depth_axis(image, context.axis)
    if not axis:
        return 0, one.plane
    number = image.outer_axes.index(axis)
    return one.plane[number], (*one.plane[:number], *one.plane[number + 1 :])


class VolumePatches(NamedTuple):
    """Which planes the patches of volumes consist of.

    Planes are numbered along their volumes.

    Parameters
    ----------
    first, last : Tensor
        Numbers of the first planes of the first and the last patch that holds a plane,
        (n,), one a plane.
    depth : int
        How many planes a patch has.
    """

    first: Tensor
    last: Tensor
    depth: int

    @classmethod
    def of(
        cls, planes: Sequence[Plane], context: FullVolume
    ) -> tuple[list[Plane], VolumePatches]:
        """Return planes along their volumes, without short ones, and their patches."""
        depth = context.depth
        runs = [run for run in unbroken_runs(planes, context) if len(run) >= depth]
        lengths = [len(run) for run in runs]
        ends = np.repeat(np.cumsum(lengths), lengths)
        begins = ends - np.repeat(lengths, lengths)
        number = np.arange(len(ends))
        first = np.maximum(number - depth + 1, begins)
        last = np.minimum(number, ends - depth)
        found = cls(torch.from_numpy(first), torch.from_numpy(last), depth)
        return _chained(runs), found

    def to(self, device: torch.device) -> VolumePatches:
        """Return the same on a device."""
        return VolumePatches(self.first.to(device), self.last.to(device), self.depth)

    def around(
        self, plane: Tensor, generator: torch.Generator, turned: bool = True
    ) -> Tensor:
        """Planes of random patches that hold some planes.

        Parameters
        ----------
        plane : Tensor
            Numbers of planes, (B,).
        generator : torch.Generator
            On their device.
        turned : bool
            Whether half of the patches are turned upside down.

        Returns
        -------
        Tensor
            Numbers of the planes of one patch after the other, (B * Z,).
        """
        random = torch.rand((2, len(plane)), generator=generator, device=plane.device)
        first, last = self.first[plane], self.last[plane]
        start = first + (random[0] * (last - first + 1)).long()
        step = torch.arange(self.depth, device=plane.device).expand(len(plane), -1)
        flipped = (random[1] < 0.5)[:, None] & turned
        step = torch.where(flipped, self.depth - 1 - step, step)
        return (start[:, None] + step).flatten()


def _chained(runs: Iterable[Sequence[Plane]]) -> list[Plane]:
    return [one for run in runs for one in run]
