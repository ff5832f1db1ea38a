"""Predicting tiles by the blend of estimates with the smallest estimated error."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.images import Tile, sources, tile_grid
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.noise import PROBE, Differences, measure_level
from napari_selfdenoise.parts.noise_models import NoiseCurve
from napari_selfdenoise.prediction.sure import (
    OBSERVATION,
    Blend,
    Levels,
    measured_noise,
)
from napari_selfdenoise.prediction.tile_predictor import Estimates, TilePredictor, Views

_SINGLE, _OBSERVATION = "single pass", OBSERVATION
_BLIND, _POSTERIOR = "blind mean", "posterior mean"

_BOX = 15
"""Side in px of the box that passes three times over what is taken for broad shades."""

_BROAD = 3 * (_BOX // 2)
"""How far that looks, in px. Noise is averaged over some 700 pixels by it."""

_SAMPLE = 2**20
"""Pixels of a plane that errors are estimated from; more change nothing."""

_SAMPLE_SIDE = 256

_SIGNS_SIDE = 512
"""Random signs repeat after so many pixels: further than a network looks."""

_ABOVE = 1.1
"""Noise by differences of residuals over that of flat blocks, at most.

They agree but for what neighbours share, a few percent. Where fine structure fills the
image, differences are too large: the result was worse than the input.
"""

_WORTH_HIDING = 0.18
"""Error of the rest, over the noise's variance, from which each pixel is hidden too.

Where it is smaller, the context tells nearly all, and what hiding gains does not make
up for nine times the passes. And the estimated error cannot tell there which is better:
slopes are up to 10 % too large where light is scarce, as the noise is skewed then.
"""

_MUCH = 0.1
"""Share of the observation in a result from which on it is looked at twice."""

_ODD, _BLOCK = 0.02, 16
"""Share of the blocks that are left out at the second look, those that are furthest
from the prediction; and their side in px."""

_LEVELS = 8
"""Signals at which blends are chosen, where pixels are hidden.

With little to gain, one blend for the whole image is better: errors of the noise curve,
which differ from signal to signal, cancel.
"""


Places = Mapping[Tile, NDArray[np.bool_]]
"""Pixels of tiles, each (Y, X)."""


class _Seen(NamedTuple):
    """Estimates of a tile and their slopes by name, (Y, X), raw units.

    And where its observation tells of the signal.
    """

    estimates: Estimates
    slopes: Estimates
    good: NDArray[np.bool_]


class BlendingPredictor(TilePredictor):
    """Predicts tiles of one plane by the best blend of what the model can give.

    Before the first tile, the plane or a sample of it is estimated in all ways, and
    again with a little noise added: from that follows the error of every blend. Where
    neighbours share noise the error would be misjudged, so there the average of the
    orientations is the result.

    The parameters are those of `TilePredictor`.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.measured, self._noise_unmeasured = self.curve, False
        self._broad = _broad(self.config)
        luck = np.random.default_rng(self.config.seed)
        signs = luck.choice([-1.0, 1.0], (_SIGNS_SIDE, _SIGNS_SIDE))
        self._signs = signs.astype(np.float32)
        self._kept: dict[Tile, _Seen] = {}

    @classmethod
    def margin_of(cls, model: TrainedModel) -> int:
        """How far around a tile is read, in pixels: shades are of a wider tile."""
        return model.margin + _broad(model.config)

    @property
    def hides(self) -> bool:
        """Whether noise that is fitted to an image is fitted to what is blind."""
        return self.config.signal.spreads and not self.config.masking.correlated

    # ---- Before the tiles ----

    def prepare(self, tiles: Sequence[Tile]) -> Iterator[float]:
        """Choose the blend; tiles and shares as in `TilePredictor.prepare`."""
        yield from super().prepare(tiles)
        if self.config.masking.correlated:
            self.blend = Blend((self._average,), (1.0,))
            return
        sample = self._sample(tiles)
        looked, planned = 3 * _area(sample), _area(tiles)
        self.prepared = 0.95 if sample is tiles else looked / (looked + planned)
        for share in self._look(sample):
            yield share * self.prepared
        self.blend = self._choose()
        if self._noise_unmeasured:
            self.blend = replace(self.blend, error=None, noise=None)
        if sample is not tiles:
            self._kept.clear()

    @property
    def _average(self) -> str:
        """What the average of all views is called."""
        count = len(self.turns)
        return f"average of {count} orientations" if count > 1 else _SINGLE

    @property
    def _levelled(self) -> str:
        """What the average with the broad shades of the observation is called."""
        return f"{self._average} at the raw brightness"

    def _sample(self, tiles: Sequence[Tile]) -> Sequence[Tile]:
        """Tiles to learn from: all, or small ones all over the plane."""
        shape = self.image.plane_shape
        if shape[0] * shape[1] <= _SAMPLE:
            return tiles
        side = min(_SAMPLE_SIDE, tiles[0].bottom - tiles[0].top)
        small = list(tile_grid(tiles[0].plane, shape, side, self.stride))
        order = np.random.default_rng(self.config.seed).permutation(len(small))
        return [small[n] for n in sorted(order[: max(1, _SAMPLE // side**2)])]

    def _look(self, sample: Sequence[Tile]) -> Iterator[float]:
        """Estimate the sample in all ways; yields the share that is done."""
        for share in self._measure(sample):
            yield 0.2 * share
        for number, tile in enumerate(sample):
            for share in self._see(tile):
                yield 0.2 + 0.2 * (number + share) / len(sample)
        for number, tile in enumerate(sample if self._worth_hiding() else ()):
            for share in self._see_hidden(tile):
                yield 0.4 + 0.6 * (number + share) / len(sample)

    def _measure(self, sample: Sequence[Tile]) -> Iterator[float]:
        """Measure the noise of the sample; yields the share that is done."""
        if self.config.sees:
            # A network that does not know what to make of hidden pixels cannot tell.
            self.measured = self._bounded(self.curve, sample, 1.0)
            return
        differences: list[Differences] = []
        for number, tile in enumerate(sample):
            differences += self._differences(tile, _SAMPLE // len(sample))
            yield (number + 1) / len(sample)
        found = measured_noise(differences, self.curve)
        # Where gaps leave no whole block, the noise is that of the model, and so the
        # error cannot be estimated.
        self._noise_unmeasured = found is self.curve and not all(
            self._good(tile).all() for tile in sample
        )
        self.measured = self._bounded(found, sample, _ABOVE)

    def _bounded(
        self, curve: NoiseCurve, sample: Sequence[Tile], most: float
    ) -> NoiseCurve:
        """Return a noise curve, at most so many times what flat blocks have.

        That there is more in them than in the curve may be structure. Where neighbours
        are alike even in flat blocks, nobody knows whether they share noise or
        structure: then the most noise that there may be counts. With too little, most
        of the noise would be taken for structure and stay.
        """
        level = measure_level([self._pixels(tile) for tile in sample])
        if level is None:
            return curve
        if not level.white:
            return curve.scaled(max(1.0, level.longer / level.std))
        signal = np.array(level.signal, np.float32)
        ratio = np.minimum(most * np.array(level.by_signal) / curve.std_at(signal), 1)
        # Beyond the groups the curve keeps its shape.
        std = curve.std * np.interp(curve.signal, signal, ratio)
        return NoiseCurve.gaussian(curve.signal, std)

    def _pixels(self, tile: Tile) -> NDArray[np.float32]:
        """Observation of a tile, (Y, X), raw units, NaN where nothing was recorded."""
        return self.image.read(tile.plane, tile.rows, tile.columns).recorded

    def _see(self, tile: Tile) -> Iterator[float]:
        """Keep what all pixels of a tile say, and how it moves with them."""
        raw, inner = self._read(tile)
        wide = self._widened(inner)
        probe = self._probe(raw, tile)
        found: list[Estimates] = []
        for image in (raw, raw + probe):
            for share, views in self._views(image, tile, wide, False):
                yield (len(found) + share) / 2
                if views is not None:
                    found.append(self._visible(views, image[0, 0][wide]))
        estimates, moved = found
        added = probe[0, 0][inner].cpu().numpy()
        slopes = {
            name: (moved[name] - estimates[name]) / added
            for name in (_SINGLE, self._average, self._levelled)
        }
        slopes[_OBSERVATION] = np.ones_like(added)
        self._kept[tile] = _Seen(estimates, slopes, self._good(tile))

    def _see_hidden(self, tile: Tile) -> Iterator[float]:
        """Keep what is said of each pixel of a tile without it.

        The posterior knows the pixel too, but its prior does not: only that is moved.
        """
        raw, inner = self._read(tile)
        seen, probe = (v[0, 0][inner] for v in (raw, self._probe(raw, tile)))
        for share, views in self._views(raw, tile, inner, True):
            yield share
            if views is not None:
                found, moved = (
                    self._hidden_from(views, v) for v in (seen, seen + probe)
                )
                added, kept = probe.cpu().numpy(), self._kept[tile]
                kept.estimates.update(found)
                kept.slopes.update(
                    {name: (moved[name] - found[name]) / added for name in found}
                )

    def _probe(self, raw: Tensor, tile: Tile) -> Tensor:
        """A little noise, the same at a place in the image whatever the tile."""
        places = sources(tile, self.image.plane_shape, self.margin, self.stride)
        rows, columns = (place % _SIGNS_SIDE for place in places)
        around = F.avg_pool2d(raw, 3, 1, padding=1, count_include_pad=False)
        std = self.measured.std_at(around[0, 0].cpu().numpy())
        probe = PROBE * std * self._signs[rows[:, None], columns]
        return torch.from_numpy(probe).to(raw)[None, None]

    def _widened(self, inner: tuple[slice, slice]) -> tuple[slice, slice]:
        """A tile's place in its padded pixels, and as far around as shades are seen."""
        rows, columns = (
            slice(part.start - self._broad, part.stop + self._broad) for part in inner
        )
        return rows, columns

    def _visible(self, views: Views, seen: Tensor) -> Estimates:
        """Estimates that see all pixels, of a tile that is not widened.

        Parameters
        ----------
        views : Views
            Of the widened tile.
        seen : Tensor
            The observation there, (Y, X), raw units.
        """
        invert = self.channel.normalization.invert
        found = {_SINGLE: invert(views.first), self._average: invert(views.mean[0])}
        if self._broad:
            average = found[self._average]
            found[self._levelled] = average + _shades(seen - average)
        if self.channel.optics:
            found["deconvolved"] = invert(views.mean[-1])
        found[_OBSERVATION] = seen
        inner = slice(self._broad, -self._broad or None)
        return {
            name: values[inner, inner].cpu().numpy() for name, values in found.items()
        }

    def _hidden_from(self, views: Views, seen: Tensor) -> Estimates:
        """Estimates whose context hides the pixel; `seen` is the observation."""
        found = {}
        if not self._blind:
            found[_BLIND] = self.channel.normalization.invert(views.mean[0])
        if self.config.signal.spreads:
            found[_POSTERIOR] = self._fuse(views.mean, self._normalise(seen))[
                "denoised"
            ]
        return {name: values.cpu().numpy() for name, values in found.items()}

    @property
    def _blind(self) -> bool:
        """Whether the network is blind to each pixel anyway."""
        return math.prod(self.config.masking.lattice) == 1

    # ---- Errors ----

    def _worth_hiding(self) -> bool:
        if self.config.sees:
            return False
        if self._blind:
            return self.config.signal.spreads
        if self.hardly_trained:  # whoever stopped at once does not wait for little
            return False
        places = {tile: kept.good for tile, kept in self._kept.items()}
        (risk,) = self._risks(np.zeros(1), places).risks
        return risk.error(risk.best()) > _WORTH_HIDING * risk.variance

    def _choose(self) -> Blend:
        """Blend of what is kept with the smallest error.

        Where much of the observation is in it, a few pixels must not be the reason:
        then it is chosen without the blocks that are furthest from the prediction.
        """
        everything = {tile: kept.good for tile, kept in self._kept.items()}
        blend = self._best(everything)
        if blend.raw_share < _MUCH:
            return blend
        places = self._usual(everything)
        if not any(place.any() for place in places.values()):
            return blend  # too small to be judged without a part of it
        usual = self._best(places)
        return usual if usual.raw_share < blend.raw_share / 2 else blend

    def _usual(self, places: Places) -> Places:
        """Places (Y, X) of each tile without its oddest blocks."""
        odd = {}
        for tile, (estimates, _, good) in self._kept.items():
            average = estimates[self._average]
            residual = (estimates[_OBSERVATION] - average) ** 2
            ratio = residual / self.measured.std_at(average) ** 2
            odd[tile] = _block_means(np.where(good, ratio, 0))
        limit = np.quantile(np.concatenate([v.ravel() for v in odd.values()]), 1 - _ODD)
        return {
            tile: place & _spread(odd[tile] <= limit, place.shape)
            for tile, place in places.items()
        }

    def _best(self, places: Places) -> Blend:
        """Blend with the smallest error at some places (Y, X) of each tile."""
        hidden = {_BLIND, _POSTERIOR}.intersection(self._names)
        known = [
            kept.estimates[self._average][places[tile]]
            for tile, kept in self._kept.items()
        ]
        shares = np.linspace(0.02, 0.98, _LEVELS if hidden else 1)
        levels = np.unique(np.quantile(np.concatenate(known), shares)).astype(float)
        return self._risks(levels, places).blend(self._names)

    @property
    def _names(self) -> tuple[str, ...]:
        """What can be blended of what is kept."""
        return tuple(next(iter(self._kept.values())).slopes)

    def _risks(self, levels: NDArray[np.float64], places: Places) -> Levels:
        """Errors of all blends at some places (Y, X) of each tile, by signal."""
        names = self._names
        risks = Levels(levels, len(names))
        for tile, (estimates, slopes, _) in self._kept.items():
            place = places[tile]
            signal = estimates[self._average][place]
            values, slope = (
                np.stack([each[name][place] for name in names]).astype(float)
                for each in (estimates, slopes)
            )
            residuals = values - values[names.index(_OBSERVATION)]
            variance = self.measured.std_at(signal).astype(float) ** 2
            risks.add(signal.astype(float), residuals, slope, variance)
        return risks

    # ---- Tiles ----

    def denoise(
        self, tile: Tile, wanted: Mapping[str, object]
    ) -> Iterator[tuple[float, Estimates | None]]:
        """Predict a tile by the blend; shares and results as in `TilePredictor`."""
        if tile in self._kept:
            yield 1.0, self._blended(self._kept.pop(tile).estimates, wanted)
            return
        raw, inner = self._read(tile)
        seen = raw[0, 0][inner]
        estimates: Estimates = {_OBSERVATION: seen.cpu().numpy()}
        runs = self._runs(wanted)
        for number, hides in enumerate(runs):
            place = inner if hides else self._widened(inner)
            for share, views in self._views(raw, tile, place, hides):
                if number + share < len(runs):
                    yield (number + share) / len(runs), None
                if views is not None:
                    make = self._hidden_from if hides else self._visible
                    estimates |= make(views, raw[0, 0][place])
        yield 1.0, self._blended(estimates, wanted)

    def _runs(self, wanted: Mapping[str, object]) -> list[bool]:
        """Whether pixels are hidden, for each of the runs over a tile that it takes."""
        assert self.blend is not None
        used = self.blend.at(np.zeros(1, np.float32)).keys()
        hidden = not used.isdisjoint((_BLIND, _POSTERIOR))
        # Weights that change with the signal need one to look them up.
        seen = {_SINGLE, self._average, self._levelled}
        visible = len(self.blend.signal) > 1 or bool(used & seen)
        sharp = self.channel.optics is not None and "deconvolved" in wanted
        return [False] * (visible or sharp) + [True] * hidden

    def _blended(self, estimates: Estimates, wanted: Mapping[str, object]) -> Estimates:
        assert self.blend is not None
        signal = estimates.get(self._average, estimates[_OBSERVATION])
        weights = self.blend.at(signal)
        values = np.stack([weights[name] * estimates[name] for name in weights])
        denoised = values.sum(axis=0)
        results = {"denoised": denoised, "noise_std": self.curve.std_at(denoised)}
        if "deconvolved" in estimates:
            results["deconvolved"] = estimates["deconvolved"]
        return {name: results[name] for name in results if name in wanted}


def _broad(config: TrainingConfig) -> int:
    """How far beyond a tile it is predicted, to know its shades up to its border."""
    return 0 if config.masking.correlated else _BROAD


def _shades(values: Tensor) -> Tensor:
    """Broad shades of values (Y, X): nearly a Gaussian of 7.5 px.

    What lies within `_BROAD` px of a border is not to be used.
    """
    shades = values[None]
    for _ in range(3):
        shades = F.avg_pool2d(shades, (_BOX, 1), 1, (_BOX // 2, 0))
        shades = F.avg_pool2d(shades, (1, _BOX), 1, (0, _BOX // 2))
    return shades[0]


def _block_means(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means of blocks side by side: (Y, X) -> (rows, columns), borders go on."""
    rows, columns = (-side % _BLOCK for side in values.shape)
    padded = np.pad(values, ((0, rows), (0, columns)), mode="edge")
    cells = padded.reshape(padded.shape[0] // _BLOCK, _BLOCK, -1, _BLOCK)
    means: NDArray[np.float32] = cells.mean((1, 3))
    return means


def _spread(blocks: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """What holds for blocks, for each pixel of a shape (Y, X)."""
    pixels = blocks.repeat(_BLOCK, 0).repeat(_BLOCK, 1)
    return pixels[: shape[0], : shape[1]]


def _area(tiles: Sequence[Tile]) -> int:
    """Pixels of some tiles."""
    return sum((t.bottom - t.top) * (t.right - t.left) for t in tiles)
