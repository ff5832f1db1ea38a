"""Predictions of masked pixels of fresh patches, and of how far noise moves them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.model import Outputs, run_at
from napari_selfdenoise.noise import (
    PROBE,
    Differences,
    MaskedPixels,
    balanced,
    block_numbers,
    smoothness,
)
from napari_selfdenoise.parts.context import joined
from napari_selfdenoise.parts.gaussian_mixtures import Mixture
from napari_selfdenoise.parts.masking import Mask, Masking, RandomMask
from napari_selfdenoise.parts.networks import NetworkModule
from napari_selfdenoise.parts.noise_models import NoiseModule
from napari_selfdenoise.parts.psf import Optics
from napari_selfdenoise.training.patches import PatchSampler

_BLOCK_FILL = RandomMask()

NoiseStd = Callable[[NDArray[np.float32]], NDArray[np.float64]]
"""Noise std, normalised, at signals (...)."""


class MaskedPrediction(NamedTuple):
    """What a network makes of the masked pixels of a batch, normalised.

    Parameters
    ----------
    masked : Hidden
        Prediction, observation and weight of the masked pixels, each (B, N).
    prior : Mixture
        Distribution of their signals, (B, N, M).
    phantom : Tensor
        Of the whole patches, before the point spread function, (B, 1, Y, X).
    probed : Hidden or None
        The same pixels; as observation, the prediction from patches with more noise.
    repeated : MaskedPixels or None
        The same pixels; as observation, the signal with the noise that two exposures
        show. None where there is but one.
    """

    masked: MaskedPixels
    prior: Mixture
    phantom: Tensor
    probed: MaskedPixels | None
    repeated: MaskedPixels | None = None

    @property
    def of_noise(self) -> MaskedPixels:
        """Pixels whose noise is learned from."""
        return self.repeated or self.masked

    def detached(self) -> MaskedPrediction:
        """Return the same values without the way that they were computed."""
        masked, probed, repeated = (
            pixels and MaskedPixels(*(values.detach() for values in pixels))
            for pixels in (self.masked, self.probed, self.repeated)
        )
        assert masked
        prior = Mixture(*(values.detach() for values in self.prior))
        phantom = self.phantom.detach()
        return MaskedPrediction(masked, prior, phantom, probed, repeated)


@dataclass(frozen=True, eq=False)
class MaskedPredictor:
    """Draws patches, masks pixels and lets a network predict them.

    Parameters
    ----------
    config : TrainingConfig
        Its masking and signal head are used.
    sampler : PatchSampler
        Of one channel.
    optics : Optics or None
        Positivity and point spread function, from phantom to signal.
    dtype : torch.dtype
        Number format of the convolutions.
    generator : torch.Generator
        Of patches, masks and noise.
    """

    config: TrainingConfig
    sampler: PatchSampler
    optics: Optics | None
    dtype: torch.dtype
    generator: torch.Generator

    @property
    def shows_contrasts(self) -> bool:
        """Whether noise is also measured in blocks that are masked as a whole."""
        masking = self.config.masking
        # Else contrasts would cancel what neighbours share.
        return not masking.correlated or masking.binning > 1

    def outputs(
        self,
        network: NetworkModule,
        images: Tensor,
        positions: Tensor | None = None,
        context: Tensor | None = None,
    ) -> Outputs:
        """Mean of a batch (B, 1, Y, X), and other outputs at some pixels (B, N).

        Of the planes around, (b, 2 k, Y, X), with as many or fewer b, again and again.
        """
        if positions is None:
            positions = images.new_empty((len(images), 0), dtype=torch.long)
        if context is not None:
            context = context.repeat(len(images) // len(context), 1, 1, 1)
        images = joined(images, context)
        depth = self.config.context.depth
        return run_at(network, self.optics, images, self.dtype, positions, depth)

    def predict(
        self,
        network: NetworkModule,
        masking: Masking,
        patches: int,
        noise: NoiseModule | None = None,
    ) -> MaskedPrediction:
        """Predict masked pixels of fresh patches.

        With `noise`, noise of its strength is added once more, to see how far that
        moves the prediction of the same pixels.
        """
        rng = self.generator
        drawn = self.sampler.draw(patches, rng)
        batch, context = drawn.observation, drawn.context  # (B, 1, Y, X)
        height, width = batch.shape[-2:]
        mask = drawn.targets(masking.draw(len(batch), height, width, rng))
        filled = masking.apply(batch, mask, rng)
        outputs = self.outputs(network, filled, mask.positions, context)
        smooth = mask.gather(smoothness(outputs.mean.detach()))
        mean = mask.gather(outputs.mean)
        masked = MaskedPixels(mean, mask.gather(batch), balanced(mean, smooth))
        probed = None
        if noise:
            with torch.no_grad():
                noisier = noise.renoise(outputs.mean, batch, rng)
                if context is not None:
                    # Their signal is much like that of the plane itself.
                    like = outputs.mean.expand_as(context)
                    more = noise.renoise(like, context, rng) - context
                    context = context + self.sampler.noise_shares * more
                noisier = masking.apply(noisier, mask, rng)
                moved = self.outputs(network, noisier, None, context)
            probed = masked._replace(observation=mask.gather(moved.mean))
        prior = self.config.signal.prior(mean, outputs.rest)
        return MaskedPrediction(masked, prior, outputs.phantom, probed)

    @torch.no_grad()
    def block_contrasts(
        self, network: NetworkModule, patches: int, noise_std: NoiseStd
    ) -> Differences:
        """Contrasts of neighbouring residuals in blocks that are masked as a whole."""
        rng = self.generator
        batch, good, context = self.sampler.draw(patches, rng)
        side = torch.arange(batch.shape[-1], device=batch.device)
        chosen = torch.randint(4, (1,), generator=rng, device=batch.device)
        blocks = block_numbers(side, side) == chosen
        mask = Mask(blocks[None, None], torch.zeros((1, 0), dtype=torch.long))
        filled = _BLOCK_FILL.apply(batch, mask, rng)
        signal = self.outputs(network, filled, None, context).mean
        std = torch.from_numpy(noise_std(signal.cpu().numpy())).to(batch)

        def noisier(pixels: Tensor, share: Tensor | float = 1.0) -> Tensor:
            normal = torch.randn(pixels.shape, generator=rng, device=batch.device)
            return pixels + normal * PROBE * std * share

        filled = _BLOCK_FILL.apply(noisier(batch), mask, rng)
        if context is not None:
            context = noisier(context, self.sampler.noise_shares)
        moved = self.outputs(network, filled, None, context).mean
        return Differences.of(signal, batch, moved, blocks, good)
