"""Every combination of parts trains and predicts, or says why it makes no sense."""

import itertools
from typing import get_args

import numpy as np
import pytest

from napari_selfdenoise import Image, RequestError, TrainingConfig, denoise, train
from napari_selfdenoise.calibration import fit_noise
from napari_selfdenoise.noise_file import save_noise_model
from napari_selfdenoise.noise_models import GaussianNoise
from napari_selfdenoise.prediction import result_shapes

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
    clean = 100 + 40 * np.sin(np.arange(24) / 3)[:, None] * np.ones(20)
    shape = (2, 24, 20) if channels == 2 else (24, 20)
    noisy = (clean + rng.normal(0, 8, shape)).round().astype(np.uint16)
    return Image(noisy, "CYX" if channels == 2 else "YX")


def some(valid, seed, count):
    """So many combinations of each choice of each part, drawn at random."""
    rng = np.random.default_rng(seed)
    drawn = {}
    for number, part in enumerate(PARTS):
        for kind in kinds(part):
            fitting = [pair for pair in valid if pair[0][number] == kind]
            assert fitting, f"no valid combination has {part} {kind}"
            chosen = rng.permutation(len(fitting))[:count]
            drawn |= dict(fitting[i] for i in chosen)
    return drawn.items()


@pytest.mark.parametrize(("channels", "count"), [(1, 2), (2, 1)])
def test_valid_combinations_train_and_predict(files, channels, count):
    valid = []
    for combination in COMBINATIONS:
        try:
            valid.append((combination, config_of(combination, files)))
        except RequestError:
            continue
    noisy = image(channels)
    for combination, config in some(valid, channels, count):
        result = denoise(noisy, train(noisy, config), device="cpu")
        shapes = {name: i.shape for name, i in result.images.items()}
        assert shapes == result_shapes(noisy, config), combination
        for name, found in result.images.items():
            assert np.isfinite(found.data).all(), (combination, name)
            assert found.data.dtype == np.float32
