"""Blurs as convolution layers: a program that is exported is then short."""

from __future__ import annotations

import copy

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_selfdenoise.parts.networks import Smooth


class SmallBlur(nn.Module):
    """Convolves an image with a point spread function; borders are mirrored.

    The same as `Optics`, which does it by Fourier transform.

    Parameters
    ----------
    kernel : ndarray
        Odd sides, sum 1, (Y, X).
    """

    weight: Tensor

    def __init__(self, kernel: NDArray[np.float64]) -> None:
        super().__init__()
        # A convolution layer does not turn its kernel round, as a convolution does.
        turned = np.ascontiguousarray(kernel[::-1, ::-1], np.float32)
        self.register_buffer("weight", torch.from_numpy(turned)[None, None])

    def forward(self, image: Tensor) -> Tensor:
        """Blur images (B, 1, Y, X)."""
        for axis in (2, 3):
            image = _mirrored(image, axis, self.weight.shape[axis] // 2)
        return F.conv2d(image, self.weight)


class PlainSmooth(nn.Module):
    """Smooths the first output along both axes, as `Smooth` does by shifted sums.

    Parameters
    ----------
    profile : list of float
        Odd length, sum 1.
    """

    weight: Tensor

    def __init__(self, profile: list[float]) -> None:
        super().__init__()
        self.register_buffer("weight", torch.tensor(profile)[None, None, None])

    def forward(self, outputs: Tensor) -> Tensor:
        """Smooth outputs (B, C, Y, X); borders are repeated."""
        margin = self.weight.shape[-1] // 2
        mean = F.pad(outputs[:, :1], (margin,) * 4, mode="replicate")
        mean = F.conv2d(F.conv2d(mean, self.weight), self.weight.transpose(2, 3))
        return torch.cat([mean, outputs[:, 1:]], dim=1)


def with_plain_blurs(network: nn.Module) -> nn.Module:
    """Return a copy of a network that smooths by convolution layers."""
    network = copy.deepcopy(network)
    for name, part in list(network.named_children()):
        if isinstance(part, Smooth):
            plain = (
                PlainSmooth(part.profile) if len(part.profile) > 1 else nn.Identity()
            )
            setattr(network, name, plain)
    return network


def _mirrored(image: Tensor, axis: int, margin: int) -> Tensor:
    """An image with margins along an axis, the border itself repeated."""
    length = image.shape[axis]
    place = torch.arange(length + 2 * margin, device=image.device) - margin
    place = place % (2 * length)
    return image.index_select(axis, torch.minimum(place, 2 * length - 1 - place))
