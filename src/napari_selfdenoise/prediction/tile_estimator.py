"""Estimators of a plane's tiles: the chosen one, and what all have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
from torch import Tensor

from napari_selfdenoise.images import Tile
from napari_selfdenoise.prediction.context_spread import ContextSpread, fit_spread
from napari_selfdenoise.prediction.held_out import (
    HoldOut,
    all_good,
    context_of,
    hold_out_steps,
    sample_tiles,
)
from napari_selfdenoise.prediction.image_noise import ImageNoise
from napari_selfdenoise.prediction.plane_state import PlaneState
from napari_selfdenoise.prediction.posterior import PosteriorOfTile
from napari_selfdenoise.prediction.sure import Blend
from napari_selfdenoise.prediction.tile_views import Estimates, TileViews
from napari_selfdenoise.prediction.views import Views

# Pixels of a plane that the spread of the context is measured on before it is denoised.
_SPREAD_PIXELS = 2**15


class TileEstimator(Protocol):
    """Denoises the tiles of one plane.

    Attributes
    ----------
    noise : ImageNoise
        Of the plane.
    prepared : float
        Share of the work on the plane that `prepare` did.
    blend : Blend or None
        What the results are made of, where that was chosen for the plane.
    """

    noise: ImageNoise
    prepared: float
    blend: Blend | None

    def prepare(self, tiles: Sequence[Tile]) -> Iterator[float]:
        """Learn of the plane what has to be known before its tiles are estimated.

        Parameters
        ----------
        tiles : sequence of Tile
            Of the plane.

        Yields
        ------
        float
            Share of all work on the plane that is done.
        """
        ...

    def state(self) -> PlaneState:
        """What was learned of the plane."""
        ...

    def restore(self, state: PlaneState) -> None:
        """Take what was learned of the plane before, in place of `prepare`."""
        ...

    def estimate(
        self, tile: Tile, wanted: Mapping[str, object]
    ) -> Iterator[tuple[float, Estimates | None]]:
        """Estimate a tile view by view.

        Parameters
        ----------
        tile : Tile
            Of the plane.
        wanted : mapping
            Names of the results that are needed.

        Yields
        ------
        float
            Share of the tile that is done.
        dict or None
            With the last share, results by name, raw units.
        """
        ...


class PlainEstimator:
    """Single pass, blind mean or posterior: what the config's estimator says.

    Parameters
    ----------
    views : TileViews
        Predicts the tiles.
    """

    def __init__(self, views: TileViews) -> None:
        self.views, self.noise = views, ImageNoise(views)
        self.prepared = 0.0
        self.blend: Blend | None = None
        self._posterior = PosteriorOfTile(self.noise)
        self._hold_out = HoldOut(views, self.noise)
        self._spread: ContextSpread | None = None

    def prepare(self, tiles: Sequence[Tile]) -> Iterator[float]:
        """Fit noise and spread to the plane where they follow it; as `TileEstimator`.

        The noise, if it is that of each image; the spread of the context, where each
        pixel is left out of its prior anyway.
        """
        config = self.views.config
        if config.per_image:
            for _ in self.noise.fit(tiles, masked=config.estimator.masks_pixels):
                yield 0.0
        if config.estimator.fuses and config.estimator.masks_pixels:
            yield from self._measure_spread(tiles)

    def state(self) -> PlaneState:
        """What was learned of the plane; as `TileEstimator`."""
        return self.noise.state()._replace(spread=self._spread)

    def restore(self, state: PlaneState) -> None:
        """Take what was learned of the plane before; as `TileEstimator`."""
        self.noise.restore(state)
        self._spread = state.spread

    def _measure_spread(self, tiles: Sequence[Tile]) -> Iterator[float]:
        """Fit how far the context leaves the signal open, to a sample of the plane."""
        sample = sample_tiles(self.views, tiles[0].plane, _SPREAD_PIXELS)
        steps = hold_out_steps(self._hold_out, sample)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                context, observed, _ = all_good(end.value)
                self._spread = fit_spread(context, observed)
                return
            yield 0.0

    def estimate(
        self, tile: Tile, wanted: Mapping[str, object]
    ) -> Iterator[tuple[float, Estimates | None]]:
        """Estimate a tile view by view; as `TileEstimator`."""
        raw, inner = self.views.read(tile)
        masked = self.views.config.estimator.masks_pixels
        for share, found in self.views.views(raw, tile, inner, masked):
            if found is None:
                yield share, None
        assert found is not None
        observed = self.views.normalization.apply(raw)[0, 0][inner]
        yield 1.0, self._results(found, observed, wanted)

    def _results(
        self, views: Views, observed: Tensor, wanted: Mapping[str, object]
    ) -> Estimates:
        """What is made of the views of a tile, raw units."""
        norm, outputs = self.views.normalization, views.mean
        found: dict[str, Tensor] = {}
        if self.views.channel.optics:
            found["deconvolved"] = norm.invert(outputs[-1])
        if self.views.config.estimator.fuses:
            found |= self._posterior.estimates(outputs, observed)
        else:
            found["denoised"] = norm.invert(outputs[0])
        results = {name: values.cpu().numpy() for name, values in found.items()}
        if self._spread is not None and "posterior_std" in wanted:
            context = context_of(views, self._posterior, self._hold_out.curve)
            std = self._spread.std_of_estimate(context, results["trust"])
            results["posterior_std"] = std.astype(np.float32)
        results["noise_std"] = self.noise.curve.std_at(results["denoised"])
        return {name: results[name] for name in results if name in wanted}
