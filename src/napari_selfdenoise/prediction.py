"""Denoising an image with a trained model, tile by tile."""

from __future__ import annotations

import itertools
import math
import tempfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdenoise.device import (
    computing,
    memory_errors_as_sentences,
    resolve_device,
)
from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.image import Image, require_denoisable
from napari_selfdenoise.model import ChannelModel, TrainedModel, predict_signal
from napari_selfdenoise.noise_models import NoiseCurve
from napari_selfdenoise.tiling import Tile, read_padded, tile_grid
from napari_selfdenoise.training import STOP, Command

IN_MEMORY_BYTES = 2**32
"""Results larger than this are kept in a temporary file instead of in memory."""

_TILE_SIDES = (2048, 1024, 512, 256, 128)
_TILE_FLOP = {"cpu": 2e10, "gpu": 2e12}
_LEAST_TILE = 64


@dataclass(frozen=True, eq=False)
class Denoised:
    """What a prediction gives back.

    Parameters
    ----------
    denoised : Image
        Predicted signal; axes and units of the image, float32.
    noise_std : Image
        Standard deviation of the noise expected at each pixel; as `denoised`.
    noise_curves : tuple of NoiseCurve
        One a channel, in raw units.
    complete : bool
        False where the prediction was stopped: pixels not reached are 0.
    """

    denoised: Image
    noise_std: Image
    noise_curves: tuple[NoiseCurve, ...]
    complete: bool = True


@dataclass(frozen=True, eq=False)
class TilePrediction:
    """A tile that has been denoised, or a moment on the way to it.

    Parameters
    ----------
    fraction : float
        Share of the whole image that is done.
    index : tuple
        Place of the tile in the image's array; None between tiles.
    """

    fraction: float
    index: tuple[int | slice, ...] | None = None


Prediction = Generator[TilePrediction, Command | None, Denoised]


def predict_tiles(
    image: Image,
    model: TrainedModel,
    *,
    denoised: Any = None,
    noise_std: Any = None,
    device: str = "auto",
    max_memory: int | None = None,
    in_background: bool = False,
) -> Prediction:
    """Denoise an image of any size.

    Parameters
    ----------
    image : Image
        With as many channels as the model; lazy arrays stay lazy.
    model : TrainedModel
        From `train` or `load_model`.
    denoised, noise_std : array, optional
        Where to write the results: writable float32 arrays of the image's shape. Made
        where not given, in a temporary file where they are large.
    device : str
        Name of the device.
    max_memory : int, optional
        Bytes that the computation of a tile may take.
    in_background : bool
        Compute at low priority, where a window shares the machine.

    Yields
    ------
    TilePrediction
        Tile by tile, at least once a second. Send `STOP` to end early.

    Returns
    -------
    Denoised

    Raises
    ------
    RequestError
        If the image does not fit the model or cannot be denoised.
    DenoisingError
        If the device runs out of memory.
    """
    require_denoisable(image)
    model.require_fits(image)
    target = resolve_device(device)
    model = model.to(target)
    denoised = allocate(image.shape) if denoised is None else denoised
    noise_std = allocate(image.shape) if noise_std is None else noise_std
    stride, side = model.config.network.stride, tile_side(model, target, max_memory)
    tiles = [
        tile
        for plane in image.planes()
        for tile in tile_grid(plane, image.plane_shape, side, stride)
    ]
    complete = True
    with computing(in_background), memory_errors_as_sentences("denoising a tile"):
        for number, tile in enumerate(tiles):
            views = _denoise_tile(image, tile, model, target)
            for fraction, signal in views:
                if signal is not None:
                    index = image.slices(tile.plane, tile.rows, tile.columns)
                    _write(image, tile, signal, model, denoised, noise_std)
                done = (number + fraction) / len(tiles)
                command = yield TilePrediction(done, index if fraction == 1 else None)
                complete = complete and command is not STOP
                if not complete:
                    break
            if not complete:
                break
    return Denoised(
        image.with_data(denoised, f"{image.name} denoised"),
        image.with_data(noise_std, f"{image.name} noise std"),
        model.noise_curves,
        complete,
    )


def denoise(image: Image, model: TrainedModel, **options: Any) -> Denoised:
    """Run `predict_tiles` to its end.

    See `predict_tiles` for the parameters and errors.
    """
    tiles = predict_tiles(image, model, **options)
    while True:
        try:
            next(tiles)
        except StopIteration as end:
            result: Denoised = end.value
            return result


def allocate(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Zeros, in memory or, where they are large, in a temporary file.

    Raises
    ------
    DenoisingError
        If neither has room.
    """
    try:
        if 4 * math.prod(shape) <= IN_MEMORY_BYTES:
            return np.zeros(shape, np.float32)
        with tempfile.TemporaryFile(prefix="selfdenoise-") as file:
            return np.memmap(file, np.float32, "w+", shape=shape)
    except (MemoryError, OSError) as error:
        raise DenoisingError(
            f"There is no room for a result of {4 * math.prod(shape) / 2**30:.1f} GiB: "
            f"{error}.",
            "Free memory or disk space, or denoise to a file with `selfdenoise "
            "predict`.",
        ) from error


def tile_side(
    model: TrainedModel, device: torch.device, max_memory: int | None = None
) -> int:
    """Side of the tiles, in pixels: as large as time and memory allow.

    Raises
    ------
    RequestError
        If not even the smallest tile fits `max_memory`.
    """
    network = model.config.network
    budget = _TILE_FLOP["cpu" if device.type == "cpu" else "gpu"]
    bytes_per_pixel = 4 * 8 * network.width  # features, skips and workspace
    for side in (*_TILE_SIDES, _LEAST_TILE):
        pixels = (side + 2 * (network.reach + network.stride)) ** 2
        fits = max_memory is None or pixels * bytes_per_pixel <= max_memory
        if fits and (pixels * network.flops_per_pixel <= budget or side <= 128):
            return side
    raise RequestError(
        f"A tile of {_LEAST_TILE} px needs {pixels * bytes_per_pixel / 2**20:.1f} MiB, "
        f"but only {(max_memory or 0) / 2**20:.1f} MiB are allowed.",
        "Allow more memory.",
    )


def _denoise_tile(
    image: Image, tile: Tile, model: TrainedModel, device: torch.device
) -> Iterator[tuple[float, NDArray[np.float32] | None]]:
    """Predict the views of a tile one by one; the last comes with their mean."""
    network = model.config.network
    padded, inner = read_padded(image, tile, network.reach, network.stride)
    if not np.isfinite(padded).all():
        raise RequestError(
            f"Pixels near row {tile.top}, column {tile.left} are NaN or infinite; "
            "every pixel must be a number.",
            "Fill them first, for instance with numpy.nan_to_num.",
        )
    raw = torch.from_numpy(padded)[None, None].to(device)
    channel = model.channels[image.channel_of(tile.plane)]
    views = list(_views(model.config.flips))
    signals: list[Tensor] = []
    for number, view in enumerate(views, 1):
        signals.append(_predict_view(raw, view, channel, model)[0, 0][inner])
        if number < len(views):
            yield number / len(views), None
    yield 1.0, _mean_of_pairs(signals).cpu().numpy()


def _views(flips: bool) -> Iterator[tuple[bool, bool, bool]]:
    """Transpose, flip rows, flip columns."""
    choices = (False, True) if flips else (False,)
    return itertools.product(choices, choices, choices)


def _predict_view(
    raw: Tensor,
    view: tuple[bool, bool, bool],
    channel: ChannelModel,
    model: TrainedModel,
) -> Tensor:
    """Prediction of a flipped tile, flipped back."""
    transpose, *flips = view
    axes = [axis for axis, flip in zip((2, 3), flips, strict=True) if flip]
    turned = (raw.mT if transpose else raw).flip(axes)
    signal = predict_signal(
        channel.network, channel.normalization, model.config, turned, model.precision
    ).flip(axes)
    return signal.mT if transpose else signal


def _mean_of_pairs(signals: list[Tensor]) -> Tensor:
    """Mean of 2^n tensors, pair by pair: equal values come back to the bit."""
    while len(signals) > 1:
        signals = [
            (a + b) / 2 for a, b in zip(signals[::2], signals[1::2], strict=True)
        ]
    return signals[0]


def _write(
    image: Image,
    tile: Tile,
    signal: NDArray[np.float32],
    model: TrainedModel,
    denoised: Any,
    noise_std: Any,
) -> None:
    index = image.slices(tile.plane, tile.rows, tile.columns)
    curve = model.noise_curves[image.channel_of(tile.plane)]
    columns_first = image.axes.index("X") < image.axes.index("Y")
    signal = signal.T if columns_first else signal
    denoised[index] = signal
    noise_std[index] = curve.std_at(signal)
