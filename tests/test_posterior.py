"""Bayes' rule pixel by pixel, against integrals and samples."""

import math

import numpy as np
import pytest
import torch

from napari_selfdenoise.parts.gaussian_mixtures import Mixture
from napari_selfdenoise.parts.likelihood import (
    draw,
    in_chunks,
    log_marginal,
    mode,
    posterior,
    predictive,
    without_noise,
)
from napari_selfdenoise.parts.noise_models import (
    NoiseCurve,
    NoiseModule,
    NoiseUnits,
    PoissonGaussianNoise,
    TabulatedModule,
)
from napari_selfdenoise.parts.signal_heads import SampledSignal

UNITS = NoiseUnits(0.0, 1.0, 0.01)
GRID = torch.linspace(-12, 14, 26_001, dtype=torch.float64)


def prior_of(weights, means, stds):
    values = (torch.tensor(v, dtype=torch.float64) for v in (weights, means, stds))
    weight, mean, std = values
    return Mixture(weight.log(), mean, std.log())


ONE = prior_of([1.0], [0.5], [0.7])
THREE = prior_of([0.5, 0.3, 0.2], [-1.0, 0.2, 2.5], [0.3, 0.6, 0.4])
EDGE = prior_of([0.6, 0.4], [-2.0, 2.0], [0.05, 0.05])

GAUSSIAN = NoiseCurve.gaussian(np.linspace(-20, 20, 256), np.full(256, 0.8))
SKEWED = NoiseCurve(
    np.linspace(-20, 20, 256),
    np.tile([0.75, 0.25], (256, 1)),
    np.tile([-0.3, 0.9], (256, 1)),
    np.tile([0.3, 0.7], (256, 1)),
)


class Opaque(NoiseModule):
    """A noise model of which only the likelihood is known."""

    closed_form = False

    def __init__(self, inner):
        super().__init__(UNITS)
        self.inner = inner

    def log_likelihood(self, signal, observation):
        return self.inner.log_likelihood(signal, observation)

    def std(self, signal):
        return self.inner.std(signal)


def exact(prior, noise, seen):
    """Evidence, mean and variance of the posterior by integration."""
    seen = torch.as_tensor(seen, dtype=torch.float64)
    log_prior = Mixture(*(v[None] for v in prior)).log_density(GRID)
    joint = (log_prior + noise.log_likelihood(GRID, seen.expand_as(GRID))).exp()
    evidence = torch.trapezoid(joint, GRID)
    mean = torch.trapezoid(joint * GRID, GRID) / evidence
    variance = torch.trapezoid(joint * (GRID - mean) ** 2, GRID) / evidence
    return evidence.item(), mean.item(), variance.item()


each_prior = pytest.mark.parametrize("prior", [ONE, THREE, EDGE])
each_noise = pytest.mark.parametrize("curve", [GAUSSIAN, SKEWED])
each_form = pytest.mark.parametrize("form", ["closed", "nodes"])
each_seen = pytest.mark.parametrize("seen", [-1.5, 0.3, 2.0])


@each_prior
@each_noise
@each_form
@each_seen
def test_the_posterior_is_that_of_the_integral(prior, curve, form, seen):
    noise = TabulatedModule(UNITS, curve).double()
    module = noise if form == "closed" else Opaque(noise)
    evidence, mean, variance = exact(prior, noise, seen)
    y = torch.tensor(seen, dtype=torch.float64)
    known = posterior(prior, module, y)
    close = 1e-3 if form == "closed" else 0.08  # seven nodes against skewed noise
    assert log_marginal(prior, module, y).item() == pytest.approx(
        math.log(evidence), abs=close
    )
    assert known.expectation().item() == pytest.approx(mean, abs=close)
    assert known.variance().item() == pytest.approx(variance, abs=close, rel=close)
    assert known.log_weight.exp().sum().item() == pytest.approx(1)


@each_noise
def test_the_prediction_of_an_observation_integrates_to_one(curve):
    shown = predictive(THREE, TabulatedModule(UNITS, curve).double())
    density = shown.log_density(GRID).exp()
    assert torch.trapezoid(density, GRID).item() == pytest.approx(1, abs=1e-4)


def test_a_certain_prior_ignores_the_pixel_and_a_vague_one_follows_it():
    noise, y = TabulatedModule(UNITS, GAUSSIAN).double(), torch.tensor(3.0).double()
    certain, vague = prior_of([1.0], [0.0], [1e-4]), prior_of([1.0], [0.0], [1e3])
    assert posterior(certain, noise, y).expectation().item() == pytest.approx(
        0, abs=1e-4
    )
    assert posterior(vague, noise, y).expectation().item() == pytest.approx(3, abs=1e-4)


def test_many_samples_say_what_the_mixture_says():
    luck = torch.Generator().manual_seed(0)
    wide = Mixture(*(v.expand(20_000, -1) for v in THREE))
    samples = draw(wide, luck)
    points = Mixture(
        torch.full_like(samples, -math.log(len(samples))),
        samples,
        torch.full_like(samples, -torch.inf),
    )
    noise, y = TabulatedModule(UNITS, SKEWED).double(), torch.tensor(0.3).double()
    a, b = posterior(points, noise, y), posterior(THREE, noise, y)
    assert a.expectation().item() == pytest.approx(b.expectation().item(), abs=0.02)
    assert a.variance().item() == pytest.approx(b.variance().item(), rel=0.05)
    opaque = posterior(points, Opaque(noise), y)
    assert opaque.expectation().item() == pytest.approx(
        a.expectation().item(), abs=1e-4
    )


@pytest.mark.parametrize("prior", [ONE, THREE, EDGE])
def test_draws_are_distributed_as_their_mixture(prior):
    wide = Mixture(*(v.expand(100_000, -1) for v in prior))
    drawn = draw(wide, torch.Generator().manual_seed(0))
    assert drawn.mean().item() == pytest.approx(prior.expectation().item(), abs=0.02)
    assert drawn.var().item() == pytest.approx(prior.variance().item(), rel=0.02)


@pytest.mark.parametrize("mixture", [ONE, THREE, EDGE])
def test_the_mode_is_the_highest_point_of_the_density(mixture):
    highest = GRID[Mixture(*(v[None] for v in mixture)).log_density(GRID).argmax()]
    assert mode(mixture).item() == pytest.approx(highest.item(), abs=0.01)


def test_the_mode_of_samples_is_where_they_are_dense():
    prior = SampledSignal(samples=400).prior(torch.tensor([1.5]), torch.zeros(1, 401))
    assert mode(prior).item() == pytest.approx(1.5, abs=0.05)


def test_the_noise_is_taken_out_of_a_total_variance():
    noise = PoissonGaussianNoise().build(UNITS)
    noise.eval()
    mean = torch.tensor([[0.5], [2.0]])
    variance = noise.residual_mixture(mean).variance()
    total = Mixture(torch.zeros(2, 1), mean, 0.5 * (variance + 0.3).log())
    kept = without_noise(total, noise)
    assert torch.allclose((2 * kept.log_std).exp(), torch.full((2, 1), 0.3), atol=1e-5)
    # Where the network claims less than the noise alone, a hundredth of that is left.
    less = Mixture(torch.zeros(2, 1), mean, 0.5 * (0.5 * variance).log())
    left = (2 * without_noise(less, noise).log_std).exp()
    assert torch.allclose(left, 0.01 * variance, rtol=1e-4)


def test_chunks_change_nothing(monkeypatch):
    monkeypatch.setattr("napari_selfdenoise.parts.likelihood._CHUNK", 7)
    seen = torch.linspace(-2, 3, 50).double()
    prior = Mixture(*(v.expand(50, -1) for v in THREE))
    noise = TabulatedModule(UNITS, GAUSSIAN).double()

    def mean(some, y):
        return (posterior(some, noise, y).expectation(),)

    (parts,) = in_chunks(mean, lambda s: Mixture(*(v[s] for v in prior)), seen, 3)
    assert torch.equal(parts, mean(prior, seen)[0])


def test_the_gain_over_the_prior_is_the_predicted_one():
    """10 log10(1 + r), with r the prior's squared error against the noise's."""
    luck = torch.Generator().manual_seed(0)
    n, own, width = 200_000, 0.5, 0.8
    signal = torch.randn(n, generator=luck).double()
    mean = signal + own * torch.randn(n, generator=luck)
    seen = signal + width * torch.randn(n, generator=luck)
    prior = Mixture(
        torch.zeros(n, 1),
        mean[:, None],
        torch.full((n, 1), math.log(own)).double(),
    )
    fused = posterior(
        prior, TabulatedModule(UNITS, GAUSSIAN).double(), seen
    ).expectation()
    gain = 10 * torch.log10(
        (mean - signal).square().mean() / (fused - signal).square().mean()
    )
    assert gain.item() == pytest.approx(
        10 * math.log10(1 + (own / width) ** 2), abs=0.02
    )
