"""Masking schemes: which pixels are hidden from the network, and what fills them.

Every scheme is blind: what a masked pixel is filled with comes from unmasked pixels
only, so its own value cannot reach its own prediction.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor


class Mask(NamedTuple):
    """The hidden pixels of a batch of patches.

    Parameters
    ----------
    hidden : Tensor
        True where a pixel is hidden, (B, 1, Y, X).
    positions : Tensor
        Flat positions y * X + x of the N hidden pixels of each patch, (B, N).
    """

    hidden: Tensor
    positions: Tensor

    def gather(self, values: Tensor) -> Tensor:
        """Values at the hidden pixels: (B, 1, Y, X) -> (B, N)."""
        return values.flatten(1).gather(1, self.positions)


def _mask_from_index(index: Tensor, height: int, width: int) -> Mask:
    hidden = torch.zeros(
        (index.shape[0], height * width), dtype=torch.bool, device=index.device
    )
    hidden.scatter_(1, index, True)
    return Mask(hidden.view(-1, 1, height, width), index)


class RandomMask(BaseModel):
    """Random pixels (Noise2Void, dense).

    A fixed fraction of each patch, at random positions drawn anew for every batch.
    Dense masks learn faster: every hidden pixel is a lesson.
    Krull et al. 2019, Noise2Void; Höck et al. 2022, N2V2 (fills).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", title="Random pixels")

    kind: Literal["random"] = "random"
    fraction: float = Field(
        0.25,
        gt=0,
        le=0.5,
        title="Masked fraction",
        description="Share of the pixels of a patch that is hidden in each step: 0.25 "
        "is a quarter.",
    )
    fill: Literal["mean", "median", "uniform"] = Field(
        "mean",
        title="Fill",
        description="What a hidden pixel shows instead: mean or median of its "
        "unmasked neighbours, or one of them at random.",
    )

    def draw(
        self, batch: int, height: int, width: int, generator: torch.Generator
    ) -> Mask:
        """Draw the hidden pixels of a batch of patches."""
        # One permutation, shifted around the torus for every patch: as random as
        # fresh draws where it matters, at the cost of one, and of known length.
        count = max(1, round(self.fraction * height * width))
        device = generator.device
        order = torch.randperm(height * width, generator=generator, device=device)
        shift_y = torch.randint(height, (batch, 1), generator=generator, device=device)
        shift_x = torch.randint(width, (batch, 1), generator=generator, device=device)
        y = (order[:count] // width + shift_y) % height
        x = (order[:count] % width + shift_x) % width
        return _mask_from_index(y * width + x, height, width)

    def sparse(self) -> RandomMask:
        """Return the scheme for measuring: with fewer holes predictions are better."""
        return self.model_copy(update={"fraction": min(self.fraction, 0.06)})

    def apply(self, patches: Tensor, mask: Mask, generator: torch.Generator) -> Tensor:
        """Fill the hidden pixels of patches (B, 1, Y, X) from unmasked neighbours."""
        fill = {"mean": _mean_fill, "median": _median_fill}.get(self.fill)
        filled = (
            fill(patches, mask.hidden)
            if fill
            else _uniform_fill(patches, mask.hidden, generator)
        )
        return torch.where(mask.hidden, filled, patches)


class GridMask(BaseModel):
    """Grid of random spacing (Ollion).

    Pixels on a grid whose spacing and offset are drawn anew for every batch; each is
    filled with the Gaussian-weighted mean (standard deviation 1 px) of its 8
    neighbours. With spacings of 3 to 5 px, 6.8 % are hidden on average.
    Ollion et al. 2021, section 4.3.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", title="Grid of random spacing"
    )

    kind: Literal["grid"] = "grid"
    spacing_min: int = Field(
        3,
        ge=2,
        le=16,
        title="Smallest spacing",
        description="Smallest distance between masked pixels along an axis.",
        json_schema_extra={"unit": "px"},
    )
    spacing_max: int = Field(
        5,
        ge=2,
        le=16,
        title="Largest spacing",
        description="Largest distance between masked pixels along an axis.",
        json_schema_extra={"unit": "px"},
    )

    @model_validator(mode="after")
    def _ordered(self) -> GridMask:
        if self.spacing_min > self.spacing_max:
            raise ValueError(
                f"the smallest spacing ({self.spacing_min} px) is larger than the "
                f"largest ({self.spacing_max} px)"
            )
        return self

    def draw(
        self, batch: int, height: int, width: int, generator: torch.Generator
    ) -> Mask:
        """Draw one grid for a batch of patches."""
        y = self._positions(height, generator)
        x = self._positions(width, generator)
        index = (y[:, None] * width + x[None, :]).reshape(1, -1)
        return _mask_from_index(index.expand(batch, -1).contiguous(), height, width)

    def _positions(self, length: int, generator: torch.Generator) -> Tensor:
        device = generator.device
        spacing = torch.randint(
            self.spacing_min,
            self.spacing_max + 1,
            (1,),
            generator=generator,
            device=device,
        )
        offset = torch.randint(2**30, (1,), generator=generator, device=device)
        start, step = int(offset % spacing), int(spacing)
        return torch.arange(min(start, length - 1), length, step, device=device)

    def sparse(self) -> GridMask:
        """Return the scheme for measuring: a grid is sparse enough."""
        return self

    def apply(self, patches: Tensor, mask: Mask, generator: torch.Generator) -> Tensor:
        """Fill the hidden pixels of patches (B, 1, Y, X) from unmasked neighbours."""
        filled = _weighted_fill(patches, mask.hidden, math.exp(-0.5))
        return torch.where(mask.hidden, filled, patches)


Masking = Annotated[RandomMask | GridMask, Field(discriminator="kind")]


def neighbour_sum(values: Tensor, side: float = 1.0) -> Tensor:
    """Sum over 3 x 3 pixels with the weights (side, 1, side) along each axis."""
    # For one channel, shifted sums are ten times faster than a convolution.
    for axis in (2, 3):
        length = values.shape[axis]
        sides = torch.zeros_like(values)
        if length > 1:
            sides.narrow(axis, 1, length - 1).add_(values.narrow(axis, 0, length - 1))
            sides.narrow(axis, 0, length - 1).add_(values.narrow(axis, 1, length - 1))
        values = values + side * sides
    return values


def _weighted_fill(patches: Tensor, hidden: Tensor, side: float = 1.0) -> Tensor:
    """Weighted mean of the unmasked of 8 neighbours; wider where there are none.

    Hidden pixels count as zero with weight zero, so the centre need not be left out.
    """
    total = patches.masked_fill(hidden, 0)
    weight = (~hidden).to(patches.dtype)
    # 0 is the median of the image, where no neighbour within 7 x 7 is visible.
    filled, known = torch.zeros_like(patches), torch.zeros_like(hidden)
    # With half the pixels hidden, one in 256 has no visible neighbour in 3 x 3.
    for _ in range(3):
        total, weight = neighbour_sum(total, side), neighbour_sum(weight, side)
        filled = torch.where(known, filled, total / weight.clamp_min(1e-6))
        known = known | (weight > 0)
    return filled


def _mean_fill(patches: Tensor, hidden: Tensor) -> Tensor:
    return _weighted_fill(patches, hidden)


def _neighbours(values: Tensor, size: int) -> Tensor:
    """The neighbours of each pixel, centre left out: (B, size² - 1, Y, X)."""
    b, _, h, w = values.shape
    unfolded = F.unfold(values, size, padding=size // 2).view(b, size * size, h, w)
    centre = size * size // 2
    return torch.cat([unfolded[:, :centre], unfolded[:, centre + 1 :]], dim=1)


def _median_fill(patches: Tensor, hidden: Tensor) -> Tensor:
    # Outside the patch nothing is visible: padding enters as 0 and is dropped here.
    visible = _neighbours((~hidden).to(patches.dtype), 3) > 0
    values = _neighbours(patches, 3).masked_fill(~visible, float("nan"))
    median = values.nanmedian(dim=1, keepdim=True).values
    wide = _weighted_fill(patches, hidden)
    return torch.where(visible.any(dim=1, keepdim=True), median, wide)


def _uniform_fill(
    patches: Tensor, hidden: Tensor, generator: torch.Generator
) -> Tensor:
    visible = _neighbours((~hidden).to(patches.dtype), 5) > 0
    luck = torch.rand(visible.shape, generator=generator, device=patches.device)
    chosen = luck.masked_fill(~visible, -1).argmax(dim=1, keepdim=True)
    drawn = _neighbours(patches, 5).gather(1, chosen)
    wide = _weighted_fill(patches, hidden)
    return torch.where(visible.any(dim=1, keepdim=True), drawn, wide)
