"""One result from two exposures: the mean of both predictions, blended with the raw.

What two exposures differ by is noise. So their differences tell how much noise any
estimate holds: cov(g(A), noise of A) = E[g(A) (A - B)], whatever the noise is like, as
the noise of B is independent of A. By that the blend of estimates with the smallest
error is chosen; the mean of both exposures is among them, so that the result is not
worse than it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.images import Tile
from napari_selfdenoise.prediction.blend_candidates import Candidates
from napari_selfdenoise.prediction.blend_sample import BlendSample
from napari_selfdenoise.prediction.image_noise import ImageNoise
from napari_selfdenoise.prediction.plane_state import PlaneState
from napari_selfdenoise.prediction.posterior import PosteriorOfTile
from napari_selfdenoise.prediction.sure import OBSERVATION, Blend, Levels
from napari_selfdenoise.prediction.tile_views import Estimates, TileViews

# Signals at which blends are chosen.
_LEVELS = 8


class _Both(NamedTuple):
    """Estimates of a tile from either exposure, (Y, X) by name, raw units.

    And where the pixels of each are good, (Y, X).
    """

    first: Estimates
    second: Estimates
    good: tuple[NDArray[np.bool_], NDArray[np.bool_]]

    def mean(self) -> Estimates:
        """Estimates from both; where only one is good, from that."""
        one, other = self.good
        share = np.where(one == other, 0.5, one).astype(np.float32)
        return {
            name: share * self.first[name] + (1 - share) * self.second[name]
            for name in self.first
        }


class PairEstimator:
    """Denoises tiles of one plane of two exposures.

    Parameters
    ----------
    first, second : TileViews
        Of either exposure, in one brightness.

    References
    ----------
    Lehtinen et al. 2018, Noise2Noise.
    """

    def __init__(self, first: TileViews, second: TileViews) -> None:
        self.config, self._views = first.config, (first, second)
        self.noise = ImageNoise(first)
        self.prepared = 0.0
        self.blend: Blend | None = None
        self._candidates = [
            Candidates(PosteriorOfTile(ImageNoise(one))) for one in self._views
        ]
        self._kept: dict[Tile, _Both] = {}

    def prepare(self, tiles: Sequence[Tile]) -> Iterator[float]:
        """Choose the blend, if the estimator is to; as `TileEstimator`."""
        average = self._candidates[0].average
        if not self.config.estimator.blends:
            self.blend = Blend((average,), (1.0,))
            return
        sample = BlendSample(self._candidates[0]).choose(tiles)
        whole = sample is tiles
        self.prepared = 0.95 if whole else 0.5
        for number, tile in enumerate(sample):
            for share, found in self._both(tile):
                yield self.prepared * (number + share) / len(sample)
                if found is not None:
                    self._kept[tile] = found
        self.blend = _chosen(list(self._kept.values()), average)
        if not whole:
            self._kept.clear()

    def state(self) -> PlaneState:
        """What was learned of the plane; as `TileEstimator`."""
        return self.noise.state()._replace(blend=self.blend)

    def restore(self, state: PlaneState) -> None:
        """Take what was learned of the plane before; as `TileEstimator`."""
        self.noise.restore(state)
        self.blend = state.blend

    def estimate(
        self, tile: Tile, wanted: Mapping[str, object]
    ) -> Iterator[tuple[float, Estimates | None]]:
        """Estimate a tile from both exposures; as `TileEstimator`."""
        both = self._kept.pop(tile, None)
        if both is None:
            for share, both in self._both(tile):
                if both is None:
                    yield share, None
        assert both is not None
        yield 1.0, self._blended(both.mean(), wanted)

    def _both(self, tile: Tile) -> Iterator[tuple[float, _Both | None]]:
        """Estimates of a tile from either exposure, view by view."""
        found: list[Estimates] = []
        for views, candidates in zip(self._views, self._candidates, strict=True):
            raw, inner = views.read(tile)
            blends = self.config.estimator.blends
            place = candidates.widened(inner) if blends else inner
            for share, made in views.views(raw, tile, place, masked=False):
                if made is None:
                    yield (len(found) + share) / 2, None
            assert made is not None
            observed = raw[0, 0][place]
            found.append(
                candidates.from_unmasked(made, observed)
                if blends
                else candidates.plain(made)
            )
        good = self._views[0].good(tile), self._views[1].good(tile)
        yield 1.0, _Both(found[0], found[1], good)

    def _blended(self, estimates: Estimates, wanted: Mapping[str, object]) -> Estimates:
        assert self.blend is not None
        weights = self.blend.at(estimates[self._candidates[0].average])
        values = np.stack([weights[name] * estimates[name] for name in weights])
        denoised = values.sum(axis=0)
        results = {
            "denoised": denoised,
            "noise_std": self.noise.curve.std_at(denoised),
        }
        if "deconvolved" in estimates:
            results["deconvolved"] = estimates["deconvolved"]
        return {name: results[name] for name in results if name in wanted}


def _chosen(sample: Sequence[_Both], average: str) -> Blend:
    """Blend with the smallest error, by the differences of both exposures."""
    places = [both.good[0] & both.good[1] for both in sample]
    if not any(place.any() for place in places):
        return Blend((average,), (1.0,))
    names = tuple(name for name in sample[0].first if name != "deconvolved")
    known = [
        both.mean()[average][place] for both, place in zip(sample, places, strict=True)
    ]
    shares = np.linspace(0.02, 0.98, _LEVELS)
    signals = np.unique(np.quantile(np.concatenate(known), shares)).astype(float)
    levels = Levels(signals, len(names))
    for both, place in zip(sample, places, strict=True):
        levels.add(*_squares(both, names, average, place))
    return levels.blend(names)


def _squares(
    both: _Both, names: Sequence[str], average: str, place: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], ...]:
    """Signal, residuals, slopes and variance at some pixels, as `Levels.add` takes.

    The noise of the mean of both exposures has a quarter of their squared difference
    as its variance.
    """
    first, second, mean = (
        np.stack([each[name][place] for name in names]).astype(float)
        for each in (both.first, both.second, both.mean())
    )
    raw = names.index(OBSERVATION)
    apart = first[raw] - second[raw]
    slopes = np.zeros_like(first)
    np.divide(first - second, apart, out=slopes, where=apart != 0)
    return mean[names.index(average)], mean - mean[raw], slopes, apart**2 / 4
