"""The noise of the plane that is denoised: the model's, or fitted to the plane."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from napari_selfdenoise.images import Normalization, Tile
from napari_selfdenoise.noise import (
    PROBE,
    Differences,
    binned,
    block_numbers,
    squared_noise,
)
from napari_selfdenoise.noise.calibration import fit_poisson_gaussian
from napari_selfdenoise.parts.noise_models import (
    NoiseCurve,
    NoiseModule,
    TabulatedModule,
)
from napari_selfdenoise.prediction.plane_state import PlaneState
from napari_selfdenoise.prediction.tile_views import TileViews

# Pixels of a plane that its noise is fitted to; more change nothing.
_FIT_PIXELS = 2**20


class ImageNoise:
    """Noise of one plane.

    Parameters
    ----------
    views : TileViews
        Predicts tiles of the plane.

    Attributes
    ----------
    curve : NoiseCurve
        In raw units.
    module : NoiseModule
        The same, normalised, on the device.
    temperature : float
        By which the network's total variance is wrong on average.
    """

    def __init__(self, views: TileViews) -> None:
        self.views, self.temperature = views, 1.0
        self.use(views.channel.noise_curve)

    def use(self, curve: NoiseCurve) -> None:
        """Take a curve, raw units, for the noise of the plane."""
        module = TabulatedModule(self.views.channel.noise_units(), curve)
        self.curve: NoiseCurve = curve
        self.module: NoiseModule = module.to(self.views.device)

    def state(self) -> PlaneState:
        """What was learned of the noise of the plane."""
        return PlaneState(self.curve, self.temperature)

    def restore(self, state: PlaneState) -> None:
        """Take what was learned of it before."""
        self.use(state.curve)
        self.temperature = state.temperature

    def fit(self, tiles: Sequence[Tile], masked: bool) -> Iterator[None]:
        """Fit a and b of variance = a * signal + b to the plane, tile by tile.

        The squared residuals hold the prediction's own error besides the noise, which
        the published fit takes for noise. Here a little noise is added once more, to
        measure how the prediction moves, and neighbours' residuals are compared.

        Parameters
        ----------
        tiles : sequence of Tile
            Of the plane.
        masked : bool
            Whether each pixel is masked in its own prediction.

        References
        ----------
        Khademi et al. 2021, section 3.
        """
        parts: list[Tensor] = []
        contrasts: list[Differences] = []
        each = max(64, _FIT_PIXELS // len(tiles))
        for tile in tiles:
            parts.append(self._moments(tile, each, masked))
            yield
            if not self.views.config.masking.correlated:
                contrasts += self.block_contrasts(tile, each)
                yield
        mean, observed, moved, total = torch.cat(parts, dim=1).double().cpu().numpy()
        signal, squared = squared_noise(contrasts, Normalization(0.0, 1.0))
        if len(signal):
            fitted = fit_poisson_gaussian(signal, signal + np.sqrt(squared))
        else:
            own = np.interp(mean, *binned(mean, (moved - mean) / PROBE))
            fitted = fit_poisson_gaussian(mean, observed, prior_variance=own)
        self.use(_line(self.curve, *fitted))
        self.temperature = float(np.mean((observed - mean) ** 2 / total))

    def _moments(self, tile: Tile, count: int, masked: bool) -> Tensor:
        """What a fit needs of some pixels of a tile, raw units, (4, n).

        Mean, observation, mean with a little more noise, total variance.
        """
        views, signal_head = self.views, self.views.config.signal
        norm = views.normalization
        raw, inner = views.read(tile)
        outputs = views.unturned(raw, tile, masked)
        mean = outputs[None, :1]
        moved = views.unturned(self._noisier(raw, mean), tile, masked)[None, :1]
        rest = outputs[1 : signal_head.outputs].flatten(1).T
        prior = signal_head.prior(outputs[0].flatten(), rest)
        total = prior.variance().view_as(raw) * norm.scale**2
        values = (norm.invert(mean), raw, norm.invert(moved), total)
        good = torch.from_numpy(views.good(tile)).to(views.device)
        flat = torch.stack([v[0, 0][inner][good] for v in values])
        return flat[:, :: max(1, flat.shape[1] // count)]

    def block_contrasts(self, tile: Tile, count: int) -> list[Differences]:
        """Contrasts of neighbours' residuals in masked blocks of a tile, raw units.

        Parameters
        ----------
        tile : Tile
            Of the plane.
        count : int
            Pairs that are kept, about.
        """
        views, norm = self.views, self.views.normalization
        raw, inner = views.read(tile)
        places = (torch.from_numpy(v).to(views.device) for v in views.places(tile))
        numbers = block_numbers(*places)
        found = []
        good = torch.from_numpy(views.good(tile)).to(views.device)[None, None]
        context = views.context(tile)
        for masked in (numbers == number for number in range(4)):
            mean = views.without(raw, masked, context)
            around = context
            if context is not None:
                around = self._noisier_context(context, mean, tile)
            moved = views.without(self._noisier(raw, mean), masked, around)
            inside = (..., *inner)
            parts = [v[inside] for v in (norm.invert(mean), raw, norm.invert(moved))]
            apart = Differences.of(parts[0], parts[1], parts[2], masked[inner], good)
            found.append(apart.thinned(count // 4))
        return found

    def _noisier(self, raw: Tensor, mean: Tensor) -> Tensor:
        """Pixels with a little more noise; mean (1, 1, Y, X), normalised."""
        norm, generator = self.views.normalization, self.views.generator
        noisier = self.module.renoise(mean, norm.apply(raw), generator)
        return raw + PROBE * (norm.invert(noisier) - raw)

    def _noisier_context(self, context: Tensor, mean: Tensor, tile: Tile) -> Tensor:
        """Planes around, (1, 2 k, Y, X), with a little more noise; normalised."""
        like = mean.expand_as(context)  # their signal is much like that of the plane
        noisier = self.module.renoise(like, context, self.views.generator)
        return context + PROBE * self.views.noise_shares(tile) * (noisier - context)


def _line(curve: NoiseCurve, a: float, b: float) -> NoiseCurve:
    """Noise of variance a * signal + b over the range of a curve."""
    least = 0.03 * float(np.median(curve.std))
    return NoiseCurve.line(a, b, curve.signal[0], curve.signal[-1], max(least, 1e-15))
