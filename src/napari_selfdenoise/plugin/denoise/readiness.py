"""What stands below the layer: how it is understood, or why it cannot teach."""

from __future__ import annotations

from napari.layers import Image as ImageLayer

from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.defects import ways_out
from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.images import Image
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.plugin.viewer.layers import (
    fits,
    image_from_layer,
    understood,
    unnamed_axes,
)
from napari_selfdenoise.training import require_continuable, require_trainable

_CHOOSE_AXES = "Confirm or choose below what they are: time, depth or channels."


def axes_text(layer: ImageLayer | None, image: Image | None) -> str:
    """How axes were understood, and what can be done below where that is too little.

    Parameters
    ----------
    layer, image : optional
        The layer that is chosen, and its pixels.
    """
    text = understood(layer, {} if image is None else ways_out(image))
    unnamed = layer is not None and fits(layer) and unnamed_axes(layer)
    return f"{text} {_CHOOSE_AXES}" if unnamed else text


def image_of(layer: ImageLayer | None) -> Image | None:
    """The pixels of a layer, also where they cannot be denoised."""
    return None if layer is None or layer.ndim < 2 else image_from_layer(layer)


def why_not_trained(layer: ImageLayer, config: TrainingConfig) -> str:
    """Why nothing can be learned from a layer with these settings; else empty."""
    try:
        require_trainable([image_from_layer(layer)], config)
    except (RequestError, DenoisingError) as error:
        return str(error)
    return ""


def why_not_continued(
    layer: ImageLayer, config: TrainingConfig, model: TrainedModel
) -> str:
    """Why a training could not go on from a model; else empty."""
    try:
        require_continuable(image_from_layer(layer), config, model)
    except (RequestError, DenoisingError) as error:
        return str(error)
    return ""
