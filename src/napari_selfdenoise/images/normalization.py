"""From raw units to those in which networks learn, and back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Normalization:
    """Offset and scale of normalised = (raw - offset) / scale.

    The scale is a power of two and the offset an integer, so that integer images
    survive the way there and back to the bit.
    """

    offset: float
    scale: float

    @classmethod
    def measure(cls, pixels: NDArray[np.float32]) -> Normalization:
        """Return the normalisation to a median near 0 and a spread near 1."""
        low, median, high = np.percentile(pixels, (5, 50, 99))
        # Rare bright structures must not squeeze all the rest into a corner.
        spread = max(
            (float(high) - float(low)) / 3, float(pixels.std(dtype=np.float64)), 1e-30
        )
        offset = round(median) if spread > 1 else median
        return cls(float(offset), 2.0 ** round(math.log2(spread)))

    def apply(self, raw: Tensor) -> Tensor:
        """Return normalised values of raw ones."""
        return (raw - self.offset) / self.scale

    def invert(self, normalised: Tensor) -> Tensor:
        """Return raw values of normalised ones."""
        return normalised * self.scale + self.offset
