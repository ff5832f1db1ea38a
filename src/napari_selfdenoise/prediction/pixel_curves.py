"""Prior, likelihood and posterior of one pixel as curves over the signal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdenoise.images import Normalization
from napari_selfdenoise.parts.gaussian_mixtures import Mixture
from napari_selfdenoise.parts.likelihood import posterior, widened
from napari_selfdenoise.parts.noise_models import NoiseModule
from napari_selfdenoise.prediction.evidence import PixelEvidence
from napari_selfdenoise.prediction.own_share import own_share

Array = NDArray[np.float64]

_REACH = 6.0
"""Standard deviations that the curves are drawn to, at either side of a peak."""

_POINTS = 129
"""Signals of the grid around each peak."""

_FEW = 8
"""Gaussians of a prior up to which each of them is a peak with signals of its own."""


@torch.no_grad()
def weighed(
    known: PixelEvidence, prior: Mixture | None, noise: NoiseModule, norm: Normalization
) -> PixelEvidence:
    """Add to the evidence of a pixel what follows from its prior and its observation.

    Parameters
    ----------
    known : PixelEvidence
        The pixel and its observation; where it has a reason, there is no posterior.
    prior : Mixture or None
        Of the signal given the context, (1, M), normalised. One of no width is known by
        its mean alone, and None is not known at all: then there is a likelihood only.
    noise : NoiseModule
        Of the pixel's plane, on the CPU as the prior.
    norm : Normalization
        From raw units to normalised ones.

    References
    ----------
    Krull et al. 2020, Fig. 1.
    """
    value = None
    if np.isfinite(known.observation):
        value = norm.apply(torch.tensor([known.observation], dtype=torch.float32))
    found = _moments(prior, noise, value, norm)
    wide = None if prior is None or not bool(prior.variance() > 0) else prior
    after = None
    if wide is not None and value is not None and not known.reason:
        after = posterior(wide, noise, value)
        share = own_share(wide.variance(), after.variance())
        found |= {
            "posterior_mean": float(norm.invert(after.expectation())),
            "posterior_std": float(after.variance().sqrt()) * norm.scale,
            "own_share": float(share),
        }
    grid, curves = _curves(wide, after, noise, value)
    found["signal"] = grid * norm.scale + norm.offset
    found |= {name: density / norm.scale for name, density in curves.items()}
    return replace(known, **found)


def _moments(
    prior: Mixture | None, noise: NoiseModule, value: Tensor | None, norm: Normalization
) -> dict[str, Any]:
    """Mean and std of the prior, and the noise there or at the value, raw units."""
    found: dict[str, Any] = {}
    place = value
    if prior is not None:
        place, std = prior.expectation(), float(prior.variance().sqrt())
        found["prior_mean"] = float(norm.invert(place))
        found["prior_std"] = std * norm.scale if std > 0 else np.nan
    if place is not None:
        found["noise_std"] = float(noise.std(place)) * norm.scale
    return found


def _curves(
    prior: Mixture | None,
    after: Mixture | None,
    noise: NoiseModule,
    value: Tensor | None,
) -> tuple[Array, dict[str, Array]]:
    """Grid of signals, and the densities that there are by name, normalised units.

    Parameters
    ----------
    prior, after : Mixture or None
        Prior and posterior, (1, M).
    noise : NoiseModule
        Of the plane.
    value : Tensor or None
        Observation, (1,).
    """
    prior = None if prior is None else widened(prior)
    grid = _grid(prior, after, noise, value)
    points, logs = torch.as_tensor(grid, dtype=torch.float32), {}
    if prior is not None:
        logs["prior"] = prior.log_density(points)
    if value is not None:
        logs["likelihood"] = noise.log_likelihood(points, value.expand_as(points))
    if after is not None:
        logs["posterior"] = logs["prior"] + logs["likelihood"]  # Bayes' rule
    densities = {name: _density(grid, log) for name, log in logs.items()}
    return grid, densities


def _grid(
    prior: Mixture | None,
    after: Mixture | None,
    noise: NoiseModule,
    value: Tensor | None,
) -> Array:
    """Signals that are dense at each peak and reach beyond all of them, (n,)."""
    peaks: list[tuple[float, float]] = []
    if value is not None:
        peaks.append((float(value), float(noise.std(value))))
    for mixture in (prior, after):
        if mixture is None:
            continue
        std = float(mixture.variance().sqrt())
        peaks.append((float(mixture.expectation()), std))
        if mixture.mean.shape[-1] <= _FEW:
            peaks += zip(
                mixture.mean[0].tolist(), mixture.log_std[0].exp().tolist(), strict=True
            )
    even = np.linspace(-_REACH, _REACH, _POINTS)
    if not peaks:
        return np.zeros(0)
    return np.unique(np.concatenate([mean + std * even for mean, std in peaks]))


def _density(grid: Array, log: Tensor) -> Array:
    """A density from its logarithm and any factor, which integrates to one, (n,)."""
    density = (log - log.max()).exp().double().numpy()
    found: Array = density / (np.diff(grid) * (density[1:] + density[:-1]) / 2).sum()
    return found
