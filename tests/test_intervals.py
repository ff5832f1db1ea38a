"""Intervals of posteriors, on images whose prior and noise are known exactly."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from torch import nn

from napari_selfdenoise import (
    STOP,
    Image,
    NoiseCurve,
    RequestError,
    TrainedModel,
    TrainingConfig,
    denoise,
)
from napari_selfdenoise.images import Normalization
from napari_selfdenoise.long_work import run_to_end
from napari_selfdenoise.model import ChannelModel
from napari_selfdenoise.parts.estimators import PosteriorMean
from napari_selfdenoise.parts.networks import UNet
from napari_selfdenoise.parts.noise_models import NoiseFromFile
from napari_selfdenoise.parts.signal_heads import GaussianSignal
from napari_selfdenoise.prediction import doubt_steps
from napari_selfdenoise.prediction.context_spread import (
    Context,
    ContextSpread,
    fit_spread,
)
from napari_selfdenoise.prediction.doubt import (
    IMPROBABLE,
    MENDED,
    UNSURE,
    where_not_to_trust,
)
from napari_selfdenoise.prediction.held_out import HeldOut, probability_below
from napari_selfdenoise.prediction.intervals import (
    Coverage,
    interval_steps,
    measure_intervals,
)
from napari_selfdenoise.prediction.own_share import own_share
from napari_selfdenoise.prediction.residual_shape import ResidualShape

MEAN, SPREAD, NOISE = 500.0, 20.0, 40.0
SCALE = 64.0


class Constant(nn.Module):
    """A network that knows that all signals are drawn from one Gaussian."""

    def __init__(self, std: float) -> None:
        super().__init__()
        self.std = std

    def forward(self, image):
        mean = torch.zeros_like(image)
        # The Gaussian head adds 0.1 to its second output.
        return torch.cat([mean, mean + self.std / SCALE - 0.1], dim=1)


def model_of(spread: float = SPREAD, noise: float = NOISE) -> TrainedModel:
    """A model with a Gaussian prior of this std, and Gaussian noise of this std.

    The noise is given: signals that are drawn pixel by pixel look like noise.
    """
    curve = NoiseCurve.gaussian(np.array([0.0, 1000.0]), np.full(2, noise))
    config = TrainingConfig(
        network=UNet(width=4, depth=1),
        signal=GaussianSignal(),
        estimator=PosteriorMean(),
        noise_model=NoiseFromFile.taken(curve.to_json()),
    )
    norm = Normalization(MEAN, SCALE)
    return TrainedModel(config, (ChannelModel(Constant(spread), None, norm, curve),))


def field(side: int = 128, seed: int = 0) -> tuple[np.ndarray, Image]:
    """Signals that are drawn as the prior says, and observations of them."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(MEAN, SPREAD, (side, side))
    noisy = signal + rng.normal(0, NOISE, signal.shape)
    return signal, Image(noisy.astype(np.float32), "YX")


def test_the_pixels_share_is_the_weight_of_its_observation():
    prior, noise = torch.tensor([4.0, 1.0, 0.0]), torch.tensor([1.0, 3.0, 1.0])
    weight = prior / (prior + noise)
    torch.testing.assert_close(own_share(prior, weight * noise), weight)


def test_trust_is_the_share_of_the_context():
    _, image = field(32)
    result = denoise(image, model_of(), device="cpu")
    share = NOISE**2 / (NOISE**2 + SPREAD**2)
    np.testing.assert_allclose(result.trust.data, share, rtol=1e-3)
    blended = share * MEAN + (1 - share) * image.data
    np.testing.assert_allclose(result.denoised.data, blended, rtol=1e-3)
    std = result.posterior_std.data
    assert std == pytest.approx(NOISE * np.sqrt(1 - share), rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("too_narrow", [1.0, 2.0])
def test_a_prior_that_is_too_narrow_is_corrected(too_narrow):
    signal, image = field()
    found = measure_intervals(image, model_of(SPREAD / too_narrow))
    assert found.temperature == pytest.approx(too_narrow**2, rel=0.35)
    assert found.coverage.half == pytest.approx(0.5, abs=0.02)
    assert found.coverage.nine_tenths == pytest.approx(0.9, abs=0.015)
    assert found.uncorrected.half <= found.coverage.half + 0.01
    assert found.histogram == pytest.approx(np.full(20, 0.05), abs=0.012)
    result = denoise(image, model_of(SPREAD / too_narrow), device="cpu")
    scaled = np.abs(result.denoised.data - signal) / result.posterior_std.data
    assert np.mean(scaled < 0.6745) == pytest.approx(0.5, abs=0.03)
    assert np.mean(scaled < 1.645) == pytest.approx(0.9, abs=0.03)


def test_probabilities_are_spread_evenly_where_prior_and_noise_are_right():
    _, image = field(64)
    noise = np.full(image.data.size, NOISE**2)
    nothing = np.zeros_like(noise)
    context = Context(np.full_like(noise, MEAN), noise, nothing, nothing)
    curve = model_of().noise_curves[0]
    observed = image.data.ravel().astype(float)
    below = probability_below(context, np.full_like(noise, SPREAD**2), observed, curve)
    assert Coverage.of(below).half == pytest.approx(0.5, abs=0.02)
    assert kstest(below, "uniform").pvalue > 0.01
    narrow = probability_below(context, nothing + 1e-9, observed, curve)
    assert Coverage.of(narrow).half < 0.47


def test_skewed_noise_is_judged_by_its_own_shape_but_not_by_its_own_width():
    rng = np.random.default_rng(5)
    mean = np.sort(rng.uniform(1, 9, 40_000))
    pixels = Context(mean, 2 * mean, 0 * mean, 0 * mean)  # one photon is 2 grey values
    signal = mean + rng.normal(0, 0.3, mean.shape)
    observed = 2.0 * rng.poisson(np.maximum(signal, 0) / 2)
    half, spread = rng.random(len(mean)) < 0.5, np.full(len(mean), 0.09)

    def coverage(wider, shape):
        other, judged = pixels.at(~half), observed[~half]
        variance = wider**2 * (other.noise + spread[~half]) - other.noise
        return Coverage.of(shape.probability_below(other, variance, judged))

    shape = ResidualShape.of(pixels.at(half), spread[half], observed[half])
    right = coverage(1.0, shape)
    assert right.half == pytest.approx(0.5, abs=0.03)
    assert right.nine_tenths == pytest.approx(0.9, abs=0.02)
    assert coverage(1.4, shape).nine_tenths > 0.95
    assert coverage(0.7, shape).nine_tenths < 0.85
    assert shape.is_odd(pixels, spread, observed).mean() < 1e-3
    assert shape.is_odd(pixels, spread, observed + 40).mean() > 0.9


def test_what_foretells_the_squared_error_is_found_with_its_weight():
    rng = np.random.default_rng(0)
    noise, views, prior = (rng.uniform(1, 9, 60_000) for _ in range(3))
    context = Context(np.zeros_like(noise), noise, views, prior)
    variance = 0.2 * noise + 3 * views
    observed = rng.normal(0, np.sqrt(variance + noise))
    spread = fit_spread(context, observed)
    assert spread.of_noise == pytest.approx(0.2, abs=0.1)
    assert spread.of_views == pytest.approx(3, abs=0.2)
    assert spread.of_prior == pytest.approx(0, abs=0.1)
    assert fit_spread(context.at(slice(100)), observed[:100]) is None


def test_one_hot_pixel_does_not_widen_all_intervals():
    _, image = field(64)
    noise = np.full(image.data.size, NOISE**2)
    context = Context(np.full_like(noise, MEAN), noise, 0 * noise, 0 * noise)
    observed = image.data.ravel().astype(float)
    before = fit_spread(context, observed).of_noise
    observed[7] = 60_000
    assert fit_spread(context, observed).of_noise < before + 0.02


def test_doubt_falls_on_what_the_context_does_not_explain():
    _, image = field()
    pixels = image.data.copy()
    pixels[40:44, 60:64] += 200.0  # less than five stds in each pixel, but in many
    pixels[90, 20] = 20_000.0
    pixels[10:12, 100:110] = np.nan
    found = run_to_end(doubt_steps(image.with_data(pixels), model_of(), device="cpu"))
    assert (found.labels[41:43, 61:63] == IMPROBABLE).all()
    assert found.labels[90, 20] == MENDED
    assert (found.labels[10:12, 100:110] == MENDED).all()
    assert np.count_nonzero(found.labels == IMPROBABLE) < 40
    assert 0 < found.share < 0.01


def test_doubt_falls_on_wide_intervals_of_little_own():
    _, image = field(64)
    noise = np.full(image.shape, NOISE**2)
    context = Context(np.full_like(noise, MEAN), noise, 0 * noise, 0 * noise)
    good = np.ones(image.shape, bool)
    held_out = HeldOut(context, image.data.astype(float), good)
    spread = ContextSpread(0.2, 0.0, 0.0)  # std of the estimate: 16.3
    plane = SimpleNamespace(curve=model_of().noise_curves[0])

    def judged(contrast):
        return SimpleNamespace(spread=spread, contrast=contrast, shape=None)

    in_doubt = where_not_to_trust(held_out, judged(200.0), plane)
    assert (in_doubt == UNSURE).mean() > 0.99
    assert (where_not_to_trust(held_out, judged(400.0), plane) == 0).mean() > 0.99


def test_a_model_that_is_not_blind_is_refused_with_a_way_out():
    _, image = field(64)
    model = model_of()
    config = model.config.model_copy(update={"objective": "sure"})
    with pytest.raises(RequestError, match="pixel's own value"):
        measure_intervals(image, replace(model, config=config))
    small = image.with_data(image.data[:40, :40])
    with pytest.raises(RequestError, match="larger image"):
        measure_intervals(small, model)
    blank = image.with_data(np.full((64, 64), 7, np.float32))
    with pytest.raises(RequestError, match="blank"):
        measure_intervals(blank, model)


def test_a_stop_ends_a_measurement_without_a_result():
    _, image = field(64)
    for steps in (doubt_steps(image, model_of()), interval_steps(image, model_of())):
        next(steps)
        with pytest.raises(StopIteration) as end:
            while True:
                steps.send(STOP)
        assert end.value.value is None
