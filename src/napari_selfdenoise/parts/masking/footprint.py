"""Footprints: the pixels that are masked around each target."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.parts.masking.fills import GAUSSIAN, weighted_fill
from napari_selfdenoise.parts.masking.scheme import (
    ORIENTATIONS,
    Mask,
    MaskingScheme,
    Orientation,
    marked,
    random_index,
)

LARGEST_FOOTPRINT = 65
_SHAPE_HELP = (
    "write a footprint as HEIGHTxWIDTH in pixels, such as 5x5, or as rows of 1 and 0, "
    "such as 010/111/010"
)


class FootprintScheme(MaskingScheme):
    """What schemes have in common that mask a neighbourhood around each target.

    The noise of a target can be guessed from the pixels that share it. So these are
    masked too, and the fill comes from beyond. They are no targets themselves: pixels
    that share their noise lie unmasked further out.
    """

    @property
    def pixels(self) -> NDArray[np.bool_]:
        """The footprint, True where masked, sides odd, target in its centre: (Y, X)."""
        raise NotImplementedError

    @property
    def correlated(self) -> bool:
        """Whether noise is taken to be shared by neighbours: it is."""
        return True

    @property
    def orientations(self) -> tuple[Orientation, ...]:
        """Ways to turn an image that leave the footprint as it is: always a group."""
        return tuple(way for way in ORIENTATIONS if unchanged(self.pixels, way))

    @property
    def lattice(self) -> tuple[int, int]:
        """Distance (y, x) in px of the targets in a blind prediction.

        An unmasked line lies between any two footprints.
        """
        height, width = (max(3, side + 1) for side in self.pixels.shape)
        return height, width

    def masked_for(self, targets: Tensor) -> Tensor:
        """Pixels of the footprints around targets; both (B, 1, Y, X), bool."""
        return dilated(targets, self.pixels)

    def _draw(
        self,
        fraction: float,
        batch: int,
        height: int,
        width: int,
        generator: torch.Generator,
    ) -> Mask:
        # Where half of the pixels are masked, there is little left to learn from.
        most = math.log(2) * height * width / self.pixels.sum()
        count = max(1, min(round(fraction * height * width), int(most)))
        index = random_index(count, batch, height, width, generator)
        return Mask(self.masked_for(marked(index, height, width)), index)

    def apply(self, patches: Tensor, mask: Mask, generator: torch.Generator) -> Tensor:
        """Fill the masked pixels of patches (B, 1, Y, X) from unmasked pixels."""
        # Steps 1, 2, 4, ... see 1, 3, 7, ... px far without a gap: across two
        # footprints that overlap, in few rounds.
        half = max(self.pixels.shape) // 2
        steps = [2**k for k in range((2 * half).bit_length())] or [1]
        filled = weighted_fill(patches, mask.masked, GAUSSIAN, steps)
        return torch.where(mask.masked, filled, patches)


def footprint_text(painted: ArrayLike) -> str:
    """Write what is painted as a footprint, cropped to it, its centre included.

    Parameters
    ----------
    painted : array_like
        Painted where not zero, (Y, X).

    Returns
    -------
    str
        Such as "5x5" where a block is filled, else rows of 1 and 0.

    Raises
    ------
    RequestError
        If the image is not 2-D, nothing is painted, or more than 65 px a side.
    """
    shape = np.asarray(painted) != 0
    if shape.ndim != 2 or not shape.any():
        raise RequestError(
            "There is no painted footprint: it needs an image with two axes, and "
            f"something painted in it (found {shape.ndim} axes, {shape.sum()} px).",
            "Paint the pixels that share noise with the one in their middle.",
        )
    rows, columns = (np.flatnonzero(shape.any(axis)) for axis in (1, 0))
    shape = shape[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = (side + 1 - side % 2 for side in shape.shape)
    if max(height, width) > LARGEST_FOOTPRINT:
        raise RequestError(
            f"The painted footprint is {shape.shape[0]} x {shape.shape[1]} px large; "
            f"at most {LARGEST_FOOTPRINT} px a side are possible.",
            "Paint a smaller shape: only pixels whose noise is shared.",
        )
    shape = np.pad(shape, ((0, height - shape.shape[0]), (0, width - shape.shape[1])))
    shape[height // 2, width // 2] = True
    if shape.all():
        return f"{height}x{width}"
    return "/".join("".join("01"[int(value)] for value in row) for row in shape)


@functools.cache
def pixels_of(text: str) -> NDArray[np.bool_]:
    """The footprint that a text describes: (Y, X)."""
    block = re.fullmatch(r"\s*(\d{1,4})\s*[x×]\s*(\d{1,4})\s*", text)
    rows = [row.strip() for row in text.split("/")]
    if not block and not all(re.fullmatch("[01]+", row) for row in rows):
        raise ValueError(_SHAPE_HELP)
    if len({len(row) for row in rows}) > 1:
        raise ValueError("the rows of a footprint need to be equally long")
    height, width = map(int, block.groups()) if block else (len(rows), len(rows[0]))
    if not (height % 2 and width % 2 and max(height, width) <= LARGEST_FOOTPRINT):
        raise ValueError(
            f"the sides of a footprint need to be odd and at most {LARGEST_FOOTPRINT} "
            f"px long; this one has {height} x {width} px"
        )
    pixels = np.ones((height, width), np.bool_)
    if not block:
        pixels = np.array([[value == "1" for value in row] for row in rows])
    if not pixels[height // 2, width // 2]:
        raise ValueError("the centre of a footprint, which is predicted, needs to be 1")
    pixels.setflags(write=False)  # remembered, so it is not to change
    return pixels


def unchanged(footprint: NDArray[np.bool_], way: Orientation) -> bool:
    """Whether a footprint looks the same transposed, then flipped."""
    transpose, *flips = way
    turned = footprint.T if transpose else footprint
    turned = np.flip(turned, tuple(axis for axis in (0, 1) if flips[axis]))
    return np.array_equal(turned, footprint)


def dilated(targets: Tensor, footprint: NDArray[np.bool_]) -> Tensor:
    """Pixels of the footprints around targets; both (B, 1, Y, X), bool."""
    height, width = targets.shape[-2:]
    below, across = (side // 2 for side in footprint.shape)
    padded = F.pad(targets, (across, across, below, below))
    masked = torch.zeros_like(targets)
    runs: dict[int, Tensor] = {}
    for y, x, length in _runs(footprint):
        if length not in runs:
            runs[length] = _stretched(padded, length)
        # y = below is the row of the target, x the left end of a run in the footprint.
        rows = runs[length].narrow(2, 2 * below - y, height)
        masked = masked | rows.narrow(3, 2 * across - x, width)
    return masked


def _runs(footprint: NDArray[np.bool_]) -> Iterator[tuple[int, int, int]]:
    """Row, first column and length of each run of pixels in a footprint."""
    for y, row in enumerate(footprint):
        edges = np.flatnonzero(np.diff(np.pad(row, 1).astype(np.int8)))
        for start, end in edges.reshape(-1, 2).tolist():
            yield y, start, end - start


def _stretched(targets: Tensor, length: int) -> Tensor:
    """Each target and the `length - 1` pixels to its right, (B, 1, Y, X)."""
    # Doubling: few steps for long runs, far faster than pooling or a convolution.
    done = 1
    while done < length:
        step = min(done, length - done)
        shifted = F.pad(targets[..., :-step], (step, 0))
        targets, done = targets | shifted, done + step
    return targets
