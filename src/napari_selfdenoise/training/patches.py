"""Training patches, cut and turned on the device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdenoise.defects import CleanImage, CleanPlane
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import Image, Normalization, PlaneIndex
from napari_selfdenoise.parts.masking import Mask

MAX_TRAINING_PIXELS = 2**26
"""Pixels kept for training, a channel: 256 MiB of float32. More teaches no more."""

MIN_PATCH = 16


def training_planes(
    images: Sequence[CleanImage],
    channel: int,
    generator: np.random.Generator,
    patch_size: int = MIN_PATCH,
) -> list[CleanPlane]:
    """Read the planes of one channel to train on.

    Blank planes are left out. Images that hold more than `MAX_TRAINING_PIXELS` are
    sampled: random planes, and of very large planes random regions, so that lazy
    images stay lazy.

    Returns
    -------
    list of CleanPlane
        Each (Y, X), raw units; empty where all planes are blank.
    """
    available = [
        (image, plane) for image in images for plane in image.image.planes(channel)
    ]
    order = generator.permutation(len(available))
    planes: list[CleanPlane] = []
    room = MAX_TRAINING_PIXELS
    for image, plane in (available[i] for i in order):
        if planes and room < patch_size**2:
            break
        region = _read_region(image, plane, room, generator)
        if image.is_blank(plane) or not region.good.any():
            continue
        planes.append(region)
        room -= region.pixels.size
    return planes


def _read_region(
    image: CleanImage, plane: PlaneIndex, room: int, generator: np.random.Generator
) -> CleanPlane:
    """A whole plane where there is room for it, else a random square of it."""
    height, width = image.plane_shape
    if height * width <= room:
        return image.read(plane)
    side = math.isqrt(room)
    rows, columns = min(side, height), min(side, width)
    y = int(generator.integers(height - rows + 1))
    x = int(generator.integers(width - columns + 1))
    return image.read(plane, slice(y, y + rows), slice(x, x + columns))


class Patches(NamedTuple):
    """Patches to learn from.

    Parameters
    ----------
    observation : Tensor
        Normalised, (B, 1, Y, X).
    good : Tensor or None
        False at defects, (B, 1, Y, X); None where there are none.
    """

    observation: Tensor
    good: Tensor | None

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
    ) -> None:
        flat = np.concatenate([plane.ravel() for plane in planes])
        self.pixels = normalization.apply(torch.from_numpy(flat).to(device))
        marks = torch.from_numpy(np.concatenate([part.ravel() for part in good]))
        self.good = None if bool(marks.all()) else marks.to(device)
        self._places = None if self.good is None else self.good.nonzero()[:, 0]
        shapes = torch.tensor([plane.shape for plane in planes], device=device)
        sizes = shapes.prod(1)
        self.shapes = shapes
        self.starts = sizes.cumsum(0) - sizes
        self.ends = sizes.cumsum(0)
        self.patch_size, self.step = patch_size, step
        self.orientations = torch.tensor(orientations, device=device)

    def draw(
        self, count: int, generator: torch.Generator, turned: bool = True
    ) -> Patches:
        """Draw `count` patches, turned or as they lie."""
        device, step = self.pixels.device, self.step
        uniform = torch.rand((4, count), generator=generator, device=device)
        plane, top, left = self._corners(uniform)
        width = self.shapes[plane][:, 1]
        turn = (uniform[3] * (len(self.orientations) if turned else 1)).long()
        rows, columns = self._turned(self.orientations[turn])
        rows, columns = (
            values * step + start[:, None, None]
            for values, start in ((rows, top), (columns, left))
        )
        index = (
            self.starts[plane][:, None, None] + rows * width[:, None, None] + columns
        )
        good = None if self.good is None else self.good[index].unsqueeze(1)
        return Patches(self.pixels[index].unsqueeze(1), good)

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
