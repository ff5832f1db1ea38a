"""Paired training: what two exposures, or a noise-free image, teach more than one."""

import numpy as np
import pytest

from napari_selfdenoise import (
    Image,
    RequestError,
    cli,
    denoise,
    load_model,
    read_image,
    recipe,
    save_model,
    train,
    write_image,
)
from napari_selfdenoise.config import parse_config, supervised
from napari_selfdenoise.evaluation import psnr
from napari_selfdenoise.parts.estimators import BlindMean, PosteriorMean, SinglePass
from napari_selfdenoise.run_time import estimate_run

GAIN, READ = 2.0, 3.0
SMALL = {
    "steps": 60,
    "network.width": 8,
    "network.depth": 1,
    "patch_size": 48,
    "device": "cpu",
    "precision": "float32",
    "flips": False,
    "noise_model": "unmodelled",
}


def scene():
    """Waves and squares, (Y, X), grey values."""
    y, x = np.mgrid[:96, :96]
    waves = 100 + 60 * np.sin(x / 5) * np.cos(y / 7)
    return waves + 60 * ((x // 16 + y // 16) % 2)


def exposure(seed):
    rng = np.random.default_rng(seed)
    signal = scene()
    noisy = GAIN * rng.poisson(signal / GAIN) + rng.normal(0, READ, signal.shape)
    return noisy.astype(np.float32)


def image(pixels):
    return Image(np.asarray(pixels, np.float32), "YX")


def quality(result):
    return psnr(result.denoised.data, scene(), 200)


CONFIG = recipe("fast").override(SMALL)
FIRST, SECOND = exposure(1), exposure(2)


@pytest.fixture(scope="module")
def paired():
    return train(image(FIRST), CONFIG, pair=image(SECOND))


@pytest.fixture(scope="module")
def alone():
    """Results of single exposures."""
    return [denoise(image(x), train(image(x), CONFIG)) for x in (FIRST, SECOND)]


@pytest.mark.slow
def test_two_exposures_come_closer_to_the_signal_than_one(paired, alone):
    """Even than the mean of what single exposures give with as many steps."""
    both = denoise(image(FIRST), paired, pair=image(SECOND))
    mean = np.mean([one.denoised.data for one in alone], axis=0)
    assert quality(both) > max(map(quality, alone)) + 0.5
    assert quality(both) > psnr(mean, scene(), 200)


@pytest.mark.slow
@pytest.mark.parametrize("estimator", [None, SinglePass()])
def test_the_order_of_two_exposures_does_not_matter(paired, estimator):
    ahead, back = (
        denoise(image(one), paired, pair=image(other), estimator=estimator)
        for one, other in ((FIRST, SECOND), (SECOND, FIRST))
    )
    np.testing.assert_array_equal(ahead.denoised.data, back.denoised.data)


@pytest.mark.slow
def test_the_difference_of_two_exposures_shows_the_noise(paired):
    signal = np.array([60.0, 100.0, 160.0])
    true = np.sqrt(GAIN * signal + READ**2)
    np.testing.assert_allclose(paired.noise_curves[0].std_at(signal), true, rtol=0.06)


@pytest.mark.slow
def test_the_error_of_the_result_is_known(paired):
    result = denoise(image(FIRST), paired, pair=image(SECOND))
    error = np.sqrt(np.mean((result.denoised.data - scene()) ** 2))
    (blend,) = result.blends
    assert blend.error == pytest.approx(error, rel=0.1)


@pytest.mark.slow
def test_weak_noise_is_not_made_worse():
    """A network of few steps is then worse than the mean of both exposures."""
    rng = np.random.default_rng(0)
    pair = [scene() + rng.normal(0, 0.5, scene().shape) for _ in range(2)]
    few = CONFIG.override({"steps": 5})
    model = train(image(pair[0]), few, pair=image(pair[1]))
    result = denoise(image(pair[0]), model, pair=image(pair[1]))
    raw = psnr(np.mean(pair, axis=0), scene(), 200)
    assert quality(result) > raw - 0.1


@pytest.mark.slow
def test_a_noise_free_image_teaches_single_images(alone):
    model = train(image(FIRST), CONFIG, noise_free=image(scene()))
    assert quality(denoise(image(FIRST), model)) > quality(alone[0])
    signal = np.array([60.0, 160.0])
    true = np.sqrt(GAIN * signal + READ**2)
    np.testing.assert_allclose(model.noise_curves[0].std_at(signal), true, rtol=0.06)


@pytest.mark.slow
def test_what_was_recorded_in_one_exposure_only_is_no_target():
    """The network is not taught that there is nothing where the other has a gap."""
    gap = SECOND.copy()
    gap[:, 40:70] = np.nan
    model = train(image(FIRST), CONFIG, pair=image(gap))
    result = denoise(image(FIRST), model, pair=image(gap))
    assert np.isfinite(result.denoised.data).all()
    inside = np.s_[8:-8, 44:66]
    apart = result.denoised.data[inside] - scene()[inside]
    assert abs(apart.mean()) < 3
    assert np.sqrt(np.mean(apart**2)) < np.sqrt(np.mean((FIRST - scene())[inside] ** 2))


@pytest.mark.slow
def test_equal_seeds_give_equal_results():
    few = CONFIG.override({"steps": 3})
    models = [train(image(FIRST), few, pair=image(SECOND)) for _ in range(2)]
    first, second = (denoise(image(FIRST), model).denoised.data for model in models)
    np.testing.assert_array_equal(first, second)


@pytest.mark.slow
def test_the_model_knows_how_it_was_trained(paired, tmp_path):
    model = load_model(save_model(paired, tmp_path / "model"))
    assert model.config.supervision == "pair"
    assert "Noise2Noise" in model.provenance["finding"]
    for estimator in (BlindMean(), PosteriorMean()):
        with pytest.raises(RequestError, match="own value"):
            denoise(image(FIRST), model, estimator=estimator)
    with pytest.raises(RequestError, match="on pairs of exposures"):
        train(image(FIRST), CONFIG, start=model)
    with pytest.raises(RequestError, match="none is given"):
        train(image(FIRST), model.config)


def test_a_model_of_single_exposures_does_not_denoise_two():
    model = train(image(FIRST), CONFIG.override({"steps": 1}))
    with pytest.raises(RequestError, match="single exposures"):
        denoise(image(FIRST), model, pair=image(SECOND))


def test_settings_of_before_are_those_of_single_images():
    content = CONFIG.model_dump()
    del content["supervision"]
    assert parse_config(content).supervision == "self"


@pytest.mark.parametrize("name", ["fast", "best", "n2v", "pn2v", "ppn2v", "ollion"])
def test_recipes_give_way_where_a_pair_teaches(name):
    config = supervised(recipe(name), "pair")
    assert not config.masking.masks_pixels
    assert config.objective == "squared_error"
    assert config.network == recipe(name).network


@pytest.mark.slow
def test_how_long_a_paired_run_takes_is_known():
    config = supervised(CONFIG.override({"steps": 1000}), "pair")
    found = estimate_run(image(FIRST), config)
    assert found.step_s > 0


def test_a_blind_network_is_refused():
    with pytest.raises(RequestError, match="choose the U-Net"):
        train(image(FIRST), recipe("khademi"), pair=image(SECOND))


def test_a_copy_is_refused_before_the_training():
    with pytest.raises(RequestError, match="same picture"):
        train(image(FIRST), CONFIG, pair=image(FIRST))


def test_there_is_one_target_for_each_image():
    with pytest.raises(RequestError, match="1 images, but 2"):
        train(image(FIRST), CONFIG, pair=[image(SECOND)] * 2)
    with pytest.raises(RequestError, match="Both a second exposure"):
        train(image(FIRST), CONFIG, pair=image(SECOND), noise_free=image(scene()))


def files(folder):
    pixels = {"first": FIRST, "second": SECOND, "signal": scene()}
    return [
        str(write_image(image(values), folder / f"{name}.tif"))
        for name, values in pixels.items()
    ]


FLAGS = ["--steps=3", "--network.width=4", "--network.depth=1", "--patch-size=16"]
FLAGS += ["--batch-size=2", "--no-flips", "--device=cpu", "--precision=float32"]


def selfdenoise(*arguments):
    """Run the command line; returns its exit status."""
    with pytest.raises(SystemExit) as end:
        cli.main([str(a) for a in arguments])
    return end.value.code


@pytest.mark.slow
def test_the_command_line_denoises_two_exposures(tmp_path, capsys):
    first, second, _ = files(tmp_path)
    both, again, kept = (tmp_path / name for name in ("both.tif", "again.tif", "model"))
    pair = "--pair", second
    done = selfdenoise("denoise", first, both, *pair, "--save-model", kept, *FLAGS)
    assert done == 0
    model = load_model(tmp_path / "model.safetensors")
    assert model.config.supervision == "pair"
    predict = "predict", tmp_path / "model.safetensors", first, again, *pair
    assert selfdenoise(*predict) == 0
    np.testing.assert_array_equal(read_image(both).data, read_image(again).data)
    assert selfdenoise(*predict[:3], tmp_path / "copy.tif", "--pair", first) == 2
    assert "same picture" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_line_learns_from_a_noise_free_image(tmp_path):
    first, _, signal = files(tmp_path)
    kept = "--model", tmp_path / "model"
    assert selfdenoise("train", first, *kept, "--noise-free", signal, *FLAGS) == 0
    model = load_model(tmp_path / "model.safetensors")
    assert model.config.supervision == "noise_free"


def test_the_command_line_wants_a_pair_for_each_input(tmp_path, capsys):
    first, second, signal = files(tmp_path)
    learn = "train", first, second, "--model", tmp_path / "model"
    assert selfdenoise(*learn, "--pair", second) == 2
    assert "2 inputs, but 1 files by --pair" in capsys.readouterr().err
    assert selfdenoise(*learn, "--pair", second, "--noise-free", signal) == 2
    assert "Both --pair" in capsys.readouterr().err
