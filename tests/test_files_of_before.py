"""Model and noise files that an earlier version wrote mean the same today."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from napari_selfdenoise import denoise, load_model
from napari_selfdenoise.config import parse_config, resolve_files
from napari_selfdenoise.images import UNTURNED
from napari_selfdenoise.parts.noise_models import load_noise_model
from napari_selfdenoise.prediction.tile_views import TileViews

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parent / "data"
SPEC = importlib.util.spec_from_file_location("make", FOLDER / "make.py")
make = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(make)


@pytest.mark.parametrize("name", make.RECIPES)
def test_a_model_of_before_predicts_what_it_predicted(name, monkeypatch):
    """All orientations were averaged then, mirrored ones too."""

    def every_turn(views):
        flips = views.config.flips
        return views.config.masking.orientations if flips else (UNTURNED,)

    monkeypatch.setattr(TileViews, "turns", property(every_turn))
    model = load_model(FOLDER / f"{name}.safetensors")
    assert model.config.recipe == name and model.provenance["steps"] == 2
    found = denoise(make.image(), model, device="cpu").denoised.data
    expected = np.load(FOLDER / "predictions.npz")[name]
    # Other processors round otherwise.
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    assert np.ptp(expected) > 1


@pytest.mark.parametrize("kind", [model.kind for model in make.NOISE_MODELS])
def test_a_noise_model_of_before_says_what_it_said(kind):
    """The camera's variance is its signal + 25."""
    fitted = load_noise_model(FOLDER / f"{kind}.noise.json")
    assert fitted.kind == fitted.config.kind == kind
    assert fitted.provenance["image"] == "camera"
    signal = np.linspace(200, 800, 20, dtype=np.float32)
    std = fitted.curve.std_at(signal)
    np.testing.assert_allclose(std, np.sqrt(signal + 25), rtol=0.1)


@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_file_name_of_before_is_no_file(name):
    """In models and settings files, where a layer took the place of a file."""
    curve = {"signal": [0.0], "weights": [[1.0]], "means": [[0.0]], "stds": [[2.0]]}
    curve["poisson_gaussian"] = None
    noise = {"kind": "file", "file": name, "curve": curve}
    bead = {"kind": "measured", "file": name, "values": [[1.0]]}
    config = parse_config({"noise_model": noise, "psf": bead})
    assert config.noise_model.file is None and config.psf.file is None
    assert resolve_files(config) == config
    assert parse_config(config.model_dump(mode="json")) == config
