"""What images and settings must be like to be trained with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import Image, require_denoisable
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.parts.context import Context, NeighbouringPlanes
from napari_selfdenoise.parts.masking import AutomaticMask
from napari_selfdenoise.parts.networks import UNet
from napari_selfdenoise.training.patches import require_room


def require_trainable(
    images: Sequence[Image], config: TrainingConfig, start: TrainedModel | None = None
) -> list[str]:
    """Refuse what cannot be learned from, by type, shape and settings alone.

    Pixels are not looked at, so that lazy images stay lazy.

    Parameters
    ----------
    images : sequence of Image
        To train on.
    config : TrainingConfig
        What is to be trained.
    start : TrainedModel, optional
        To continue from.

    Returns
    -------
    list of str
        Sentences the user should read, as from `require_denoisable`.

    Raises
    ------
    RequestError
        If an image cannot be denoised or is too small, or if images, config and model
        do not go together.
    """
    if not images:
        raise RequestError("There is no image to train on.", "Choose one.")
    notes = [note for image in images for note in require_denoisable(image)]
    for image in images:
        require_room(image, config.network.stride, config.masking.binning)
    if len({image.channels for image in images}) > 1:
        raise RequestError(
            "The images have different numbers of channels "
            f"({', '.join(str(image.channels) for image in images)}).",
            "Train on images of the same kind together.",
        )
    if start:
        require_continuable(images[0], config, start)
    return list(dict.fromkeys(notes))


def why_not_learned(image: Image, config: TrainingConfig) -> str:
    """Why an image cannot be learned from; empty where it can."""
    try:
        require_trainable([image], config)
    except RequestError as error:
        return str(error)
    return ""


def require_continuable(
    image: Image, config: TrainingConfig, start: TrainedModel
) -> None:
    """Refuse to go on from a model with other settings than those it was made with.

    Parameters
    ----------
    image : Image
        To train on; its pixels are not looked at.
    config : TrainingConfig
        What is to be trained.
    start : TrainedModel
        To continue from.

    Raises
    ------
    RequestError
        If the network, what it predicts, its noise model, point spread function or
        masking differ, or the image has other channels than the model.
    """
    start.require_fits(image)
    made, config = start.config, continued(config, start.config)
    if made.supervision != config.supervision:
        raise RequestError(
            f"The model was trained {_LEARNED_FROM[made.supervision]}, and cannot go "
            f"on {_LEARNED_FROM[config.supervision]}.",
            "Choose the same kind of images again, or do not continue.",
        )
    if differing := _differing(made, config):
        raise RequestError(
            "Continue needs the settings that the model was trained with; here "
            f"differ: {differing}.",
            "Set them as they were, or do not continue.",
        )
    sizes = made.masking.binning, config.masking.binning
    if sizes[0] != sizes[1]:
        raise RequestError(
            "Continue needs the masking that the model was trained with: "
            f"{_bins_text(sizes[0])}, not {_bins_text(sizes[1])}.",
            "Choose the automatic masking, or do not continue.",
        )


def continued(config: TrainingConfig, made: TrainingConfig) -> TrainingConfig:
    """Settings to continue with: what follows the image is what it was.

    Parameters
    ----------
    config : TrainingConfig
        What is to be trained.
    made : TrainingConfig
        Of the model to continue from.
    """
    changes: dict[str, Any] = {}
    if isinstance(config.masking, AutomaticMask):
        changes["masking"] = made.masking
    if isinstance(config.network, UNet) and config.network.scales:
        changes["network"] = made.network
    if config.context.measured or _alike(config.context, made.context):
        changes["context"] = made.context
    if config.channels.measured or config.channels.kind == made.channels.kind:
        changes["channels"] = made.channels
    return config.model_copy(update=changes)


def _alike(context: Context, made: Context) -> bool:
    """Whether a context is that of a network; what is to be measured follows it."""
    if isinstance(context, NeighbouringPlanes) and context.still_planes is None:
        if not isinstance(made, NeighbouringPlanes):
            return False
        fewer = bool(made.still_planes) and made.planes < context.planes
        return fewer or made.planes == context.planes
    return context.count == made.count and context.volumetric == made.volumetric


def _differing(made: TrainingConfig, config: TrainingConfig) -> str:
    """Settings of a network that differ, such as "width 4 (16 in the model)"."""
    found = []
    for part in ("network", "context", "channels", "signal", "noise_model", "psf"):
        old, new = getattr(made, part), getattr(config, part)
        title = str(TrainingConfig.model_fields[part].title).lower()
        if type(old) is not type(new):
            found.append(f"{title} {new.kind} ({old.kind} in the model)")
            continue
        found += [
            f"{title} {str(field.title or name).lower()}{_values(new, old, name)}"
            for name, field in type(new).model_fields.items()
            if getattr(old, name) != getattr(new, name)
            and not (name in _FROM_FILES and bool(getattr(new, "file", "")))
        ]
    return ", ".join(found)


_LEARNED_FROM = {
    "self": "on single exposures",
    "pair": "on pairs of exposures",
    "noise_free": "with a noise-free image",
}

_FROM_FILES = ("curve", "values")
"""Fields that `resolve_files` fills: where a file is named, its name says it all."""


def _values(new: Any, old: Any, name: str) -> str:
    """Two values of a field, where they are short enough to be read."""
    if name in _FROM_FILES:
        return ""
    return f" {getattr(new, name)} ({getattr(old, name)} in the model)"


def _bins_text(size: int) -> str:
    return f"bins of {size} × {size} px" if size > 1 else "single pixels"
