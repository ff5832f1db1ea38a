"""Layers to images and back: nothing that a layer knows is lost on the way."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image as ImageLayer

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.image import UNNAMED_AXES, Image
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.noise_models import NoiseDistribution

_WORDS = {"t": "T", "time": "T", "z": "Z", "depth": "Z", "plane": "Z", "c": "C"}
_WORDS |= {"channel": "C", "ch": "C", "y": "Y", "x": "X"}

METADATA_KEY = "selfdenoise"
"""Where result layers keep their provenance in `layer.metadata`."""


def image_from_layer(layer: ImageLayer) -> Image:
    """Return the pixels of an image layer with their axes; lazy arrays stay lazy.

    Raises
    ------
    RequestError
        If the layer has fewer than two dimensions.
    """
    data = layer.data[0] if layer.multiscale else layer.data
    if layer.ndim < 2:
        raise RequestError(
            f"The layer {layer.name} has {layer.ndim} dimension; two are needed.",
            "Choose an image.",
        )
    axes = axes_of(tuple(layer.axis_labels))
    scale = tuple(float(step) for step in layer.scale)
    units = tuple(f"{unit:~}" if unit else "pixel" for unit in layer.units)
    if layer.rgb:
        axes, scale, units = axes + "S", (*scale, 1.0), (*units, "pixel")
    return Image(data, axes, scale, units, layer.name)


def axes_of(labels: tuple[str, ...]) -> str:
    """Letters of axes by their labels; the last two are Y and X unless named."""
    letters = [_WORDS.get(label.lower(), "") for label in labels]
    if letters.count("Y") != 1 or letters.count("X") != 1:
        letters = ["" if letter in ("Y", "X") else letter for letter in letters]
        letters[-2:] = ["Y", "X"]
    spare = iter(UNNAMED_AXES)
    named = [
        letter if letter and letter not in letters[:place] else next(spare, "")
        for place, letter in enumerate(letters)
    ]
    return "".join(named)


def layer_from_image(image: Image) -> tuple[Any, dict[str, Any]]:
    """Return data and options of a layer that shows an image from a file."""
    rgb = "S" in image.axes
    shown = image.ndim - rgb
    options = {
        "name": image.name,
        "scale": image.pixel_size[:shown],
        "units": image.units[:shown],
        "axis_labels": tuple(image.axes[:shown].lower()),
        "rgb": rgb,
    }
    return image.data, options


def appearance(layer: ImageLayer) -> dict[str, Any]:
    """Place and look of a layer, for results that belong on top of it."""
    return {
        "scale": layer.scale,
        "translate": layer.translate,
        "rotate": layer.rotate,
        "shear": layer.shear,
        "affine": layer.affine,
        "units": layer.units,
        "axis_labels": layer.axis_labels,
        "colormap": layer.colormap,
        "contrast_limits": layer.contrast_limits,
        "gamma": layer.gamma,
        "blending": layer.blending,
        "interpolation2d": layer.interpolation2d,
        "rgb": False,
    }


def noise_std_appearance(look: dict[str, Any], model: TrainedModel) -> dict[str, Any]:
    """Look of the noise std layer: in the same place, on a scale of its own."""
    highest = max(float(curve.std.max()) for curve in model.noise_curves)
    return look | {
        "colormap": "viridis",
        "contrast_limits": (0.0, highest),
        "gamma": 1.0,
    }


def distribution_options(
    distribution: NoiseDistribution, name: str, units: tuple[Any, ...]
) -> dict[str, Any]:
    """Options of the layer that shows how residuals scatter at each signal.

    Its axes are intensities in raw units. It is given the `units` of the image all the
    same: napari drops the units of all layers, and the scale bar, where some differ.
    """
    return {
        "name": name,
        "scale": distribution.steps,
        "translate": distribution.origin,
        "axis_labels": ("residual", "signal"),
        "units": units[-2:],
        "colormap": "magma",
        "contrast_limits": (0.0, float(np.max(distribution.density))),
        # It lives in intensities, not in the image's space: shown when asked for.
        "visible": False,
    }


def provenance(model: TrainedModel, source: str) -> dict[str, Any]:
    """What `layer.metadata` says of a result: where it came from, and how."""
    return {
        METADATA_KEY: {
            "source": source,
            "config": model.config.model_dump(mode="json"),
            "provenance": model.provenance,
            "noise_curves": [curve.to_json() for curve in model.noise_curves],
        }
    }
