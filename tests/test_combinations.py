"""Every combination of parts trains and predicts, or says why it makes no sense."""

import contextlib
import itertools
import os
from typing import get_args

import numpy as np
import pytest

from napari_selfdenoise import Image, RequestError, TrainingConfig, denoise, train
from napari_selfdenoise.noise import noise_level as level
from napari_selfdenoise.noise.calibration import fit_noise
from napari_selfdenoise.parts.noise_models import GaussianNoise, save_noise_model
from napari_selfdenoise.prediction import result_shapes
from napari_selfdenoise.training import curriculum, training_loop

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("brief_fits")]

PARTS = ("masking", "network", "signal", "noise_model", "psf", "estimator")
OBJECTIVES = get_args(TrainingConfig.model_fields["objective"].annotation)

SMALL = {
    "budget_s": None,
    "steps": 2,
    "patch_size": 16,
    "batch_size": 1,
    "device": "cpu",
    "precision": "float32",
    "flips": False,
}
FEW = {  # what keeps each kind small
    ("network", "unet"): {"width": 4, "depth": 1},
    ("network", "half_plane"): {"width": 4, "depth": 1},
    ("signal", "sampled"): {"samples": 5},
    ("noise_model", "network"): {"width": 4},
    ("noise_model", "histogram"): {"bins": 16},
    ("estimator", "posterior_samples"): {"samples": 2},
    ("masking", "bins"): {"size": 2},
    ("masking", "shape"): {"footprint": "3x3", "fraction": 0.02},
}


def kinds(part):
    members = get_args(TrainingConfig.model_fields[part].annotation)
    return [member.model_fields["kind"].default for member in members]


COMBINATIONS = list(itertools.product(*(kinds(part) for part in PARTS), OBJECTIVES))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A noise model and a bead, as files."""
    folder = tmp_path_factory.mktemp("calibration")
    rng = np.random.default_rng(0)
    signal = rng.uniform(50, 150, 2000)
    fitted = fit_noise(GaussianNoise(), signal, signal + rng.normal(0, 10, 2000))
    y, x = np.mgrid[-8:9, -8:9]
    bead = 10 + 1000 * np.exp(-(x**2 + y**2) / 2)
    from napari_selfdenoise import write_image

    write_image(Image(bead.astype(np.float32), "YX"), folder / "bead.tif")
    return {
        ("noise_model", "file"): {"file": str(save_noise_model(fitted, folder / "n"))},
        ("psf", "measured"): {"file": str(folder / "bead.tif")},
        ("psf", "optical"): {"pixel_size_nm": 100.0},
    }


def config_of(combination, files):
    changes = dict(SMALL)
    *chosen, changes["objective"] = combination
    for part, kind in zip(PARTS, chosen, strict=True):
        extra = FEW.get((part, kind), {}) | files.get((part, kind), {})
        changes[part] = {"kind": kind} | extra
    return TrainingConfig().override(changes)


def test_every_combination_is_valid_or_refused_with_a_sentence(files):
    valid, reasons = 0, set()
    for combination in COMBINATIONS:
        try:
            config_of(combination, files)
            valid += 1
        except RequestError as error:
            assert error.message.endswith(".")
            reasons.add(error.message)
    assert valid > 1000
    assert all(": choose" in reason for reason in reasons)
    assert len(reasons) < 15  # sentences about parts, not about combinations


def image(channels):
    rng = np.random.default_rng(0)
    clean = 100 + 40 * np.sin(np.arange(36) / 3)[:, None] * np.ones(32)
    shape = (2, 36, 32) if channels == 2 else (36, 32)
    noisy = (clean + rng.normal(0, 8, shape)).round().astype(np.uint16)
    return Image(noisy, "CYX" if channels == 2 else "YX")


def pairs(combination):
    """Choices of any two parts in a combination."""
    return set(itertools.combinations(enumerate(combination), 2))


def covering(valid, seed=0, looked_at=200):
    """Few valid combinations in which each two choices that go together meet."""
    rng = np.random.default_rng(seed)
    left = set().union(*(pairs(combination) for combination in valid))
    chosen = []
    while left:
        missing = min(left)
        fitting = [one for one in valid if missing in pairs(one)]
        order = rng.permutation(len(fitting))[:looked_at]
        best = max((fitting[i] for i in order), key=lambda one: len(left & pairs(one)))
        left -= pairs(best)
        chosen.append(best)
    return chosen


def require_shapes(noisy, config):
    result = denoise(noisy, train(noisy, config), device="cpu")
    shapes = {name: i.shape for name, i in result.images.items()}
    assert shapes == result_shapes(noisy, config), config
    for name, found in result.images.items():
        assert np.isfinite(found.data).all(), (config, name)
        assert found.data.dtype == np.float32


@pytest.fixture(autouse=True)
def brief_fits(monkeypatch):
    """Noise models take few steps: here it matters that they can."""
    monkeypatch.setattr(training_loop, "THOROUGH", training_loop.Effort(1e8, 3))


@pytest.fixture(autouse=True)
def simple_noise(monkeypatch):
    """Few pixels tell enough for Stein's risk, from the second step on."""
    monkeypatch.setattr(level, "_GROUP", 4)
    monkeypatch.setattr(level, "_EVEN", 100.0)
    monkeypatch.setattr(level, "_EXCESS", 100.0)
    monkeypatch.setattr(curriculum, "_SURE", (curriculum.Moment(0.2, 1),))


def valid_configs(files):
    configs = {}
    for combination in COMBINATIONS:
        with contextlib.suppress(RequestError):
            configs[combination] = config_of(combination, files)
    return configs


def test_choices_of_any_two_parts_train_and_predict(files):
    """All combinations, which take hours, with SELFDENOISE_EVERY_COMBINATION=1."""
    configs = valid_configs(files)
    every = bool(os.environ.get("SELFDENOISE_EVERY_COMBINATION"))
    for combination in configs if every else covering(list(configs)):
        require_shapes(image(1), configs[combination])


def test_channels_have_their_own(files):
    configs = valid_configs(files)
    for combination in list(configs)[:: len(configs) // 20]:
        require_shapes(image(2), configs[combination])
