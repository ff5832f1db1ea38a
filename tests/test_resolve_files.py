"""Files that a config names become values at the start of a run."""

import numpy as np
import pytest

from napari_selfdenoise import (
    Image,
    RequestError,
    denoise,
    load_model,
    recipe,
    save_model,
    train,
    write_image,
)
from napari_selfdenoise.config import resolve_files
from napari_selfdenoise.parts.noise_models import (
    FittedNoise,
    NoiseCurve,
    PoissonGaussianNoise,
    save_noise_model,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def image():
    rng = np.random.default_rng(0)
    pixels = rng.normal(200, 10, (48, 48)).astype(np.float32)
    return Image(pixels, "YX", (0.1, 0.1), ("µm", "µm"))


@pytest.fixture
def config(tmp_path):
    """Noise model and bead from files, and hardly a training."""
    signal = np.linspace(0, 400, 50)
    curve = NoiseCurve.gaussian(signal, np.full(50, 10.0))
    noise = PoissonGaussianNoise()
    fitted = FittedNoise(noise.kind, noise, curve, (0.0, 400.0), (0.0, 100.0), 5.0)
    file = save_noise_model(fitted, tmp_path / "camera")
    y, x = np.ogrid[-15:16, -15:16]
    bead = (100 + 1000 * np.exp(-(y**2 + x**2) / 4)).astype(np.float32)
    write_image(Image(bead, "YX", (0.1, 0.1), ("µm", "µm")), tmp_path / "bead.tif")
    changes = {"steps": 2, "patch_size": 16, "network.width": 4, "device": "cpu"}
    changes |= {"noise_model": {"kind": "file", "file": str(file)}}
    changes |= {"psf": {"kind": "measured", "file": str(tmp_path / "bead.tif")}}
    return recipe("deconoising").override(changes)


def test_values_take_the_place_of_files_and_names_stay(config):
    assert config.noise_model.curve is None and config.psf.values is None
    resolved = resolve_files(config)
    assert resolved.noise_model.curve and resolved.psf.values
    assert resolved.noise_model.file == config.noise_model.file
    assert resolved.psf.file == config.psf.file
    plain = recipe("fast")
    assert resolve_files(plain) == plain


def test_a_model_means_the_same_when_its_files_are_gone(config, image, tmp_path):
    model = train(image, config)
    path = save_model(model, tmp_path / "model")
    before = denoise(image, model, device="cpu")
    for file in (config.noise_model.file, config.psf.file):
        (tmp_path / file).unlink()
    again = load_model(path)
    after = denoise(image, again, device="cpu")
    for name, made in before.images.items():
        np.testing.assert_array_equal(made.data, after.images[name].data)
    longer = train(image, config, start=again)  # the same names: nothing is read
    assert longer.config.noise_model == model.config.noise_model
    with pytest.raises(RequestError, match="no noise model file"):
        train(image, config)


def test_another_file_is_another_setting(config, image, tmp_path):
    model = train(image, config)
    other = config.override({"psf": {"kind": "measured", "file": "other.tif"}})
    with pytest.raises(RequestError, match=r"bead image other\.tif \(.*bead\.tif in"):
        train(image, other, start=model)
