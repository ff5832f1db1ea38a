"""Predicting tiles of one plane for the pixel probe: a first view, then the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdenoise.defects import measure_clipping
from napari_selfdenoise.images import PlaneIndex, Tile
from napari_selfdenoise.parts.noise_models import TabulatedModule
from napari_selfdenoise.prediction.plane_estimators import estimator_of
from napari_selfdenoise.prediction.posterior import PosteriorOfTile
from napari_selfdenoise.prediction.probed_tile import Limits, PlaneNoise, ProbedTile
from napari_selfdenoise.prediction.tile_views import TileViews

_CLIPPING_PIXELS = 2**20
"""Pixels of a plane in which cut-off values are looked for."""


class TileProbing:
    """Predicts tiles of one plane, and keeps what holds for all of them.

    Parameters
    ----------
    views : TileViews
        Predicts the tiles.
    tiles : list of Tile
        Those that the whole plane is denoised in: what the estimator learns of a plane,
        it learns from these.
    """

    def __init__(self, views: TileViews, tiles: list[Tile]) -> None:
        self.views, self.config = views, views.config
        self.estimator = estimator_of(views)
        self._posterior = PosteriorOfTile(self.estimator.noise)
        self._preparing = self.estimator.prepare(tiles)
        self._plane = tiles[0].plane
        self.prepared = False

    def prepare(self) -> Iterator[float]:
        """Learn of the plane what its estimator has to know; goes on where it ended.

        Yields
        ------
        float
            Share that is done.
        """
        for share in self._preparing:
            yield share / self.estimator.prepared if share else 0.0
        self.prepared = True
        self.__dict__.pop("noise", None)  # it may have been fitted to the plane

    @cached_property
    def noise(self) -> PlaneNoise:
        """Noise of the plane, on the CPU, and where its values are cut off."""
        found = self.estimator.noise
        # Beyond the signals that it was measured at, a line would end in no noise at
        # all, and the likelihood in a peak.
        curve = replace(found.curve, poisson_gaussian=None)
        module = TabulatedModule(self.views.channel.noise_units(), curve)
        return PlaneNoise(module, found.temperature, self._limits)

    @cached_property
    def _limits(self) -> Limits:
        image, shape = self.views.image.image, self.views.image.plane_shape
        every = max(1, shape[0] * shape[1] // _CLIPPING_PIXELS)
        pixels = image.read_plane(self._plane, slice(None, None, every))
        if not np.isfinite(pixels).any():
            return Limits()
        found, limits = measure_clipping([pixels]), Limits()
        if found.low:
            limits = replace(limits, low=found.lowest)
        full = np.iinfo(image.dtype).max if image.dtype.kind in "ui" else np.inf
        return replace(limits, high=found.highest if found.high else full)

    def recorded(self, tile: Tile) -> ProbedTile:
        """The pixels of a tile, of which nothing is predicted yet."""
        clean = self.views.image
        raw = clean.image.read_plane(tile.plane, tile.rows, tile.columns)
        known = clean.read(tile.plane, tile.rows, tile.columns)
        norm = self.views.normalization
        return ProbedTile(tile, self.config, norm, self.noise, raw, known, final=False)

    def predict(self, tile: Tile) -> Iterator[ProbedTile | None]:
        """Predict a tile, each pixel from its surroundings where the model can.

        Yields
        ------
        ProbedTile or None
            A first view of one orientation, all of them at the end, None in between.
        """
        known = self.recorded(tile)
        raw, inner = self.views.read(tile)
        if len(self.views.turns) > 1:
            first = self.views.unturned(raw, tile, self._masked)[(..., *inner)]
            yield replace(known, outputs=_kept(first))
        outputs: Tensor | None = None
        for _, found in self.views.views(raw, tile, inner, self._masked):
            outputs = None if found is None else found.mean
            yield None
        assert outputs is not None
        observed = self.views.normalization.apply(raw)[0, 0][inner]
        denoised = self._from(outputs, observed)
        yield replace(known, outputs=_kept(outputs), denoised=denoised, final=True)

    def estimate(self, tile: Tile) -> Iterator[NDArray[np.float32] | None]:
        """Denoise a tile by the model's estimator, once that is prepared.

        Yields
        ------
        ndarray or None
            With the last share the result, (Y, X), raw units.
        """
        for _, found in self.estimator.estimate(tile, {"denoised": None}):
            yield None if found is None else found["denoised"]

    @property
    def _masked(self) -> bool:
        """Whether each pixel is masked in its prior, as the estimator has it."""
        if self.config.estimator.fuses:
            return self.config.estimator.masks_pixels
        return not self.config.uses_own_value and self.config.masking.binning == 1

    def _from(self, outputs: Tensor, observed: Tensor) -> NDArray[np.float32] | None:
        """Result of the estimator, where these outputs are all that it takes."""
        estimator = self.config.estimator
        if estimator.fuses:
            value = self._posterior.estimates(outputs, observed)["denoised"]
        elif not estimator.blends and estimator.masks_pixels == self._masked:
            value = self.views.normalization.invert(outputs[0])
        else:
            return None
        found: NDArray[np.float32] = value.cpu().numpy()
        return found


def _kept(outputs: Tensor) -> Tensor:
    return outputs.detach().to("cpu", torch.float32, copy=True)


def tile_at(
    plane: PlaneIndex, shape: tuple[int, int], row: int, column: int, side: int
) -> Tile:
    """The tile of a grid that a pixel lies in; `side` is a multiple of the stride."""
    top, left = row // side * side, column // side * side
    bottom, right = min(top + side, shape[0]), min(left + side, shape[1])
    return Tile(plane, top, bottom, left, right)
