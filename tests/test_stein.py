import numpy as np
import pytest
import torch
import torch.nn.functional as F

from napari_selfdenoise import (
    STOP,
    Image,
    RequestError,
    denoise,
    recipe,
    train,
    train_steps,
)
from napari_selfdenoise.evaluation import psnr
from napari_selfdenoise.parts.estimators import BlindMean, SinglePass
from napari_selfdenoise.training.sure_loss import SureProbe

pytestmark = pytest.mark.slow

STD = 0.5


def smooth(shape, seed=0):
    luck = torch.Generator().manual_seed(seed)
    return F.avg_pool2d(torch.randn(shape, generator=luck), 9, 1, 4) * 9


def risk_and_error(predict, repeats=20):
    """Stein's risk less the noise's variance, and the true squared error."""
    luck = torch.Generator().manual_seed(1)
    signal = smooth((4, 1, 96, 96))
    risks, errors = [], []
    for _ in range(repeats):
        noise = STD * torch.randn(signal.shape, generator=luck)
        probe = SureProbe.draw(signal + noise, STD, luck)
        risks.append(float(probe.risk(predict(probe.images()))) - STD**2)
        errors.append(float((predict(signal + noise) - signal).square().mean()))
    return np.mean(risks), np.mean(errors)


@pytest.mark.parametrize(
    "predict",
    [
        lambda image: image,
        lambda image: torch.zeros_like(image),
        lambda image: F.avg_pool2d(image, 3, 1, 1, count_include_pad=False),
        lambda image: image.abs().sqrt() * image.sign(),
    ],
    ids=["copy", "nothing", "blur", "bent"],
)
def test_the_risk_is_the_squared_error(predict):
    risk, error = risk_and_error(predict)
    # The prediction of what was moved a little is a little worse: 0.09 of what a pixel
    # that is copied adds.
    assert risk == pytest.approx(error, abs=0.1 * STD**2)


def test_a_copy_of_the_noise_does_not_pay():
    copied, _ = risk_and_error(lambda image: image)
    blurred, _ = risk_and_error(lambda image: F.avg_pool2d(image, 5, 1, 2))
    assert blurred < copied


# ---- As an objective ----


def scene(side=256, std=20.0):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[1 : side + 1, 1 : side + 1]
    signal = 100 + 40 * np.sign(np.sin(x / 20) + np.sin(y / 13)) + 30 * np.sin(x / 9)
    return signal, (signal + rng.normal(0, std, signal.shape)).astype(np.float32)


def brief(**changes):
    small = {"steps": 60, "network.width": 8, "patch_size": 32, "device": "cpu"}
    small |= {"flips": False, "objective": "sure"}
    return recipe("best").override({**small, **changes})


@pytest.fixture(scope="module")
def model():
    return train(Image(scene()[1], "YX"), brief())


def test_even_noise_is_found_and_no_pixel_hidden_any_more(model):
    assert model.config.objective == "sure"
    assert "Noise is equally strong everywhere (std 2" in model.provenance["finding"]
    (curve,) = model.noise_curves
    np.testing.assert_allclose(curve.std, 20, rtol=0.05)


def test_pixels_are_seen_but_not_copied(model):
    signal, noisy = scene()
    found = denoise(Image(noisy, "YX"), model).denoised.data
    assert psnr(found, signal, 255) > psnr(noisy, signal, 255) + 5


def test_it_learns_more_than_from_hidden_pixels():
    signal, noisy = scene(std=8.0)
    found = {}
    for objective in ("sure", "squared_error"):
        config = brief(objective=objective, steps=150, estimator="single_pass")
        trained = train(Image(noisy, "YX"), config)
        found[objective] = psnr(
            denoise(Image(noisy, "YX"), trained).denoised.data, signal, 255
        )
    assert found["sure"] > found["squared_error"]


def test_weaker_noise_than_the_model_knows_is_not_taken_for_stronger(model):
    signal, noisy = scene(std=1.0)
    found = denoise(Image(noisy, "YX"), model).denoised.data
    assert psnr(found, signal, 255) >= psnr(noisy, signal, 255) - 0.1


def test_a_stop_before_pixels_are_seen_leaves_a_model():
    steps = train_steps(Image(scene()[1], "YX"), brief(steps=100000))
    while next(steps).step < 5:
        pass
    with pytest.raises(StopIteration) as end:
        while True:
            steps.send(STOP)
    stopped = end.value.value
    assert stopped.config.objective == "squared_error"
    assert denoise(Image(scene()[1], "YX"), stopped).denoised.data.std() > 10


def test_hidden_pixels_are_not_asked_of_a_network_that_saw_them(model):
    with pytest.raises(RequestError, match="use each pixel's own value"):
        denoise(Image(scene()[1], "YX"), model, estimator=BlindMean())
    image = Image(scene()[1], "YX")
    assert denoise(image, model, estimator=SinglePass()).chosen == ""


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"signal": "gaussian"}, "the signal head"),
        ({"estimator": "blind_mean"}, "the estimator asks"),
        ({"masking": "line"}, "neighbours share noise"),
        ({"network": "half_plane", "masking": "none"}, "from its surroundings only"),
    ],
)
def test_pixels_stay_hidden_where_they_must(changes, reason):
    made = train(Image(scene()[1], "YX"), brief(steps=2, **changes))
    assert made.config.objective == "squared_error"
    assert reason in made.provenance["finding"]


def test_pixels_stay_hidden_where_noise_grows_with_the_signal():
    noisy = np.random.default_rng(0).poisson(scene()[0]).astype(np.uint16)
    made = train(Image(noisy, "YX"), brief(steps=2))
    assert made.config.objective == "squared_error"
    assert "regions are noisier" in made.provenance["finding"]


def test_pixels_stay_hidden_where_there_are_too_few():
    made = train(Image(scene(64)[1], "YX"), brief(steps=2))
    assert "oo few pixels" in made.provenance["finding"]
