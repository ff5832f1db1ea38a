from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate, gaussian_filter
from torch import Tensor, nn

from napari_selfdenoise import (
    STOP,
    Image,
    NoiseCurve,
    TrainedModel,
    TrainingConfig,
    denoise,
    predict_tiles,
    train,
)
from napari_selfdenoise.images import Normalization
from napari_selfdenoise.model import ChannelModel
from napari_selfdenoise.parts.estimators import AutoEstimator, PosteriorMean, SinglePass
from napari_selfdenoise.parts.networks import UNet
from napari_selfdenoise.parts.psf import Optics
from napari_selfdenoise.prediction import blend_sample, in_words
from napari_selfdenoise.prediction import predict as prediction
from napari_selfdenoise.prediction.sure import Blend, Levels, Risk, summary

pytestmark = pytest.mark.slow

GAIN, READ = 2.0, 3.0
CURVE = NoiseCurve.line(GAIN, READ**2, 0.0, 400.0)


def scene(side=96, seed=0, sharp=0.0):
    """A signal, with fine detail of std `sharp` where it is bright, and its noise."""
    rng = np.random.default_rng(seed)
    smooth, fine = (
        gaussian_filter(rng.normal(size=(side, side)), sigma) for sigma in (4, 1)
    )
    signal = 100 + 60 * np.tanh(smooth / smooth.std())
    signal += sharp * fine / fine.std() * (signal > 100)
    signal = np.maximum(signal, 1)
    noise = GAIN * rng.poisson(signal / GAIN) - signal
    return signal, signal + noise + READ * rng.normal(size=signal.shape)


def mean_squared(image, signal):
    return float(np.mean((image - signal) ** 2))


# ---- The estimate itself ----

KERNEL = np.outer([1, 2, 1], [1, 2, 1]) / 16


def blurred_risk(signal, observed):
    """Risk of a blur, of 50 everywhere, and of the observation."""
    values = [correlate(observed, KERNEL), 50 + 0 * observed, observed]
    slopes = [np.full(observed.shape, slope) for slope in (KERNEL[1, 1], 0.0, 1.0)]
    variance = CURVE.std_at(values[0]).astype(float) ** 2
    risk = Risk(3)
    for rows in np.array_split(np.arange(len(signal)), 5):
        residuals = [(value - observed)[rows].ravel() for value in values]
        parts = np.stack(residuals), np.stack([s[rows].ravel() for s in slopes])
        seen = variance[rows].ravel()
        risk.add(*parts, seen, np.ones(len(seen)))
    return values, risk


@pytest.mark.parametrize(
    "weights", [(1, 0, 0), (0, 0, 1), (0.3, 0, 0.7), (0.5, 0.5, 0)]
)
def test_the_estimated_error_is_the_true_one(weights):
    signal, observed = scene(side=400)
    values, risk = blurred_risk(signal, observed)
    weights = np.array(weights, float)
    true = mean_squared(np.tensordot(weights, values, 1), signal)
    assert risk.error(weights) == pytest.approx(true, rel=0.03, abs=1)


@pytest.mark.parametrize("sharp", [0, 10, 40])
def test_the_blend_is_as_good_as_with_the_truth_known(sharp):
    signal, observed = scene(side=400, sharp=sharp)
    values, risk = blurred_risk(signal, observed)
    weights = risk.best(caution=1)
    assert weights.sum() == pytest.approx(1)
    assert weights.min() >= 0
    best = min(
        mean_squared((1 - w) * values[0] + w * values[2], signal)
        for w in np.linspace(0, 1, 101)
    )
    assert mean_squared(np.tensordot(weights, values, 1), signal) < 1.02 * best


def test_equal_estimates_do_no_harm():
    risk = Risk(3)
    residuals = np.random.default_rng(0).normal(size=(1, 100))
    risk.add(
        np.repeat(residuals, 3, axis=0),
        np.zeros((3, 100)),
        np.full(100, 0.5),
        np.ones(100),
    )
    assert risk.best().sum() == pytest.approx(1)


def test_what_is_blended_is_said():
    parts = ("single pass", "average of 8 orientations", "raw pixels")
    few, many = Blend(parts, (0.0, 1.0, 0.0), 3.0), Blend(parts, (0.0, 0.5, 0.5), 4.0)
    assert str(few) == "average of 8 orientations; error about 3"
    assert str(many) == (
        "0.50 average of 8 orientations, 0.50 raw pixels; error about 4"
    )
    assert summary([few, many]) == (
        "0.75 average of 8 orientations, 0.25 raw pixels; error about 3.54"
    )
    assert summary([]) == ""


# ---- The estimator ----


class Blur(nn.Module):
    """Mean of the pixels around, normalised; a std where the head asks for one."""

    def __init__(self, norm, own=0.0, side=5, std=None, wrong=0.0):
        super().__init__()
        kernel = torch.full((side, side), 1.0)
        kernel[side // 2, side // 2] = own * side**2
        self.register_buffer("kernel", (kernel / kernel.sum())[None, None])
        self.norm, self.std, self.wrong = norm, std, wrong

    def forward(self, image: Tensor) -> Tensor:
        mean = nn.functional.conv2d(image, self.kernel, padding="same") + self.wrong
        if self.std is None:
            return mean
        bright = self.norm.invert(mean) > 100
        std = torch.where(bright, self.std, 0.5) / self.norm.scale
        return torch.cat([mean, std - 0.1], dim=1)


def grain(image: Tensor) -> Tensor:
    """The same for all images of a shape, of size 1."""
    return torch.randn(image.shape, generator=torch.Generator().manual_seed(0))


class Checked(Blur):
    """Right when the image lies as it did, wrong when it is turned over."""

    def forward(self, image: Tensor) -> Tensor:
        top, bottom = image[..., :5, :].mean(), image[..., -5:, :].mean()
        return super().forward(image) + grain(image) * (top > bottom)


def model_of(observed, make=Blur, curve=CURVE, channels=1, optics=None, **changes):
    norm = Normalization.measure(observed.astype(np.float32))
    small = {"network": UNet(width=4, depth=1).model_dump(), "masking": "random"}
    config = TrainingConfig().override(small | changes)
    channel = ChannelModel(make(norm), None, norm, curve, optics)
    return TrainedModel(config, (channel,) * channels)


def run(observed, model, estimator=AutoEstimator(), **options):  # noqa: B008
    image = Image(observed.astype(np.float32), "CTYX"[-observed.ndim :])
    return denoise(image, model, estimator=estimator, device="cpu", **options)


def weights_of(result):
    (blend,) = result.blends
    return dict(zip(blend.parts, blend.weights, strict=True))


def test_a_hopeless_network_is_hardly_used():
    signal, observed = scene(sharp=20)
    model = model_of(observed, lambda norm: Blur(norm, side=31))
    result = run(observed, model)
    assert weights_of(result)["raw pixels"] > 0.7
    assert mean_squared(result.denoised.data, signal) < 0.9 * mean_squared(
        observed, signal
    )


def test_fine_structure_is_not_taken_for_noise():
    rng = np.random.default_rng(0)
    signal = 100 + 20 * rng.normal(size=(192, 192)) * (np.arange(192) < 144)
    observed = signal + 4 * rng.normal(size=signal.shape)
    result = run(observed, model_of(observed))
    assert mean_squared(result.denoised.data, signal) < 1.5 * 4**2


def test_broad_shades_are_those_of_the_image():
    signal, observed = scene(side=192)
    right, wrong = (
        run(observed, model_of(observed, lambda norm, by=by: Blur(norm, wrong=by)))
        for by in (0.0, 0.2)
    )
    assert weights_of(wrong)["average of 4 orientations at the raw brightness"] > 0.9
    assert wrong.denoised.data.mean() == pytest.approx(observed.mean(), rel=1e-3)
    least = mean_squared(right.denoised.data, signal)
    assert mean_squared(wrong.denoised.data, signal) < 1.05 * least


@pytest.mark.parametrize("sharp", [0, 10, 20, 40])
@pytest.mark.parametrize("own", [0.0, 0.3])
def test_the_result_is_no_worse_than_network_or_input(sharp, own):
    signal, observed = scene(sharp=sharp)
    model = model_of(observed, lambda norm: Blur(norm, own=own))
    single = run(observed, model, SinglePass()).denoised.data
    result = run(observed, model)
    least = min(mean_squared(single, signal), mean_squared(observed, signal))
    assert mean_squared(result.denoised.data, signal) < 1.01 * least


def test_the_error_that_is_told_is_true():
    signal, observed = scene(side=192, sharp=20)
    result = run(observed, model_of(observed))
    true = mean_squared(result.denoised.data, signal)
    (blend,) = result.blends
    assert blend.error == pytest.approx(true**0.5, rel=0.2)
    noise = mean_squared(observed, signal) ** 0.5
    assert blend.noise == pytest.approx(noise, rel=0.05)
    assert in_words([blend]).startswith(
        f"Typical remaining error: ± {blend.error:.2g} grey values (noise before: "
        f"± {blend.noise:.2g})."
    )


def test_a_view_that_is_better_than_the_average_is_taken():
    _, observed = scene()
    observed[:8] -= 40  # the top is darker
    model = model_of(observed, Checked)
    assert weights_of(run(observed, model))["single pass"] > 0.8


def test_fine_detail_is_taken_from_the_image_where_it_is():
    _, observed = scene(side=192, sharp=40)  # in bright parts only
    (blend,) = run(observed, model_of(observed)).blends
    dark, bright = blend.at(np.float32([40, 160]))["raw pixels"]
    assert dark < 0.2 < 0.4 < bright
    assert np.sum(blend.table, axis=1) == pytest.approx(np.ones(len(blend.signal)))


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_the_noise_is_measured_in_the_image_itself(factor):
    # As where frames are averaged that the network was not trained on.
    _, observed = scene(sharp=20)
    wrong = NoiseCurve.gaussian(CURVE.signal, factor * CURVE.std)
    expected, found = (
        weights_of(run(observed, model_of(observed, curve=curve)))
        for curve in (CURVE, wrong)
    )
    assert found["raw pixels"] == pytest.approx(expected["raw pixels"], abs=0.03)


def spreading(norm):
    return Blur(norm, std=25.0)


HEAD = {"signal": "gaussian", "noise_model": "poisson_gaussian", "flips": False}


def test_a_posterior_is_taken_where_it_knows_more():
    signal, observed = scene(sharp=25)
    model = model_of(observed, spreading, **HEAD)
    result = run(observed, model)
    assert weights_of(result)["posterior mean"] > 0.3
    single, posterior = (
        mean_squared(run(observed, model, e).denoised.data, signal)
        for e in (SinglePass(), PosteriorMean())
    )
    assert mean_squared(result.denoised.data, signal) < min(single, posterior)
    assert set(result.images) == {"denoised", "noise_std"}


def test_a_posterior_is_not_tried_where_the_context_tells_all():
    _, observed = scene(sharp=0)
    model = model_of(observed, spreading, **HEAD)
    assert "posterior mean" not in weights_of(run(observed, model))


def test_little_is_hidden_where_the_context_tells_all():
    _, observed = scene(sharp=0)
    assert "blind mean" not in weights_of(run(observed, model_of(observed)))
    _, observed = scene(sharp=40)
    assert "blind mean" in weights_of(run(observed, model_of(observed)))


def test_noise_that_is_fitted_to_the_image_can_be_blended():
    signal, observed = scene(sharp=25)
    fitted = {"noise_model": {"kind": "poisson_gaussian", "estimation": "per_image"}}
    model = model_of(observed, spreading, **HEAD | fitted)
    result = run(observed, model)
    assert mean_squared(result.denoised.data, signal) < mean_squared(observed, signal)
    assert result.noise_curves[0].poisson_gaussian != CURVE.poisson_gaussian


def test_shared_noise_leaves_the_average():
    _, observed = scene()
    model = model_of(observed, masking="line")
    result = run(observed, model)
    assert result.chosen == "average of 4 orientations"
    assert result.blends[0].error is None
    average = run(observed, model, SinglePass()).denoised.data
    np.testing.assert_allclose(result.denoised.data, average, rtol=1e-6)


# ---- Tiles and planes ----


@pytest.mark.parametrize("changes", [{}, HEAD])
def test_the_tiles_do_not_show(monkeypatch, changes):
    _, observed = scene(side=72, sharp=30)
    model = model_of(observed, spreading if changes else Blur, **changes)
    whole = run(observed, model)
    monkeypatch.setattr(prediction, "tile_side", lambda *_: 16)
    tiles = run(observed, model)
    # A blur gives the same in all orientations: only the sum of both weights is known.
    weights = (result.blends[0].weights for result in (tiles, whole))
    found, expected = ((w[0] + w[1], *w[2:]) for w in weights)
    assert found == pytest.approx(expected, abs=0.02)
    difference = tiles.denoised.data - whole.denoised.data
    assert np.sqrt(np.mean(difference**2)) < 0.02 * np.std(observed)


@pytest.mark.parametrize("changes", [{}, HEAD])
def test_a_sample_of_a_large_plane_is_enough(monkeypatch, changes):
    _, observed = scene(side=160, sharp=30)
    model = model_of(observed, spreading if changes else Blur, **changes)
    whole = run(observed, model)
    monkeypatch.setattr(blend_sample, "SAMPLE_PIXELS", 160 * 80)
    monkeypatch.setattr(blend_sample, "_SAMPLE_SIDE", 32)
    sampled = run(observed, model)
    found, expected = (weights_of(r)["raw pixels"] for r in (sampled, whole))
    assert found == pytest.approx(expected, abs=0.1)
    difference = sampled.denoised.data - whole.denoised.data
    assert 0 < np.sqrt(np.mean(difference**2)) < 0.1 * np.std(observed)


def test_each_plane_is_judged_by_itself():
    noisy = scene(sharp=40)[1]
    calm = scene(sharp=0)[1]
    stack = np.stack([noisy, calm])
    first, second = run(stack, model_of(stack)).blends
    assert first.weights[-1] > 0.3 > 0.1 > second.weights[-1]
    channels = run(stack[:, None], model_of(stack, channels=2))
    assert [blend.parts for blend in channels.blends] == [first.parts, second.parts]


def test_a_deconvolved_image_is_the_networks_own():
    _, observed = scene()
    optics = Optics(np.full((3, 3), 1 / 9), 0.0, "none")
    psf = {"psf": {"kind": "gaussian", "positivity": "none"}}
    model = model_of(observed, optics=optics, **psf)
    result, plain = (run(observed, model, e) for e in (AutoEstimator(), SinglePass()))
    assert set(result.images) == {"denoised", "noise_std", "deconvolved"}
    np.testing.assert_array_equal(result.deconvolved.data, plain.deconvolved.data)


def test_counts_without_noise_come_back():
    flat = np.full((48, 48), 7.0)
    flat[:, 24:] = 9
    result = run(flat, model_of(flat, lambda norm: nn.Identity()))
    np.testing.assert_allclose(result.denoised.data, flat, rtol=1e-6)


def test_it_is_told_how_far_it_is_and_stops_when_asked(monkeypatch):
    _, observed = scene(side=64)
    monkeypatch.setattr(prediction, "tile_side", lambda *_: 32)
    image, model = Image(observed.astype(np.float32), "YX"), model_of(observed)
    steps = list(predict_tiles(image, model, estimator=AutoEstimator(), device="cpu"))
    fractions = [step.fraction for step in steps]
    assert (np.diff(fractions) >= 0).all()
    assert fractions[-1] == 1
    assert sum(step.index is not None for step in steps) == 4
    stopped = predict_tiles(image, model, estimator=AutoEstimator(), device="cpu")
    next(stopped)
    with pytest.raises(StopIteration) as end:
        stopped.send(STOP)
    assert not end.value.value.complete
    assert end.value.value.chosen == ""


def test_equal_seeds_choose_alike():
    _, observed = scene(sharp=20)
    first, second = (run(observed, model_of(observed)) for _ in range(2))
    assert first.blends == second.blends
    np.testing.assert_array_equal(first.denoised.data, second.denoised.data)


def test_a_model_that_learned_nothing_is_asked_little(scene, config):
    """Whoever stops at once does not wait for a search that finds nothing."""
    model = train(scene.image, config.override({"steps": 1}))
    stopped = replace(model, provenance={**model.provenance, "few_steps": "Stopped."})

    def passes(given):
        count = []
        network = given.channels[0].network
        hook = network.register_forward_hook(lambda *_: count.append(1))
        denoise(scene.image, given, device="cpu")
        hook.remove()
        return len(count)

    assert stopped.hardly_trained and not model.hardly_trained
    assert passes(stopped) < passes(model)


def exact(error, noise, pixels):
    """Residuals, slopes and noise of [prediction, observation], their moments exact."""
    turns = pixels // 4
    wrong = np.sqrt(error) * np.tile([1.0, 1.0, -1.0, -1.0], turns)
    scatter = np.sqrt(noise) * np.tile([1.0, -1.0, 1.0, -1.0], turns)
    residuals = np.stack([wrong - scatter, 0 * scatter])
    slopes = np.stack([0 * scatter, 1 + 0 * scatter])
    return residuals, slopes, np.full(pixels, noise)


def share_of_pixels(error):
    """Best weight of the observation at noise 1, of which 5 % more is counted with."""
    return 1 - 1.05 / (error + 1)


@pytest.mark.parametrize(("wanted", "given"), [(0.01, 0.0), (0.03, 0.03)])
def test_what_counts_for_less_than_two_percent_is_left_out(wanted, given):
    error = 1.05 / (1 - wanted) - 1
    risk = Risk(2)
    risk.add(*exact(error, 1.0, 4000), np.ones(4000))
    assert risk.best()[1] == pytest.approx(given, abs=1e-6)


@pytest.mark.parametrize("noise", [1.0, 4.0])
def test_few_pixels_of_a_signal_are_mixed_with_300_of_the_image(noise):
    """A hundred pixels alone would follow their own chance.

    Errors of the image count in units of its noise, and so for the noise here.
    """
    levels = Levels(np.array([0.0, 100.0]), 2)
    levels.add(np.zeros(400_000), *exact(0.25, 1.0, 400_000))
    levels.add(np.full(100, 100.0), *exact(1.0 * noise, noise, 100))
    blend = levels.blend(("prediction", "observation"))
    mixed = (100 * 1.0 + 300 * 0.25) / 400
    assert blend.table[0][1] == pytest.approx(share_of_pixels(0.25), abs=0.01)
    assert blend.table[1][1] == pytest.approx(share_of_pixels(mixed), abs=0.01)
