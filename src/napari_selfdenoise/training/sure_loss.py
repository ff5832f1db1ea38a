"""Stein's unbiased risk estimate (SURE) as a loss: learning with no pixel masked.

With its own pixel unmasked, a network could copy it, and its squared distance to the
observation would be zero. Stein's lemma gives what is missing: the noise's variance
times the slope of the prediction along its own pixel. With it, the distance is that to
the signal, plus a constant, if the noise is Gaussian and its variance known.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

STEP = 0.3
"""Noise that is added and taken away to see slopes, in stds of the noise.

Both sides of an observation are compared with it, so that curvature cancels.
"""


class SureProbe(NamedTuple):
    """Observations, and signs by which they are moved to see slopes.

    Parameters
    ----------
    observation : Tensor
        With independent Gaussian noise, (B, 1, Y, X).
    sign : Tensor
        1 or -1, (B, 1, Y, X).
    std : float
        Of the noise, in the unit of the observation.

    References
    ----------
    Stein 1981; Ramani et al. 2008 (slopes from random signs); Soltanayev and Chun 2018
    (as the loss of a network).
    """

    observation: Tensor
    sign: Tensor
    std: float

    @classmethod
    def draw(
        cls, observation: Tensor, std: float, generator: torch.Generator
    ) -> SureProbe:
        """Draw the signs; the generator is on the device of the observation."""
        uniform = torch.rand(
            observation.shape, generator=generator, device=observation.device
        )
        return cls(observation, torch.where(uniform < 0.5, -1.0, 1.0), std)

    def images(self) -> Tensor:
        """What is to be predicted: moved down, then moved up, (2 B, 1, Y, X)."""
        moved = STEP * self.std * self.sign
        return torch.cat([self.observation - moved, self.observation + moved])

    def risk(self, prediction: Tensor, good: Tensor | None = None) -> Tensor:
        """Estimate the squared error of a prediction, plus the noise's variance.

        Parameters
        ----------
        prediction : Tensor
            Of `images`, (2 B, 1, Y, X).
        good : Tensor, optional
            True where the observation is signal and noise alone, (B, 1, Y, X).

        Returns
        -------
        Tensor
            Mean over all good pixels, a scalar. It scatters around the truth, and may
            be negative.
        """
        below, above = prediction.chunk(2)
        squared = (prediction.view(2, *below.shape) - self.observation).square()
        slope = (above - below) * self.sign / (2 * STEP * self.std)
        if good is None:
            return squared.mean() + 2 * self.std**2 * slope.mean()
        error = 0.5 * squared.sum(0) + 2 * self.std**2 * slope
        return (error * good).sum() / good.sum().clamp_min(1)
