"""Whether the channels of an image are predicted from each other."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Channels(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    measured: ClassVar[bool] = False
    """Whether a measurement of the image decides on it."""

    together: ClassVar[bool] = False
    """Whether a pixel is predicted from other channels, too."""

    @property
    def count(self) -> int:
        """Number of other channels that the network gets as further inputs."""
        return 0


class IndependentChannels(_Channels):
    """Each channel by itself.

    What is in one channel cannot change the result of another one: right where
    colocalisation is measured.
    """

    model_config = ConfigDict(title="Independent")

    kind: Literal["independent"] = "independent"


class JointChannels(_Channels):
    """Each channel together with the others of the same plane.

    Each has a network and a noise curve of its own. The network gets the other channels
    as further inputs; only pixels of the channel that it predicts are masked. Blank
    channels are left out, and those that share noise with it.
    """

    model_config = ConfigDict(title="Joint")

    kind: Literal["joint"] = "joint"
    together: ClassVar[bool] = True
    offsets: tuple[float, ...] = Field(
        (),
        title="Levels",
        description="Level of each channel in raw units, measured before the training.",
        json_schema_extra={"hidden": True},
    )
    scales: tuple[float, ...] = Field(
        (),
        title="Scales",
        description="Spread of each channel in raw units, measured before the "
        "training; 0 where it is empty.",
        json_schema_extra={"hidden": True},
    )
    helped: tuple[int, ...] = Field(
        (),
        title="Helped channels",
        description="Numbers of the channels that are predicted from the others, too.",
        json_schema_extra={"hidden": True},
    )

    @property
    def count(self) -> int:
        """Number of other channels that the network gets as further inputs."""
        return max(0, len(self.scales) - 1)


class AutomaticChannels(_Channels):
    """Joint where the others help (measured first).

    Before the training, a simple prediction of the pixels of each channel is compared
    with and without the others. A message says what was chosen, and the model keeps it.
    """

    model_config = ConfigDict(title="Automatic (measured)")

    kind: Literal["auto"] = "auto"
    measured: ClassVar[bool] = True


Channels = Annotated[
    IndependentChannels | JointChannels | AutomaticChannels,
    Field(discriminator="kind"),
]
