"""Stein's unbiased risk estimate of a result, from the noisy image and the model.

The squared difference of result and observation is the result's error plus the noise,
less twice the noise that the result holds. The latter is the noise's variance times the
slope: how far the result follows when its own pixel is moved. A little noise of random
signs is added and subtracted, and the model predicts both images; the mean of the
differences, each times its sign, is the slope. Where the variance follows the signal,
each pixel counts by its own.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.defects import CleanImage
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.evaluation import (
    STEIN_ERROR,
    STEIN_GAIN,
    Evaluation,
    Figure,
    ResidualPlane,
    require_white,
    residual_planes,
)
from napari_selfdenoise.images import Image
from napari_selfdenoise.long_work import STOP, Command
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.noise import PROBE
from napari_selfdenoise.parts.noise_models import NoiseCurve
from napari_selfdenoise.prediction.evaluated_planes import (
    crop,
    of_channel,
    predicted,
    require_same,
    some_planes,
)
from napari_selfdenoise.prediction.sure import CAUTION, Risk

Array = NDArray[np.float64]

_ENOUGH, _MOST_DRAWS = 2**18, 4
"""Pixels whose slopes are averaged: smaller images are predicted several times."""

_BLOCK = 16  # px; side of the blocks whose errors are taken to be independent


@dataclass(frozen=True)
class SteinRisk:
    """Estimated mean squared error of a result, raw units squared.

    Parameters
    ----------
    squared_error : float
        The estimate: it scatters around the truth and may fall below zero.
    standard_error : float
        Of that, by chance and as the noise is known to 5 % only.
    noise : float
        Mean variance of the noise.
    slope : float
        Mean change of the result with its own pixel, weighted by the noise's variance:
        0 for a blind prediction, 1 for the noisy image itself.
    pixels : int
        That it was estimated from.
    """

    squared_error: float
    standard_error: float
    noise: float
    slope: float
    pixels: int

    def evaluation(self) -> Evaluation:
        """Root mean squared error and gain, or why they cannot be measured."""
        if self.squared_error <= self.standard_error:
            limit = math.sqrt(max(self.squared_error, 0.0) + self.standard_error)
            reason = (
                f"The error is too small to be measured: below about {limit:.2g} grey "
                "values."
            )
            missing = (Figure.missing(q, reason) for q in (STEIN_ERROR, STEIN_GAIN))
            return Evaluation(tuple(missing))
        error = math.sqrt(self.squared_error)
        share = self.standard_error / self.squared_error
        gain = 10 * math.log10(self.noise / self.squared_error)
        return Evaluation(
            (
                Figure(STEIN_ERROR, error, error=share * error / 2),
                Figure(STEIN_GAIN, gain, error=10 / math.log(10) * share),
            )
        )


def stein_risk_steps(
    noisy: Image,
    denoised: Image,
    model: TrainedModel,
    curves: Sequence[NoiseCurve] | None = None,
    *,
    device: str = "auto",
) -> Generator[float, Command | None, SteinRisk | None]:
    """Estimate the mean squared error of a result without a reference.

    Parameters
    ----------
    noisy, denoised : Image
        With equally many planes of one size.
    model : TrainedModel
        That made the denoised image of the noisy one, with the estimator it was made
        with.
    curves : sequence of NoiseCurve, optional
        Of the noise of each channel, raw units; the model's own by default.
    device : str
        Name of the device.

    Yields
    ------
    float
        Share that is done. Send `STOP` to end with the planes so far.

    Returns
    -------
    SteinRisk or None
        None where it was stopped before the first plane was done.

    Raises
    ------
    RequestError
        If the images do not fit each other or the model, neighbours share noise, or
        the model makes something else of the noisy image.

    References
    ----------
    Stein 1981; Ramani, Blu and Unser 2008 (slopes from random noise); Luisier, Blu and
    Unser 2011 and Le Montagner et al. 2014 (Poisson-Gaussian noise).
    """
    model.require_fits(noisy)
    if model.config.masking.correlated:
        raise RequestError(
            "The model takes neighbouring pixels to share noise, and SURE needs noise "
            "that they do not share.",
            "Compare with a reference instead.",
        )
    planes = some_planes(noisy, denoised)
    known: list[_Terms] = []
    for number, (source, target) in enumerate(planes):
        plane = _PlaneRisk(crop(noisy, source), crop(denoised, target))
        channel = noisy.channel_of(source)
        curve = (curves or model.noise_curves)[channel]
        for share in plane.steps(of_channel(model, channel), curve, device):
            if (yield (number + share) / len(planes)) is STOP:
                return _risk(known)
        known.append(plane.terms)
    return _risk(known)


class _Terms(NamedTuple):
    """Terms of the risk of some pixels: the risk, and its terms by block, (blocks,)."""

    risk: Risk
    blocks: Array


class _PlaneRisk:
    """Estimates the risk of one plane.

    Parameters
    ----------
    noisy, denoised : Image
        Of one plane.
    """

    def __init__(self, noisy: Image, denoised: Image) -> None:
        require_white([CleanImage(noisy).read_plane(())])
        self.noisy, self.denoised = noisy, denoised
        self.plane: ResidualPlane = residual_planes(noisy, denoised)[0]
        self.terms = _Terms(Risk(1), np.zeros(0))

    def steps(
        self, model: TrainedModel, curve: NoiseCurve, device: str
    ) -> Iterator[float]:
        """Predict the plane with a little noise added and subtracted."""
        std = np.maximum(self.plane.noise_std(curve), 1e-300)
        rng = np.random.default_rng(model.config.seed)
        slopes = []
        draws = int(np.clip(_ENOUGH // std.size, 1, _MOST_DRAWS))
        for number in range(draws):
            signs = rng.choice([-1.0, 1.0], std.shape)
            probe = np.where(self.plane.good, PROBE * std * signs, 0)
            found: list[Array] = []
            for moved in (probe, -probe):
                for share, result in predicted(self.noisy, moved, model, device):
                    yield (number + (len(found) + share) / 2) / draws
                    found += [] if result is None else [result]
            require_same((found[0] + found[1]) / 2, self.plane, std)
            slopes.append((found[0] - found[1]) / (2 * PROBE * std * signs))
        plane = self.plane
        if model.config.line_offsets == "subtract":
            plane = plane.without_lines()
        self.terms = _terms(plane, np.mean(slopes, axis=0), std**2)


def _terms(plane: ResidualPlane, slope: Array, variance: Array) -> _Terms:
    """Sum the risk over the good pixels of a plane; slope and variance (Y, X)."""
    good, risk = plane.good & np.isfinite(slope), Risk(1)
    parts = (-plane.residual[good][None], slope[good][None], variance[good])
    risk.add(*parts, np.ones(int(good.sum())))
    each = plane.residual**2 + (2 * slope - 1) * variance
    return _Terms(risk, _block_means(np.where(good, each, np.nan)))


def _block_means(values: Array) -> Array:
    """Means over blocks of 16 x 16 pixels of a plane (Y, X), NaN left out, (n,)."""
    rows, columns = (side // _BLOCK for side in values.shape)
    if rows * columns < 2:
        return values[np.isfinite(values)]
    cells = values[: rows * _BLOCK, : columns * _BLOCK]
    cells = cells.reshape(rows, _BLOCK, columns, _BLOCK).swapaxes(1, 2)
    cells = cells.reshape(rows * columns, -1)
    known = np.isfinite(cells).sum(1)
    enough = known > _BLOCK**2 / 2
    return np.asarray(np.nansum(cells[enough], axis=1) / known[enough])


def _risk(known: Sequence[_Terms]) -> SteinRisk | None:
    if not known:
        return None
    whole, blocks = Risk(1), np.concatenate([terms.blocks for terms in known])
    for terms in known:
        whole.merge(terms.risk)
    one = np.ones(1)
    error = whole.error(one)
    by_noise = whole.error(one, CAUTION) - error
    slope = 0.5 * (1 + by_noise / ((CAUTION - 1) * whole.variance))
    by_chance = float(blocks.std()) / math.sqrt(max(1, len(blocks)))
    return SteinRisk(
        error,
        math.hypot(by_chance, by_noise),
        whole.variance,
        slope,
        int(whole.pixels),
    )
