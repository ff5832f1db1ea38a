"""Signal heads: what the network says about the signal of each pixel."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict
from torch import Tensor


class PointSignal(BaseModel):
    """One value a pixel: the mean of the signal given its context."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="Point (mean)")

    kind: Literal["point"] = "point"

    @property
    def outputs(self) -> int:
        """Number of network outputs a pixel."""
        return 1

    def mean(self, output: Tensor) -> Tensor:
        """Mean of the signal: (B, 1, Y, X) -> (B, 1, Y, X)."""
        return output
