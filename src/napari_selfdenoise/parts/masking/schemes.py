"""The masking schemes that can be chosen."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from pydantic import ConfigDict, Field, field_validator, model_validator
from torch import Tensor

from napari_selfdenoise.parts.masking.fills import (
    GAUSSIAN,
    cross_fill,
    mean_fill,
    median_fill,
    uniform_fill,
    weighted_fill,
)
from napari_selfdenoise.parts.masking.footprint import (
    LARGEST_FOOTPRINT,
    FootprintScheme,
    footprint_text,
    pixels_of,
)
from napari_selfdenoise.parts.masking.scheme import (
    Mask,
    MaskingScheme,
    mask_from_index,
    random_index,
)

LARGEST_BIN = 8
"""Side in px of the largest bins."""


class _SinglePixels(MaskingScheme):
    """What schemes have in common that mask random single pixels."""

    kind: str = ""
    fraction: float = Field(
        0.25,
        gt=0,
        le=0.5,
        title="Masked fraction",
        description="Share of the pixels of a patch that is masked in each step: 0.25 "
        "is a quarter.",
    )
    fill: Literal["mean", "median", "uniform"] = Field(
        "mean",
        title="Fill",
        description="What a masked pixel shows instead: mean or median of its "
        "unmasked neighbours, or one of them at random.",
    )

    def draw(
        self, batch: int, height: int, width: int, generator: torch.Generator
    ) -> Mask:
        """Draw the masked pixels of a batch of patches."""
        count = max(1, round(self.fraction * height * width))
        index = random_index(count, batch, height, width, generator)
        return mask_from_index(index, height, width)

    def sparse(self) -> Self:
        """Return the scheme with fewer masked pixels, for measuring the noise."""
        return self.model_copy(update={"fraction": min(self.fraction, 0.06)})

    def apply(self, patches: Tensor, mask: Mask, generator: torch.Generator) -> Tensor:
        """Fill the masked pixels of patches (B, 1, Y, X) from unmasked neighbours."""
        fill = {"mean": mean_fill, "median": median_fill}.get(self.fill)
        filled = (
            fill(patches, mask.masked)
            if fill
            else uniform_fill(patches, mask.masked, generator)
        )
        return torch.where(mask.masked, filled, patches)


class RandomMask(_SinglePixels):
    """Random pixels (Noise2Void, dense).

    A fixed fraction of each patch, at random positions drawn anew for every batch.
    Dense masks learn faster, as there are more targets in each step.
    Krull et al. 2019, Noise2Void; Höck et al. 2022, N2V2 (fills).
    """

    model_config = ConfigDict(title="Random pixels")

    kind: Literal["random"] = "random"


class BinMask(_SinglePixels):
    """Bins of pixels (noise correlated both ways).

    The network gets means of small squares of pixels, which hardly share noise where
    the pixels do, and random ones of them are masked. A result is the average over all
    positions of the squares. Details finer than a square are lost; where noise covers
    them anyway, much more is gained: wide blocks would mask what a pixel is predicted
    from.
    """

    model_config = ConfigDict(title="Bins of pixels")

    kind: Literal["bins"] = "bins"
    size: int = Field(
        3,
        ge=2,
        le=LARGEST_BIN,
        title="Size",
        description="Side of the squares: one more than the distance up to which "
        "pixels share noise.",
        json_schema_extra={"unit": "px"},
    )

    @property
    def correlated(self) -> bool:
        """Whether noise is taken to be shared by neighbours: it is."""
        return True

    @property
    def binning(self) -> int:
        """Side in px of the bins whose means the network gets."""
        return self.size


class AutomaticMask(MaskingScheme):
    """Follows the noise (measured first).

    How neighbouring pixels share noise is measured before the training: single pixels
    are masked where they do not; lines, bins or blocks where they do. A message says
    what was chosen, and the model keeps it.
    """

    model_config = ConfigDict(title="Automatic (follows the noise)")

    kind: Literal["auto"] = "auto"

    def draw(
        self, batch: int, height: int, width: int, generator: torch.Generator
    ) -> Mask:
        """Draw single pixels: nothing has been measured yet."""
        return RandomMask().draw(batch, height, width, generator)

    def apply(self, patches: Tensor, mask: Mask, generator: torch.Generator) -> Tensor:
        """Fill the masked pixels of patches (B, 1, Y, X) from unmasked neighbours."""
        return RandomMask().apply(patches, mask, generator)


class GridMask(MaskingScheme):
    """Grid of random spacing (Ollion).

    Pixels on a grid whose spacing and offset are drawn anew for every batch, filled
    from their neighbours. With spacings of 3 to 5 px, 6.8 % are masked on average.
    Ollion et al. 2021, section 4.3; Batson & Royer 2019, Noise2Self (cross).
    """

    model_config = ConfigDict(title="Grid of random spacing")

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
    fill: Literal["gaussian", "cross"] = Field(
        "gaussian",
        title="Fill",
        description="What a masked pixel shows instead. Gaussian: mean of its 8 "
        "neighbours, weighted by a Gaussian of 1 px, as Ollion. Cross: plain mean of "
        "the 4 direct neighbours, as Noise2Self.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> GridMask:
        if self.spacing_min > self.spacing_max:
            raise ValueError(
                f"the smallest spacing ({self.spacing_min} px) is larger than the "
                f"largest ({self.spacing_max} px)"
            )
        return self

    @property
    def targets_vary(self) -> bool:
        """Whether the number of targets differs from one draw to the next: it does."""
        return True

    def draw(
        self, batch: int, height: int, width: int, generator: torch.Generator
    ) -> Mask:
        """Draw one grid for a batch of patches."""
        y = self._positions(height, generator)
        x = self._positions(width, generator)
        index = (y[:, None] * width + x[None, :]).reshape(1, -1)
        return mask_from_index(index.expand(batch, -1).contiguous(), height, width)

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

    @property
    def lattice(self) -> tuple[int, int]:
        """Distance (y, x) in px of the targets in a blind prediction."""
        spacing = max(3, self.spacing_max)
        return spacing, spacing

    def apply(self, patches: Tensor, mask: Mask, generator: torch.Generator) -> Tensor:
        """Fill the masked pixels of patches (B, 1, Y, X) from unmasked neighbours."""
        filled = (
            cross_fill(patches, mask.masked)
            if self.fill == "cross"
            else weighted_fill(patches, mask.masked, GAUSSIAN)
        )
        return torch.where(mask.masked, filled, patches)


class LineMask(FootprintScheme):
    """Line along one axis (noise correlated along it).

    Random pixels, each with its neighbours along one axis, as cameras and scanners may
    share noise along rows or columns. Filled from the unmasked pixels beside the line.
    Broaddus et al. 2020, structN2V; Ollion et al. 2021, section 4.3.
    """

    model_config = ConfigDict(title="Line along one axis")

    kind: Literal["line"] = "line"
    axis: Literal["x", "y"] = Field(
        "x",
        title="Axis",
        description="Axis along which neighbours share noise: x along rows, y along "
        "columns.",
    )
    extent: int = Field(
        3,
        ge=1,
        le=LARGEST_FOOTPRINT // 2,
        title="Extent",
        description="How many neighbours are masked to each side of a pixel: as far as "
        "noise is shared.",
        json_schema_extra={"unit": "px"},
    )
    fraction: float = Field(
        0.04,
        gt=0,
        le=0.5,
        title="Target fraction",
        description="Share of the pixels of a patch that is predicted in each step, "
        "each in the middle of a masked line. Fewer, where lines would mask more than "
        "half of the patch.",
    )

    @property
    def pixels(self) -> NDArray[np.bool_]:
        """The line, with the target in its centre: (Y, X)."""
        length = 2 * self.extent + 1
        return np.ones((1, length) if self.axis == "x" else (length, 1), np.bool_)

    def draw(
        self, batch: int, height: int, width: int, generator: torch.Generator
    ) -> Mask:
        """Draw targets, and mask the lines around them."""
        return self._draw(self.fraction, batch, height, width, generator)

    def sparse(self) -> Self:
        """Return the scheme with fewer masked pixels, for measuring the noise."""
        return self.model_copy(update={"fraction": min(self.fraction, 0.02)})


class ShapeMask(FootprintScheme):
    """Shape (noise correlated in any pattern).

    Random pixels, each with the neighbours of a footprint: a block for noise blurred by
    demosaicking or resampling, or whatever shape was painted.
    Broaddus et al. 2020, structN2V, in two dimensions.
    """

    model_config = ConfigDict(title="Shape")

    kind: Literal["shape"] = "shape"
    footprint: str = Field(
        "5x5",
        title="Footprint",
        description="Pixels masked around each predicted one: HEIGHTxWIDTH, or rows of "
        "1 and 0 such as 010/111/010. Sides are odd, at most 65 px; the centre is 1.",
        json_schema_extra={"unit": "px", "taken_from": "labels"},
    )
    fraction: float = Field(
        0.02,
        gt=0,
        le=0.5,
        title="Target fraction",
        description="Share of the pixels of a patch that is predicted in each step, "
        "each in the centre of a masked footprint. Fewer, where footprints would mask "
        "more than half of the patch.",
    )

    @field_validator("footprint")
    @classmethod
    def _readable(cls, text: str) -> str:
        pixels_of(text)
        return text

    @classmethod
    def taken(cls, labels: ArrayLike) -> Self:
        """Make the scheme whose footprint is what is painted in an image.

        Parameters
        ----------
        labels : array_like
            Painted where not zero, (Y, X).

        Raises
        ------
        RequestError
            If nothing is painted, or more than 65 px a side.
        """
        return cls(footprint=footprint_text(labels))

    @property
    def pixels(self) -> NDArray[np.bool_]:
        """The footprint, with the target in its centre: (Y, X)."""
        return pixels_of(self.footprint)

    def draw(
        self, batch: int, height: int, width: int, generator: torch.Generator
    ) -> Mask:
        """Draw targets, and mask the footprints around them."""
        return self._draw(self.fraction, batch, height, width, generator)

    def sparse(self) -> Self:
        """Return the scheme with fewer masked pixels, for measuring the noise."""
        return self.model_copy(update={"fraction": min(self.fraction, 0.01)})


class NoMask(MaskingScheme):
    """Nothing masked (for blind networks).

    Every pixel is a target in every step. Needs a network that does not get the
    pixel it predicts, such as the half-plane U-Net: any other would copy the noise.
    """

    model_config = ConfigDict(title="None")

    kind: Literal["none"] = "none"

    @property
    def masks_pixels(self) -> bool:
        """Whether pixels are masked: none is."""
        return False

    @property
    def lattice(self) -> tuple[int, int]:
        """Distance (y, x) in px of the targets: one pass predicts all."""
        return 1, 1

    def masked_for(self, targets: Tensor) -> Tensor:
        """Pixels that are masked because of targets, none; both (B, 1, Y, X), bool."""
        return torch.zeros_like(targets)

    def draw(
        self, batch: int, height: int, width: int, generator: torch.Generator
    ) -> Mask:
        """All pixels of a batch of patches as targets."""
        device = generator.device
        masked = torch.zeros((batch, 1, height, width), dtype=torch.bool, device=device)
        return Mask(
            masked, torch.arange(height * width, device=device).repeat(batch, 1)
        )

    def apply(self, patches: Tensor, mask: Mask, generator: torch.Generator) -> Tensor:
        """Return the patches (B, 1, Y, X) as they are."""
        return patches


Masking = Annotated[
    AutomaticMask | RandomMask | GridMask | LineMask | BinMask | ShapeMask | NoMask,
    Field(discriminator="kind"),
]
