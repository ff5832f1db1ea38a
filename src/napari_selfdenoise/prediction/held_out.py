"""Pixels that are held out of their own prediction: what their context says of them."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from napari_selfdenoise.images import PlaneIndex, Tile, tile_grid
from napari_selfdenoise.parts.noise_models import NoiseCurve
from napari_selfdenoise.prediction.context_spread import Array, Context
from napari_selfdenoise.prediction.image_noise import ImageNoise
from napari_selfdenoise.prediction.posterior import PosteriorOfTile
from napari_selfdenoise.prediction.sample_noise import SampleNoise
from napari_selfdenoise.prediction.tile_views import TileViews
from napari_selfdenoise.prediction.views import Views

_SIDE = 128
"""Side of the tiles that are sampled, in px: small, so that they lie all over."""

_BLOCK = 16
"""Side in px of the squares that a half of the pixels consists of: one half is fitted
to, the other one judges the fit."""

_CHUNK = 2**14


class HeldOut(NamedTuple):
    """Some pixels of a tile, each held out of its own prediction.

    Parameters
    ----------
    context : Context
        What is known of them, (Y, X).
    observed : ndarray
        Their observation, (Y, X), raw units; outliers are filled.
    good : ndarray
        False at outliers and missing pixels, (Y, X).
    """

    context: Context
    observed: Array
    good: NDArray[np.bool_]


def context_of(found: Views, posterior: PosteriorOfTile, curve: NoiseCurve) -> Context:
    """What is known of the pixels of a tile from their context, (Y, X).

    Parameters
    ----------
    found : Views
        Of the tile, each pixel masked.
    posterior : PosteriorOfTile
        Of the plane.
    curve : NoiseCurve
        Noise of the plane, raw units.
    """
    norm = posterior.views.normalization
    mean, views, prior = (
        values.double().cpu().numpy()
        for values in (
            norm.invert(found.mean[0]),
            found.scatter * norm.scale**2,
            posterior.prior_variance(found.mean),
        )
    )
    noise = np.interp(mean, curve.signal, curve.std) ** 2
    return Context(mean, noise, views, prior)


class HoldOut:
    """Holds each pixel out of its own prediction, tile by tile of one plane.

    Parameters
    ----------
    views : TileViews
        Predicts the tiles.
    noise : ImageNoise, optional
        Of the plane, if it has been fitted already where it follows each image.

    Attributes
    ----------
    noise : ImageNoise
        Of the plane, as the model has it.
    curve : NoiseCurve
        What intervals are computed with: measured in the plane, unless the noise model
        was given or neighbours share noise.
    is_given : bool
        Whether the noise model was given, with the shape of its noise.
    """

    def __init__(self, views: TileViews, noise: ImageNoise | None = None) -> None:
        self.views, self.noise = views, noise or ImageNoise(views)
        self.curve: NoiseCurve = self.noise.curve
        self.is_given = self.views.config.noise_model.is_given
        self._is_fitted = noise is not None
        self._posterior = PosteriorOfTile(self.noise)

    def measure_noise(self, tiles: Sequence[Tile]) -> Generator[float, None, None]:
        """Measure the noise of the plane; yields the share that is done."""
        config = self.views.config
        if config.per_image:
            if not self._is_fitted:
                for _ in self.noise.fit(tiles, masked=True):
                    yield 0.0
            self.curve = self.noise.curve
        elif not (self.is_given or config.masking.correlated):
            measured = SampleNoise(self.noise)
            yield from measured.measure(tiles)
            self.curve = _as_strong(self.noise.curve, measured.curve)

    def tile(self, tile: Tile) -> Iterator[tuple[float, HeldOut | None]]:
        """Predict each pixel of a tile without it.

        Yields the share that is done and, with the last one, what was found.
        """
        raw, inner = self.views.read(tile)
        for share, found in self.views.views(raw, tile, inner, True):
            if found is None:
                yield share, None
        assert found is not None
        observed = raw[0, 0][inner].double().cpu().numpy()
        context = context_of(found, self._posterior, self.curve)
        yield 1.0, HeldOut(context, observed, self.views.good(tile))


def _as_strong(curve: NoiseCurve, measured: NoiseCurve) -> NoiseCurve:
    """A noise curve of the same shape, on average as strong as one that was measured.

    Its places are bins of equally many pixels, in each of which it is less certain.
    Where noise is weak, structure is the larger part of what was measured: variances
    are compared, in which strong noise counts most.
    """
    known = np.interp(measured.signal, curve.signal, curve.std)
    ratio = np.mean(measured.std**2) / max(float(np.mean(known**2)), 1e-30)
    return curve.scaled(float(np.sqrt(ratio)))


def sample_tiles(views: TileViews, plane: PlaneIndex, pixels: int) -> list[Tile]:
    """Small tiles all over a plane, always the same, of about so many pixels.

    Parameters
    ----------
    views : TileViews
        Predicts the tiles.
    plane : tuple of int
        Which one.
    pixels : int
        At least one tile is returned.
    """
    shape, stride = views.image.plane_shape, views.config.stride
    small = list(tile_grid(plane, shape, _SIDE, stride))
    order = np.random.default_rng(0).permutation(len(small))
    return [small[n] for n in sorted(order[: max(1, pixels // _SIDE**2)])]


def hold_out_steps(
    hold_out: HoldOut, tiles: Sequence[Tile]
) -> Generator[float, None, list[HeldOut]]:
    """Measure the noise, and hold out the pixels of tiles; yields the share done."""
    found = []
    for share in hold_out.measure_noise(tiles):
        yield 0.1 * share
    for number, tile in enumerate(tiles):
        for share, one in hold_out.tile(tile):
            yield 0.1 + 0.9 * (number + share) / len(tiles)
            if one is not None:
                found.append(one)
    return found


def all_good(found: Sequence[HeldOut]) -> tuple[Context, Array, NDArray[np.bool_]]:
    """Context and observation of all good pixels, and which half they are of, (n,)."""
    contexts = [one.context.at(one.good) for one in found]
    context = Context(*(np.concatenate(v) for v in zip(*contexts, strict=True)))
    observed = np.concatenate([one.observed[one.good] for one in found])
    half = np.concatenate([first_half(one.good.shape)[one.good] for one in found])
    return context, observed, half


def first_half(shape: tuple[int, int]) -> NDArray[np.bool_]:
    """True in every other one of small squares, as on a chessboard, (Y, X)."""
    y, x = (np.arange(length) // _BLOCK for length in shape)
    return np.asarray((y[:, None] + x) % 2 == 0)


def probability_below(
    context: Context, variance: Array, observed: Array, curve: NoiseCurve
) -> Array:
    """Probability of a smaller observation than the one that was made (PIT).

    The signal is a Gaussian around its context's mean, the noise as the curve has it
    there. Where both are right, the values are spread evenly from 0 to 1.

    Parameters
    ----------
    context : Context
        Of n pixels, (n,).
    variance : ndarray
        Of their signal given the context, (n,), squared raw units.
    observed : ndarray
        (n,), raw units.
    curve : NoiseCurve
        Raw units; its width is scaled to the noise of the context.

    References
    ----------
    Dawid 1984; Gneiting, Balabdaoui and Raftery 2007.
    """
    parts = np.array_split(np.arange(len(observed)), len(observed) // _CHUNK + 1)
    return np.concatenate(
        [
            _below(context.at(part), variance[part], observed[part], curve)
            for part in parts
        ]
    )


def _below(
    context: Context, variance: Array, observed: Array, curve: NoiseCurve
) -> Array:
    around = curve.at(context.mean)
    factor = (np.sqrt(context.noise) / around.std)[:, None]
    std = np.hypot(around.stds * factor, np.sqrt(variance)[:, None])
    residual = (observed - context.mean)[:, None] - around.means * factor
    return np.asarray((around.weights * ndtr(residual / std)).sum(1))
