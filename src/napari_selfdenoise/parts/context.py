"""Context along a third axis: which other planes a pixel is predicted from."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from napari_selfdenoise.parts.masking.fills import neighbour_sum


class _Context(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    measured: ClassVar[bool] = False
    """Whether a measurement of the stack decides on it."""

    @property
    def count(self) -> int:
        """Number of other planes that the network gets."""
        return 0


class NoContext(_Context):
    """Each plane by itself.

    Right for single images, and for stacks whose planes have little in common.
    """

    model_config = ConfigDict(title="None (each plane by itself)")

    kind: Literal["none"] = "none"


class _Planes(_Context):
    planes: int = Field(
        2,
        ge=1,
        le=8,
        title="Planes to each side",
        description="How many frames or planes before and after each one are used.",
        json_schema_extra={"unit": "planes"},
    )
    motion: bool = Field(
        True,
        title="Follow motion",
        description="Measure how far each part of the scene has moved in the planes "
        "around, and move it back before they are used. They are always made as bright "
        "as the plane itself.",
    )


class NeighbouringPlanes(_Planes):
    """The frames or planes before and after each one.

    The network gets them as further channels, after what moved has been moved back.
    Only pixels of the plane that it predicts are masked: noise of other planes is
    independent, so all their pixels are used.
    Planes that share noise with it, blank planes and those of another scene are left
    out; at the ends of a stack, the planes on the other side take their place.
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
        """Number of other planes that the network gets."""
        return 2 * self.planes


class AutomaticContext(_Planes):
    """Neighbouring planes where they help (measured first).

    Before the training, a simple prediction of pixels is compared with and without the
    neighbouring planes. They are used where they make it better, and share no noise
    with each other. A message says what was chosen, and the model keeps it.
    """

    model_config = ConfigDict(title="Automatic (measured)")

    kind: Literal["auto"] = "auto"
    measured: ClassVar[bool] = True


Context = Annotated[
    NoContext | NeighbouringPlanes | AutomaticContext, Field(discriminator="kind")
]


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
