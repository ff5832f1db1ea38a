"""Likelihood and posterior of each pixel, by Bayes' rule.

The network gives the prior, a distribution of the signal given the context; a noise
model says how likely the observation is given a signal. Krull et al. 2020 (samples),
Laine et al. 2019 and Khademi et al. 2021 (one Gaussian); here both, and mixtures
between.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from numpy.polynomial.hermite_e import hermegauss
from torch import Tensor

from napari_selfdenoise.parts.gaussian_mixtures import Mixture, log_normal
from napari_selfdenoise.parts.noise_models import NoiseModule

_NODES, _SHARES = (torch.from_numpy(values) for values in hermegauss(7))
_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)
_CHUNK = 2**22
"""Numbers computed at a time: memory stays bounded, whatever the head."""


def predictive(prior: Mixture, noise: NoiseModule) -> Mixture:
    """Distribution of the observation given the context, (..., M * K).

    In closed form: the noise of each component of the prior is that at its mean.

    Parameters
    ----------
    prior : Mixture
        Of the signal, (..., M).
    noise : NoiseModule
        With a closed form, K Gaussians.
    """
    pairs, _, variance = _paired(prior, noise)
    return _flat(pairs._replace(log_std=0.5 * variance.log()))


def log_marginal(
    prior: Mixture, noise: NoiseModule | None, observation: Tensor
) -> Tensor:
    """Logarithm of the marginal likelihood of observations (...), given their context.

    Parameters
    ----------
    prior : Mixture
        Of the signal, (..., M), normalised.
    noise : NoiseModule or None
        None where the prior's variance holds that of the noise already.
    observation : Tensor
        (...), normalised.
    """
    if noise is None:
        return prior.log_density(observation)
    if noise.closed_form:
        return predictive(prior, noise).log_density(observation)
    _, log_joint = _at_nodes(prior, noise, observation, _is_points(prior))
    return log_joint.flatten(-2).logsumexp(-1)


def posterior(
    prior: Mixture,
    noise: NoiseModule,
    observation: Tensor,
    points: bool | None = None,
) -> Mixture:
    """Distribution of the signal given the context and the observation itself.

    Parameters
    ----------
    prior : Mixture
        Of the signal, (..., M), normalised.
    noise : NoiseModule
        How observations scatter around the signal.
    observation : Tensor
        (...), normalised.
    points : bool, optional
        Whether the prior consists of points; else looked up in it, which programs
        that are exported cannot do.

    Returns
    -------
    Mixture
        Of the signal: (..., M * K) for a noise model in closed form, else (..., M),
        with the exact weight, mean and variance of each component.
    """
    if noise.closed_form:
        return _closed_posterior(prior, noise, observation)
    points = _is_points(prior) if points is None else points
    places, log_joint = _at_nodes(prior, noise, observation, points)  # (..., M, J)
    log_weight = log_joint.logsumexp(-1)
    within = Mixture(
        log_joint.log_softmax(-1), places, torch.full_like(places, -torch.inf)
    )
    spread = within.variance().clamp_min(1e-12)
    log_std = torch.where(prior.log_std.isinf(), prior.log_std, 0.5 * spread.log())
    return Mixture(log_weight.log_softmax(-1), within.expectation(), log_std)


def _paired(prior: Mixture, noise: NoiseModule) -> tuple[Mixture, Tensor, Tensor]:
    """Components of prior and noise in pairs: (..., M, K), and two variances.

    The means are those of the observation; the variances the noise's, and the
    observation's.
    """
    around = noise.residual_mixture(prior.mean)  # (..., M, K)
    mean = prior.mean.unsqueeze(-1) + around.mean
    noise_variance = (2 * around.log_std).exp()
    variance = noise_variance + (2 * prior.log_std).exp().unsqueeze(-1)
    log_weight = prior.log_weight.unsqueeze(-1) + around.log_weight
    return Mixture(log_weight, mean, around.log_std), noise_variance, variance


def _closed_posterior(
    prior: Mixture, noise: NoiseModule, observation: Tensor
) -> Mixture:
    pairs, noise_variance, variance = _paired(prior, noise)
    pairs = pairs._replace(log_std=0.5 * variance.log())
    trust = 1 - noise_variance / variance  # in the observation, against the context
    residual = observation[..., None, None] - pairs.mean
    mean = prior.mean.unsqueeze(-1) + trust * residual
    log_weight = log_normal(observation[..., None, None], pairs)
    log_std = 0.5 * (trust * noise_variance).log()
    flat = _flat(Mixture(log_weight, mean, log_std))
    return flat._replace(log_weight=flat.log_weight.log_softmax(-1))


def _is_points(prior: Mixture) -> bool:
    """Whether no component of a prior has a width."""
    return bool(prior.log_std.isinf().all())


def _at_nodes(
    prior: Mixture, noise: NoiseModule, observation: Tensor, points: bool
) -> tuple[Tensor, Tensor]:
    """Signals at Gauss-Hermite nodes of each component, and log of prior × likelihood.

    Both (..., M, J). The nodes lie where prior and observation meet, if noise were
    Gaussian: around the prior alone, narrow noise would fall between two of them.
    Components of no width have one node.
    """
    observed = observation[..., None, None]
    log_weight = prior.log_weight.unsqueeze(-1)
    if points:
        places = prior.mean.unsqueeze(-1)
        return places, log_weight + noise.log_likelihood(
            places, observed.expand_as(places)
        )
    nodes, shares = (v.to(prior.mean) for v in (_NODES, _SHARES))
    centre, width = (v.unsqueeze(-1) for v in _meeting(prior, noise, observation))
    places = centre + width * nodes
    scaled = (places - prior.mean.unsqueeze(-1)) / prior.log_std.exp().unsqueeze(-1)
    ratio = width.log() - prior.log_std.unsqueeze(-1)
    # Density of the prior over that of the nodes, whose shares are of the latter.
    log_share = shares.log() + 0.5 * nodes.square() + ratio - 0.5 * scaled.square()
    log_share = log_weight + log_share - _HALF_LOG_TWO_PI
    return places, log_share + noise.log_likelihood(places, observed.expand_as(places))


@torch.no_grad()
def _meeting(
    prior: Mixture, noise: NoiseModule, observation: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean and width of each component's posterior for Gaussian noise, (..., M)."""
    own = (2 * prior.log_std).exp()
    width = noise.std(prior.mean).square()
    mean = prior.mean + own / (own + width) * (observation.unsqueeze(-1) - prior.mean)
    # A fifth wider: noise with tails says less than Gaussian noise.
    return mean, 1.2 * (own * width / (own + width)).sqrt()


def _flat(pairs: Mixture) -> Mixture:
    return Mixture(*(values.flatten(-2) for values in pairs))


def without_noise(prior: Mixture, noise: NoiseModule) -> Mixture:
    """Return a prior of the total variance without the variance of the noise.

    Khademi et al. 2021, section 3. At least a hundredth of the noise's variance is
    left: the paper leaves 1e-4 of the range squared, which is more than the noise of
    dim images.
    """
    around = noise.residual_mixture(prior.mean)
    noise_variance = around.variance()
    kept = (2 * prior.log_std).exp() - noise_variance
    kept = torch.maximum(kept, 0.01 * noise_variance)
    return prior._replace(log_std=0.5 * kept.log())


def mode(mixture: Mixture, starts: int = 5, steps: int = 30) -> Tensor:
    """Most likely value of each mixture (..., K) -> (...), by mean shift.

    Points are widened first, by Silverman's rule: alone, they have no mode.
    """
    mixture = widened(mixture)
    count = min(starts, mixture.mean.shape[-1])
    best = (mixture.log_weight - mixture.log_std).topk(count, dim=-1).indices
    place = mixture.mean.gather(-1, best)  # (..., S)
    for _ in range(steps):
        place = _uphill(mixture, place)
    height = _heights(mixture, place).logsumexp(-1)
    return place.gather(-1, height.argmax(-1, keepdim=True)).squeeze(-1)


def _uphill(mixture: Mixture, place: Tensor) -> Tensor:
    """One step of mean shift from places (..., S)."""
    precision = (-2 * mixture.log_std).exp().unsqueeze(-2)
    pull = _heights(mixture, place).softmax(-1) * precision
    return (pull * mixture.mean.unsqueeze(-2)).sum(-1) / pull.sum(-1)


def _heights(mixture: Mixture, place: Tensor) -> Tensor:
    """Log density of each component at places (..., S): (..., S, K)."""
    wide = Mixture(*(values.unsqueeze(-2) for values in mixture))
    return log_normal(place.unsqueeze(-1), wide)


def widened(mixture: Mixture) -> Mixture:
    """Mixtures (..., K) with a density: points get a width, by Silverman's rule."""
    if not bool(mixture.log_std.isinf().any()):
        return mixture
    spread = mixture.variance().clamp_min(1e-12).sqrt()
    effective = 1 / (2 * mixture.log_weight).exp().sum(-1)
    width = (spread * effective.clamp_min(1) ** -0.2).log().unsqueeze(-1)
    return mixture._replace(log_std=torch.maximum(mixture.log_std, width))


def draw(mixture: Mixture, generator: torch.Generator) -> Tensor:
    """One random value of each mixture: (..., K) -> (...)."""
    uniform = torch.rand(
        mixture.mean.shape[:-1], generator=generator, device=mixture.mean.device
    )
    below = mixture.log_weight.exp().cumsum(-1)
    chosen = (below < uniform.unsqueeze(-1) * below[..., -1:]).sum(-1, keepdim=True)
    chosen = chosen.clamp_max(below.shape[-1] - 1)
    mean, log_std = (v.gather(-1, chosen).squeeze(-1) for v in mixture[1:])
    uniform = torch.randn(mean.shape, generator=generator, device=mean.device)
    return mean + log_std.exp() * uniform


def in_chunks(
    compute: Callable[[Mixture, Tensor], tuple[Tensor, ...]],
    prior: Callable[[slice], Mixture],
    observation: Tensor,
    each: int,
) -> tuple[Tensor, ...]:
    """Compute something of every pixel, a bounded number of pixels at a time.

    Parameters
    ----------
    compute : callable
        From priors (n, M) and observations (n,) to tensors (n,).
    prior : callable
        Priors of a slice of the pixels.
    observation : Tensor
        (pixels,).
    each : int
        Numbers that a pixel takes.
    """
    count = max(1, _CHUNK // each)
    parts = [
        compute(prior(slice(start, start + count)), observation[start : start + count])
        for start in range(0, len(observation), count)
    ]
    return tuple(torch.cat(values) for values in zip(*parts, strict=True))
