"""Predictions of one image from another: of a second exposure, or of the signal."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_selfdenoise.model import Outputs
from napari_selfdenoise.noise import MaskedPixels
from napari_selfdenoise.parts.masking import Masking
from napari_selfdenoise.parts.networks import NetworkModule
from napari_selfdenoise.parts.noise_models import NoiseModule
from napari_selfdenoise.training.masked_prediction import (
    MaskedPrediction,
    MaskedPredictor,
)
from napari_selfdenoise.training.patches import Patches


@dataclass(frozen=True, eq=False)
class PairedPredictor(MaskedPredictor):
    """Draws patches and lets a network predict the same place of another image.

    Its noise is independent of that of the patches, so nothing has to be masked. The
    parameters are those of `MaskedPredictor`; patches have what is to be predicted as
    their context.

    References
    ----------
    Lehtinen et al. 2018, Noise2Noise; Weigert et al. 2018, CARE.
    """

    @property
    def shows_contrasts(self) -> bool:
        """The differences of both images show all noise."""
        return False

    def outputs(
        self,
        network: NetworkModule,
        images: Tensor,
        positions: Tensor | None = None,
        context: Tensor | None = None,
    ) -> Outputs:
        """Outputs of a batch, as of `MaskedPredictor`; the context is no input."""
        return super().outputs(network, images, positions, None)

    def predict(
        self,
        network: NetworkModule,
        masking: Masking,
        patches: int,
        noise: NoiseModule | None = None,
    ) -> MaskedPrediction:
        """Predict all pixels of fresh patches; nothing is masked or probed."""
        drawn = self.sampler.draw(patches, self.generator)
        batch, target = drawn.observation, _target(drawn)  # (B, 1, Y, X)
        height, width = batch.shape[-2:]
        mask = masking.draw(patches, height, width, self.generator)
        mask = drawn.targets(mask)
        outputs = self.outputs(network, batch, mask.positions)
        mean, wanted, given = map(mask.gather, (outputs.mean, target, batch))
        masked = MaskedPixels(mean, wanted, torch.ones_like(mean))
        prior = self.config.signal.prior(mean, outputs.rest)
        repeated = self._repeated(mean.detach(), given, wanted)
        return MaskedPrediction(masked, prior, outputs.phantom, None, repeated)

    def _repeated(self, mean: Tensor, given: Tensor, wanted: Tensor) -> MaskedPixels:
        """Pixels (B, N) with the noise that the difference of both images shows.

        That of two exposures has twice the variance of one; a noise-free image has
        none.
        """
        pair = self.config.supervision == "pair"
        signal = mean if pair else wanted
        noise = (given - wanted) / (math.sqrt(2) if pair else 1.0)
        return MaskedPixels(signal, signal + noise, torch.ones_like(signal))


def _target(drawn: Patches) -> Tensor:
    """What is to be predicted of patches, (B, 1, Y, X), normalised."""
    assert drawn.context is not None, "the sampler pairs planes"
    return drawn.context
