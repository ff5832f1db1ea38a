"""Truths of every noise model that is trained, and of the noise curve."""

import json
from typing import get_args

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from napari_selfdenoise.noise_models import (
    NoiseCurve,
    NoiseModel,
    NoiseNetwork,
    PoissonGaussianNoise,
    raw_curve,
)

MEMBERS = get_args(get_args(NoiseModel)[0])
MODELS = [m() for m in MEMBERS if m().build(0.01) is not None]
MODELS += [NoiseNetwork(components=n) for n in (2, 3)]

every_model = pytest.mark.parametrize("model", MODELS, ids=repr)


def built(model, seed=0):
    torch.manual_seed(seed)
    module = model.build(0.01)
    with torch.no_grad():  # away from the initial state, where all is symmetric
        for value in module.parameters():
            value.add_(0.1 * torch.randn(value.shape))
    return module


def fitted(model, signal, residual, steps=400):
    """Teach a noise model signals and residuals (n,), normalised."""
    torch.manual_seed(0)
    module, luck = model.build(0.01), torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        chosen = torch.randint(len(signal), (4096,), generator=luck)
        s, r = signal[chosen], residual[chosen]
        optimizer.zero_grad()
        (-module.log_likelihood(s, s + r).mean()).backward()
        optimizer.step()
        falling.step()
    return module


def uniform(low, high, n=100_000):
    return torch.empty(n).uniform_(
        low, high, generator=torch.Generator().manual_seed(1)
    )


def normal(n=100_000):
    return torch.randn(n, generator=torch.Generator().manual_seed(2))


@every_model
@torch.no_grad()
def test_the_density_integrates_to_one(model):
    module = built(model)
    residual = torch.linspace(-20, 20, 40_001)
    for signal in (-1.0, 0.0, 0.7, 3.0):
        s = torch.full_like(residual, signal)
        density = module.log_likelihood(s, s + residual).exp()
        assert torch.trapezoid(density, residual).item() == pytest.approx(1, abs=1e-3)


@every_model
@torch.no_grad()
def test_noise_adds_no_light(model):
    mixture = built(model).residual_mixture(torch.linspace(-3, 5, 101))
    mean = (mixture.log_weight.exp() * mixture.mean).sum(-1)
    assert mean.abs().max() < 1e-5


@every_model
@torch.no_grad()
def test_the_likelihood_is_finite_at_any_signal_and_observation(model):
    values = torch.tensor([-1e6, -1.0, 0.0, 1e-6, 1.0, 1e6])
    signal, observation = torch.meshgrid(values, values, indexing="ij")
    assert built(model).log_likelihood(signal, observation).isfinite().all()


@every_model
def test_the_likelihood_and_its_gradient_are_finite_on_constant_input(model):
    module, signal = built(model), torch.full((8, 5), 0.3, requires_grad=True)
    likelihood = module.log_likelihood(signal, torch.full((8, 5), 0.3))
    likelihood.sum().backward()
    assert likelihood.isfinite().all()
    assert signal.grad.isfinite().all()
    assert all(value.grad.isfinite().all() for value in module.parameters())


@every_model
@torch.no_grad()
def test_the_std_never_falls_below_its_floor(model):
    module = built(model)
    for value in module.parameters():
        value.sub_(100)
    assert module.residual_mixture(torch.linspace(-3, 5, 50)).log_std.exp().min() > 9e-3


@every_model
@torch.no_grad()
def test_renoising_adds_the_width_of_the_model(model):
    module, signal = built(model), torch.full((200_000,), 0.5)
    luck = torch.Generator().manual_seed(0)
    added = module.renoise(signal, signal, luck) - signal
    curve = raw_curve(module, 0.5, 0.6, 0.0, 1.0)
    assert added.std().item() == pytest.approx(curve.std[0], rel=0.02)


@every_model
def test_json_round_trip_by_kind(model):
    adapter = TypeAdapter(NoiseModel)
    assert adapter.validate_json(adapter.dump_json(model)) == model


@pytest.mark.parametrize(
    ("low", "high", "true_std"),
    [
        pytest.param(-1, 2, lambda s: 0 * s + 0.5, id="gaussian"),
        pytest.param(0.5, 3, lambda s: 0.3 * s, id="speckle"),
        pytest.param(0, 4, lambda s: (0.2 * s + 0.1) ** 0.5, id="poisson-gaussian"),
    ],
)
def test_a_noise_network_finds_the_std_within_10_percent(low, high, true_std):
    signal = uniform(low, high)
    module = fitted(NoiseNetwork(), signal, normal() * true_std(signal))
    curve = raw_curve(module, low, high, 0.0, 1.0)
    range_ = np.quantile(signal, (0.02, 0.98))
    s = np.linspace(*range_, 50)
    np.testing.assert_allclose(curve.std_at(s), true_std(s), rtol=0.1)


def test_poisson_gaussian_noise_finds_a_and_b_in_raw_units():
    a, b, offset, scale = 12.0, -1050.0, 300.0, 128.0
    raw = uniform(100, 900)
    residual = normal() * (a * raw + b).sqrt()
    signal = (raw - offset) / scale
    module = fitted(PoissonGaussianNoise(), signal, residual / scale, steps=600)
    low, high = (100 - offset) / scale, (900 - offset) / scale
    curve = raw_curve(module, low, high, offset, scale)
    assert curve.poisson_gaussian == pytest.approx((a, b), rel=0.05)
    np.testing.assert_allclose(
        curve.std_at(np.array([150.0, 500.0, 800.0])) ** 2,
        a * np.array([150, 500, 800]) + b,
        rtol=0.05,
    )


def test_a_second_gaussian_describes_skewed_noise():
    signal = uniform(0, 1)
    draws = np.random.default_rng(0).gamma(2, 0.5, len(signal)) - 1  # centred
    residual = torch.from_numpy(draws).float()
    one, two = (
        fitted(NoiseNetwork(components=n), signal, residual, steps=300) for n in (1, 2)
    )
    with torch.no_grad():
        gain = (
            two.log_likelihood(signal, signal + residual)
            - one.log_likelihood(signal, signal + residual)
        ).mean()
    assert gain > 0.05
    curve = raw_curve(two, 0.1, 0.9, 0.0, 1.0)
    third = (curve.weights * (curve.means**3 + 3 * curve.means * curve.stds**2)).sum(1)
    assert (third / curve.std**3 > 0.3).all()  # the gamma's own is 1.4
    np.testing.assert_allclose(curve.std, draws.std(), rtol=0.1)


@pytest.mark.parametrize("components", [1, 2, 3])
@torch.no_grad()
def test_the_tabulated_noise_network_is_the_network(components):
    module = built(NoiseNetwork(components=components))
    signal = uniform(-2, 3, 500)
    residual = normal(500)
    tabulated = module.residual_mixture(signal).log_density(residual)
    itself = module.mixture_on(signal).log_density(residual)
    torch.testing.assert_close(tabulated, itself, atol=1e-3, rtol=1e-3)


def test_gradients_of_the_likelihood_flow_to_the_signal():
    module = built(NoiseNetwork(components=2))
    signal = uniform(-2, 3, 300).requires_grad_()
    residual = normal(300)
    observation = signal.detach() + residual
    direct = module.mixture_on(signal).log_density(observation - signal)
    (expected,) = torch.autograd.grad(direct.sum(), signal)
    (found,) = torch.autograd.grad(
        module.log_likelihood(signal, observation).sum(), signal
    )
    # The slope between two knots is that of their middle.
    torch.testing.assert_close(found, expected, atol=5e-2, rtol=5e-2)


def two_gaussians():
    signal = np.array([0.0, 10.0, 20.0])
    weights, means = np.full((3, 2), 0.5), np.array([[-1.0, 1], [-2, 2], [-3, 3]])
    return NoiseCurve(signal, weights, means, np.ones((3, 2)), (2.0, -1.0))


def test_the_std_of_a_curve_is_that_of_its_mixture():
    np.testing.assert_allclose(two_gaussians().std, np.sqrt([2, 5, 10]))


def test_the_density_of_a_curve_has_its_std():
    curve, residual = two_gaussians(), np.linspace(-15, 15, 3001)
    density = curve.density(residual)  # (m, n)
    np.testing.assert_allclose(np.trapezoid(density, residual, axis=0), 1, rtol=1e-6)
    variance = np.trapezoid(density * residual[:, None] ** 2, residual, axis=0)
    np.testing.assert_allclose(variance, curve.std**2, rtol=1e-5)


def test_a_curve_is_interpolated_and_clamped_at_its_ends():
    curve = NoiseCurve.gaussian(np.array([0.0, 10.0]), np.array([1.0, 3.0]))
    found = curve.std_at(np.array([-50, 0, 5, 10, 1e9], np.float32))
    np.testing.assert_allclose(found, [1, 1, 2, 3, 3])


def test_a_variance_is_taken_out_of_a_curve():
    curve = two_gaussians()
    less = curve.less(np.array([0.0, 1.0, 5.0]))
    np.testing.assert_allclose(less.std, np.sqrt([2, 4, 5]))


def test_at_most_three_quarters_of_the_variance_are_taken_out():
    curve = two_gaussians()
    np.testing.assert_allclose(curve.less(np.full(3, 1e9)).std, curve.std / 2)


@pytest.mark.parametrize(
    "curve",
    [two_gaussians(), NoiseCurve.gaussian(np.arange(3.0), np.ones(3))],
    ids=["fitted", "measured"],
)
def test_a_curve_survives_json(curve):
    back = NoiseCurve.from_json(json.loads(json.dumps(curve.to_json())))
    for name in ("signal", "weights", "means", "stds"):
        assert np.array_equal(getattr(back, name), getattr(curve, name))
    assert back.poisson_gaussian == curve.poisson_gaussian
