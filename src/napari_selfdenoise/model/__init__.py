"""A trained model, one run of its network, and its file.

For training, prediction and what stands above them.
"""

from napari_selfdenoise.model.library import KeptModel, ModelLibrary
from napari_selfdenoise.model.model_file import (
    SUFFIX,
    load_model,
    model_digest,
    model_path,
    save_model,
)
from napari_selfdenoise.model.trained_model import (
    ChannelModel,
    LossHistory,
    Outputs,
    TrainedModel,
    on_device,
    run,
    run_at,
)

__all__ = [
    "SUFFIX",
    "ChannelModel",
    "KeptModel",
    "LossHistory",
    "ModelLibrary",
    "Outputs",
    "TrainedModel",
    "load_model",
    "model_digest",
    "model_path",
    "on_device",
    "run",
    "run_at",
    "save_model",
]
