"""The planes of an image that a figure is measured on, and predicting them again."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.defects import CleanImage
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.evaluation import ResidualPlane, require_pair
from napari_selfdenoise.images import Image, PlaneIndex
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.prediction.predict import predict_tiles

Array = NDArray[np.float64]

MOST_PIXELS = 2**20
"""Pixels that a figure is measured on, in as many planes as they fill."""

_ANOTHER = 0.3
"""Share of the noise by which a result may differ from what the model makes of it."""

_SIDE = 1024  # px; of larger planes the middle is predicted


def some_planes(noisy: Image, denoised: Image) -> list[tuple[PlaneIndex, PlaneIndex]]:
    """Planes that hold at most so many pixels, evenly spaced; one at least.

    Raises
    ------
    RequestError
        If the images do not fit each other, or none is left.
    """
    require_pair(noisy, denoised)
    clean = CleanImage(noisy)
    pairs = list(zip(noisy.planes(), denoised.planes(), strict=True))
    size = math.prod(min(side, _SIDE) for side in noisy.plane_shape)
    every = -(-len(pairs) // max(1, MOST_PIXELS // size))
    chosen = [
        (source, target)
        for source, target in pairs[::every]
        if not (clean.is_blank(source) or _is_missing(denoised, target))
    ]
    if not chosen:
        raise RequestError(
            "No plane holds both an image and its denoised one.",
            "Denoise the image to its end first.",
        )
    return chosen


def _is_missing(denoised: Image, plane: PlaneIndex) -> bool:
    """Whether a stopped prediction did not reach a plane."""
    return bool(np.isnan(denoised.read_plane(plane)).all())


def crop(image: Image, plane: PlaneIndex) -> Image:
    """Return the middle of one plane as an image of its own."""
    rows, columns = (
        slice(max(0, (side - _SIDE) // 2), max(0, (side - _SIDE) // 2) + _SIDE)
        for side in image.plane_shape
    )
    mask = image.read_mask(plane, rows, columns)
    return Image(image.read_stored(plane, rows, columns), "YX", mask=mask)


def of_channel(model: TrainedModel, channel: int) -> TrainedModel:
    """Return the model of one channel alone.

    Raises
    ------
    RequestError
        If it predicts planes together with others, as one plane is changed here.
    """
    others = "those around it" if model.config.context.needs_stack else ""
    others = others or ("other channels" if model.config.channels.together else "")
    if others:
        raise RequestError(
            "This figure is measured on one plane at a time, but the model predicts "
            f"each plane together with {others}.",
            "Compare with a reference instead.",
        )
    return replace(model, channels=(model.channels[channel],))


def predicted(
    noisy: Image, added: Array, model: TrainedModel, device: str
) -> Iterator[tuple[float, Array | None]]:
    """Predict one plane with something added.

    Parameters
    ----------
    noisy : Image
        Of one plane, as of `crop`.
    added : ndarray
        Raw units, (Y, X).
    model : TrainedModel
        Of one channel, as of `of_channel`.
    device : str
        Name of the device.

    Yields
    ------
    float
        Share that is done.
    ndarray or None
        With the last share, the denoised plane (Y, X).
    """
    pixels = (noisy.read_exact(()) + added).astype(np.float32)
    image = replace(noisy.with_data(pixels), mask=noisy.mask)
    steps = predict_tiles(image, model, device=device)
    while True:
        try:
            yield next(steps).fraction, None
        except StopIteration as end:
            yield 1.0, end.value.denoised.read_exact(())
            return


def require_same(
    again: Array, plane: ResidualPlane, std: Array, added: float = 0.0
) -> None:
    """Raise an error if the model makes something else of the noisy plane.

    Parameters
    ----------
    again : ndarray
        What the model makes of it, (Y, X).
    plane : ResidualPlane
        With the denoised plane that was given.
    std : ndarray
        Of the noise, (Y, X).
    added : float
        Noise that was added before, over the plane's own.

    Raises
    ------
    RequestError
        If they differ by a third of the noise, and of what was added, in most pixels.
    """
    known = plane.good & np.isfinite(again)
    apart = np.abs(again - plane.denoised)[known] / std[known]
    if known.any() and np.median(apart) > _ANOTHER * (1 + added):
        raise RequestError(
            "The model makes another image of the noisy one than the denoised image.",
            "Give the model and the noisy image that it was made of, and the result "
            "as the program wrote it.",
        )
