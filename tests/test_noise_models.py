"""Truths of every noise model, and of the noise curve."""

import json
import math
from typing import get_args

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from scipy import optimize
from scipy.integrate import trapezoid

from napari_selfdenoise.config.files import read_noise_model
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.parts.noise_models import (
    FittedNoise,
    GaussianMixtureNoise,
    GaussianNoise,
    HistogramNoise,
    NoiseCurve,
    NoiseFromFile,
    NoiseModel,
    NoiseNetwork,
    NoiseUnits,
    PoissonGaussianNoise,
    PoissonNoise,
    TabulatedModule,
    UnmodelledNoise,
    raw_curve,
    save_noise_model,
)

UNITS = NoiseUnits(0.0, 1.0, 0.01)
MEMBERS = get_args(get_args(NoiseModel)[0])
MODELS = [m() for m in MEMBERS if m not in (UnmodelledNoise, NoiseFromFile)]
MODELS += [NoiseNetwork(components=n) for n in (2, 3)]
MODELS += [GaussianMixtureNoise(components=5, coefficients=4), HistogramNoise(bins=16)]
MODELS += [PoissonNoise(offset=-1.5)]
LEARNED = [m for m in MODELS if m.build(UNITS).differentiable]
MIXTURES = [m for m in MODELS if m.build(UNITS).closed_form]

every_model = pytest.mark.parametrize("model", MODELS, ids=repr)
every_learned = pytest.mark.parametrize("model", LEARNED, ids=repr)
every_mixture = pytest.mark.parametrize("model", MIXTURES, ids=repr)


def single(values):
    return torch.from_numpy(values).float()


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def built(model, seed=0):
    """A noise model away from its initial state, where all is symmetric."""
    torch.manual_seed(seed)
    module = model.build(UNITS)
    if not module.differentiable:
        return taught(model, uniform(-1, 3, 50_000), 0.4 * normal(50_000))
    with torch.no_grad():
        for value in module.parameters():
            value.add_(0.1 * torch.randn(value.shape))
    return module


def taught(model, signal, residual, steps=250, units=UNITS):
    """Teach a noise model signals and residuals (n,), normalised."""
    torch.manual_seed(0)
    module = model.build(units)
    for _ in module.fit(signal, signal + residual, None, generator(), steps=steps):
        pass
    return module


def uniform(low, high, n=100_000):
    return torch.empty(n).uniform_(low, high, generator=generator(1))


def normal(n=100_000):
    return torch.randn(n, generator=generator(2))


def saved(model, tmp_path, low=-1.0, high=3.0):
    """The noise model from a file that holds another."""
    curve = raw_curve(built(model), low, high, 0.0, 1.0)
    line = curve.poisson_gaussian or (0.0, 1.0)
    fitted = FittedNoise(model.kind, model, curve, (low, high), line, 1.0)
    file = str(save_noise_model(fitted, tmp_path / "camera"))
    return read_noise_model(NoiseFromFile(file=file))


# -- Truths of all ---------------------------------------------------------------------


def density_of(module, signal, reach=20, n=40_001):
    residual = torch.linspace(-reach, reach, n, dtype=torch.float64)
    s = torch.full((n,), signal)
    return residual, module.log_likelihood(s, s + residual.float()).double().exp()


def assert_a_centred_density(module):
    for signal in (-1.0, 0.0, 0.7, 2.9):
        residual, density = density_of(module, signal)
        assert torch.trapezoid(density, residual).item() == pytest.approx(1, abs=2e-3)
        mean = torch.trapezoid(density * residual, residual).item()
        assert abs(mean) < 0.01


@every_model
@torch.no_grad()
def test_the_density_integrates_to_one_and_noise_adds_no_light(model):
    assert_a_centred_density(built(model))


@every_model
@torch.no_grad()
def test_so_it_does_from_a_file(model, tmp_path):
    assert_a_centred_density(saved(model, tmp_path).build(UNITS))


@every_mixture
@torch.no_grad()
def test_the_mean_of_the_mixture_is_zero_at_any_signal(model):
    mixture = built(model).residual_mixture(torch.linspace(-30, 50, 101))
    assert mixture.expectation().abs().max() < 1e-4


@every_model
def test_likelihood_and_gradient_are_finite_at_any_signal_and_observation(model):
    module, values = built(model), torch.tensor([-1e6, -1.0, 0.0, 1e-6, 1.0, 1e6])
    signal, observation = torch.meshgrid(values, values, indexing="ij")
    signal = signal.clone().requires_grad_()
    likelihood = module.log_likelihood(signal, observation)
    likelihood.sum().backward()
    assert likelihood.isfinite().all()
    assert signal.grad.isfinite().all()
    assert all(value.grad.isfinite().all() for value in module.parameters())


@every_model
def test_the_same_from_a_file(model, tmp_path):
    module = saved(model, tmp_path).build(UNITS)
    values = torch.tensor([-1e6, -1.0, 0.0, 1e-6, 1.0, 1e6])
    signal, observation = torch.meshgrid(values, values, indexing="ij")
    signal = signal.clone().requires_grad_()
    module.log_likelihood(signal, observation).sum().backward()
    assert signal.grad.isfinite().all()
    assert module.log_likelihood(signal, observation).isfinite().all()


@every_model
def test_the_likelihood_and_its_gradient_are_finite_on_constant_input(model):
    module, signal = built(model), torch.full((8, 5), 0.3, requires_grad=True)
    likelihood = module.log_likelihood(signal, torch.full((8, 5), 0.3))
    likelihood.sum().backward()
    assert likelihood.isfinite().all()
    assert signal.grad.isfinite().all()
    assert all(value.grad.isfinite().all() for value in module.parameters())


@every_learned
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
    added = module.renoise(signal, signal, generator()) - signal
    curve = raw_curve(module, 0.5, 0.6, 0.0, 1.0)
    assert added.std().item() == pytest.approx(curve.std[0], rel=0.02)


@pytest.mark.parametrize(
    "model", [*MODELS, UnmodelledNoise(), NoiseFromFile()], ids=repr
)
def test_json_round_trip_by_kind(model):
    adapter = TypeAdapter(NoiseModel)
    assert adapter.validate_json(adapter.dump_json(model)) == model


@every_model
@torch.no_grad()
def test_a_noise_model_survives_its_state_dict(model):
    module, other = built(model), model.build(UNITS)
    other.load_state_dict(module.state_dict())
    signal, residual = uniform(-2, 4, 500), normal(500)
    assert torch.equal(
        other.eval().log_likelihood(signal, signal + residual),
        module.eval().log_likelihood(signal, signal + residual),
    )


@every_model
def test_a_frozen_noise_model_is_not_fitted(model):
    module = built(model)
    assert not module.frozen
    module.freeze()
    assert module.frozen
    signal = uniform(0, 1, 1000)
    assert not list(module.fit(signal, signal, None, generator()))


def dark_8_bit(seed):
    rng = np.random.default_rng(seed)
    signal = rng.gamma(0.5, 2.0, 5000)
    return signal, np.clip(np.round(signal + rng.poisson(signal) - signal), 0, 255)


def constant(seed):
    rng = np.random.default_rng(seed)
    return np.full(5000, 7.0), 7.0 + (seed % 2) * rng.normal(size=5000)


def with_an_outlier(seed):
    rng = np.random.default_rng(seed)
    signal = rng.uniform(0, 10, 5000)
    observed = signal + rng.normal(size=5000)
    observed[0] = 1e5
    return signal, observed


@pytest.mark.parametrize("data", [dark_8_bit, constant, with_an_outlier])
@pytest.mark.parametrize(
    "model",
    [HistogramNoise(), GaussianMixtureNoise(), PoissonGaussianNoise()],
    ids=repr,
)
def test_no_fit_ends_in_nan_whatever_the_seed(model, data):
    for seed in range(10):
        signal, observed = (single(v) for v in data(seed))
        module = model.build(NoiseUnits(0.0, 1.0, 0.05))
        for _ in module.fit(signal, observed, None, generator(seed), steps=20):
            pass
        likelihood = module.log_likelihood(signal, observed)
        assert likelihood.isfinite().all()
        assert all(v.isfinite().all() for v in module.state_dict().values())


# -- What each finds -------------------------------------------------------------------


def test_gaussian_noise_finds_its_std():
    module = taught(GaussianNoise(), uniform(0, 5), 0.02 * normal())
    curve = raw_curve(module, 0, 5, 100.0, 50.0)
    np.testing.assert_allclose(curve.std, 1.0, rtol=0.02)
    assert curve.poisson_gaussian == pytest.approx((0, 1), rel=0.04)


def test_poisson_noise_finds_its_gain_above_the_dark_level():
    units = NoiseUnits(500.0, 64.0, 0.01)  # raw: dark level 100, gain 3
    raw = uniform(100, 900)
    residual = normal() * (3 * (raw - 100)).sqrt() / 64
    signal = (raw - 500) / 64
    module = taught(PoissonNoise(offset=100), signal, residual, units=units)
    curve = raw_curve(module, -6.0, 6.0, 500.0, 64.0)
    assert curve.poisson_gaussian == pytest.approx((3, -300), rel=0.03)


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
    module = taught(NoiseNetwork(), signal, normal() * true_std(signal))
    curve = raw_curve(module, low, high, 0.0, 1.0)
    range_ = np.quantile(signal, (0.02, 0.98))
    s = np.linspace(*range_, 50)
    np.testing.assert_allclose(curve.std_at(s), true_std(s), rtol=0.1)


def test_poisson_gaussian_noise_finds_a_and_b_in_raw_units():
    a, b, offset, scale = 12.0, -1050.0, 300.0, 128.0
    raw = uniform(100, 900)
    residual = normal() * (a * raw + b).sqrt()
    signal = (raw - offset) / scale
    module = taught(PoissonGaussianNoise(), signal, residual / scale)
    low, high = (100 - offset) / scale, (900 - offset) / scale
    curve = raw_curve(module, low, high, offset, scale)
    assert curve.poisson_gaussian == pytest.approx((a, b), rel=0.05)
    np.testing.assert_allclose(
        curve.std_at(np.array([150.0, 500.0, 800.0])) ** 2,
        a * np.array([150, 500, 800]) + b,
        rtol=0.05,
    )


CALIBRATED = [HistogramNoise(), GaussianMixtureNoise(), PoissonGaussianNoise()]


def shot_noise(signal):
    return (0.2 * signal + 0.1) ** 0.5


@pytest.mark.parametrize(
    "model",
    [HistogramNoise(), GaussianMixtureNoise(), PoissonGaussianNoise()],
    ids=repr,
)
def test_each_finds_the_std_of_poisson_gaussian_noise_within_5_percent(model):
    signal = uniform(0, 4, 400_000)
    module = taught(model, signal, normal(400_000) * shot_noise(signal))
    curve = raw_curve(module, 0, 4, 0.0, 1.0)
    s = np.linspace(0.1, 3.9, 50)
    np.testing.assert_allclose(curve.std_at(s), shot_noise(s), rtol=0.05)
    np.testing.assert_allclose(module.std(single(s)).detach(), shot_noise(s), rtol=0.05)


def skewed(n=100_000):
    draws = np.random.default_rng(0).gamma(2, 0.5, n) - 1  # centred; skewness 1.41
    return single(draws)


@pytest.mark.parametrize("model", [HistogramNoise(), GaussianMixtureNoise()], ids=repr)
def test_skewed_noise_is_described(model):
    signal = uniform(0, 1)
    module = taught(model, signal, skewed())
    with torch.no_grad():
        found = module.log_likelihood(signal, signal + skewed()).mean().item()
    curve = raw_curve(module, 0.1, 0.9, 0.0, 1.0)
    assert curve.skewness.mean() == pytest.approx(1.4, rel=0.15)
    assert curve.std.mean() == pytest.approx(skewed().std().item(), rel=0.02)
    light = skewed() + 1  # density 4 x exp(-2 x)
    itself = math.log(4) + light.log().mean() - 2 * light.mean()
    assert found > itself.item() - 0.05


def flat_prior_means(module, units):
    """Posterior mean of some observations under a flat prior, raw units."""
    rng = np.random.default_rng(3)
    truth = rng.uniform(1500, 4500, 1000)
    observed = truth + rng.normal(size=1000) * np.sqrt(12 * truth - 1050)
    grid = np.linspace(400, 6400, 1500)
    s, y = (single((v - units.offset) / units.scale) for v in (grid, observed))
    with torch.no_grad():
        share = module.log_likelihood(s.expand(1000, -1), y[:, None].expand(-1, 1500))
    return (share.double().softmax(-1).numpy() * grid).sum(-1)


def test_the_posterior_mean_under_a_histogram_is_not_biased_by_its_bins():
    # The published code reads each bin at its edge: here that costs 10 counts.
    units = NoiseUnits(3000.0, 1024.0, 1e-3)
    raw = uniform(350, 6500, 1_000_000)
    residual = normal(1_000_000) * (12 * raw - 1050).sqrt()
    module = taught(HistogramNoise(), (raw - 3000) / 1024, residual / 1024, units=units)
    curve = raw_curve(module, (350 - 3000) / 1024, (6500 - 3000) / 1024, 3000.0, 1024.0)
    exact = TabulatedModule(units, NoiseCurve.line(12.0, -1050.0, 350.0, 6500.0))
    for noise in (module, TabulatedModule(units, curve)):
        error = flat_prior_means(noise, units) - flat_prior_means(exact, units)
        assert abs(error.mean()) < 2  # of a std of about 180


def test_an_empty_row_of_a_histogram_falls_back_to_the_line():
    signal = torch.cat((uniform(0, 1), uniform(3, 4)))
    module = taught(HistogramNoise(), signal, normal(200_000) * shot_noise(signal))
    empty = torch.tensor([1.9, 2.0, 2.1])
    np.testing.assert_allclose(module.std(empty), shot_noise(empty), rtol=0.1)
    _, density = density_of(module, 2.0)
    assert density.max().item() == pytest.approx(
        1 / (math.sqrt(2 * math.pi) * shot_noise(2.0)), rel=0.1
    )


def test_counts_around_an_integer_signal_leave_no_comb():
    rng = np.random.default_rng(0)
    signal = rng.integers(10, 30, 200_000).astype(float)
    observed = np.round(signal + 1.5 * rng.normal(size=len(signal)))
    s, y = (single(v) for v in (signal, observed))
    module = taught(HistogramNoise(), s, y - s)
    at = torch.full((7,), 20.0)
    density = module.log_likelihood(at, at + torch.arange(-3, 4)).exp()
    between = module.log_likelihood(at, at + torch.arange(-3, 4) + 0.49).exp()
    expected = np.exp(-0.5 * (np.arange(-3, 4) / 1.5) ** 2) / (1.5 * 2.5066)
    np.testing.assert_allclose(density.detach(), expected, rtol=0.1, atol=5e-3)
    assert (between > 0.6 * density).all()
    assert module.std(at)[0].item() == pytest.approx(math.hypot(1.5, 0.29), rel=0.03)


def test_a_gaussian_mixture_goes_on_along_its_line_beyond_its_range():
    signal = uniform(0, 2)
    module = taught(GaussianMixtureNoise(), signal, normal() * shot_noise(signal))
    beyond = torch.tensor([3.0, 4.0])
    np.testing.assert_allclose(
        module.std(beyond).detach(), shot_noise(beyond), rtol=0.05
    )


def test_a_second_gaussian_describes_skewed_noise():
    signal, residual = uniform(0, 1), skewed()
    one, two = (
        taught(NoiseNetwork(components=n), signal, residual, steps=300) for n in (1, 2)
    )
    with torch.no_grad():
        gain = (
            two.log_likelihood(signal, signal + residual)
            - one.log_likelihood(signal, signal + residual)
        ).mean()
    assert gain > 0.05
    curve = raw_curve(two, 0.1, 0.9, 0.0, 1.0)
    assert (curve.skewness > 0.3).all()  # the gamma's own is 1.4
    np.testing.assert_allclose(curve.std, residual.std(), rtol=0.1)


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
    np.testing.assert_allclose(trapezoid(density, residual, axis=0), 1, rtol=1e-6)
    variance = trapezoid(density * residual[:, None] ** 2, residual, axis=0)
    np.testing.assert_allclose(variance, curve.std**2, rtol=1e-5)


def test_a_curve_is_interpolated_and_clamped_at_its_ends():
    curve = NoiseCurve.gaussian(np.array([0.0, 10.0]), np.array([1.0, 3.0]))
    found = curve.std_at(np.array([-50, 0, 5, 10, 1e9], np.float32))
    np.testing.assert_allclose(found, [1, 1, 2, 3, 3])


def test_a_curve_is_drawn_on_another_grid():
    at = two_gaussians().at(np.array([-5.0, 5.0, 20.0]))
    np.testing.assert_allclose(at.means[:, 1], [1, 1.5, 3])


def test_the_skewness_of_a_curve_is_that_of_its_mixture():
    assert two_gaussians().skewness == pytest.approx(0)
    weights, means = np.array([[0.9, 0.1]]), np.array([[-0.1, 0.9]])
    curve = NoiseCurve(np.zeros(1), weights, means, np.full((1, 2), 1e-3))
    # Nearly a Bernoulli draw: (1 - 2 p) / sqrt(p (1 - p)).
    assert curve.skewness[0] == pytest.approx(0.8 / 0.3, rel=1e-3)


def test_a_line_is_a_curve():
    curve = NoiseCurve.line(2.0, -100.0, 40.0, 250.0, std_floor=3.0)
    assert curve.poisson_gaussian == (2.0, -100.0)
    assert curve.std[0] == 3.0
    assert curve.std[-1] == pytest.approx(20)


def test_a_variance_is_taken_out_of_a_curve():
    curve = two_gaussians()
    less = curve.less(np.array([0.0, 1.0, 5.0]))
    np.testing.assert_allclose(less.std, np.sqrt([2, 4, 5]))


def test_at_most_three_quarters_of_the_variance_are_taken_out():
    curve = two_gaussians()
    np.testing.assert_allclose(curve.less(np.full(3, 1e9)).std, curve.std / 2)


def test_the_line_of_a_curve_follows_when_a_variance_is_taken_out():
    curve = NoiseCurve.line(2.0, 100.0, 0.0, 500.0)
    less = curve.less(0.5 * curve.signal + 20)
    assert less.poisson_gaussian == pytest.approx((1.5, 80))


# -- A curve as a noise model ----------------------------------------------------------

RAW = NoiseUnits(300.0, 128.0, 1e-3)


@torch.no_grad()
def test_a_curve_as_a_noise_model_says_the_same():
    curve = two_gaussians()
    module = TabulatedModule(RAW, curve)
    raw, residual = np.array([0.0, 10.0, 20.0]), np.array([-2.0, 0.0, 3.0])
    signal, observed = (single((v - 300) / 128) for v in (raw, raw + residual))
    found = module.log_likelihood(signal, observed).exp() / 128
    np.testing.assert_allclose(found, np.diag(curve.density(residual)), rtol=1e-3)
    assert module.frozen and module.closed_form
    assert not module.state_dict()
    assert module.signal_range == (0.0, 20.0)


@torch.no_grad()
def test_a_curve_of_many_gaussians_is_looked_up():
    signal = uniform(0, 1)
    histogram = taught(HistogramNoise(), signal, skewed())
    module = TabulatedModule(UNITS, raw_curve(histogram, 0.0, 1.0, 0.0, 1.0))
    assert not module.closed_form
    residual, density = density_of(histogram, 0.5, reach=3)
    _, found = density_of(module, 0.5, reach=3)
    difference = torch.trapezoid((density - found).abs(), residual).item()
    assert difference < 0.1  # of the whole, which is 1
    at = torch.tensor([0.5])
    assert module.std(at).item() == pytest.approx(histogram.std(at).item(), rel=0.01)


@pytest.mark.parametrize("known", [True, False], ids=["line", "no line"])
@torch.no_grad()
def test_beyond_a_curve_the_variance_goes_on_along_its_line(known):
    grid = np.linspace(100, 900, 40)
    curve = NoiseCurve.line(12.0, -1050.0, 100, 900)
    curve = curve if known else NoiseCurve.gaussian(grid, np.sqrt(12 * grid - 1050))
    module = TabulatedModule(RAW, curve)
    raw = np.array([95.0, 500.0, 1800.0])
    found = module.std(single((raw - 300) / 128)).numpy() * 128
    expected = np.sqrt(12 * raw - 1050)
    np.testing.assert_allclose(found[1:], expected[1:], rtol=0.01)
    if known:
        assert found[0] == pytest.approx(expected[0], rel=0.02)
    far = module.std(torch.tensor([-1e6, -10.0])).numpy() * 128
    at_end = math.sqrt(12 * 100 - 1050)
    assert (far <= at_end).all() and (far > 0).all()
    assert known or far == pytest.approx(at_end / 2, rel=0.01)


def test_a_noise_model_file_must_be_named_and_be_there(tmp_path):
    with pytest.raises(RequestError, match="none is named"):
        NoiseFromFile().build(UNITS)
    with pytest.raises(RequestError, match="no noise model file"):
        read_noise_model(NoiseFromFile(file=str(tmp_path / "gone.noise.json")))
    with pytest.raises(RequestError, match="has not been read"):
        NoiseFromFile(file="camera.noise.json").build(UNITS)


def test_a_curve_is_taken_in_place_of_a_file(tmp_path):
    units, model = NoiseUnits(300.0, 128.0, 1e-3), PoissonGaussianNoise()
    curve = NoiseCurve.line(12.0, -1050.0, 100, 2000)
    taken = NoiseFromFile.taken(json.loads(json.dumps(curve.to_json())))
    again = NoiseFromFile.model_validate_json(taken.model_dump_json())
    signal = torch.linspace(-1, 13, 50)
    expected = TabulatedModule(units, curve).std(signal)
    for config in (taken, again):
        torch.testing.assert_close(config.build(units).std(signal), expected)
    other = FittedNoise(
        "gaussian", model, NoiseCurve.line(0, 9, 0, 1), (0, 1), (0, 9), 1
    )
    file = str(save_noise_model(other, tmp_path / "camera"))
    both = taken.model_copy(update={"file": file})  # the file was named later
    read = read_noise_model(both)
    assert read.build(units).std(signal).max() * 128 == pytest.approx(3)


@pytest.mark.parametrize("curve", [{}, {"signal": 3}, {"signal": [[]]}, {"stds": "x"}])
def test_what_is_no_curve_is_not_taken(curve):
    with pytest.raises(RequestError, match="no noise curve"):
        NoiseFromFile.taken(curve)


def test_unmodelled_noise_builds_nothing():
    assert UnmodelledNoise().build(UNITS) is None


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


def test_a_signal_a_hundred_times_as_frequent_counts_ten_times_as_much():
    """Background neither decides the noise of all that is bright, nor does rare light.

    The noise of three signals lies on no line, so that the most likely line shows what
    each of them counts.
    """
    pixels, std = np.array([20_000, 200, 2000]), np.array([0.2, 0.6, 0.4])
    at = np.array([0, 0.5, 1])
    signal = single(np.repeat(at, pixels))
    residual = single(np.repeat(std, pixels)) * torch.tensor([1, -1]).repeat(11_100)

    def line(ends):
        return ends[0] * (1 - at) + ends[1] * at  # variance

    def unlikely(log_ends):
        variance = line(np.exp(log_ends))
        return np.sqrt(pixels) @ (np.log(variance) + std**2 / variance)

    module = GaussianMixtureNoise(components=1).build(UNITS)
    for _ in module.fit(signal, signal + residual, None, generator(), steps=60):
        pass
    expected = line(np.exp(optimize.minimize(unlikely, [-3, -2]).x))
    found = module.std(single(at)).detach().square()
    np.testing.assert_allclose(found, expected, rtol=0.05)
