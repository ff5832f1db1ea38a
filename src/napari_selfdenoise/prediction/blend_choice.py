"""Choosing the blend of a sample's estimates that has the smallest estimated error."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.images import Tile
from napari_selfdenoise.parts.noise_models import NoiseCurve
from napari_selfdenoise.prediction.blend_candidates import BLIND_MEAN, POSTERIOR_MEAN
from napari_selfdenoise.prediction.blend_sample import TileSample
from napari_selfdenoise.prediction.sure import OBSERVATION, Blend, Levels

# Error of the rest, over the noise's variance, from which each pixel is masked too.
# Where it is smaller, the context holds nearly all, and what masking gains does not
# make up for nine times the passes. And the estimated error does not show there which
# is better: slopes are up to 10 % too large in little light, as the noise is skewed.
_WORTH_MASKING = 0.18

# Share of the observation in a result from which on it is examined twice.
_MUCH = 0.1

# Share of the blocks that are left out the second time: those furthest from the
# prediction.
_ODD = 0.02

# Side of these blocks, in px.
_BLOCK = 16

# Signals at which blends are chosen, where pixels are masked. With little to gain, one
# blend for the whole image is better: errors of the noise curve, which differ from
# signal to signal, cancel.
_LEVELS = 8

Places = Mapping[Tile, NDArray[np.bool_]]
"""Pixels of tiles, each (Y, X)."""


class BlendChoice:
    """Chooses a blend from estimates, their slopes and the noise.

    Parameters
    ----------
    sample : mapping of Tile to TileSample
        Estimates of the same names for each tile.
    noise : NoiseCurve
        Of the plane, raw units.
    average : str
        Name of the estimate that stands for the signal.
    """

    def __init__(
        self, sample: Mapping[Tile, TileSample], noise: NoiseCurve, average: str
    ) -> None:
        self.sample, self.noise, self.average = sample, noise, average
        self.names = tuple(next(iter(sample.values())).slopes)

    def is_worth_masking(self) -> bool:
        """Whether the error is large enough to mask each pixel too."""
        (risk,) = self._risks(np.zeros(1), self._everywhere).risks
        return risk.error(risk.best()) > _WORTH_MASKING * risk.variance

    def blend(self) -> Blend:
        """Return the blend with the smallest error.

        Where much of the observation is in it, a few pixels must not be the reason:
        then it is chosen without the blocks that are furthest from the prediction.
        """
        blend = self._best(self._everywhere)
        if blend.raw_share < _MUCH:
            return blend
        places = self._usual(self._everywhere)
        if not any(place.any() for place in places.values()):
            return blend  # too small to be judged without a part of it
        usual = self._best(places)
        return usual if usual.raw_share < blend.raw_share / 2 else blend

    @property
    def _everywhere(self) -> Places:
        """All pixels but defects."""
        return {tile: kept.good for tile, kept in self.sample.items()}

    def _usual(self, places: Places) -> Places:
        """Places (Y, X) of each tile without its oddest blocks."""
        odd = {}
        for tile, (estimates, _, good) in self.sample.items():
            average = estimates[self.average]
            residual = (estimates[OBSERVATION] - average) ** 2
            ratio = residual / self.noise.std_at(average) ** 2
            odd[tile] = _block_means(np.where(good, ratio, 0))
        limit = np.quantile(np.concatenate([v.ravel() for v in odd.values()]), 1 - _ODD)
        return {
            tile: place & _enlarged(odd[tile] <= limit, place.shape)
            for tile, place in places.items()
        }

    def _best(self, places: Places) -> Blend:
        """Blend with the smallest error at some places (Y, X) of each tile."""
        masked = {BLIND_MEAN, POSTERIOR_MEAN}.intersection(self.names)
        known = [
            kept.estimates[self.average][places[tile]]
            for tile, kept in self.sample.items()
        ]
        shares = np.linspace(0.02, 0.98, _LEVELS if masked else 1)
        levels = np.unique(np.quantile(np.concatenate(known), shares)).astype(float)
        return self._risks(levels, places).blend(self.names)

    def _risks(self, levels: NDArray[np.float64], places: Places) -> Levels:
        """Errors of all blends at some places (Y, X) of each tile, by signal."""
        names = self.names
        risks = Levels(levels, len(names))
        for tile, (estimates, slopes, _) in self.sample.items():
            place = places[tile]
            signal = estimates[self.average][place]
            values, slope = (
                np.stack([each[name][place] for name in names]).astype(float)
                for each in (estimates, slopes)
            )
            residuals = values - values[names.index(OBSERVATION)]
            variance = self.noise.std_at(signal).astype(float) ** 2
            risks.add(signal.astype(float), residuals, slope, variance)
        return risks


def _block_means(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means of adjacent blocks: (Y, X) -> (rows, columns), borders go on."""
    rows, columns = (-side % _BLOCK for side in values.shape)
    padded = np.pad(values, ((0, rows), (0, columns)), mode="edge")
    cells = padded.reshape(padded.shape[0] // _BLOCK, _BLOCK, -1, _BLOCK)
    means: NDArray[np.float32] = cells.mean((1, 3))
    return means


def _enlarged(blocks: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """What holds for blocks, for each pixel of a shape (Y, X)."""
    pixels = blocks.repeat(_BLOCK, 0).repeat(_BLOCK, 1)
    return pixels[: shape[0], : shape[1]]
