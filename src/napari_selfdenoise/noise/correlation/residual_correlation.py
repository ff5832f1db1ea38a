"""Checks whether noise that neighbours share was left in a prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.noise.correlation.advice import masked_by, masking_of
from napari_selfdenoise.noise.correlation.measure import (
    NoiseCorrelation,
    extent,
    measure_correlation,
)
from napari_selfdenoise.noise.correlation.squares import (
    REACH,
    SIDE,
    Array,
    detrended,
    fit,
    pairs_of,
    spaced,
)
from napari_selfdenoise.parts.masking import (
    LARGEST_BIN,
    BinMask,
    FootprintScheme,
    Masking,
)

_LEFT = 0.15
"""Share of the finest variation of flat squares that a prediction keeps, at most.

Measured after 300 steps: 0.09 at most where noise is independent or well hidden, fine
texture with little noise included (else 0.04); 0.19 to 0.49 where too little is masked.
Networks whose output is smoothed take longer to copy it: 0.33 to 0.45 after 400 steps.
"""

_SHARED = 0.1
"""Correlation with the next pixel without which footprints would not help."""

_FLATTEST = 0.2


@dataclass(frozen=True)
class LeftOver:
    """Noise that a prediction copied from neighbours that share it.

    Parameters
    ----------
    share : float
        Share of the finest variation of the observation's flattest squares that the
        prediction keeps, without what follows each pixel: below 0.1 as it should be.
    wider : LineMask, BinMask, ShapeMask or None
        The next wider masking, to train again with; None where it would not help.
    """

    share: float
    wider: Masking | None

    def __str__(self) -> str:
        grain = f"{self.share:.0%} of the finest grain"
        if self.share < _LEFT:
            return "No noise that neighbours share is left in the result."
        if self.wider is None:
            return (
                f"Noise is left in the result ({grain}), though neighbours do not "
                "share it. Try fewer steps or a smaller network."
            )
        return (
            f"Noise that neighbours share is left in the result ({grain}). Train again "
            f"with {masked_by(self.wider)} masked together."
        )


def left_over(
    observations: Sequence[NDArray[Any]],
    predictions: Sequence[NDArray[Any]],
    masking: Masking,
) -> LeftOver:
    """Measure how much noise that unmasked neighbours share is left in a prediction.

    A pixel that shares noise with unmasked ones is predicted with its noise. Then the
    flattest parts of the prediction are nearly as rough as those of the observation.
    Structure is smooth at the scale of a pixel, so second differences along each axis
    are compared: of a good prediction, they are far below those of the observation.
    What a prediction takes from the pixel itself, as a posterior does, comes to
    light as coherence with the observation and does not count.

    Parameters
    ----------
    observations, predictions : sequence of ndarray
        Equally many planes (Y, X), in one unit; of bins, where pixels are binned.
    masking : Masking
        The masking of the training.

    Returns
    -------
    LeftOver
        With a wider masking where noise was left and neighbours are alike.
    """
    share = _share(observations, predictions)
    if share < _LEFT:
        return LeftOver(share, None)
    return LeftOver(share, _wider(masking, measure_correlation(observations)))


def _share(
    observations: Sequence[NDArray[Any]], predictions: Sequence[NDArray[Any]]
) -> float:
    """Share of the finest variation that the prediction's flattest squares keep."""
    observed, predicted = (
        np.concatenate(pairs_of(spaced(planes)))
        for planes in (observations, predictions)
    )
    good = fit(observed) & np.isfinite(predicted).all((1, 2, 3))
    if not good.any():
        return 0.0
    before, after = (
        pairs[good].reshape(-1, SIDE, SIDE) for pairs in (observed, predicted)
    )
    kept = _variance(detrended(after)) / _variance(detrended(before))
    flat = np.argsort(kept)[: max(8, round(_FLATTEST * len(kept)))]
    return max(_rough(before[flat], after[flat], axis) for axis in (1, 2))


def _variance(squares: Array) -> Array:
    return np.asarray((squares**2).mean((1, 2)))


def _rough(before: Array, after: Array, axis: int) -> float:
    """Share of second differences that is kept, without what follows the pixel."""
    before, after = (np.diff(values, 2, axis) for values in (before, after))
    variance = np.maximum(_variance(before), 1e-30)
    kept = _variance(after) / variance
    coherent = ((before * after).mean((1, 2)) / variance) ** 2
    return float(np.median(kept - coherent))


def _reach(masking: Masking) -> tuple[int, int]:
    """How far a masking hides the neighbours of a target along y and x, in px."""
    if not isinstance(masking, FootprintScheme):
        return 0, 0
    height, width = masking.pixels.shape
    return height // 2, width // 2


def _wider(masking: Masking, correlation: NoiseCorrelation) -> Masking | None:
    """Masking that hides more along the axes that neighbours are alike along."""
    lines = correlation.along("y"), correlation.along("x")
    least = max(_SHARED, max(abs(line[1]) for line in lines) / 2)
    alike = [abs(line[1]) >= least for line in lines]
    if not any(alike):
        return None
    if isinstance(masking, BinMask):
        bigger = masking.size < LARGEST_BIN
        return BinMask(size=masking.size + 1) if bigger else None
    reach = [
        max(now, min(REACH, max(now + 1, extent(line, correlation.standard_error))))
        if wide
        else now
        for now, line, wide in zip(_reach(masking), lines, alike, strict=True)
    ]
    return None if reach == list(_reach(masking)) else masking_of(*reach)
