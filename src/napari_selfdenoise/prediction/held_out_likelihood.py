"""Likelihood of pixels that were masked, given what the model makes of their context.

The network predicts each pixel without its own value, the noise model adds how
observations scatter, and the pixel that was recorded is looked up in that distribution.
Minus the base-2 logarithm of its density is the number of bits that it would take to
store the pixel to one grey value: fewer bits, better predictions. It judges signal and
noise model together, on real data, without a reference.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from napari_selfdenoise.compute import (
    computing,
    device_errors_as_sentences,
    resolve_device,
)
from napari_selfdenoise.defects import CleanImage
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.evaluation import HELD_OUT_BITS, Evaluation, Figure
from napari_selfdenoise.images import Image, Tile, tile_grid
from napari_selfdenoise.long_work import STOP, Command
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.parts.gaussian_mixtures import Mixture
from napari_selfdenoise.parts.likelihood import in_chunks, log_marginal
from napari_selfdenoise.prediction.image_noise import ImageNoise
from napari_selfdenoise.prediction.on_device import copied_to
from napari_selfdenoise.prediction.posterior import PosteriorOfTile
from napari_selfdenoise.prediction.tile_views import TileViews

MOST_TILES = 8
"""Tiles that are looked at, all over the image: more change the third digit."""

_SIDE = 128  # px; of a tile


@dataclass(frozen=True)
class HeldOutBits:
    """Mean of -log2 of the predictive density of masked pixels.

    Parameters
    ----------
    bits_per_pixel : float
        For grey values of the raw image: lower is better. It compares models of the
        same image; that of an image of other units means something else.
    standard_error : float
        Of that, from the scatter between pixels.
    pixels : int
        That were looked up.
    """

    bits_per_pixel: float
    standard_error: float
    pixels: int

    def evaluation(self) -> Evaluation:
        """Return it as a figure."""
        bits = Figure(HELD_OUT_BITS, self.bits_per_pixel, error=self.standard_error)
        return Evaluation((bits,))


def held_out_bits_steps(
    noisy: Image, model: TrainedModel, *, device: str = "auto"
) -> Generator[float, Command | None, HeldOutBits | None]:
    """Look up masked pixels of a noisy image in the distribution that was predicted.

    Parameters
    ----------
    noisy : Image
        With as many channels as the model; best one that it was not trained on. Up to
        eight tiles of 128 × 128 pixels are read.
    model : TrainedModel
        Its own noise model is used, or a fit to the image where it makes one for each.
    device : str
        Name of the device.

    Yields
    ------
    float
        Share that is done. Send `STOP` to end with the tiles so far.

    Returns
    -------
    HeldOutBits or None
        None where it was stopped before the first tile was done.

    Raises
    ------
    RequestError
        If the image does not fit the model, the network was not trained to predict
        masked pixels, or nothing was recorded.

    References
    ----------
    Krull et al. 2020, equation 5 (the likelihood that trains the network).
    """
    model.require_fits(noisy)
    _require_blind(model)
    target = resolve_device(device)
    # One orientation: the network is judged, and eight take eight times as long.
    model = replace(model, config=model.config.model_copy(update={"flips": False}))
    model = copied_to(model, target)
    found = _Looked()
    clean = CleanImage(noisy, subtract=model.config.line_offsets == "subtract")
    tiles = _some_tiles(clean, model)
    with computing(False), device_errors_as_sentences("predicting masked pixels"):
        for number, tile in enumerate(tiles):
            lookup = _Lookup(clean, model, tile, target)
            for share in lookup.steps(found):
                if (yield (number + share) / len(tiles)) is STOP:
                    return found.bits()
    return found.bits()


class _Looked:
    """Bits of the pixels that were looked up so far."""

    def __init__(self) -> None:
        self.count, self.total, self.squared = 0, 0.0, 0.0

    def add(self, bits: Tensor) -> None:
        """Take some pixels (n,) in."""
        self.count += len(bits)
        self.total += float(bits.sum())
        self.squared += float(bits.square().sum())

    def bits(self) -> HeldOutBits | None:
        """Return their mean; None where there are none."""
        if not self.count:
            return None
        mean = self.total / self.count
        variance = max(0.0, self.squared / self.count - mean**2)
        return HeldOutBits(mean, math.sqrt(variance / self.count), self.count)


class _Lookup:
    """Looks up the pixels of one tile."""

    def __init__(
        self, clean: CleanImage, model: TrainedModel, tile: Tile, device: torch.device
    ) -> None:
        generator = torch.Generator(device).manual_seed(model.config.seed)
        channel = clean.image.channel_of(tile.plane)
        self.tile = tile
        self.views = TileViews(clean, model, channel, device, generator, model.margin)
        self.noise = ImageNoise(self.views)
        self.posterior = PosteriorOfTile(self.noise)

    def steps(self, found: _Looked) -> Iterator[float]:
        """Predict the tile's pixels, each masked, and look them up."""
        views, tile = self.views, self.tile
        if views.config.per_image:
            for _ in self.noise.fit([tile], masked=True):
                yield 0.0
        raw, inner = views.read(tile)
        for share, outputs in views.views(raw, tile, inner, masked=True):
            if outputs is not None:
                observed = views.normalization.apply(raw)[0, 0][inner]
                good = torch.from_numpy(views.good(tile)).to(views.device)
                found.add(self._bits(outputs.mean[:, good], observed[good]))
            yield share

    def _bits(self, outputs: Tensor, observed: Tensor) -> Tensor:
        """Bits of pixels (n,), from outputs (C, n); both normalised."""
        flat, head = outputs.T, self.views.config.signal

        def prior(part: slice) -> Mixture:
            rest = flat[part][:, 1 : head.outputs]
            return head.prior(flat[part][:, 0], rest)

        # Fitted to each image, the prior's variance holds that of the noise already.
        noise = None if self.views.config.per_image else self.noise.module

        def density(known: Mixture, values: Tensor) -> tuple[Tensor]:
            return (log_marginal(known, noise, values),)

        width = max(8, head.outputs * self.noise.curve.weights.shape[1])
        (log_density,) = in_chunks(density, prior, observed, width)
        scale = self.views.normalization.scale
        return (math.log(scale) - log_density.double()) / math.log(2)


def _require_blind(model: TrainedModel) -> None:
    """Raise an error if no pixel is held out of its own prediction.

    Raises
    ------
    RequestError
        With the reason.
    """
    config = model.config
    blind = config.network.blind or math.prod(config.masking.lattice) > 1
    if config.uses_own_value or not blind:
        raise RequestError(
            "The network was not trained to predict pixels that it is not shown, so "
            "none is held out.",
            "Train with a masking, or compare by SURE.",
        )


def _some_tiles(clean: CleanImage, model: TrainedModel) -> Sequence[Tile]:
    """A few tiles all over the planes that hold something.

    Raises
    ------
    RequestError
        If no plane does.
    """
    image = clean.image
    tiles = [
        tile
        for plane in _some_planes(image)
        if not clean.is_blank(plane)
        and not model.channels[image.channel_of(plane)].is_empty
        for tile in tile_grid(plane, image.plane_shape, _SIDE, model.config.stride)
    ]
    if not tiles:
        raise RequestError(
            "All planes are blank, so there is no pixel to look up.",
            "Choose an image of something.",
        )
    order = np.random.default_rng(model.config.seed).permutation(len(tiles))
    return [tiles[n] for n in sorted(order[:MOST_TILES])]


def _some_planes(image: Image) -> list[tuple[int, ...]]:
    planes = list(image.planes())
    return planes[:: -(-len(planes) // MOST_TILES)]
