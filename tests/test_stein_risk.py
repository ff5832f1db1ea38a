import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
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
from napari_selfdenoise.evaluation import frc_resolution
from napari_selfdenoise.images import Normalization, poisson_gaussian_stack
from napari_selfdenoise.long_work import run_to_end
from napari_selfdenoise.model import ChannelModel
from napari_selfdenoise.parts.networks import UNet
from napari_selfdenoise.prediction import (
    denoised_resolution_steps,
    evaluate_model_steps,
    held_out_bits_steps,
    stein_risk_steps,
)

SIZE = 128


class Blur(nn.Module):
    """Mean of 3 x 3 pixels: it holds a ninth of each pixel's own noise."""

    def forward(self, image):
        return F.avg_pool2d(F.pad(image, (1, 1, 1, 1), mode="reflect"), 3, 1)


class Grain(Blur):
    """The mean of 3 x 3 pixels and a fine pattern of its own, whatever the image."""

    def forward(self, image):
        rng = np.random.default_rng(0)
        pattern = rng.normal(size=image.shape[-2:]).astype(np.float32)
        return super().forward(image) + 0.5 * torch.from_numpy(pattern)


class Constant(nn.Module):
    """What it predicts everywhere, whatever the image, normalised."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, image):
        return image * 0 + self.value


def model_of(network, pixels, curve, **changes):
    norm = Normalization.measure(np.asarray(pixels, np.float32))
    settings = {"network": UNet(width=4, depth=1), "flips": False} | changes
    config = TrainingConfig(**settings).override({"estimator": "single_pass"})
    return TrainedModel(config, (ChannelModel(network, None, norm, curve),))


def cells(size=SIZE):
    noisy, clean = poisson_gaussian_stack(1, size, seed=2)
    noisy, clean = (i.data.reshape(size, size).astype(float) for i in (noisy, clean))
    curve = NoiseCurve.line(12, 150 - 12 * 100, clean.min(), clean.max(), 1.0)
    return noisy.astype(np.float32), clean, curve


def test_the_error_of_a_filter_is_that_against_the_truth():
    noisy, clean, curve = cells()
    image, model = Image(noisy, "YX"), model_of(Blur(), noisy, curve)
    result = denoise(image, model, device="cpu").denoised
    found = run_to_end(stein_risk_steps(image, result, model, device="cpu"))
    truth = np.mean((result.data - clean) ** 2)
    assert found.squared_error == pytest.approx(truth, abs=2 * found.standard_error)
    assert found.squared_error == pytest.approx(truth, rel=0.25)
    assert found.slope == pytest.approx(1 / 9, abs=0.02)
    assert found.pixels > 0.9 * SIZE**2
    figures = found.evaluation()
    assert figures.value("sure_rmse") == pytest.approx(math.sqrt(truth), rel=0.15)
    gain = 10 * math.log10(np.mean((noisy - clean) ** 2) / truth)
    assert figures.value("sure_gain_db") == pytest.approx(gain, abs=1)


def test_a_curve_that_is_given_is_counted_with():
    noisy, _, curve = cells()
    image, model = Image(noisy, "YX"), model_of(Blur(), noisy, curve)
    result = denoise(image, model, device="cpu").denoised
    none = NoiseCurve.gaussian(curve.signal, np.full(len(curve.signal), 1.0))
    found = run_to_end(stein_risk_steps(image, result, model, [none], device="cpu"))
    assert found.noise == pytest.approx(1)
    assert found.squared_error > np.mean((result.data - noisy) ** 2) - 2


def test_an_error_below_what_can_be_measured_is_bounded():
    flat = np.random.default_rng(0).normal(500, 20, (SIZE, SIZE)).astype(np.float32)
    curve = NoiseCurve.gaussian(np.array([0.0, 1e3]), np.array([20.0, 20.0]))
    norm = Normalization.measure(flat)
    model = model_of(Constant((500 - norm.offset) / norm.scale), flat, curve)
    image = Image(flat, "YX")
    result = denoise(image, model, device="cpu").denoised
    found = run_to_end(evaluate_model_steps(image, result, model, device="cpu"))
    assert found.value("sure_rmse") is None
    assert "too small to be measured" in found.figure("sure_rmse").reason


@pytest.mark.parametrize("wrong", ["noisy", "other", "size", "stopped"])
def test_what_the_model_did_not_make_is_refused(wrong):
    noisy, clean, curve = cells(size=64)
    image, model = Image(noisy, "YX"), model_of(Blur(), noisy, curve)
    results = {
        "noisy": (noisy, "Nothing was removed"),
        "other": (clean + 50, "another image"),
        "size": (clean[:40], "planes of"),
        "stopped": (np.full_like(clean, np.nan), "Denoise the image to its end"),
    }
    data, words = results[wrong]
    with pytest.raises(RequestError, match=words):
        run_to_end(stein_risk_steps(image, Image(data, "YX"), model, device="cpu"))
    with pytest.raises(RequestError, match=words):
        steps = denoised_resolution_steps(image, Image(data, "YX"), model, device="cpu")
        run_to_end(steps)


def test_it_stops_when_asked():
    noisy, clean, curve = cells(size=64)
    image, model = Image(noisy, "YX"), model_of(Blur(), noisy, curve)
    steps = evaluate_model_steps(image, Image(clean, "YX"), model, device="cpu")
    next(steps)
    found = None
    try:
        while True:
            steps.send(STOP)
    except StopIteration as end:
        found = end.value
    assert found.value("sure_rmse") is None
    assert "stopped" in found.figure("sure_rmse").reason


@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_held_out_bits_are_the_entropy_of_the_noise(scale):
    std = 20.0 * scale
    rng = np.random.default_rng(0)
    pixels = rng.normal(500 * scale, std, (SIZE, SIZE)).astype(np.float32)
    curve = NoiseCurve.gaussian(np.array([0.0, 1e3]) * scale, np.array([std, std]))
    norm = Normalization.measure(pixels)
    model = model_of(Constant((500 * scale - norm.offset) / norm.scale), pixels, curve)
    found = run_to_end(held_out_bits_steps(Image(pixels, "YX"), model, device="cpu"))
    entropy = 0.5 * math.log2(2 * math.pi * math.e * std**2)
    assert found.bits_per_pixel == pytest.approx(entropy, abs=0.03)
    assert found.pixels == SIZE**2
    assert found.standard_error == pytest.approx(0.5**0.5 / math.log(2) / SIZE, rel=0.1)


def test_a_wrong_prediction_or_noise_model_costs_bits():
    rng = np.random.default_rng(0)
    pixels = rng.normal(500, 20, (SIZE, SIZE)).astype(np.float32)
    norm = Normalization.measure(pixels)

    def bits(value, std):
        curve = NoiseCurve.gaussian(np.array([0.0, 1e3]), np.array([std, std]))
        model = model_of(Constant((value - norm.offset) / norm.scale), pixels, curve)
        steps = held_out_bits_steps(Image(pixels, "YX"), model, device="cpu")
        return run_to_end(steps).bits_per_pixel

    best = bits(500, 20)
    assert best < min(bits(530, 20), bits(500, 10), bits(500, 40)) - 0.2


def test_a_network_that_was_shown_each_pixel_holds_none_out():
    noisy, _, curve = cells(size=64)
    model = model_of(Blur(), noisy, curve, objective="sure")
    found = run_to_end(
        evaluate_model_steps(
            Image(noisy, "YX"), Image(noisy - 1, "YX"), model, device="cpu"
        )
    )
    assert "not shown" in found.figure("held_out_bits").reason


@pytest.mark.parametrize("known", [1.0, 0.85])
def test_the_resolution_of_a_result_is_that_with_a_second_noisy_frame(known):
    """Also where the noise model has too little noise."""
    noisy, clean, curve = cells(256)
    second = clean + np.random.default_rng(9).normal(size=clean.shape) * curve.std_at(
        clean
    )
    curve = curve.scaled(known)
    image, model = Image(noisy, "YX"), model_of(Blur(), noisy, curve)
    result = denoise(image, model, device="cpu").denoised
    steps = denoised_resolution_steps(image, result, model, device="cpu")
    found = run_to_end(steps).value("denoised_resolution_px")
    assert found == pytest.approx(frc_resolution(result.data, second), rel=0.15)


def test_detail_that_a_result_invents_is_not_confirmed():
    noisy, _, curve = cells(256)
    image, model = Image(noisy, "YX"), model_of(Grain(), noisy, curve)
    result = denoise(image, model, device="cpu").denoised
    steps = denoised_resolution_steps(image, result, model, device="cpu")
    assert run_to_end(steps).value("denoised_resolution_px") > 4
