"""Training patches, cut and turned on the device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.context import ContextPlanes, ContextSources, OtherChannels
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import (
    Image,
    Normalization,
    sliding_means,
)
from napari_selfdenoise.parts.channels import JointChannels
from napari_selfdenoise.parts.context import NeighbouringPlanes
from napari_selfdenoise.parts.masking import Mask
from napari_selfdenoise.training.plane_reader import MIN_PATCH, TrainingPlane
from napari_selfdenoise.training.volume_patches import Place, VolumePatches


def planes_around(
    planes: Sequence[TrainingPlane], context: NeighbouringPlanes
) -> dict[Place, ContextPlanes]:
    """What finds the neighbours of planes that were read, by `TrainingPlane.place`.

    Of large stacks, other regions may have been read of other planes.
    """
    above: dict[Place, list[TrainingPlane]] = {}
    for one in planes:
        above.setdefault(one.place, []).append(one)
    return {
        place: ContextPlanes(found[0].image, context, {p.plane: p.clean for p in found})
        for place, found in above.items()
    }


FindContext = Callable[[TrainingPlane], ContextSources]
"""What finds the context of a plane that was read, or of the region that was."""


def context_of(
    planes: Sequence[TrainingPlane], config: TrainingConfig
) -> FindContext | None:
    """What finds the context of planes that were read; None where they have none.

    Planes around are found among those given; other channels are read.

    Parameters
    ----------
    planes : sequence of TrainingPlane
        Of one channel.
    config : TrainingConfig
        With context and channels that are not automatic.
    """
    context, channels = config.context, config.channels
    joint = isinstance(channels, JointChannels) and bool(channels.count)
    if not planes or not (joint or isinstance(context, NeighbouringPlanes)):
        return None
    above: dict[Place, ContextPlanes] = {}
    if isinstance(context, NeighbouringPlanes):
        above = planes_around(planes, context)
    others: dict[int, OtherChannels] = {}

    def find(one: TrainingPlane) -> ContextSources:
        found: list[ContextPlanes | OtherChannels] = []
        if isinstance(context, NeighbouringPlanes):
            found.append(above[one.place])
        if isinstance(channels, JointChannels) and joint:
            if id(one.image) not in others:
                others[id(one.image)] = OtherChannels(one.image, channels)
            found.append(others[id(one.image)].at(*one.region))
        return ContextSources(found)

    return find


_HIDDEN = 0.1
"""Share of the patches in which another channel is hidden."""


class Patches(NamedTuple):
    """Patches to learn from.

    Parameters
    ----------
    observation : Tensor
        Normalised, (B, 1, Y, X).
    good : Tensor or None
        False at defects, (B, 1, Y, X); None where there are none.
    context : Tensor or None
        The same part of the planes around, (B, N, Y, X), normalised; NaN where there is
        none. None without context.
    """

    observation: Tensor
    good: Tensor | None
    context: Tensor | None = None

    def targets(self, mask: Mask) -> Mask:
        """Return a mask whose targets are good: those that are not give way to others.

        Their number stays, so that some of the good ones count twice. A patch with no
        good target keeps its own.
        """
        if self.good is None:
            return mask
        good = mask.gather(self.good)  # (B, N)
        first = (~good).to(torch.uint8).argsort(dim=1, stable=True)
        count = good.sum(1, keepdim=True)
        count = torch.where(count > 0, count, good.shape[1])
        turn = torch.arange(good.shape[1], device=good.device) % count
        return mask._replace(positions=mask.positions.gather(1, first.gather(1, turn)))


class Contexts(NamedTuple):
    """The planes around all planes that are learned from.

    Parameters
    ----------
    pixels : list of ndarray
        Around each plane, (N, Y, X), raw units; NaN where there is none.
    noise_shares : ndarray
        Std of their noise over that of a plane, on average, (N,).
    levels : tuple of float
        What stands in place of the last ones where they are not used, raw units: in
        some patches they are hidden, so that a network learns to do without.
    """

    pixels: list[NDArray[np.float32]]
    noise_shares: NDArray[np.float32]
    levels: tuple[float, ...] = ()

    @classmethod
    def of(
        cls,
        planes: Sequence[TrainingPlane],
        bin_size: int,
        levels: tuple[float, ...] = (),
    ) -> Contexts | None:
        """Contexts of planes, in bins as these are; None where they have none."""
        pixels = [one.around for one in planes if one.around is not None]
        shares = [p.noise_shares for p in planes if p.noise_shares is not None]
        if not pixels:
            return None
        if bin_size > 1:
            pixels = [
                np.stack([sliding_means(plane, bin_size) for plane in around])
                for around in pixels
            ]
        return cls(pixels, np.mean(shares, axis=0, dtype=np.float32), levels)


class PatchSampler:
    """Draws random, randomly turned patches from planes of any sizes.

    Parameters
    ----------
    planes : sequence of ndarray
        Each (Y, X), raw units, no side shorter than the patch.
    good : sequence of ndarray
        False at defects, (Y, X), one array a plane.
    normalization : Normalization
        Applied once, here.
    patch_size : int
        Side of the patches, in pixels.
    orientations : sequence of (bool, bool, bool)
        Which of transpose, flip of rows, flip of columns patches may be turned by.
    device : torch.device
        Where pixels, indices and randomness live.
    step : int
        Distance in the plane of neighbouring pixels of a patch.
    around : Contexts, optional
        Of all the planes, or none.
    partners : ndarray, optional
        Numbers of the planes that go with each one in place of a context, (n, 1).
    inputs : int, optional
        How many planes patches are drawn from, the first ones; all if not given.
    volumes : VolumePatches, optional
        Where patches have several planes.
    """

    def __init__(
        self,
        planes: Sequence[NDArray[np.float32]],
        good: Sequence[NDArray[np.bool_]],
        normalization: Normalization,
        patch_size: int,
        orientations: Sequence[tuple[bool, bool, bool]],
        device: torch.device,
        step: int = 1,
        around: Contexts | None = None,
        partners: NDArray[np.int64] | None = None,
        inputs: int | None = None,
        volumes: VolumePatches | None = None,
    ) -> None:
        self._normalization, self._device, self._inputs = normalization, device, inputs
        self.pixels = torch.empty(0, device=device)
        self.good: Tensor | None = None
        self.shapes = torch.empty((0, 2), dtype=torch.int64, device=device)
        self._around: Tensor | None = None
        self._levels = torch.empty(0, device=device)
        self.add(planes, good, around)
        self.patch_size, self.step = patch_size, step
        self.orientations = torch.tensor(orientations, device=device)
        self._partners = (
            None if partners is None else torch.from_numpy(partners).to(device)
        )
        if around:
            shares = torch.from_numpy(around.noise_shares).to(device)
            self.noise_shares = shares[:, None, None]
            self._others = torch.arange(len(shares), device=device)
            levels = torch.tensor(around.levels, device=device)
            self._levels = self._normalization.apply(levels)[:, None, None]
        self._volumes = volumes and volumes.to(device)

    def add(
        self,
        planes: Sequence[NDArray[np.float32]],
        good: Sequence[NDArray[np.bool_]],
        around: Contexts | None = None,
    ) -> None:
        """Draw from more planes, too; parameters are those of the class.

        Planes that have partners or volumes are all given at once.
        """
        device, old = self._device, len(self.pixels)
        flat = np.concatenate([plane.ravel() for plane in planes])
        fresh = self._normalization.apply(torch.from_numpy(flat).to(device))
        marks = torch.from_numpy(np.concatenate([part.ravel() for part in good]))
        if self.good is not None or not bool(marks.all()):
            known = torch.ones(old, dtype=torch.bool, device=device)
            known = known if self.good is None else self.good
            self.good = torch.cat([known, marks.to(device)])
        shapes = torch.tensor([plane.shape for plane in planes], device=device)
        self.pixels = torch.cat([self.pixels, fresh])
        self.shapes = torch.cat([self.shapes, shapes])
        sizes = self.shapes.prod(1)
        self.starts = sizes.cumsum(0) - sizes
        self.ends = sizes.cumsum(0)[: self._inputs]
        self._places = self._good_places()
        if around:
            flat = np.concatenate([pixels.ravel() for pixels in around.pixels])
            fresh = self._normalization.apply(torch.from_numpy(flat).to(device))
            before = [] if self._around is None else [self._around]
            self._around = torch.cat([*before, fresh])

    def draw(
        self, count: int, generator: torch.Generator, turned: bool = True
    ) -> Patches:
        """Draw `count` patches, turned or as they lie.

        The planes of a patch of a volume follow each other in the batch.
        """
        device, step = self.pixels.device, self.step
        uniform = torch.rand((4, count), generator=generator, device=device)
        plane, top, left = self._corners(uniform)
        if self._volumes:
            # All planes of a patch at the same place, and turned alike.
            plane = self._volumes.around(plane, generator, turned)
            depth = self._volumes.depth
            uniform, top, left = (
                values.repeat_interleave(depth, -1) for values in (uniform, top, left)
            )
        width = self.shapes[plane][:, 1]
        turn = (uniform[3] * (len(self.orientations) if turned else 1)).long()
        rows, columns = self._turned(self.orientations[turn])
        rows, columns = (
            values * step + start[:, None, None]
            for values, start in ((rows, top), (columns, left))
        )
        inside = rows * width[:, None, None] + columns
        index = self.starts[plane][:, None, None] + inside
        good = None if self.good is None else self.good[index].unsqueeze(1)
        context = self._context(plane, inside)
        if context is not None:
            context = self._partly_hidden(context, generator)
        return Patches(self.pixels[index].unsqueeze(1), good, context)

    def _good_places(self) -> Tensor | None:
        """Where patches may lie around, in all pixels; None for everywhere."""
        if self.good is None:
            return None
        return self.good[: int(self.ends[-1])].nonzero()[:, 0]

    def _context(self, plane: Tensor, inside: Tensor) -> Tensor | None:
        """Pixels of the planes around some planes (B,), at places (B, Y, X) in them."""
        if self._partners is not None:
            starts = self.starts[self._partners[plane]]  # (B, 1)
            return self.pixels[starts[:, :, None, None] + inside[:, None]]
        if self._around is None:
            return None
        size = (self.ends - self.starts)[plane][:, None]
        starts = len(self._others) * self.starts[plane][:, None] + self._others * size
        return self._around[starts[:, :, None, None] + inside[:, None]]

    def _partly_hidden(self, context: Tensor, generator: torch.Generator) -> Tensor:
        """A context (B, N, Y, X), of which some images are replaced by their level."""
        count = len(self._levels)
        if not count:
            return context
        shape = len(context), count, 1, 1
        uniform = torch.rand(shape, generator=generator, device=self._device)
        last = torch.where(uniform < _HIDDEN, self._levels, context[:, -count:])
        return torch.cat([context[:, :-count], last], dim=1)

    def _corners(self, random: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Plane, top row and left column of patches, from uniform numbers (4, B)."""
        span = (self.patch_size - 1) * self.step + 1
        if self._places is not None:
            # Around a good pixel, so that no patch lies in what was never recorded.
            target = self._places[(random[0] * len(self._places)).long()]
        else:
            # Every pixel equally likely: large planes are drawn more often.
            target = (random[0] * self.ends[-1]).long()
        plane = torch.searchsorted(self.ends, target, right=True)
        plane = plane.clamp_max(len(self.ends) - 1)
        height, width = self.shapes[plane].unbind(1)
        if self._places is None:
            top = (random[1] * (height - span + 1)).long()
            left = (random[2] * (width - span + 1)).long()
            return plane, top, left
        inside = target - self.starts[plane]
        top, left = (
            torch.minimum((place - (share * span).long()).clamp_min(0), length - span)
            for place, share, length in (
                (inside // width, random[1], height),
                (inside % width, random[2], width),
            )
        )
        return plane, top, left

    def _turned(self, choices: Tensor) -> tuple[Tensor, Tensor]:
        """Row and column of each patch pixel after turns (B, 3): two of (B, Y, X)."""
        transpose, flip_y, flip_x = choices.T[:, :, None, None]
        side = self.patch_size
        ramp = torch.arange(side, device=choices.device)
        y, x = ramp[None, :, None], ramp[None, None, :]
        y = torch.where(flip_y, side - 1 - y, y).expand(-1, side, side)
        x = torch.where(flip_x, side - 1 - x, x).expand(-1, side, side)
        return torch.where(transpose, x, y), torch.where(transpose, y, x)


def smallest_side(stride: int, binning: int = 1) -> int:
    """Side in px of the smallest image that can be learned from.

    Parameters
    ----------
    stride : int
        What sides of patches must be multiples of.
    binning : int
        Side of the bins, in pixels.
    """
    return max(MIN_PATCH, stride) * binning


def require_room(image: Image, stride: int, binning: int = 1) -> None:
    """Refuse an image without room for the smallest patch; pixels are not read.

    Parameters
    ----------
    image : Image
        To train on.
    stride, binning : int
        As for `smallest_side`.

    Raises
    ------
    RequestError
        If one side is too short.
    """
    height, width = image.plane_shape
    least, side = smallest_side(stride, binning), min(height, width)
    if side < least:
        raise RequestError(
            f"Too small to learn from: {height} × {width} pixels; at least {least} × "
            f"{least} are needed.",
            _LINES if _is_line_scan(image) else _more_room(side, stride, binning),
        )


_LINES = (
    "If these are lines that were scanned again and again, time by position is the "
    "image: as_line_scan(image) makes it."
)


def _is_line_scan(image: Image) -> bool:
    """Whether it may be one that was not taken as such: files and layers are."""
    return min(image.plane_shape) == 1 and image.plane_count >= MIN_PATCH


def _more_room(side: int, stride: int, binning: int) -> str:
    """What to try where a side is too short."""
    if side >= smallest_side(stride):
        return "Choose smaller bins, or a larger image."
    if side >= smallest_side(1, binning):
        return "Choose a network of smaller depth, or a larger image."
    return "Choose a larger image."


def resolve_patch_size(
    requested: int, images: Sequence[Image], stride: int, binning: int = 1
) -> tuple[int, str | None]:
    """Largest patch that fits all images, and a sentence if it is not the asked one.

    Parameters
    ----------
    requested : int
        Side of the patches; in bins, where pixels are binned.
    images : sequence of Image
        To train on.
    stride : int
        What sides must be multiples of.
    binning : int
        Side of the bins, in pixels.

    Raises
    ------
    RequestError
        If an image is smaller than the smallest patch.
    """
    for image in images:
        require_room(image, stride, binning)
    side = min(min(image.plane_shape) for image in images) // binning
    fits = max(min(requested, side) // stride * stride, stride)
    if fits == requested:
        return fits, None
    return fits, (
        f"Patches of {fits} px are used instead of {requested} px: the largest that "
        f"fit the image and the network (multiples of {stride})."
    )
