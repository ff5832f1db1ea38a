"""Masking schemes: which pixels are hidden from the network, and what fills them.

Every scheme is blind: what a masked pixel is filled with comes from unmasked pixels
only, so its own value cannot reach its own prediction.
"""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Literal, NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from torch import Tensor

from napari_selfdenoise.errors import RequestError

Orientation = tuple[bool, bool, bool]
"""An image transposed, then flipped along y, then flipped along x."""

ORIENTATIONS: tuple[Orientation, ...] = tuple(
    itertools.product((False, True), (False, True), (False, True))
)
"""All eight, the image as it is first."""

_LARGEST_FOOTPRINT = 65
_SHAPE_HELP = (
    "write a footprint as HEIGHTxWIDTH in pixels, such as 5x5, or as rows of 1 and 0, "
    "such as 010/111/010"
)


class Mask(NamedTuple):
    """What a batch of patches hides, and what is learned from it.

    Parameters
    ----------
    hidden : Tensor
        True where the network does not see a pixel, (B, 1, Y, X).
    positions : Tensor
        Flat positions y * X + x of the N targets of each patch, (B, N): the pixels that
        are predicted and learned from. Where noise is shared by neighbours, pixels
        around a target are hidden for its sake and are no targets themselves.
    """

    hidden: Tensor
    positions: Tensor

    def gather(self, values: Tensor) -> Tensor:
        """Values at the targets: (B, 1, Y, X) -> (B, N)."""
        return values.flatten(1).gather(1, self.positions)


class MaskingScheme(BaseModel):
    """What holds for a scheme that hides single pixels; others say what differs.

    A member adds `draw` and `apply`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def correlated(self) -> bool:
        """Whether noise is taken to be shared by neighbours."""
        return False

    @property
    def hides(self) -> bool:
        """Whether pixels are hidden: else the network has to be blind itself."""
        return True

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

    def hide(self, targets: Tensor) -> Tensor:
        """Pixels hidden for the sake of targets; both (B, 1, Y, X), bool."""
        return targets

    def sparse(self) -> Self:
        """Return the scheme for measuring: with fewer holes predictions are better."""
        return self


def _marked(index: Tensor, height: int, width: int) -> Tensor:
    """True at flat positions (B, N): (B, 1, Y, X)."""
    marked = torch.zeros(
        (index.shape[0], height * width), dtype=torch.bool, device=index.device
    )
    return marked.scatter_(1, index, True).view(-1, 1, height, width)


def _mask_from_index(index: Tensor, height: int, width: int) -> Mask:
    return Mask(_marked(index, height, width), index)


def _random_index(
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


class RandomMask(MaskingScheme):
    """Random pixels (Noise2Void, dense).

    A fixed fraction of each patch, at random positions drawn anew for every batch.
    Dense masks learn faster: every hidden pixel is a lesson.
    Krull et al. 2019, Noise2Void; Höck et al. 2022, N2V2 (fills).
    """

    model_config = ConfigDict(title="Random pixels")

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
        count = max(1, round(self.fraction * height * width))
        index = _random_index(count, batch, height, width, generator)
        return _mask_from_index(index, height, width)

    def sparse(self) -> Self:
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


class AutomaticMask(MaskingScheme):
    """Follows the noise (measured first).

    Before the training, it is measured how neighbouring pixels share noise: single
    pixels are hidden where they do not, lines or blocks where they do. What is chosen
    is said, and kept with the model.
    """

    model_config = ConfigDict(title="Follows the noise")

    kind: Literal["auto"] = "auto"

    def draw(
        self, batch: int, height: int, width: int, generator: torch.Generator
    ) -> Mask:
        """Draw single pixels: nothing has been measured yet."""
        return RandomMask().draw(batch, height, width, generator)

    def apply(self, patches: Tensor, mask: Mask, generator: torch.Generator) -> Tensor:
        """Fill the hidden pixels of patches (B, 1, Y, X) from unmasked neighbours."""
        return RandomMask().apply(patches, mask, generator)


class GridMask(MaskingScheme):
    """Grid of random spacing (Ollion).

    Pixels on a grid whose spacing and offset are drawn anew for every batch, filled
    from their neighbours. With spacings of 3 to 5 px, 6.8 % are hidden on average.
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
        description="What a hidden pixel shows instead. Gaussian: mean of its 8 "
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

    @property
    def lattice(self) -> tuple[int, int]:
        """Distance (y, x) in px of the targets in a blind prediction: the largest."""
        spacing = max(3, self.spacing_max)
        return spacing, spacing

    def apply(self, patches: Tensor, mask: Mask, generator: torch.Generator) -> Tensor:
        """Fill the hidden pixels of patches (B, 1, Y, X) from unmasked neighbours."""
        filled = (
            _cross_fill(patches, mask.hidden)
            if self.fill == "cross"
            else _weighted_fill(patches, mask.hidden, _GAUSSIAN)
        )
        return torch.where(mask.hidden, filled, patches)


class FootprintScheme(MaskingScheme):
    """What schemes have in common that hide a neighbourhood around each target.

    The noise of a target can be guessed from the pixels that share it. So these are
    hidden too, and the fill comes from beyond. They are not learned from themselves:
    what shares their noise is visible further out.
    """

    @property
    def pixels(self) -> NDArray[np.bool_]:
        """The footprint, True where hidden, sides odd, target in its centre: (Y, X)."""
        raise NotImplementedError

    @property
    def correlated(self) -> bool:
        """Whether noise is taken to be shared by neighbours: it is."""
        return True

    @property
    def orientations(self) -> tuple[Orientation, ...]:
        """Ways to turn an image that leave the footprint as it is: always a group."""
        return tuple(way for way in ORIENTATIONS if _unchanged(self.pixels, way))

    @property
    def lattice(self) -> tuple[int, int]:
        """Distance (y, x) in px of the targets in a blind prediction.

        A visible line lies between any two footprints.
        """
        height, width = (max(3, side + 1) for side in self.pixels.shape)
        return height, width

    def hide(self, targets: Tensor) -> Tensor:
        """Pixels of the footprints around targets; both (B, 1, Y, X), bool."""
        return _dilated(targets, self.pixels)

    def _draw(
        self,
        fraction: float,
        batch: int,
        height: int,
        width: int,
        generator: torch.Generator,
    ) -> Mask:
        # Where half of the pixels are hidden, there is little left to learn from.
        most = math.log(2) * height * width / self.pixels.sum()
        count = max(1, min(round(fraction * height * width), int(most)))
        index = _random_index(count, batch, height, width, generator)
        return Mask(self.hide(_marked(index, height, width)), index)

    def apply(self, patches: Tensor, mask: Mask, generator: torch.Generator) -> Tensor:
        """Fill the hidden pixels of patches (B, 1, Y, X) from unmasked pixels."""
        # Steps 1, 2, 4, ... see 1, 3, 7, ... px far without a gap: across two
        # footprints that overlap, in few rounds.
        half = max(self.pixels.shape) // 2
        steps = [2**k for k in range((2 * half).bit_length())] or [1]
        filled = _weighted_fill(patches, mask.hidden, _GAUSSIAN, steps)
        return torch.where(mask.hidden, filled, patches)


class LineMask(FootprintScheme):
    """Line along one axis (noise correlated along it).

    Random pixels, each with its neighbours along one axis, as cameras and scanners may
    share noise along rows or columns. Filled from the visible pixels beside the line.
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
        le=_LARGEST_FOOTPRINT // 2,
        title="Extent",
        description="How many neighbours are hidden to each side of a pixel: as far as "
        "noise is shared.",
        json_schema_extra={"unit": "px"},
    )
    fraction: float = Field(
        0.04,
        gt=0,
        le=0.5,
        title="Target fraction",
        description="Share of the pixels of a patch that is predicted in each step, "
        "each in the middle of a hidden line. Fewer, where lines would hide more than "
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
        """Draw targets, and hide the lines around them."""
        return self._draw(self.fraction, batch, height, width, generator)

    def sparse(self) -> Self:
        """Return the scheme for measuring: with fewer holes predictions are better."""
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
        description="Pixels hidden around each predicted one: HEIGHTxWIDTH, or rows of "
        "1 and 0 such as 010/111/010. Sides are odd, at most 65 px; the centre is 1.",
        json_schema_extra={"unit": "px", "taken_from": "labels"},
    )
    fraction: float = Field(
        0.02,
        gt=0,
        le=0.5,
        title="Target fraction",
        description="Share of the pixels of a patch that is predicted in each step, "
        "each in the centre of a hidden footprint. Fewer, where footprints would hide "
        "more than half of the patch.",
    )

    @field_validator("footprint")
    @classmethod
    def _readable(cls, text: str) -> str:
        _pixels_of(text)
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
        return _pixels_of(self.footprint)

    def draw(
        self, batch: int, height: int, width: int, generator: torch.Generator
    ) -> Mask:
        """Draw targets, and hide the footprints around them."""
        return self._draw(self.fraction, batch, height, width, generator)

    def sparse(self) -> Self:
        """Return the scheme for measuring: with fewer holes predictions are better."""
        return self.model_copy(update={"fraction": min(self.fraction, 0.01)})


class NoMask(MaskingScheme):
    """Nothing hidden (for blind networks).

    Every pixel is learned from in every step. Needs a network that does not see the
    pixel it predicts, such as the half-plane U-Net: any other would copy the noise.
    """

    model_config = ConfigDict(title="Nothing hidden")

    kind: Literal["none"] = "none"

    @property
    def hides(self) -> bool:
        """Whether pixels are hidden: none is."""
        return False

    @property
    def lattice(self) -> tuple[int, int]:
        """Distance (y, x) in px of the targets: one pass predicts all."""
        return 1, 1

    def hide(self, targets: Tensor) -> Tensor:
        """Pixels hidden for the sake of targets: none; both (B, 1, Y, X), bool."""
        return torch.zeros_like(targets)

    def draw(
        self, batch: int, height: int, width: int, generator: torch.Generator
    ) -> Mask:
        """All pixels of a batch of patches as targets."""
        device = generator.device
        hidden = torch.zeros((batch, 1, height, width), dtype=torch.bool, device=device)
        return Mask(
            hidden, torch.arange(height * width, device=device).repeat(batch, 1)
        )

    def apply(self, patches: Tensor, mask: Mask, generator: torch.Generator) -> Tensor:
        """Return the patches (B, 1, Y, X) as they are."""
        return patches


Masking = Annotated[
    AutomaticMask | RandomMask | GridMask | LineMask | ShapeMask | NoMask,
    Field(discriminator="kind"),
]


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
    if max(height, width) > _LARGEST_FOOTPRINT:
        raise RequestError(
            f"The painted footprint is {shape.shape[0]} x {shape.shape[1]} px large; "
            f"at most {_LARGEST_FOOTPRINT} px a side are possible.",
            "Paint a smaller shape: only pixels whose noise is shared.",
        )
    shape = np.pad(shape, ((0, height - shape.shape[0]), (0, width - shape.shape[1])))
    shape[height // 2, width // 2] = True
    if shape.all():
        return f"{height}x{width}"
    return "/".join("".join("01"[int(value)] for value in row) for row in shape)


@functools.cache
def _pixels_of(text: str) -> NDArray[np.bool_]:
    """The footprint that a text describes: (Y, X)."""
    block = re.fullmatch(r"\s*(\d{1,4})\s*[x×]\s*(\d{1,4})\s*", text)
    rows = [row.strip() for row in text.split("/")]
    if not block and not all(re.fullmatch("[01]+", row) for row in rows):
        raise ValueError(_SHAPE_HELP)
    if len({len(row) for row in rows}) > 1:
        raise ValueError("the rows of a footprint need to be equally long")
    height, width = map(int, block.groups()) if block else (len(rows), len(rows[0]))
    if not (height % 2 and width % 2 and max(height, width) <= _LARGEST_FOOTPRINT):
        raise ValueError(
            "the sides of a footprint need to be odd, as it has a centre, and at most "
            f"{_LARGEST_FOOTPRINT} px long; this one has {height} x {width} px"
        )
    pixels = np.ones((height, width), np.bool_)
    if not block:
        pixels = np.array([[value == "1" for value in row] for row in rows])
    if not pixels[height // 2, width // 2]:
        raise ValueError("the centre of a footprint, which is predicted, needs to be 1")
    pixels.setflags(write=False)  # remembered, so it is not to change
    return pixels


def _unchanged(footprint: NDArray[np.bool_], way: Orientation) -> bool:
    """Whether a footprint looks the same transposed, then flipped."""
    transpose, *flips = way
    turned = footprint.T if transpose else footprint
    turned = np.flip(turned, tuple(axis for axis in (0, 1) if flips[axis]))
    return np.array_equal(turned, footprint)


def _dilated(targets: Tensor, footprint: NDArray[np.bool_]) -> Tensor:
    """Pixels of the footprints around targets; both (B, 1, Y, X), bool."""
    height, width = targets.shape[-2:]
    below, beside = (side // 2 for side in footprint.shape)
    padded = F.pad(targets, (beside, beside, below, below))
    hidden = torch.zeros_like(targets)
    runs: dict[int, Tensor] = {}
    for y, x, length in _runs(footprint):
        if length not in runs:
            runs[length] = _stretched(padded, length)
        # y = below is the row of the target, x the left end of a run in the footprint.
        rows = runs[length].narrow(2, 2 * below - y, height)
        hidden |= rows.narrow(3, 2 * beside - x, width)
    return hidden


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
        stretched = targets.clone()
        stretched[..., step:] |= targets[..., :-step]
        targets, done = stretched, done + step
    return targets


_GAUSSIAN = math.exp(-0.5)
"""Weight of a pixel 1 px away, of a Gaussian with a standard deviation of 1 px."""


def neighbour_sum(values: Tensor, side: float = 1.0, step: int = 1) -> Tensor:
    """Sum over 3 x 3 pixels, `step` apart, weighted (side, 1, side) along each axis."""
    for axis in (2, 3):
        values = values + side * _either_side(values, axis, step)
    return values


def _either_side(values: Tensor, axis: int, step: int = 1) -> Tensor:
    """Sum of the two pixels `step` before and after each along an axis."""
    # For one channel, shifted sums are ten times faster than a convolution.
    length = values.shape[axis]
    sides, rest = torch.zeros_like(values), length - step
    if rest > 0:
        sides.narrow(axis, step, rest).add_(values.narrow(axis, 0, rest))
        sides.narrow(axis, 0, rest).add_(values.narrow(axis, step, rest))
    return sides


def _cross_sum(values: Tensor) -> Tensor:
    return _either_side(values, 2) + _either_side(values, 3)


def _widening_fill(
    patches: Tensor, hidden: Tensor, sums: Sequence[Callable[[Tensor], Tensor]]
) -> Tensor:
    """Mean of what is visible: by the first of repeated sums, where it sees anything.

    Hidden pixels count as zero with weight zero, so the centre need not be left out.
    Where none of the sums sees anything, the mean of the patch; and 0, the median of
    the image, where all of the patch is hidden.
    """
    weight = (~hidden).to(patches.dtype).expand_as(patches)
    both = torch.cat([patches.masked_fill(hidden, 0), weight], 1)
    total, count = both.sum((2, 3), keepdim=True).unbind(1)
    filled = (total / count.clamp_min(1)).unsqueeze(1).expand_as(patches)
    known = torch.zeros_like(hidden)
    for widen in sums:
        both = widen(both)
        total, weight = both[:, :1], both[:, 1:]
        visible = weight > 0
        filled = torch.where(visible & ~known, total / weight.clamp_min(1e-6), filled)
        known = known | visible
    return filled


def _weighted_fill(
    patches: Tensor, hidden: Tensor, side: float = 1.0, steps: Sequence[int] = (1, 1, 1)
) -> Tensor:
    """Weighted mean of the unmasked of 8 neighbours; wider where there are none."""
    # With half the pixels hidden, one in 256 has no visible neighbour in 3 x 3.
    sums = [functools.partial(neighbour_sum, side=side, step=step) for step in steps]
    return _widening_fill(patches, hidden, sums)


def _cross_fill(patches: Tensor, hidden: Tensor) -> Tensor:
    return _widening_fill(patches, hidden, [_cross_sum, neighbour_sum, neighbour_sum])


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
