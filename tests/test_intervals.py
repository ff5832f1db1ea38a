"""Intervals of posteriors, on images whose prior and noise are known exactly."""

import numpy as np
import pytest
import torch
from torch import nn

from napari_selfdenoise import Image, NoiseCurve, TrainedModel, TrainingConfig, denoise
from napari_selfdenoise.images import Normalization
from napari_selfdenoise.model import ChannelModel
from napari_selfdenoise.parts.estimators import PosteriorMean
from napari_selfdenoise.parts.networks import UNet
from napari_selfdenoise.parts.signal_heads import GaussianSignal
from napari_selfdenoise.prediction.own_share import own_share

MEAN, SPREAD, NOISE = 500.0, 20.0, 40.0
SCALE = 64.0


class Constant(nn.Module):
    """A network that knows that all signals are drawn from one Gaussian."""

    def __init__(self, std: float) -> None:
        super().__init__()
        self.std = std

    def forward(self, image):
        mean = torch.zeros_like(image)
        # The Gaussian head adds 0.1 to its second output.
        return torch.cat([mean, mean + self.std / SCALE - 0.1], dim=1)


def model_of(spread: float = SPREAD, noise: float = NOISE) -> TrainedModel:
    """A model with a Gaussian prior of this std, and Gaussian noise of this std."""
    config = TrainingConfig(
        network=UNet(width=4, depth=1),
        signal=GaussianSignal(),
        estimator=PosteriorMean(),
    )
    curve = NoiseCurve.gaussian(np.array([0.0, 1000.0]), np.full(2, noise))
    norm = Normalization(MEAN, SCALE)
    return TrainedModel(config, (ChannelModel(Constant(spread), None, norm, curve),))


def field(side: int = 128, seed: int = 0) -> tuple[np.ndarray, Image]:
    """Signals that are drawn as the prior says, and observations of them."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(MEAN, SPREAD, (side, side))
    noisy = signal + rng.normal(0, NOISE, signal.shape)
    return signal, Image(noisy.astype(np.float32), "YX")


def test_the_pixels_share_is_the_weight_of_its_observation():
    prior, noise = torch.tensor([4.0, 1.0, 0.0]), torch.tensor([1.0, 3.0, 1.0])
    weight = prior / (prior + noise)
    torch.testing.assert_close(own_share(prior, weight * noise), weight)


def test_trust_is_the_share_of_the_context():
    _, image = field(32)
    result = denoise(image, model_of(), device="cpu")
    share = NOISE**2 / (NOISE**2 + SPREAD**2)
    np.testing.assert_allclose(result.trust.data, share, rtol=1e-3)
    blended = share * MEAN + (1 - share) * image.data
    np.testing.assert_allclose(result.denoised.data, blended, rtol=1e-3)
    std = result.posterior_std.data
    assert std == pytest.approx(NOISE * np.sqrt(1 - share), rel=1e-3)
