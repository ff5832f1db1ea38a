"""Context along a third axis: which other planes a pixel is predicted from."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from napari_selfdenoise.parts.masking.fills import neighbour_sum


class _Context(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    measured: ClassVar[bool] = False
    """Whether a measurement of the stack decides on it."""

    volumetric: ClassVar[bool] = False
    """Whether convolutions, patches and tiles extend along depth."""

    @property
    def count(self) -> int:
        """Number of other planes that the network gets as further channels."""
        return 0

    @property
    def depth(self) -> int:
        """Number of planes of a patch that are predicted together."""
        return 1

    @property
    def needs_stack(self) -> bool:
        """Whether a pixel is predicted from other planes, too."""
        return self.count > 0 or self.volumetric

    def merges(self, levels: int) -> tuple[int, ...] | None:
        """How many planes each pooling of a network merges into one.

        None where its convolutions do not reach into other planes.

        Parameters
        ----------
        levels : int
            Number of poolings.
        """
        return None


class NoContext(_Context):
    """Each plane by itself.

    Right for single images, and for stacks whose planes have little in common.
    """

    model_config = ConfigDict(title="None (each plane by itself)")

    kind: Literal["none"] = "none"


MOST_OF_SCENE = 32
"""Planes of a still scene that are averaged at most: with 32, their noise is a sixth of
a plane's, and each further one costs as much to read as the first."""


class _Planes(_Context):
    planes: int = Field(
        2,
        ge=1,
        le=8,
        title="Planes to each side",
        description="How many frames or planes before and after each one are used. "
        "Fewer where the mean of a still scene holds all that they add.",
        json_schema_extra={"unit": "planes"},
    )
    motion: bool = Field(
        True,
        title="Follow motion",
        description="Measure how far each part of the scene has moved in the planes "
        "around, and move it back before they are used. They are always made as bright "
        "as the plane itself.",
    )
    still_planes: int | None = Field(
        None,
        ge=0,
        le=MOST_OF_SCENE,
        title="Mean of a still scene",
        description="How many of the nearest planes are averaged and used as well, "
        "where the scene stands still; 0: none. Automatic: as many as there are, up to "
        f"{MOST_OF_SCENE}, if a measurement says that their mean helps.",
        json_schema_extra={"unit": "planes"},
    )


class NeighbouringPlanes(_Planes):
    """The frames or planes before and after each one.

    The network gets them as further channels, after what moved has been moved back.
    Only pixels of the plane that it predicts are masked: noise of other planes is
    independent, so all their pixels are used.
    Planes that share noise with it, blank planes and those of another scene are left
    out; at the ends of a stack, the planes on the other side take their place.
    Where the scene stands still, the mean of more planes is one more channel.
    """

    model_config = ConfigDict(title="Neighbouring planes")

    kind: Literal["neighbours"] = "neighbours"
    axis: str = Field(
        "",
        max_length=1,
        title="Axis",
        description="Letter of the axis along which planes are neighbours; empty: "
        "time, else depth, else the first axis that has no name.",
        json_schema_extra={"hidden": True},
    )

    @property
    def count(self) -> int:
        """Number of other planes that the network gets, with the scene's mean."""
        return 2 * self.planes + (1 if self.still_planes else 0)


class AutomaticContext(_Planes):
    """Neighbouring planes where they help (measured first).

    Before the training, a simple prediction of pixels is compared with and without the
    neighbouring planes. They are used where they make it better, and share no noise
    with each other. A message says what was chosen, and the model keeps it.
    """

    model_config = ConfigDict(title="Automatic (measured)")

    kind: Literal["auto"] = "auto"
    measured: ClassVar[bool] = True


ASSUMED_SPACING = 3.0
"""Distance of planes in pixel widths where voxel sizes are not known: confocal stacks
are mostly sampled two to five times more coarsely along depth."""

_NEAR_ISOTROPIC = math.sqrt(2)


class FullVolume(_Context):
    """All planes of a Z stack at once (3-D).

    Convolutions, masks, patches and tiles extend along depth, too. Pixels are masked in
    all planes. Planes are merged by the poolings only once pixels have become as wide
    as planes are apart. Blank planes end a volume.
    """

    model_config = ConfigDict(title="Whole volume (3-D)")

    kind: Literal["volume"] = "volume"
    volumetric: ClassVar[bool] = True
    patch_planes: int = Field(
        8,
        ge=1,
        le=64,
        title="Planes of a patch",
        description="How many planes the patches have that the network is trained on. "
        "Fewer, where a stack has fewer.",
        json_schema_extra={"unit": "planes"},
    )
    spacing: float | None = Field(
        None,
        gt=0,
        le=1000,
        title="Distance of planes",
        description="Distance of neighbouring planes in widths of a pixel; automatic: "
        "by the voxel size of the image, 3 where it is not known.",
        json_schema_extra={"unit": "px"},
    )
    axis: str = Field(
        "",
        max_length=1,
        title="Axis",
        description="Letter of the axis along which planes lie; empty: depth, else the "
        "first axis that has no name, else time.",
        json_schema_extra={"hidden": True},
    )

    @property
    def depth(self) -> int:
        """Number of planes of a patch that are predicted together."""
        return self.patch_planes

    def merges(self, levels: int) -> tuple[int, ...]:
        """How many planes each pooling of a network merges into one, 1 or 2.

        Parameters
        ----------
        levels : int
            Number of poolings, each of which doubles the width of a pixel.
        """
        found: list[int] = []
        distance = self.spacing or ASSUMED_SPACING
        for level in range(levels):
            found.append(2 if distance < _NEAR_ISOTROPIC * 2**level else 1)
            distance *= found[-1]
        return tuple(found)


Context = Annotated[
    NoContext | NeighbouringPlanes | FullVolume | AutomaticContext,
    Field(discriminator="kind"),
]


class NetworkInput(NamedTuple):
    """What a network gets to predict images with their context.

    Parameters
    ----------
    images : Tensor
        (B, N, Y, X): planes of a context are channels, those of a volume follow each
        other in the batch.
    planes : int
        How many of them are a volume.
    place : slice
        Which of them are predicted.
    """

    images: Tensor
    planes: int
    place: slice

    @classmethod
    def of(
        cls, images: Tensor, planes: Tensor | None, volumetric: bool
    ) -> NetworkInput:
        """Put images (B, 1, Y, X) together with other planes.

        Parameters
        ----------
        images : Tensor
            Masked pixels are filled already; a single one where it is of a volume.
        planes : Tensor, optional
            As of `joined`; of a volume all of its planes, NaN in the place of the
            image, (1, Z, Y, X).
        volumetric : bool
            Whether it is of a volume.
        """
        if planes is None or not volumetric:
            return cls(joined(images, planes), 1, slice(None))
        volume = planes[0].unsqueeze(1)  # (Z, 1, Y, X)
        gap = volume.isnan()
        place = int(gap[:, 0, 0, 0].nonzero()[0])
        filled = torch.where(gap, images, volume)
        return cls(filled, len(filled), slice(place, place + 1))


def joined(images: Tensor, planes: Tensor | None) -> Tensor:
    """Images and the planes of their context, as the channels of a network.

    Parameters
    ----------
    images : Tensor
        Masked pixels are filled already, (B, 1, Y, X).
    planes : Tensor, optional
        Other planes, (B, N, Y, X); NaN where there is none. The mean of the 8
        neighbours of each pixel of `images` takes their place: it holds nothing of
        masked pixels.

    Returns
    -------
    Tensor
        (B, 1 + N, Y, X).
    """
    if planes is None:
        return images
    ones = torch.ones_like(images[:1])
    around = (neighbour_sum(images) - images) / (neighbour_sum(ones) - ones)
    return torch.cat([images, torch.where(planes.isnan(), around, planes)], dim=1)
