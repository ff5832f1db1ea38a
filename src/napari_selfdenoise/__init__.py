"""Denoise one noisy microscopy image with no clean image.

Examples
--------
>>> from napari_selfdenoise import denoise, read_image, recipe, train, write_image
>>> image = read_image("noisy.tif")  # doctest: +SKIP
>>> model = train(image, recipe("fast"))  # doctest: +SKIP
>>> write_image(denoise(image, model).denoised, "denoised.tif")  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari_selfdenoise.version import __version__

if TYPE_CHECKING:
    from napari_selfdenoise.config.recipes import recipe
    from napari_selfdenoise.config.training_config import TrainingConfig
    from napari_selfdenoise.errors import DenoisingError, RequestError
    from napari_selfdenoise.images import read_image, write_image
    from napari_selfdenoise.images.image import Image
    from napari_selfdenoise.long_work import STOP
    from napari_selfdenoise.model.model_file import load_model, save_model
    from napari_selfdenoise.model.trained_model import TrainedModel
    from napari_selfdenoise.parts.noise_models import NoiseCurve
    from napari_selfdenoise.prediction.predict import Denoised, denoise, predict_tiles
    from napari_selfdenoise.training.training_run import train, train_steps

_HOMES = {
    "STOP": "long_work",
    "Denoised": "prediction.predict",
    "DenoisingError": "errors",
    "Image": "images.image",
    "NoiseCurve": "parts.noise_models",
    "RequestError": "errors",
    "TrainedModel": "model.trained_model",
    "TrainingConfig": "config.training_config",
    "denoise": "prediction.predict",
    "load_model": "model.model_file",
    "predict_tiles": "prediction.predict",
    "read_image": "images",
    "recipe": "config.recipes",
    "save_model": "model.model_file",
    "train": "training.training_run",
    "train_steps": "training.training_run",
    "write_image": "images",
}

__all__ = [
    "STOP",
    "Denoised",
    "DenoisingError",
    "Image",
    "NoiseCurve",
    "RequestError",
    "TrainedModel",
    "TrainingConfig",
    "__version__",
    "denoise",
    "load_model",
    "predict_tiles",
    "read_image",
    "recipe",
    "save_model",
    "train",
    "train_steps",
    "write_image",
]


def __getattr__(name: str) -> Any:
    # torch takes a second to import: napari's menus must not wait for it.
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
