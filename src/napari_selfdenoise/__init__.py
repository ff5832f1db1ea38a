"""Denoise one noisy microscopy image without a noise-free one.

Examples
--------
>>> from napari_selfdenoise import denoise, read_image, recipe, train, write_image
>>> image = read_image("noisy.tif")  # doctest: +SKIP
>>> model = train(image, recipe("fast"))  # doctest: +SKIP
>>> write_image(denoise(image, model).denoised, "denoised.tif")  # doctest: +SKIP
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari_selfdenoise.version import __version__

if TYPE_CHECKING:
    from napari_selfdenoise.config import TrainingConfig, recipe
    from napari_selfdenoise.errors import DenoisingError, RequestError
    from napari_selfdenoise.images import Image, read_image, write_image
    from napari_selfdenoise.long_work import STOP
    from napari_selfdenoise.model import TrainedModel, load_model, save_model
    from napari_selfdenoise.parts.noise_models import NoiseCurve
    from napari_selfdenoise.prediction import Denoised, denoise, predict_tiles
    from napari_selfdenoise.training import train, train_steps

if sys.platform == "darwin":
    # What Apple's GPUs lack runs on the CPU then, and no run ends for it. PyTorch reads
    # this once, when it is imported.
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")

# Import paths that earlier documentation named are found in a folder of their own.
__path__ = [*__path__, f"{__path__[0]}/former"]

_HOMES = {
    "STOP": "long_work",
    "Denoised": "prediction",
    "DenoisingError": "errors",
    "Image": "images",
    "NoiseCurve": "parts.noise_models",
    "RequestError": "errors",
    "TrainedModel": "model",
    "TrainingConfig": "config",
    "denoise": "prediction",
    "load_model": "model",
    "predict_tiles": "prediction",
    "read_image": "images",
    "recipe": "config",
    "save_model": "model",
    "train": "training",
    "train_steps": "training",
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
