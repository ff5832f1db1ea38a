import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_selfdenoise.config import recipe
from napari_selfdenoise.images import Normalization
from napari_selfdenoise.noise import (
    PROBE,
    Differences,
    MaskedPixels,
    VarianceCurve,
    binned,
    block_numbers,
    squared_noise,
)
from napari_selfdenoise.parts.noise_models import (
    GaussianNoise,
    NoiseCurve,
    NoiseNetwork,
    NoiseUnits,
)
from napari_selfdenoise.training.noise_learning import NoiseLearner
from napari_selfdenoise.training.phase import NoisePhase

SIDE = 512
ONE = Normalization(0, 1)


def shot(light):
    return 25 * light + 60


def speckle(light):
    return (0.2 * light + 5) ** 2


def even(light):
    return 0 * light + 1600


def cells():
    """Light of bright cells on a dim background, (Y, X)."""
    rng = np.random.default_rng(0)
    smooth = gaussian_filter(rng.normal(size=(SIDE, SIDE)), 4)
    return 8 + 60 * np.exp(1.2 * smooth / smooth.std()) / 2


def blurred(image, masked):
    """A prediction from what is visible, which is smoother than the signal."""
    weight = gaussian_filter((~masked).astype(float), 1.2)
    return gaussian_filter(np.where(masked, 0.0, image), 1.2) / weight


def contrasts(variance):
    """Contrasts of blocks whose noise has a known variance, behind a blur."""
    rng, light = np.random.default_rng(1), cells()
    std = np.sqrt(variance(light))
    noisy = light + std * rng.normal(size=light.shape)
    noisier = noisy + PROBE * std * rng.normal(size=light.shape)
    side = torch.arange(SIDE)
    parts = []
    for masked in (block_numbers(side, side) == number for number in range(4)):
        first, second = (blurred(image, masked.numpy()) for image in (noisy, noisier))
        images = (torch.from_numpy(v)[None, None] for v in (first, noisy, second))
        parts.append(Differences.of(*images, masked))
    return parts


def error(curve, variance, percentiles=(2, 5, 10, 25, 50, 75, 90, 98)):
    """Relative error of the std at percentiles of the true signal."""
    light = np.percentile(cells(), percentiles)
    return np.sqrt(curve.at(light) / variance(light)) - 1


@pytest.mark.parametrize("variance", [shot, speckle, even])
def test_the_curve_is_true_behind_a_blurred_prediction(variance):
    curve = VarianceCurve.of(contrasts(variance), ONE)
    assert np.abs(error(curve, variance)).max() < 0.05


def test_residuals_at_predicted_signals_are_wrong_at_the_dark_end():
    parts = contrasts(shot)
    signal, squared = squared_noise(parts, ONE)
    centre, plain = binned(signal, np.sqrt(squared))
    dark = float(np.percentile(cells(), 2))
    assert np.sqrt(np.interp(dark, centre, plain) / shot(dark)) > 1.08
    assert abs(error(VarianceCurve.of(parts, ONE), shot, (2,))[0]) < 0.03


def test_the_mean_residual_undoes_what_a_blur_mixes():
    part = contrasts(shot)[0]
    darkest = part.signal.argsort()[:200]
    predicted, missed = (v[darkest].mean() for v in (part.signal, part.mean_residual))
    assert predicted < cells().min()  # noise made it dark, and the residual says so
    assert cells().min() < predicted + missed < np.percentile(cells(), 10)


def blocks(variance, signal):
    """Signals, mean residuals and squared noise of blocks, predicted exactly."""
    rng = np.random.default_rng(2)
    noise = np.sqrt(variance)[:, None] * rng.normal(size=(len(signal), 4))
    return signal, noise.mean(1), noise.var(1, ddof=1)


def test_what_no_parabola_describes_is_learned():
    """Saturation: noise grows with the signal and then vanishes."""
    signal = np.random.default_rng(3).uniform(0, 100, 120_000)
    true = 2 * signal + 20

    def saturating(x):
        return (2 * x + 20) * (0.05 + 0.95 / (1 + np.exp((x - 80) / 5)))

    curve = VarianceCurve.fit(*blocks(saturating(signal), signal))
    places = np.linspace(2, 98, 30)
    np.testing.assert_allclose(
        np.sqrt(curve.at(places) / saturating(places)), 1, 0, 0.1
    )
    assert true.max() > 10 * curve.at(np.array([99.0]))


def test_even_noise_stays_even_beyond_what_was_measured():
    signal = np.random.default_rng(3).uniform(50, 60, 20_000)
    curve = VarianceCurve.fit(*blocks(np.full(20_000, 9.0), signal))
    np.testing.assert_allclose(curve.at(np.array([0.0, 55, 1000])), 9, rtol=0.03)


def test_one_signal_has_one_variance():
    flat = np.full(5000, 7.0)
    curve = VarianceCurve.fit(*blocks(4 + 0 * flat, flat))
    np.testing.assert_allclose(curve.at(np.array([6.0, 7, 8])), 4, rtol=0.1)
    assert len(curve.signal) == 1


def test_a_rare_group_without_noise_does_not_bend_the_rest():
    """Padding that nothing has masked: no light, no noise."""
    signal = np.random.default_rng(3).uniform(50, 100, 40_000)
    variance = 3 * signal
    signal[:1000], variance[:1000] = 0, 0
    curve = VarianceCurve.fit(*blocks(variance, signal))
    places = np.array([55.0, 75, 95])
    np.testing.assert_allclose(curve.at(places), 3 * places, rtol=0.05)
    assert np.isfinite(curve.at(np.array([-10.0, 0, 1e4]))).all()


def test_it_is_positive_and_finite_at_any_signal():
    signal = np.random.default_rng(3).uniform(10, 100, 20_000)
    curve = VarianceCurve.fit(*blocks(2 * signal - 18, signal))
    beyond = curve.at(np.array([-1e6, -100, 0, 9, 1e6]))
    assert np.isfinite(beyond).all()
    assert (beyond > 0).all()


def test_too_few_blocks_give_no_curve():
    assert VarianceCurve.of([], ONE) is None
    assert VarianceCurve.fit(*(np.ones(300),) * 3) is None


def test_values_that_cannot_be_computed_with_are_left_out():
    signal = np.random.default_rng(3).uniform(10, 100, 20_000)
    predicted, residual, squared = blocks(25 * signal, signal)
    whole = VarianceCurve.fit(predicted, residual, squared)
    predicted[::50], residual[1::50], squared[2::50] = np.nan, np.inf, 1e300
    curve = VarianceCurve.fit(predicted, residual, squared)
    places = np.array([20.0, 50, 90])
    np.testing.assert_allclose(curve.at(places), whole.at(places), rtol=0.05)
    nothing = VarianceCurve.fit(signal, 0 * signal, 0 * signal)
    assert np.isfinite(nothing.at(places)).all()


def test_units_of_the_curve_are_those_of_the_image():
    parts = contrasts(shot)
    one, other = (VarianceCurve.of(parts, n) for n in (ONE, Normalization(100, 4)))
    light = np.array([10.0, 50, 200])
    np.testing.assert_allclose(other.at(4 * light + 100), 16 * one.at(light), rtol=1e-6)


def test_knots_rise_and_span_what_was_measured():
    signal = np.random.default_rng(3).uniform(10, 100, 20_000)
    curve = VarianceCurve.fit(*blocks(25 * signal, signal))
    knots = curve.knots(20, 120)
    assert (np.diff(knots) > 0).all()
    assert knots[0] <= curve.signal[0] < 20
    assert knots[-1] == 120
    assert np.diff(knots)[0] < np.diff(knots)[-1]  # dense where the noise is weak


def test_noise_of_a_measured_variance_keeps_its_shape():
    signal = np.array([0.0, 10, 20])
    weights, means = np.tile([0.8, 0.2], (3, 1)), np.tile([-1.0, 4.0], (3, 1))
    skewed = NoiseCurve(signal, weights, means, np.ones((3, 2)), (1.0, 2.0))
    knots = np.array([-5.0, 0, 5, 30])
    found = skewed.with_variance(knots, 2 * knots + 20)
    np.testing.assert_allclose(found.std**2, 2 * knots + 20)
    np.testing.assert_allclose(found.skewness, skewed.skewness[0])
    assert found.poisson_gaussian is None


def learner(noise_model):
    """A noise learner at its end, with the contrasts of a blurred prediction."""
    parts, generator = contrasts(shot), torch.Generator().manual_seed(0)
    units = NoiseUnits(0, 1, 1e-3)
    module = noise_model and noise_model.build(units)
    learner = NoiseLearner(module, recipe("fast"), ONE, generator)
    signal = torch.cat([part.signal for part in parts])
    learner.residual_buffer.append(
        MaskedPixels(signal, signal, torch.ones_like(signal))
    )
    learner.contrasts, learner.variance = parts, VarianceCurve.of(parts, ONE)
    learner.phase = NoisePhase.FINAL
    return learner


@pytest.mark.parametrize("noise_model", [None, NoiseNetwork()])
def test_the_curve_of_a_training_follows_the_contrasts(noise_model):
    made = learner(noise_model)
    curve, light = made.curve(), np.percentile(cells(), (2, 10, 50, 90, 98))
    np.testing.assert_allclose(curve.std_at(light), np.sqrt(shot(light)), rtol=0.05)
    signal, std = made.scatter()
    np.testing.assert_allclose(std, np.sqrt(shot(signal)), rtol=0.1)


def test_a_noise_that_was_chosen_to_be_even_stays_so():
    curve = learner(GaussianNoise()).curve()
    np.testing.assert_allclose(curve.std, curve.std[0])
