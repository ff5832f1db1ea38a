"""The files that a version wrote, which all later versions must read.

    python tests/data/make.py

Run once, with the version that is to be kept; it replaces the files.
"""

from pathlib import Path

import numpy as np

from napari_selfdenoise import Image, denoise, recipe, save_model, train
from napari_selfdenoise.noise.calibration import calibrate
from napari_selfdenoise.parts.noise_models import (
    GaussianMixtureNoise,
    HistogramNoise,
    PoissonGaussianNoise,
    save_noise_model,
)

FOLDER = Path(__file__).parent
RECIPES = ("fast", "ollion", "pn2v", "khademi", "deconoising", "structn2v")
NOISE_MODELS = (
    HistogramNoise(bins=16),  # as small as can be
    GaussianMixtureNoise(),
    PoissonGaussianNoise(),
)
SMALL = {
    "steps": 2,
    "budget_s": None,
    "batch_size": 2,
    "patch_size": 16,
    "device": "cpu",
    "precision": "float32",
}


def image() -> Image:
    """A frame of 24 x 24 px whose noise grows with the signal."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:24, :24]
    signal = 200 + 100 * np.sin(y / 3) * np.sin(x / 4)
    noise = rng.normal(0, np.sqrt(signal + 25))
    return Image((signal + noise).astype(np.float32), "YX", name="frame")


def frames() -> Image:
    """Frames of a still scene."""
    rng = np.random.default_rng(1)
    signal = np.linspace(100, 900, 64 * 64).reshape(64, 64)
    shot = rng.poisson(signal, (12, 64, 64)) + rng.normal(0, 5, (12, 64, 64))
    return Image(np.rint(shot).astype(np.uint16), "TYX", name="camera")


def main() -> None:
    """Write models, what they predict, and noise models."""
    predictions = {}
    for name in RECIPES:
        depth = "network.depth"
        config = recipe(name).override(SMALL | {"network.width": 4, depth: 1})
        if config.noise_model.kind == "histogram":
            config = config.override({"noise_model.bins": 16})
        model = train(image(), config)
        save_model(model, FOLDER / f"{name}.safetensors")
        predictions[name] = denoise(image(), model, device="cpu").denoised.data
    np.savez_compressed(FOLDER / "predictions.npz", **predictions)
    for noise_model in NOISE_MODELS:
        fitted = calibrate(frames(), noise_model)
        save_noise_model(fitted, FOLDER / fitted.kind)


if __name__ == "__main__":
    main()
