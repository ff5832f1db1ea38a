"""Whether the channels of an image are predicted from each other."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


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

    def levels(self, channel: int) -> tuple[float, ...]:
        """What stands in place of each other channel where it is not used, raw units.

        Parameters
        ----------
        channel : int
            Which one is predicted.
        """
        return ()


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
    as further inputs; only pixels of the channel that it predicts are masked. Left out
    are channels that are blank, share noise with it, or are far brighter or darker than
    in the training.
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
    lows: tuple[float, ...] = Field(
        (),
        title="Darkest",
        description="How dark squares of 8 px are in each channel, in raw units.",
        json_schema_extra={"hidden": True},
    )
    highs: tuple[float, ...] = Field(
        (),
        title="Brightest",
        description="How bright squares of 8 px are in each channel, in raw units.",
        json_schema_extra={"hidden": True},
    )
    helped: tuple[int, ...] = Field(
        (),
        title="Helped channels",
        description="Numbers of the channels that are predicted from the others, too.",
        json_schema_extra={"hidden": True},
    )

    @model_validator(mode="after")
    def _is_of_all_channels(self) -> JointChannels:
        count = len(self.scales)
        each = self.offsets, self.lows, self.highs
        known = all(0 <= channel < count for channel in self.helped)
        if not known or any(len(values) != count for values in each):
            raise ValueError("what was measured is not of as many channels: train anew")
        return self

    @property
    def count(self) -> int:
        """Number of other channels that the network gets as further inputs."""
        return max(0, len(self.scales) - 1)

    def levels(self, channel: int) -> tuple[float, ...]:
        """What stands in place of each other channel where it is not used, raw units.

        Parameters
        ----------
        channel : int
            Which one is predicted, whose level it is.
        """
        return self.count * (self.offsets[channel],) if self.scales else ()


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
