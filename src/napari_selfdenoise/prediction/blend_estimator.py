"""The automatic estimator: the blend of estimates with the smallest estimated error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from napari_selfdenoise.images import Tile
from napari_selfdenoise.prediction.blend_candidates import (
    BLIND_MEAN,
    POSTERIOR_MEAN,
    Candidates,
)
from napari_selfdenoise.prediction.blend_choice import BlendChoice
from napari_selfdenoise.prediction.blend_sample import BlendSample
from napari_selfdenoise.prediction.image_noise import ImageNoise
from napari_selfdenoise.prediction.plane_state import PlaneState
from napari_selfdenoise.prediction.posterior import PosteriorOfTile
from napari_selfdenoise.prediction.sample_noise import SampleNoise
from napari_selfdenoise.prediction.sure import OBSERVATION, Blend
from napari_selfdenoise.prediction.tile_views import Estimates, TileViews

_WORTHWHILE = 0.0046
"""Share of the squared error that more orientations have to save: 0.02 dB."""


class BlendEstimator:
    """Denoises tiles of one plane by the best blend of what the model can give.

    Before the first tile, the plane or a sample of it is estimated in all ways, and
    again with a little noise added: from that follows the error of every blend. Where
    neighbours share noise the error would be misjudged, so there the average of the
    orientations is the result.

    Parameters
    ----------
    views : TileViews
        Predicts the tiles, with a margin that is wider by `low_pass_radius`.
    """

    def __init__(self, views: TileViews) -> None:
        self.views, self.config = views, views.config
        self.noise = ImageNoise(views)
        self.prepared = 0.0
        self.blend: Blend | None = None
        self._candidates = Candidates(PosteriorOfTile(self.noise))
        self._sample = BlendSample(self._candidates)

    # Before the tiles -----------------------------------------------------------------

    def prepare(self, tiles: Sequence[Tile]) -> Iterator[float]:
        """Choose the blend; as `TileEstimator`."""
        masking = self.config.masking
        if self.config.per_image:
            # Fitted to what is blind, where the network can be.
            masked = self.config.signal.spreads and not masking.correlated
            for _ in self.noise.fit(tiles, masked):
                yield 0.0
        if masking.correlated:
            self.blend = Blend((self._candidates.average,), (1.0,))
            return
        sample = self._sample.choose(tiles)
        examined, planned = 3 * _area(sample), _area(tiles)
        whole = sample is tiles
        self.prepared = 0.95 if whole else examined / (examined + planned)
        measured = SampleNoise(self.noise)
        for share in self._examine(sample, measured):
            yield share * self.prepared
        self.blend = self._choice(measured).blend()
        if not measured.is_measured:
            self.blend = replace(self.blend, error=None, noise=None)
        if more := self._pays():
            self._average_all()
        if more or not whole:
            self._sample.tiles.clear()

    def state(self) -> PlaneState:
        """What was learned of the plane; as `TileEstimator`."""
        all_turns = self.views.all_turns
        return self.noise.state()._replace(blend=self.blend, all_turns=all_turns)

    def restore(self, state: PlaneState) -> None:
        """Take what was learned of the plane before; as `TileEstimator`."""
        self.noise.restore(state)
        self.blend, self.views.all_turns = state.blend, state.all_turns

    def _pays(self) -> bool:
        """Whether the error would become clearly smaller with all orientations.

        A mean of twice as many has half the variance between them, where each has an
        error of its own: at best it loses as much as that.
        """
        error = self.blend.error if self.blend else None
        if not (error and self.views.has_more_turns):
            return False
        gain = float(np.mean(self._sample.scatter)) / (2 * len(self.views.turns))
        return gain > _WORTHWHILE * error**2

    def _average_all(self) -> None:
        """Average mirrored images as well, by the same blend."""
        assert self.blend is not None
        few = self._candidates.average
        self.views.all_turns = True
        every = self._candidates.average
        parts = tuple(part.replace(few, every) for part in self.blend.parts)
        self.blend = replace(self.blend, parts=parts)

    def _examine(
        self, sample: Sequence[Tile], measured: SampleNoise
    ) -> Iterator[float]:
        """Estimate the sample in all ways; yields the share that is done."""
        for share in measured.measure(sample):
            yield 0.2 * share
        for number, tile in enumerate(sample):
            for share in self._sample.estimate(tile, measured.curve):
                yield 0.2 + 0.2 * (number + share) / len(sample)
        for number, tile in enumerate(sample if self._masks(measured) else ()):
            for share in self._sample.estimate_masked(tile, measured.curve):
                yield 0.4 + 0.6 * (number + share) / len(sample)

    def _masks(self, measured: SampleNoise) -> bool:
        """Whether estimates without the pixel itself are tried, too."""
        if self.config.uses_own_value:
            return False
        if self._candidates.is_blind:
            return self.config.signal.spreads
        if self.views.hardly_trained:  # stopped at once: no long search
            return False
        return self._choice(measured).is_worth_masking()

    def _choice(self, measured: SampleNoise) -> BlendChoice:
        return BlendChoice(self._sample.tiles, measured.curve, self._candidates.average)

    # Tiles ----------------------------------------------------------------------------

    def estimate(
        self, tile: Tile, wanted: Mapping[str, object]
    ) -> Iterator[tuple[float, Estimates | None]]:
        """Estimate a tile by the blend; as `TileEstimator`."""
        if tile in self._sample.tiles:
            kept = self._sample.tiles.pop(tile)
            yield 1.0, self._blended(kept.estimates, wanted)
            return
        raw, inner = self.views.read(tile)
        estimates: Estimates = {OBSERVATION: raw[0, 0][inner].cpu().numpy()}
        runs = self._runs(wanted)
        for number, masked in enumerate(runs):
            place = inner if masked else self._candidates.widened(inner)
            for share, views in self.views.views(raw, tile, place, masked):
                if number + share < len(runs):
                    yield (number + share) / len(runs), None
                if views is not None:
                    make = (
                        self._candidates.from_masked
                        if masked
                        else self._candidates.from_unmasked
                    )
                    estimates |= make(views, raw[0, 0][place])
        yield 1.0, self._blended(estimates, wanted)

    def _runs(self, wanted: Mapping[str, object]) -> list[bool]:
        """Whether pixels are masked, for each of the runs over a tile that it takes."""
        assert self.blend is not None
        used = self.blend.at(np.zeros(1, np.float32)).keys()
        masked = not used.isdisjoint((BLIND_MEAN, POSTERIOR_MEAN))
        # Weights that change with the signal need one to look them up.
        changing = len(self.blend.signal) > 1
        unmasked = changing or not used.isdisjoint(self._candidates.unmasked)
        sharp = self.views.channel.optics is not None and "deconvolved" in wanted
        return [False] * (unmasked or sharp) + [True] * masked

    def _blended(self, estimates: Estimates, wanted: Mapping[str, object]) -> Estimates:
        assert self.blend is not None
        signal = estimates.get(self._candidates.average, estimates[OBSERVATION])
        weights = self.blend.at(signal)
        values = np.stack([weights[name] * estimates[name] for name in weights])
        denoised = values.sum(axis=0)
        curve = self.noise.curve
        results = {"denoised": denoised, "noise_std": curve.std_at(denoised)}
        if "deconvolved" in estimates:
            results["deconvolved"] = estimates["deconvolved"]
        return {name: results[name] for name in results if name in wanted}


def _area(tiles: Sequence[Tile]) -> int:
    """Pixels of some tiles."""
    return sum((t.bottom - t.top) * (t.right - t.left) for t in tiles)
