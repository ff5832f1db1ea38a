"""From what a network puts out to the signal that the camera saw."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_selfdenoise.psf import PSF, Convolution, NoPSF, negativity, positive


class Optics(nn.Module):
    """Positivity, then blur, in the normalised units of one channel.

    Parameters
    ----------
    kernel : ndarray
        Point spread function, odd sides, sum 1, (Y, X).
    background : float
        Level where there is no light, normalised.
    positivity : str
        "softplus", "penalty" or "none".

    References
    ----------
    Goncharova et al. 2020, DecoNoising.
    """

    background: Tensor

    def __init__(
        self, kernel: NDArray[np.float64], background: float, positivity: str
    ) -> None:
        super().__init__()
        self.kernel = kernel
        self.blur = Convolution(kernel)
        self.positivity = positivity
        self.register_buffer("background", torch.tensor(background))

    @classmethod
    def of(
        cls, psf: PSF, kernel: NDArray[np.float64], background: float
    ) -> Optics | None:
        """Optics of a config's point spread function; None where there is none."""
        if isinstance(psf, NoPSF):
            return None
        return cls(kernel, background, psf.positivity)

    @property
    def radius(self) -> int:
        """How far light spreads, in pixels."""
        return self.blur.radius

    def phantom(self, output: Tensor) -> Tensor:
        """What the network puts out (B, 1, Y, X), kept positive where asked for."""
        if self.positivity != "softplus":
            return output
        return positive(output, self.background)

    def forward(self, phantom: Tensor) -> Tensor:
        """Blur a phantom (B, 1, Y, X)."""
        blurred: Tensor = self.blur(phantom)
        return blurred

    def penalty(self, phantom: Tensor) -> Tensor:
        """What darkness below the background costs: its mean, normalised."""
        if self.positivity != "penalty":
            return torch.zeros((), device=phantom.device)
        return negativity(phantom, self.background)
