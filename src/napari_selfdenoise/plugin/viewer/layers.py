"""Layers to images and back, with axes, scale, units, place and look."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from napari.layers import Image as ImageLayer
from numpy.typing import NDArray

from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.images import (
    UNNAMED_AXES,
    Image,
    as_line_scan,
    axis_letter,
    parse_pixel_size,
    require_denoisable,
    unit_symbol,
    with_pixel_size,
)
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.parts.noise_models import NoiseCurve, noise_distribution
from napari_selfdenoise.plugin.viewer.marks import METADATA_KEY as METADATA_KEY

FILE_KEY = "selfdenoise_file"
"""Key in `layer.metadata` of notes and look of the file that it was read from."""

_SPLIT = "Split it into channels: right-click the layer in the list > Split RGB."

OTHER_AXIS = "sample"
"""Label of axes that are known to be neither time, depth nor channels."""


def image_from_layer(layer: ImageLayer) -> Image:
    """Return the pixels of an image layer with their axes; lazy arrays stay lazy.

    Raises
    ------
    RequestError
        If the layer has fewer than two dimensions.
    """
    if layer.ndim < 2:
        raise RequestError(
            f"The layer {layer.name} has {layer.ndim} dimension; two are needed.",
            "Choose an image.",
        )
    axes = axes_of(tuple(layer.axis_labels))
    scale = tuple(float(step) for step in layer.scale)
    # pint writes µ with either of two letters, by its version.
    units = tuple(unit_symbol(f"{unit:~}") if unit else "pixel" for unit in layer.units)
    if layer.rgb:
        axes, scale, units = axes + "S", (*scale, 1.0), (*units, "pixel")
    found = layer.metadata.get(FILE_KEY, {})
    image = Image(
        pixels_of(layer),
        axes,
        scale,
        units,
        layer.name,
        notes=tuple(found.get("notes", ())),
        look=found.get("look"),
        channel_names=tuple(found.get("channel_names", ())),
        acquisition=found.get("acquisition"),
    )
    return as_line_scan(image)


def pixels_of(layer: Any) -> Any:
    """Pixels of an image or labels layer at full resolution; lazy arrays stay lazy."""
    return layer.data[0] if layer.multiscale else layer.data


def denoisable_image(layer: ImageLayer | None) -> Image:
    """Return the pixels of an image layer, where they can be denoised.

    Raises
    ------
    RequestError
        If there is no layer, or its image cannot be denoised.
    """
    if layer is None:
        raise RequestError(
            "There is no image layer.",
            "Open an image, drop a TIFF file here, or try File > Open Sample.",
        )
    image = image_from_layer(layer)
    _require_denoisable(image)
    return image


def _require_denoisable(image: Image) -> None:
    """Raise the errors of the core, with a hint for the window."""
    try:
        require_denoisable(image)
    except RequestError as error:
        hint = _SPLIT if "S" in image.axes else error.hint
        raise RequestError(error.message, hint) from error


def fits(layer: ImageLayer | None) -> bool:
    """Whether a layer can be denoised, by its type and shape."""
    try:
        denoisable_image(layer)
    except (RequestError, DenoisingError):
        return False
    return True


def understood(layer: ImageLayer | None, ways_out: Iterable[str] = ()) -> str:
    """Sentences on how a layer's axes were understood, or why it cannot be denoised.

    Parameters
    ----------
    layer : napari.layers.Image or None
        The layer.
    ways_out : iterable of str
        Buttons that make another image of one that is refused.
    """
    try:
        image = denoisable_image(layer)
    except (RequestError, DenoisingError) as error:
        ways = " or ".join(f'"{way}"' for way in ways_out)
        hint = f"Press {ways}." if ways else error.hint
        return f"{error.message} {hint}"
    notes = " ".join(require_denoisable(image))
    return f"{image.describe()[0].upper()}{image.describe()[1:]}. {notes}".strip()


def axes_of(labels: tuple[str, ...]) -> str:
    """Letters of axes by their labels; the last two are Y and X unless named."""
    letters = [axis_letter(label).replace("S", "") for label in labels]
    if letters.count("Y") != 1 or letters.count("X") != 1:
        letters = ["" if letter in ("Y", "X") else letter for letter in letters]
        letters[-2:] = ["Y", "X"]
    spare = iter([letter for letter in UNNAMED_AXES if letter not in letters])
    named = [
        letter if letter and letter not in letters[:place] else next(spare, "")
        for place, letter in enumerate(letters)
    ]
    return "".join(named)


def unnamed_axes(layer: ImageLayer) -> list[int]:
    """Places of the axes, longer than one, of which it is not known what they are."""
    if layer.rgb or layer.ndim < 2:
        return []
    known = zip(
        axes_of(tuple(layer.axis_labels)),
        layer.axis_labels,
        pixels_of(layer).shape,
        strict=True,
    )
    return [
        place
        for place, (letter, label, length) in enumerate(known)
        if length > 1 and letter in UNNAMED_AXES and not _is_named(label)
    ]


def _is_named(label: str) -> bool:
    """Whether a label is a word that says what an axis is; a spare letter is none."""
    return label == OTHER_AXIS or (len(label) > 1 and bool(axis_letter(label)))


def outer_axes(layer: ImageLayer) -> list[int]:
    """Places of the axes, longer than one, that number the planes of a layer."""
    axes, shape = axes_of(tuple(layer.axis_labels)), pixels_of(layer).shape
    return [n for n, axis in enumerate(axes) if axis not in "YX" and shape[n] > 1]


def plane_shape(layer: ImageLayer) -> tuple[int, int]:
    """Rows and columns of a layer."""
    axes, shape = axes_of(tuple(layer.axis_labels)), pixels_of(layer).shape
    sizes = dict(zip(axes, shape, strict=True))
    return sizes.get("Y", 1), sizes.get("X", 1)


def set_pixel_size(layer: ImageLayer, text: str) -> None:
    """Give a layer the pixel size that was typed; other axes keep theirs.

    Parameters
    ----------
    layer : napari.layers.Image
        Its scale and units are set.
    text : str
        Such as "0.1 µm, Z=0.3 µm"; see `parse_pixel_size`.

    Raises
    ------
    RequestError
        If it cannot be understood, or the layer has no such axis.
    """
    image = with_pixel_size(image_from_layer(layer), parse_pixel_size(text))
    shown = layer.ndim
    try:
        layer.units = image.units[:shown]
    except Exception as error:  # whatever its library of units raises
        raise RequestError(
            f"{text} has a unit that is not known.", "Give it in µm or nm, or in s."
        ) from error
    layer.scale = image.pixel_size[:shown]


def layer_from_image(image: Image) -> tuple[Any, dict[str, Any]]:
    """Return data and options of a layer that shows an image from a file."""
    rgb = "S" in image.axes
    shown = image.ndim - rgb
    axes = image.line_scan or image.axes
    options: dict[str, Any] = {
        "name": image.name,
        "scale": image.pixel_size[:shown],
        "units": image.units[:shown],
        "axis_labels": tuple(axes[:shown].lower()),
        "rgb": rgb,
        "metadata": {FILE_KEY: known_of(image) | {"notes": list(image.notes)}},
    }
    if image.look and image.look.inverted and not rgb:
        options["colormap"] = "gray_r"
    if image.look and len(image.look.ranges) == image.channels == 1:
        options["contrast_limits"] = image.look.ranges[0]
    return image.data, options


def known_of(image: Image) -> dict[str, Any]:
    """What the layer of an image, and those of its results, keep in their metadata."""
    return {
        "look": image.look,
        "channel_names": image.channel_names,
        "acquisition": image.acquisition,
        "dtype": str(image.dtype),
    }


def type_of_source(layer: ImageLayer) -> str:
    """Type of the pixels of the file that a layer, or its source, came from."""
    known = layer.metadata.get(FILE_KEY, {})
    return str(known.get("dtype", pixels_of(layer).dtype))


def appearance(layer: ImageLayer) -> dict[str, Any]:
    """Place and look of a layer, for results that belong on top of it."""
    return place_of(layer) | {
        "colormap": layer.colormap,
        "contrast_limits": layer.contrast_limits,
        "gamma": layer.gamma,
        "blending": layer.blending,
        "interpolation2d": layer.interpolation2d,
        "rgb": False,
    }


def place_of(layer: ImageLayer) -> dict[str, Any]:
    """Place of a layer, for others that lie on it pixel by pixel."""
    return {
        "scale": layer.scale,
        "translate": layer.translate,
        "rotate": layer.rotate,
        "shear": layer.shear,
        "affine": layer.affine,
        "units": layer.units,
        "axis_labels": layer.axis_labels,
    }


def result_appearance(
    name: str, look: dict[str, Any], curves: Sequence[NoiseCurve]
) -> dict[str, Any]:
    """Look of a result beside the denoised image, in the same place.

    Parameters
    ----------
    name : str
        As in `prediction.result_shapes`.
    look : dict
        Of the source.
    curves : sequence of NoiseCurve
        Of the channels.
    """
    if name == "posterior_samples":
        return _stacked(look)
    # None: napari finds the limits. What is deconvolved is brighter than its image.
    look = look | {"contrast_limits": None}
    if name.endswith("_std") or name == "trust":
        look |= {"colormap": "viridis", "gamma": 1.0}
        look |= {"metadata": _without_look(look.get("metadata", {}))}
    if name == "noise_std":
        highest = max(float(curve.std.max()) for curve in curves)
        look["contrast_limits"] = (0.0, highest)
    if name == "trust":
        look["contrast_limits"] = (0.0, 1.0)
    return look


def _without_look(metadata: dict[str, Any]) -> dict[str, Any]:
    """Metadata of what is no intensity: neither look nor type are those of the file."""
    known = metadata.get(FILE_KEY, {})
    names = ("channel_names", "acquisition")
    kept = {name: known[name] for name in names if name in known}
    return metadata | {FILE_KEY: kept}


def _stacked(look: dict[str, Any]) -> dict[str, Any]:
    """Place and look with one more axis in front: that of the samples."""
    return look | {
        "scale": (1.0, *look["scale"]),
        "translate": (0.0, *look["translate"]),
        "rotate": _with_axis(look["rotate"]),
        "shear": _with_axis(_shear_matrix(look["shear"], len(look["scale"]))),
        "affine": look["affine"].expand_dims([0]),
        "units": ("pixel", *look["units"]),
        "axis_labels": ("sample", *look["axis_labels"]),
    }


def _shear_matrix(shear: NDArray[Any], ndim: int) -> NDArray[Any]:
    """Shear as a matrix: napari gives upper triangular ones as a vector."""
    if shear.ndim == 2:
        return shear
    matrix = np.eye(ndim)
    matrix[np.triu_indices(ndim, 1)] = shear
    return matrix


def _with_axis(matrix: NDArray[Any]) -> NDArray[np.float64]:
    """A matrix (n, n) that leaves one more axis, the first, alone."""
    return np.block(
        [
            [np.ones((1, 1)), np.zeros((1, len(matrix)))],
            [np.zeros((len(matrix), 1)), matrix],
        ]
    )


class Box(NamedTuple):
    """The rectangle that a layer fills along its last two axes, in the viewer's space.

    Parameters
    ----------
    low, high : ndarray
        Outer edges of its first and last pixels, (2,).
    pixel : ndarray
        The smallest size of a pixel that lies on no finer grid than the layer, (2,).
    units, axis_labels : tuple
        Of the two axes.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    pixel: NDArray[np.float64]
    units: tuple[Any, ...]
    axis_labels: tuple[str, ...]


def bounding_box(layer: ImageLayer) -> Box:
    """Find the rectangle that a layer fills, however it is turned."""
    extent = layer.extent
    edges = extent.data + np.array([[-0.5], [0.5]])
    corners = np.array([layer.data_to_world(c) for c in itertools.product(*edges.T)])
    low, high = corners.min(0)[-2:], corners.max(0)[-2:]
    # From the outer edge to the centre of the first pixel and back: no slider is to
    # become longer, nor finer.
    pixel = np.maximum(2 * (extent.world[0, -2:] - low), extent.step[-2:])
    return Box(low, high, pixel, layer.units[-2:], layer.axis_labels[-2:])


_ROWS = 201  # residuals of a noise distribution, at most
_COLUMNS = 256  # signals of a noise distribution, at most


def distribution_layer(
    curve: NoiseCurve, box: Box
) -> tuple[NDArray[np.float32], dict[str, Any], dict[str, Any]]:
    """Data and options of a layer of the noise distribution, as large as the image.

    Residuals (down) and signals (across) are intensities: what lies elsewhere than the
    image, or is larger, changes the view, the sliders and the grid.

    Parameters
    ----------
    curve : NoiseCurve
        Of the image.
    box : Box
        Of the layer.

    Returns
    -------
    data : ndarray
        Density, (residual, signal).
    options : dict
        Of the layer.
    axes : dict
        First and last residual and signal, in grey values.
    """
    most = np.floor((box.high - box.low) / box.pixel + 1e-6).astype(int)
    counts = np.clip(most, 2, (_ROWS, _COLUMNS))
    found = noise_distribution(curve, *(int(count) for count in counts))
    scale = (box.high - box.low) / counts
    ends = [
        [start, start + step * (count - 1)]
        for start, step, count in zip(found.origin, found.steps, counts, strict=True)
    ]
    options = {
        "scale": scale,
        "translate": box.low + scale / 2,
        "units": box.units,
        "axis_labels": box.axis_labels,
        "colormap": "magma",
        "contrast_limits": (0.0, float(np.max(found.density))),
        "visible": False,
    }
    return found.density, options, {"residual": ends[0], "signal": ends[1]}


def provenance(
    model: TrainedModel, source: str, curves: Sequence[NoiseCurve]
) -> dict[str, Any]:
    """Metadata of a result: source, settings, provenance and noise curves."""
    return {
        METADATA_KEY: {
            "source": source,
            "config": model.config.model_dump(mode="json"),
            "provenance": model.provenance,
            "noise_curves": [curve.to_json() for curve in curves],
        }
    }
