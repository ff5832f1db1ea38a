"""Training patches, cut and turned on the device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.image import Image, PlaneIndex

MAX_TRAINING_PIXELS = 2**26
"""Pixels kept for training, a channel: 256 MiB of float32. More teaches no more."""

MIN_PATCH = 16


@dataclass(frozen=True)
class Normalization:
    """normalised = (raw - offset) / scale.

    The scale is a power of two and the offset an integer, so that integer images
    survive the way there and back to the bit.
    """

    offset: float
    scale: float

    @classmethod
    def measure(cls, pixels: NDArray[np.float32]) -> Normalization:
        """Bring pixels to a median near 0 and a spread near 1."""
        low, median, high = np.percentile(pixels, (5, 50, 99))
        # Rare bright structures must not squeeze all the rest into a corner.
        spread = max(float(high - low) / 3, float(pixels.std()), 1e-30)
        offset = round(float(median)) if spread > 1 else float(median)
        return cls(float(offset), 2.0 ** round(math.log2(spread)))

    def apply(self, raw: Tensor) -> Tensor:
        """Raw units to normalised."""
        return (raw - self.offset) / self.scale

    def invert(self, normalised: Tensor) -> Tensor:
        """Normalised units to raw."""
        return normalised * self.scale + self.offset


def training_planes(
    images: Sequence[Image],
    channel: int,
    generator: np.random.Generator,
    patch_size: int = MIN_PATCH,
) -> list[NDArray[np.float32]]:
    """Read the planes of one channel to train on; each (Y, X), raw units.

    Images that hold more than `MAX_TRAINING_PIXELS` are sampled: random planes, and
    of very large planes random regions, so that lazy images stay lazy.

    Raises
    ------
    RequestError
        If pixels are NaN or infinite, or all the same.
    """
    available = [(image, plane) for image in images for plane in image.planes(channel)]
    order = generator.permutation(len(available))
    planes: list[NDArray[np.float32]] = []
    room = MAX_TRAINING_PIXELS
    for image, plane in (available[i] for i in order):
        if planes and room < patch_size**2:
            break
        planes.append(_read_region(image, plane, room, generator))
        room -= planes[-1].size
    _require_content(planes)
    return planes


def _read_region(
    image: Image, plane: PlaneIndex, room: int, generator: np.random.Generator
) -> NDArray[np.float32]:
    """A whole plane where there is room for it, else a random square of it."""
    height, width = image.plane_shape
    if height * width <= room:
        return image.read_plane(plane)
    side = math.isqrt(room)
    rows, columns = min(side, height), min(side, width)
    y = int(generator.integers(height - rows + 1))
    x = int(generator.integers(width - columns + 1))
    return image.read_plane(plane, slice(y, y + rows), slice(x, x + columns))


def _require_content(planes: list[NDArray[np.float32]]) -> None:
    bad = sum(int((~np.isfinite(p)).sum()) for p in planes)
    if bad:
        total = sum(p.size for p in planes)
        raise RequestError(
            f"{bad} of {total} pixels are NaN or infinite; every pixel must be a "
            "number.",
            "Crop the image to the part that was recorded, or fill them, for instance "
            "with numpy.nan_to_num.",
        )
    low, high = min(p.min() for p in planes), max(p.max() for p in planes)
    if low == high:
        raise RequestError(
            f"All pixels are {low:g}: there is no signal and no noise to learn from.",
            "Choose an image that was exposed.",
        )


class PatchSampler:
    """Draws random, randomly turned patches from planes of any sizes.

    Parameters
    ----------
    planes : list of ndarray
        Each (Y, X), raw units, no side shorter than the patch.
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
        normalization: Normalization,
        patch_size: int,
        orientations: Sequence[tuple[bool, bool, bool]],
        device: torch.device,
        step: int = 1,
    ) -> None:
        flat = np.concatenate([plane.ravel() for plane in planes])
        self.pixels = normalization.apply(torch.from_numpy(flat).to(device))
        shapes = torch.tensor([plane.shape for plane in planes], device=device)
        sizes = shapes.prod(1)
        self.shapes = shapes
        self.starts = sizes.cumsum(0) - sizes
        self.ends = sizes.cumsum(0)
        self.patch_size, self.step = patch_size, step
        self.orientations = torch.tensor(orientations, device=device)

    def draw(
        self, count: int, generator: torch.Generator, turned: bool = True
    ) -> Tensor:
        """Draw `count` patches, turned or as they lie, normalised: (count, 1, Y, X)."""
        device, step = self.pixels.device, self.step
        span = (self.patch_size - 1) * step + 1
        luck = torch.rand((4, count), generator=generator, device=device)
        # Every pixel equally likely: large planes are drawn more often.
        target = (luck[0] * self.ends[-1]).long()
        plane = torch.searchsorted(self.ends, target, right=True)
        plane = plane.clamp_max(len(self.ends) - 1)
        height, width = self.shapes[plane].unbind(1)
        top = (luck[1] * (height - span + 1)).long()
        left = (luck[2] * (width - span + 1)).long()
        turn = (luck[3] * (len(self.orientations) if turned else 1)).long()
        rows, columns = self._turned(self.orientations[turn])
        rows, columns = (
            values * step + start[:, None, None]
            for values, start in ((rows, top), (columns, left))
        )
        index = (
            self.starts[plane][:, None, None] + rows * width[:, None, None] + columns
        )
        return self.pixels[index].unsqueeze(1)

    def _turned(self, choices: Tensor) -> tuple[Tensor, Tensor]:
        """Row and column of each patch pixel after turns (B, 3): two of (B, Y, X)."""
        transpose, flip_y, flip_x = choices.T[:, :, None, None]
        side = self.patch_size
        ramp = torch.arange(side, device=choices.device)
        y, x = ramp[None, :, None], ramp[None, None, :]
        y = torch.where(flip_y, side - 1 - y, y).expand(-1, side, side)
        x = torch.where(flip_x, side - 1 - x, x).expand(-1, side, side)
        return torch.where(transpose, x, y), torch.where(transpose, y, x)


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
    side = min(min(image.plane_shape) for image in images) // binning
    least = max(MIN_PATCH, stride)
    if side < least:
        small = min(images, key=lambda image: min(image.plane_shape)).plane_shape
        raise RequestError(
            f"The image is {small[0]} × {small[1]} pixels; the smallest patch is "
            f"{least * binning} × {least * binning}.",
            "Choose a larger image." if binning == 1 else "Choose smaller bins.",
        )
    fits = max(min(requested, side) // stride * stride, stride)
    if fits == requested:
        return fits, None
    return fits, (
        f"Patches of {requested} px were asked for; {fits} px are used, the largest "
        f"that fit the image and the network (multiples of {stride})."
    )
