"""How large tiles are: as large as time and memory allow."""

from __future__ import annotations

import numpy as np
import torch

from napari_selfdenoise.compute import fair_memory
from napari_selfdenoise.config import PlanesReach, TrainingConfig
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import bytes_in_words
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.prediction.blend_candidates import low_pass_radius
from napari_selfdenoise.prediction.slab_views import MOST_PLANES

_TILE_SIDES = (2048, 1024, 512, 256, 128)
_TILE_FLOP = {"cpu": 3e10, "gpu": 2e12}
_TILE_BYTES = 2**31
_LEAST_BYTES = 2**27
_BESIDES = 192 * 2**20
"""Bytes that a prediction takes besides its tiles, about: a sample of the plane, what
is read, and chunks that are written."""

LEAST_TILE = 64
_SLOW = 128
"""Side in pixels of tiles that are not made smaller for time alone: below it, most of
what is computed is margin."""


def margin_of(model: TrainedModel) -> int:
    """How far around a tile is read, in pixels.

    Parameters
    ----------
    model : TrainedModel
        Where its estimator blends, the low-pass filter needs a wider tile.
    """
    config = model.config
    wider = low_pass_radius(config) if config.estimator.blends else 0
    return model.margin + wider


def tile_memory(max_memory: int | None) -> int:
    """Bytes that the computation of a tile may take.

    Parameters
    ----------
    max_memory : int or None
        Bytes that a prediction may take besides what the libraries do; a fifth of what
        is free where it is not given.

    Raises
    ------
    RequestError
        If that leaves nothing for a tile.
    """
    if max_memory is None:
        return min(_TILE_BYTES, max(_LEAST_BYTES, fair_memory() - _BESIDES))
    if not isinstance(max_memory, int | np.integer):
        raise RequestError(
            f"{max_memory!r} is no number of bytes.", "Give a whole number."
        )
    if max_memory <= _BESIDES:
        raise RequestError(
            f"{bytes_in_words(max_memory)} of memory are not enough to denoise with.",
            f"Allow at least {bytes_in_words(2 * _BESIDES)}.",
        )
    return max_memory - _BESIDES


def tile_side(
    model: TrainedModel, device: torch.device, max_memory: int | None = None
) -> int:
    """Side of the tiles, in pixels: as large as time and memory allow.

    Parameters
    ----------
    model : TrainedModel
        What denoises.
    device : torch.device
        Where to compute.
    max_memory : int, optional
        Bytes that a tile may take.

    Raises
    ------
    RequestError
        If not even the smallest tile fits `max_memory`.
    """
    return largest_side(model.config, margin_of(model), device, max_memory)


def largest_side(
    config: TrainingConfig,
    margin: int,
    device: torch.device,
    max_memory: int | None = None,
) -> int:
    """Side of tiles that are read with a margin, in pixels; as `tile_side`."""
    network, outputs = config.network, config.signal.outputs
    budget = _TILE_FLOP["cpu" if device.type == "cpu" else "gpu"]
    # Features, skips and workspace; outputs of the views that are being averaged.
    bytes_per_pixel = 4 * (8 * network.width + 8 * (outputs - 1))
    max_memory = max_memory or _TILE_BYTES
    margin += config.stride
    planes = 1
    if config.context.volumetric:
        planes = MOST_PLANES + 2 * PlanesReach.of(config).radius
    for side in (*_TILE_SIDES, LEAST_TILE):
        pixels = planes * (side + 2 * margin) ** 2
        fits = pixels * bytes_per_pixel <= max_memory
        if fits and (pixels * network.flops_per_pixel <= budget or side <= _SLOW):
            return side
    raise RequestError(
        f"A tile of {LEAST_TILE} px needs {pixels * bytes_per_pixel / 2**20:.1f} MiB, "
        f"but only {max_memory / 2**20:.1f} MiB are allowed.",
        "Allow more memory.",
    )
