"""Networks: how the context of a pixel becomes its prediction."""

from __future__ import annotations

import itertools
import math
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

_SLOPE = 0.1
"""Of the leaky ReLUs: with few features, plain ones die too easily."""


class UNet(BaseModel):
    """U-Net with nearest-neighbour upsampling.

    Two 3x3 convolutions a level, average pooling between levels, skips as by
    concatenation, two 1x1 convolutions before the output, no normalisation layers:
    their statistics would carry masked pixels to their own predictions.
    Ronneberger et al. 2015; upsampling and 1x1 layers as in Ollion et al. 2021.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", title="U-Net")

    kind: Literal["unet"] = "unet"
    width: int = Field(
        16,
        ge=4,
        le=256,
        title="Width",
        description="Number of feature maps at full resolution. Twice the width is "
        "about four times slower.",
        json_schema_extra={"unit": "channels"},
    )
    depth: int = Field(
        2,
        ge=1,
        le=5,
        title="Depth",
        description="How often the image is halved in size. Each level doubles the "
        "context that a pixel is predicted from.",
        json_schema_extra={"unit": "levels"},
    )
    growth: int = Field(
        2,
        ge=1,
        le=2,
        title="Growth",
        description="Factor by which the feature maps multiply at each level.",
    )

    def build(self, outputs: int) -> UNetModule:
        """Make the network, with one input channel and `outputs` output channels."""
        return UNetModule(self.width, self.depth, self.growth, outputs)

    @property
    def stride(self) -> int:
        """Sides must be multiples of this, in pixels."""
        return int(2**self.depth)

    @property
    def flops_per_pixel(self) -> float:
        """Floating-point operations of one prediction, a pixel of the image."""
        widths = [self.width * self.growth**level for level in range(self.depth + 1)]
        inputs = [1, *widths[:-1]]
        cost = sum(
            (i * w + w * w) / 4**level
            for level, (i, w) in enumerate(zip(inputs, widths, strict=True))
        )
        for level, (w, below) in enumerate(itertools.pairwise(widths)):
            cost += w * below / 4 ** (level + 1) + 3 * w * w / 4**level
        return float(2 * 9 * cost)

    @property
    def reach(self) -> int:
        """How far a pixel's prediction looks, in pixels: half the receptive field."""
        reach = sum(2 * 2**level for level in range(self.depth + 1))  # going down
        reach += sum(4 * 2**level for level in range(self.depth))  # going up
        return int(reach + self.stride)


class UNetModule(nn.Module):
    """The network that `UNet` describes: (B, 1, Y, X) -> (B, outputs, Y, X)."""

    def __init__(self, width: int, depth: int, growth: int, outputs: int) -> None:
        super().__init__()
        widths = [width * growth**level for level in range(depth + 1)]
        inputs = [1, *widths[:-1]]
        self.down = nn.ModuleList(
            _double(i, w) for i, w in zip(inputs, widths, strict=True)
        )
        self.up = nn.ModuleList(Up(b, w) for w, b in itertools.pairwise(widths))
        self.mix = nn.Sequential(
            nn.Conv2d(width, width, 1), nn.LeakyReLU(_SLOPE, inplace=True)
        )
        # A product with a single column is slow: some idle columns are faster.
        self.head = nn.Linear(width, 8 * -(-outputs // 8))
        self.outputs = outputs
        self.apply(_initialise)
        with torch.no_grad():
            self.head.weight.mul_(0.1)  # the first guess is the median of the image
            for block in self.up:
                block.apply(_balance)

    def forward(self, image: Tensor) -> Tensor:
        """Predict from an image whose sides are multiples of the stride."""
        features, skips = image, []
        for level, block in enumerate(self.down):
            features = block(F.avg_pool2d(features, 2) if level else features)
            skips.append(features)
        features = skips.pop()
        for block in reversed(self.up):
            features = block(features, skips.pop())
        features = self.mix(features).permute(0, 2, 3, 1)  # (B, Y, X, width)
        # bfloat16 keeps 8 bits: enough for features, too few for an intensity.
        with torch.autocast(features.device.type, enabled=False):
            output: Tensor = self.head(features.float())[..., : self.outputs]
        return output.permute(0, 3, 1, 2)  # (B, outputs, Y, X)


class Up(nn.Module):
    """One level up: features from below join those of the level by a skip.

    A convolution of concatenated features is the sum of one of each; as a sum it needs
    no copy, and convolutions with equal widths are the fast ones.
    """

    def __init__(self, below: int, width: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(below, width, 3, padding=1)
        self.grown = nn.Conv2d(width, width, 3, padding=1)
        self.skipped = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.last = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        """Double the size of `below` and merge it with `skip`."""
        grown = F.interpolate(self.reduce(below), scale_factor=2.0, mode="nearest")
        merged = F.leaky_relu(self.grown(grown) + self.skipped(skip), _SLOPE)
        return F.leaky_relu(self.last(merged), _SLOPE)


def _double(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.LeakyReLU(_SLOPE, inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.LeakyReLU(_SLOPE, inplace=True),
    )


def _balance(module: nn.Module) -> None:
    """Give the sum of two branches the variance that one would have."""
    if isinstance(module, Up):
        for branch in (module.grown, module.skipped):
            branch.weight.mul_(math.sqrt(0.5))


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, a=_SLOPE)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
