"""What all masking schemes have in common."""

from __future__ import annotations

import itertools
from typing import NamedTuple, Self

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

Orientation = tuple[bool, bool, bool]
"""An image transposed, then flipped along y, then flipped along x."""

ORIENTATIONS: tuple[Orientation, ...] = tuple(
    itertools.product((False, True), (False, True), (False, True))
)
"""All eight, the image as it is first."""


class Mask(NamedTuple):
    """Which pixels of a batch of patches are masked, and which are targets.

    Parameters
    ----------
    masked : Tensor
        True where a pixel is masked, (B, 1, Y, X).
    positions : Tensor
        Flat positions y * X + x of the N targets of each patch, (B, N): the pixels that
        are predicted and learned from. Where noise is shared by neighbours, pixels
        around a target are masked with it and are no targets themselves.
    """

    masked: Tensor
    positions: Tensor

    def gather(self, values: Tensor) -> Tensor:
        """Values at the targets: (B, 1, Y, X) -> (B, N)."""
        return values.flatten(1).gather(1, self.positions)


class MaskingScheme(BaseModel):
    """A scheme that masks single pixels; others override what differs.

    A member adds `draw` and `apply`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def correlated(self) -> bool:
        """Whether noise is taken to be shared by neighbours."""
        return False

    @property
    def binning(self) -> int:
        """Side in px of the bins whose means the network gets; 1 for pixels."""
        return 1

    @property
    def masks_pixels(self) -> bool:
        """Whether pixels are masked: else the network has to be blind itself."""
        return True

    @property
    def targets_vary(self) -> bool:
        """Whether the number of targets differs from one draw to the next."""
        return False

    @property
    def orientations(self) -> tuple[Orientation, ...]:
        """Ways to turn an image that leave the footprint as it is."""
        return ORIENTATIONS

    @property
    def lattice(self) -> tuple[int, int]:
        """Distance (y, x) in px of the targets when a whole image is predicted blindly.

        Each of the y * x offsets is one pass of the network.
        """
        return 3, 3

    def masked_for(self, targets: Tensor) -> Tensor:
        """Pixels that are masked because of targets; both (B, 1, Y, X), bool."""
        return targets

    def sparse(self) -> Self:
        """Return the scheme with fewer masked pixels, for measuring the noise."""
        return self


def marked(index: Tensor, height: int, width: int) -> Tensor:
    """True at flat positions (B, N): (B, 1, Y, X)."""
    marked = torch.zeros(
        (index.shape[0], height * width), dtype=torch.bool, device=index.device
    )
    return marked.scatter_(1, index, True).view(-1, 1, height, width)


def mask_from_index(index: Tensor, height: int, width: int) -> Mask:
    """Mask whose masked pixels are all targets, at flat positions (B, N)."""
    return Mask(marked(index, height, width), index)


def random_index(
    count: int, batch: int, height: int, width: int, generator: torch.Generator
) -> Tensor:
    """Flat positions of `count` random pixels of each patch, (B, N)."""
    # One permutation, shifted around the torus for every patch: as random as
    # fresh draws where it matters, at the cost of one, and of known length.
    device = generator.device
    order = torch.randperm(height * width, generator=generator, device=device)
    shift_y = torch.randint(height, (batch, 1), generator=generator, device=device)
    shift_x = torch.randint(width, (batch, 1), generator=generator, device=device)
    y = (order[:count] // width + shift_y) % height
    x = (order[:count] % width + shift_x) % width
    return y * width + x
