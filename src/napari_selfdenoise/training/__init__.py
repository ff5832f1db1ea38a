"""From an image and a config to a model: `train_steps` is the way in.

For prediction (previews), run_time, demo, command line and window.
"""

from napari_selfdenoise.training.channel_choice import CHANNELS_ALONE
from napari_selfdenoise.training.checkpoint import (
    Checkpoint,
    checkpoint_path,
    read_checkpoint,
)
from napari_selfdenoise.training.interrupted import (
    Interrupted,
    KeptImage,
    KeptImages,
    KeptTraining,
    Reopened,
    last_interrupted,
)
from napari_selfdenoise.training.plane_reader import MAX_TRAINING_PIXELS
from napari_selfdenoise.training.preview import Preview
from napari_selfdenoise.training.progress import FINISHING, LEARNING, TrainingProgress
from napari_selfdenoise.training.requirements import (
    require_continuable,
    require_trainable,
    why_not_learned,
)
from napari_selfdenoise.training.resolve import PLANES_ALONE, resolve_masking
from napari_selfdenoise.training.schedule import Schedule
from napari_selfdenoise.training.training_run import (
    Training,
    preload,
    train,
    train_steps,
)

__all__ = [
    "CHANNELS_ALONE",
    "FINISHING",
    "LEARNING",
    "MAX_TRAINING_PIXELS",
    "PLANES_ALONE",
    "Checkpoint",
    "Interrupted",
    "KeptImage",
    "KeptImages",
    "KeptTraining",
    "Preview",
    "Reopened",
    "Schedule",
    "Training",
    "TrainingProgress",
    "checkpoint_path",
    "last_interrupted",
    "preload",
    "read_checkpoint",
    "require_continuable",
    "require_trainable",
    "resolve_masking",
    "train",
    "train_steps",
    "why_not_learned",
]
