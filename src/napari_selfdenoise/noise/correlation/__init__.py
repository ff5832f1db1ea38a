"""How neighbouring pixels share noise, and which masking that asks for.

Measured before training, on observations alone. Structure makes neighbours alike as
well, but differs from noise:

- It is absent somewhere, noise is nowhere. So squares are paired with the ones beside
  them; where one of a pair shows the least correlation, the other one is measured.
  Which squares are measured thus does not depend on their own noise.
- It varies from place to place. Noise is shared alike in all squares, and its variance
  follows the signal.
- Noise comes on top of it. Where that is independent, a pixel varies by more than its
  likeness with its neighbours explains: a floor. Blurred noise has none.
- Optics blur along both axes. No structure is alike along one alone.

In doubt, noise is taken to be independent: footprints that are not needed cost more
than slight correlation does, and `left_over` checks the result after training.
"""

from napari_selfdenoise.noise.correlation.advice import (
    describe,
    masked_by,
    masking_of,
    recommended_masking,
)
from napari_selfdenoise.noise.correlation.measure import (
    NoiseCorrelation,
    measure_correlation,
)
from napari_selfdenoise.noise.correlation.residual_correlation import (
    LeftOver,
    left_over,
)
from napari_selfdenoise.noise.correlation.squares import REACH

__all__ = [
    "REACH",
    "LeftOver",
    "NoiseCorrelation",
    "describe",
    "left_over",
    "masked_by",
    "masking_of",
    "measure_correlation",
    "recommended_masking",
]
