"""Estimators of a plane's tiles: the chosen one, and what all have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from torch import Tensor

from napari_selfdenoise.images import Tile
from napari_selfdenoise.prediction.image_noise import ImageNoise
from napari_selfdenoise.prediction.posterior import PosteriorOfTile
from napari_selfdenoise.prediction.sure import Blend
from napari_selfdenoise.prediction.tile_views import Estimates, TileViews


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

    def prepare(self, tiles: Sequence[Tile]) -> Iterator[float]:
        """Fit the noise to the plane, if it follows each image; as `TileEstimator`."""
        config = self.views.config
        if config.per_image:
            for _ in self.noise.fit(tiles, masked=config.estimator.masks_pixels):
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
        yield 1.0, self._results(found.mean, observed, wanted)

    def _results(
        self, outputs: Tensor, observed: Tensor, wanted: Mapping[str, object]
    ) -> Estimates:
        """What is made of averaged outputs (C, Y, X), raw units."""
        norm = self.views.normalization
        found: dict[str, Tensor] = {}
        if self.views.channel.optics:
            found["deconvolved"] = norm.invert(outputs[-1])
        if self.views.config.estimator.fuses:
            found |= self._posterior.estimates(outputs, observed)
        else:
            found["denoised"] = norm.invert(outputs[0])
        results = {name: values.cpu().numpy() for name, values in found.items()}
        results["noise_std"] = self.noise.curve.std_at(results["denoised"])
        return {name: results[name] for name in results if name in wanted}
