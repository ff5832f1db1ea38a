"""Estimates of a sample of a plane, and how each follows its own pixel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdenoise.images import Tile, tile_grid
from napari_selfdenoise.noise import PROBE
from napari_selfdenoise.parts.noise_models import NoiseCurve
from napari_selfdenoise.prediction.blend_candidates import Candidates
from napari_selfdenoise.prediction.sure import OBSERVATION
from napari_selfdenoise.prediction.tile_views import Estimates
from napari_selfdenoise.prediction.views import Views

# Pixels of a plane that errors are estimated from; more change nothing.
SAMPLE_PIXELS = 2**20

_SAMPLE_SIDE = 256

# Random signs repeat after so many pixels: further than a network reaches.
_SIGNS_SIDE = 512


class TileSample(NamedTuple):
    """Estimates of a tile and their slopes by name, (Y, X), raw units.

    And False at its defects, (Y, X).
    """

    estimates: Estimates
    slopes: Estimates
    good: NDArray[np.bool_]


class BlendSample:
    """Estimates tiles as they are, and with a little noise added.

    Parameters
    ----------
    candidates : Candidates
        Makes the estimates.

    Attributes
    ----------
    tiles : dict of Tile to TileSample
        What was estimated.
    scatter : list of float
        Variance between the orientations, a mean of each tile, squared raw units.
    """

    def __init__(self, candidates: Candidates) -> None:
        self.candidates, self.views = candidates, candidates.views
        self.tiles: dict[Tile, TileSample] = {}
        self.scatter: list[float] = []
        rng = np.random.default_rng(self.views.config.seed)
        signs = rng.choice([-1.0, 1.0], (_SIGNS_SIDE, _SIGNS_SIDE))
        self._signs = signs.astype(np.float32)

    def choose(self, tiles: Sequence[Tile]) -> Sequence[Tile]:
        """Tiles to estimate: all of a plane's, or small ones all over it.

        Parameters
        ----------
        tiles : sequence of Tile
            Of the plane.
        """
        shape, config = self.views.image.plane_shape, self.views.config
        if shape[0] * shape[1] <= SAMPLE_PIXELS:
            return tiles
        side = min(_SAMPLE_SIDE, tiles[0].bottom - tiles[0].top)
        small = list(tile_grid(tiles[0].plane, shape, side, config.stride))
        order = np.random.default_rng(config.seed).permutation(len(small))
        return [small[n] for n in sorted(order[: max(1, SAMPLE_PIXELS // side**2)])]

    def estimate(self, tile: Tile, noise: NoiseCurve) -> Iterator[float]:
        """Keep estimates of a tile from all its pixels, and their slopes.

        Parameters
        ----------
        tile : Tile
            Of the plane.
        noise : NoiseCurve
            A little of that much is added, raw units.

        Yields
        ------
        float
            Share that is done.
        """
        raw, inner = self.views.read(tile)
        wide = self.candidates.widened(inner)
        probe = self._probe(raw, tile, noise)
        found: list[Estimates] = []
        for image in (raw, raw + probe):
            for share, views in self.views.views(image, tile, wide, False):
                yield (len(found) + share) / 2
                if views is not None:
                    observed = image[0, 0][wide]
                    found.append(self.candidates.from_unmasked(views, observed))
                    self._note(views)
        estimates, moved = found
        added = probe[0, 0][inner].cpu().numpy()
        slopes = {
            name: (moved[name] - estimates[name]) / added
            for name in self.candidates.unmasked
        }
        slopes[OBSERVATION] = np.ones_like(added)
        self.tiles[tile] = TileSample(estimates, slopes, self.views.good(tile))

    def estimate_masked(self, tile: Tile, noise: NoiseCurve) -> Iterator[float]:
        """Keep estimates of each pixel of a tile without it; as `estimate`.

        The posterior knows the pixel too, but its prior does not: only that is moved.
        """
        raw, inner = self.views.read(tile)
        observed, probe = (v[0, 0][inner] for v in (raw, self._probe(raw, tile, noise)))
        for share, views in self.views.views(raw, tile, inner, True):
            yield share
            if views is not None:
                self._note(views)
                found, moved = (
                    self.candidates.from_masked(views, v)
                    for v in (observed, observed + probe)
                )
                added, kept = probe.cpu().numpy(), self.tiles[tile]
                kept.estimates.update(found)
                kept.slopes.update(
                    {name: (moved[name] - found[name]) / added for name in found}
                )

    def _note(self, views: Views) -> None:
        """Keep how far the orientations of a tile are apart."""
        scale = self.views.normalization.scale
        self.scatter.append(float(views.scatter.mean()) * scale**2)

    def _probe(self, raw: Tensor, tile: Tile, noise: NoiseCurve) -> Tensor:
        """A little noise, the same at a place in the image whatever the tile."""
        rows, columns = (place % _SIGNS_SIDE for place in self.views.places(tile))
        around = F.avg_pool2d(raw, 3, 1, padding=1, count_include_pad=False)
        std = noise.std_at(around[0, 0].cpu().numpy())
        probe = PROBE * std * self._signs[rows[:, None], columns]
        return torch.from_numpy(probe).to(raw)[None, None]
