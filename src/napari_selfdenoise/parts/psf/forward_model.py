"""The signal from a network's output: positivity, then blur."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import fft
from torch import Tensor, nn

from napari_selfdenoise.parts.psf.kernels import Kernel
from napari_selfdenoise.parts.psf.models import PSF, NoPSF

SOFTPLUS_BETA = 10.0
"""Sharpness of the lower bound, in 1 / spread of the image.

At the bound the phantom is lifted by 0.07 spreads, and 0.5 above it by 0.0007; 0.5
below, the slope is still 0.007. Twice as sharp, it would be gone there (5e-5), and
pixels that were once predicted too dark would learn nothing more.
"""


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
        """Radius of the kernel in px: how far light spreads."""
        return self.blur.radius

    def phantom(self, output: Tensor) -> Tensor:
        """Phantom of the network's output (B, 1, Y, X), kept positive with softplus."""
        if self.positivity != "softplus":
            return output
        return positive(output, self.background)

    def forward(self, phantom: Tensor) -> Tensor:
        """Blur a phantom (B, 1, Y, X)."""
        blurred: Tensor = self.blur(phantom)
        return blurred

    def penalty(self, phantom: Tensor) -> Tensor:
        """Mean depth of a phantom below the background, if positivity is a penalty."""
        if self.positivity != "penalty":
            return torch.zeros((), device=phantom.device)
        return negativity(phantom, self.background)


# Convolution ------------------------------------------------------------------------


class Convolution(nn.Module):
    """Blurs phantoms with one kernel; the size stays, borders are mirrored.

    By Fourier transform, whatever the kernel: on a CPU that is 10 to 50 times faster
    than a convolution layer with one channel, and the time hardly depends on the
    kernel. Always in float32; the kernel is a buffer, and no part of the weights.

    Parameters
    ----------
    kernel : ndarray
        (Y, X), sides odd. A single pixel leaves phantoms untouched.
    """

    kernel: Tensor

    def __init__(self, kernel: Kernel) -> None:
        super().__init__()
        values = torch.from_numpy(np.array(kernel, dtype=np.float32))
        self.register_buffer("kernel", values, persistent=False)

    @property
    def radius(self) -> int:
        """Radius of the kernel in px."""
        return max(self.kernel.shape) // 2

    def forward(self, phantom: Tensor) -> Tensor:
        """Signal of a phantom: (B, 1, Y, X) -> (B, 1, Y, X)."""
        if self.radius == 0:
            return phantom
        with torch.autocast(phantom.device.type, enabled=False):
            return _convolve(phantom.float(), self.kernel)


def _convolve(phantom: Tensor, kernel: Tensor) -> Tensor:
    padded, margins = phantom, [side // 2 for side in kernel.shape]
    for axis, margin in zip((-2, -1), margins, strict=True):
        padded = padded.index_select(axis, _mirrored(phantom, axis, margin))
    shape = [fft.next_fast_len(side, real=True) for side in padded.shape[-2:]]
    spectrum = torch.fft.rfft2(padded, s=shape) * _transfer(kernel, shape)
    blurred: Tensor = torch.fft.irfft2(spectrum, s=shape)
    for axis, margin in zip((-2, -1), margins, strict=True):
        blurred = blurred.narrow(axis, margin, phantom.shape[axis])
    return blurred


def _mirrored(values: Tensor, axis: int, margin: int) -> Tensor:
    """Indices along an axis with mirrored margins, of any width."""
    length = values.shape[axis]
    place = torch.arange(-margin, length + margin, device=values.device) % (2 * length)
    return torch.minimum(place, 2 * length - 1 - place)


def _transfer(kernel: Tensor, shape: Sequence[int]) -> Tensor:
    """Spectrum of a kernel whose centre lies at the origin of a plane."""
    (rows, columns), (height, width) = kernel.shape, shape
    plane = F.pad(kernel, (0, width - columns, 0, height - rows))
    centred = plane.roll((-(rows // 2), -(columns // 2)), (0, 1))
    spectrum: Tensor = torch.fft.rfft2(centred)
    return spectrum


# Positivity -------------------------------------------------------------------------


def positive(
    phantom: Tensor, background: Tensor | float, mode: str = "softplus"
) -> Tensor:
    """Phantom from the network's output, (B, 1, Y, X), normalised units.

    Light cannot be negative. With "softplus" the phantom is above the background
    whatever the output is; bright values pass unchanged. In the other
    modes it is the output itself.

    Parameters
    ----------
    phantom : Tensor
        Output of the network.
    background : Tensor or float
        Level where there is no light, normalised units.
    mode : str
        `positivity` of the point spread function.
    """
    if mode != "softplus":
        return phantom
    above = F.softplus(phantom.float() - background, beta=SOFTPLUS_BETA)
    lifted: Tensor = background + above
    return lifted


def negativity(phantom: Tensor, background: Tensor | float) -> Tensor:
    """Mean depth of a phantom below the background: the penalty of the loss.

    Averaged over all pixels, masked or not (Goncharova et al. 2020, eq. 3, where the
    background has been subtracted beforehand).
    """
    depth: Tensor = (background - phantom).clamp_min(0)
    return depth.mean()
