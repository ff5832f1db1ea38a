"""Networks: how the context of a pixel becomes its prediction."""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Annotated, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from napari_selfdenoise.parts.psf.kernels import gaussian_profile

_SLOPE = 0.1
"""Of the leaky ReLUs: with few features, plain ones die too easily."""


_WIDEST = 256
_MANY = 2**22
"""Pixels to learn from, above which a network may be wider."""


class UNet(BaseModel):
    """U-Net with nearest-neighbour upsampling.

    Two 3x3 convolutions a level, pooling between levels, skips as by concatenation,
    two 1x1 convolutions before the output, no normalisation layers: their statistics
    would carry masked pixels to their own predictions.
    Ronneberger et al. 2015; upsampling and 1x1 layers as in Ollion et al. 2021; blurred
    pooling and the missing top skip as in Höck et al. 2022, N2V2.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", title="U-Net")

    kind: Literal["unet"] = "unet"
    width: int = Field(
        16,
        ge=4,
        le=_WIDEST,
        title="Width",
        description="Number of feature maps at full resolution. Twice the width is "
        "about four times slower.",
        json_schema_extra={"unit": "channels"},
    )
    scales: bool = Field(
        False,
        title="Wider for many images",
        description="Twice the width where more than 4 million pixels are trained on. "
        "One frame does not teach that many weights: its own noise would be learned.",
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
    pooling: Literal["average", "max", "blur"] = Field(
        "average",
        title="Pooling",
        description="How the image is halved in size: mean or maximum of 2 x 2 pixels, "
        "or the maximum blurred first, which leaves no checkerboard (N2V2).",
    )
    top_skip: bool = Field(
        True,
        title="Top skip",
        description="Let features of full resolution reach the output directly: finer "
        "detail, but single noisy pixels pass too. N2V2 leaves it out.",
    )
    smoothing: float = Field(
        0.5,
        ge=0,
        le=2,
        title="Smoothing",
        description="Blurs the prediction a little, as a lens would, so that single "
        "noisy pixels do not stand out. Standard deviation of the Gaussian; 0 does not "
        "blur. No effect with a point spread function, or where lines or shapes are "
        "masked.",
        json_schema_extra={"unit": "px"},
    )

    baseline: float = Field(
        2.0,
        ge=0,
        le=8,
        title="Baseline",
        description="Keeps the brightness of wide areas. The network predicts the "
        "difference from the image blurred by a Gaussian of this standard deviation; "
        "with 0, the signal itself. No effect where smoothing has none.",
        json_schema_extra={"unit": "px"},
    )

    def build(
        self, outputs: int, inputs: int = 1, merges: tuple[int, ...] | None = None
    ) -> UNetModule:
        """Make the network, with so many input and output channels.

        Parameters
        ----------
        outputs, inputs : int
            The first input is what is predicted, the others are its context.
        merges : tuple of int, optional
            How many planes each pooling merges into one, where the network reaches into
            the planes of a volume.
        """
        return UNetModule(self, outputs, inputs, merges)

    def scaled(self, pixels: int) -> UNet:
        """Return the network as wide as suits so many pixels to learn from."""
        double = self.scales and pixels > _MANY
        width = min(2 * self.width, _WIDEST) if double else self.width
        return self.model_copy(update={"width": width, "scales": False})

    @property
    def sharp(self) -> UNet:
        """The same network without smoothing and baseline."""
        return self.model_copy(update={"smoothing": 0.0, "baseline": 0.0})

    @property
    def blind(self) -> bool:
        """Whether the prediction of a pixel is blind to it: it is not."""
        return False

    @property
    def widths(self) -> list[int]:
        """Number of feature maps at each level, full resolution first."""
        return [self.width * self.growth**level for level in range(self.depth + 1)]

    @property
    def stride(self) -> int:
        """Sides must be multiples of this, in pixels."""
        return int(2**self.depth)

    @property
    def flops_per_pixel(self) -> float:
        """Floating-point operations of one prediction, a pixel of the image."""
        widths = self.widths
        inputs = [1, *widths[:-1]]
        cost = sum(
            (i * w + w * w) / 4**level
            for level, (i, w) in enumerate(zip(inputs, widths, strict=True))
        )
        for level, (w, below) in enumerate(itertools.pairwise(widths)):
            convolutions = 3 if level or self.top_skip else 2
            cost += w * below / 4 ** (level + 1) + convolutions * w * w / 4**level
        return float(2 * 9 * cost)

    @property
    def receptive_field_radius(self) -> int:
        """Receptive field radius in px: how far from a pixel its prediction depends."""
        radius = sum(2 * 2**level for level in range(self.depth + 1))  # going down
        radius += sum(4 * 2**level for level in range(self.depth))  # going up
        # A blurred pooling reaches one pixel of its level further to each side.
        radius += self.stride - 1 if self.pooling == "blur" else 0
        radius += self.stride + len(profile(self.smoothing)) // 2
        return max(int(radius), len(profile(self.baseline)) // 2)

    def planes_radius(self, merges: tuple[int, ...]) -> int:
        """How many planes away from a pixel its prediction depends on.

        Parameters
        ----------
        merges : tuple of int
            How many planes each pooling merges into one.
        """
        merged = list(itertools.accumulate((1, *merges), operator.mul))
        return int(sum(merged) + sum(merged[1:]) + merged[-1] - 1)


def profile(sigma: float) -> NDArray[np.float64]:
    """A Gaussian along one axis, (n,), odd, sum 1; a single number where σ is 0."""
    return gaussian_profile(sigma) if sigma else np.ones(1)


class UNetModule(nn.Module):
    """The network that `UNet` describes: (B, inputs, Y, X) -> (B, outputs, Y, X).

    Volumes are batches of planes, (B * Z, inputs, Y, X): where planes are merged, the
    first convolution of each block reaches into the planes before and after.
    """

    def __init__(
        self,
        spec: UNet,
        outputs: int,
        inputs: int = 1,
        merges: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        width, widths = spec.width, spec.widths
        self.merges = merges
        reach = 1 if merges is None else 3
        self.down = nn.ModuleList(
            _double(reach * i, w)
            for i, w in zip([inputs, *widths[:-1]], widths, strict=True)
        )
        self.up = nn.ModuleList(
            Up(reach * b, w, skip=bool(level) or spec.top_skip)
            for level, (w, b) in enumerate(itertools.pairwise(widths))
        )
        self.mix = _mixing(width, width)
        self.head = Head(width, outputs)
        self.pool = _POOLINGS[spec.pooling]()
        self.smooth = Smooth(profile(spec.smoothing))
        self.baseline = Smooth(profile(spec.baseline)) if spec.baseline else None
        _start(self)

    def forward(self, image: Tensor, planes: int = 1) -> Tensor:
        """Predict from an image whose sides are multiples of the stride.

        Of volumes of so many planes each, which follow each other in the batch.
        """
        output: Tensor = self.smooth(self.head(self._features(image, planes)))
        if self.baseline is None:
            return output  # (B, outputs, Y, X)
        mean = output[:, :1] + self.baseline(image[:, :1])
        return torch.cat([mean, output[:, 1:]], dim=1)

    def at(
        self, image: Tensor, positions: Tensor, planes: int = 1
    ) -> tuple[Tensor, Tensor]:
        """Predict the mean everywhere, all else at some pixels; see `Head.at`."""
        mean, rest = self.head.at(self._features(image, planes), positions)
        mean = self.smooth(mean)
        return mean + self.baseline(image[:, :1]) if self.baseline else mean, rest

    def _features(self, image: Tensor, planes: int) -> Tensor:
        """Features of each pixel, (B, C, Y, X)."""
        features, skips, counts = image, [], [planes]
        for level, block in enumerate(self.down):
            if level:
                features = self.pool(features)
                counts.append(counts[-1])
                if self._merge(level - 1) == 2:
                    features = merged(features, counts[-1])
                    counts[-1] = -(-counts[-1] // 2)
            features = block(self._reaching(features, counts[-1]))
            skips.append(features)
        features = skips.pop()
        for level, block in reversed(list(enumerate(self.up))):
            features = self._reaching(features, counts.pop())
            apart = counts[-1] if self._merge(level) == 2 else 0
            features = block(features, skips.pop(), apart)
        mixed: Tensor = self.mix(features)
        return mixed

    def _merge(self, level: int) -> int:
        """How many planes the pooling below a level merges into one."""
        return self.merges[level] if self.merges else 1

    def _reaching(self, features: Tensor, planes: int) -> Tensor:
        """Features as the first convolution of a block needs them."""
        return features if self.merges is None else with_planes_around(features, planes)


def with_planes_around(features: Tensor, planes: int) -> Tensor:
    """Features of each plane with those of the planes before and after it.

    A convolution of them reaches over three planes, and is far faster on a CPU than one
    in three dimensions. Beyond the ends of a volume all is zero.

    Parameters
    ----------
    features : Tensor
        (B * Z, C, Y, X).
    planes : int
        Z, how many planes each volume has.

    Returns
    -------
    Tensor
        Before, itself, after: (B * Z, 3 C, Y, X).
    """
    number = torch.arange(len(features), device=features.device) % planes
    inside = ((number > 0), (number < planes - 1))
    first, last = (flags.to(features)[:, None, None, None] for flags in inside)
    before = F.pad(features, (0, 0, 0, 0, 0, 0, 1, -1)) * first
    after = F.pad(features, (0, 0, 0, 0, 0, 0, -1, 1)) * last
    return torch.cat([before, features, after], dim=1)


def merged(features: Tensor, planes: int) -> Tensor:
    """Means of every two planes; an odd one at the end stays alone.

    Parameters
    ----------
    features : Tensor
        (B * Z, C, Y, X).
    planes : int
        Z, how many planes each volume has.

    Returns
    -------
    Tensor
        (B * ceil(Z / 2), C, Y, X).
    """
    volumes = features.view(-1, planes, *features.shape[1:])
    pairs = planes // 2 * 2
    means = (volumes[:, :pairs:2] + volumes[:, 1:pairs:2]) / 2
    return torch.cat([means, volumes[:, pairs:]], dim=1).flatten(0, 1)


def taken_apart(features: Tensor, planes: int) -> Tensor:
    """Undo `merged` as far as it goes: both planes of a pair get the same.

    Parameters
    ----------
    features : Tensor
        (B * ceil(Z / 2), C, Y, X).
    planes : int
        Z, how many planes each volume is to have.

    Returns
    -------
    Tensor
        (B * Z, C, Y, X).
    """
    volumes = features.view(-1, -(-planes // 2), *features.shape[1:])
    twice = torch.stack([volumes, volumes], dim=2).flatten(1, 2)
    return twice[:, :planes].flatten(0, 1)


class Smooth(nn.Module):
    """Smooths the first output, the mean, along both axes.

    Parameters
    ----------
    profile : ndarray
        (n,), odd, sum 1. A single number leaves all as it is.
    """

    def __init__(self, profile: NDArray[np.float64]) -> None:
        super().__init__()
        self.profile = profile.tolist()

    def forward(self, outputs: Tensor) -> Tensor:
        """Smooth outputs (B, C, Y, X), float32; borders are repeated."""
        margin = len(self.profile) // 2
        if not margin:
            return outputs
        mean, rest = outputs[:, :1], outputs[:, 1:]
        mean = F.pad(mean, (margin,) * 4, mode="replicate")
        for axis in (2, 3):
            # For one channel, shifted sums are far faster than a convolution.
            length = mean.shape[axis] - 2 * margin
            shifted = (mean.narrow(axis, n, length) for n in range(2 * margin + 1))
            parts = zip(shifted, self.profile, strict=True)
            mean = functools.reduce(torch.add, (part * share for part, share in parts))
        return torch.cat([mean, rest], dim=1) if rest.shape[1] else mean


class BlurPool(nn.Module):
    """Maximum of 2 x 2 pixels, smoothed before every other one is left out.

    Zhang 2019, "Making convolutional networks shift-invariant again". The maxima at
    the corners of pixels are weighted 1, 2, 1 along each axis, which is symmetric about
    the middle of a new pixel, and reaches over 4 x 4 old ones.
    """

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        weight = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("kernel", torch.outer(weight, weight), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Halve both sides: (B, C, Y, X) -> (B, C, Y / 2, X / 2)."""
        channels = features.shape[1]
        highest = F.max_pool2d(features, 2, stride=1, padding=1)  # sides one longer
        kernel = self.kernel.expand(channels, 1, 3, 3)
        return F.conv2d(highest, kernel, stride=2, groups=channels)


_POOLINGS: dict[str, Callable[[], nn.Module]] = {
    "average": lambda: nn.AvgPool2d(2),
    "max": lambda: nn.MaxPool2d(2),
    "blur": BlurPool,
}


class Head(nn.Linear):
    """The last layer: features (B, C, Y, X) -> outputs (B, outputs, Y, X), float32."""

    def __init__(self, features: int, outputs: int) -> None:
        # A product with a single column is slow: some idle columns are faster.
        super().__init__(features, 8 * -(-outputs // 8))
        self.outputs = outputs

    def forward(self, features: Tensor) -> Tensor:
        """Outputs of each pixel, as a linear function of its features."""
        # bfloat16 keeps 8 bits: enough for features, too few for an intensity.
        with _full_precision(features.device):
            output = super().forward(features.float().permute(0, 2, 3, 1))
        return output[..., : self.outputs].permute(0, 3, 1, 2)

    def at(self, features: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the first output everywhere, the others where they are needed.

        A training reads them at masked pixels alone: 800 samples of all pixels would
        take most of its time.

        Parameters
        ----------
        features : Tensor
            (B, C, Y, X).
        positions : Tensor
            Flat positions y * X + x, (B, N).

        Returns
        -------
        mean : Tensor
            (B, 1, Y, X), float32.
        rest : Tensor
            (B, N, outputs - 1), float32.
        """
        places = positions.unsqueeze(1).expand(-1, features.shape[1], -1)
        picked = features.flatten(2).gather(2, places).mT.float()  # (B, N, C)
        with _full_precision(features.device):
            everywhere = features.float().permute(0, 2, 3, 1)
            mean = F.linear(everywhere, self.weight[:8], self.bias[:8])
            rest = F.linear(picked, self.weight[1:], self.bias[1:])
        return mean[..., :1].permute(0, 3, 1, 2), rest[..., : self.outputs - 1]


def _full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Context in which nothing runs in fewer bits than float32.

    None where nothing would: to export a network, contexts take a minute.
    """
    if not torch.is_autocast_enabled(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


class Up(nn.Module):
    """One level up: features from below join those of the level by a skip.

    A convolution of concatenated features is the sum of one of each; as a sum it needs
    no copy, and convolutions with equal widths are the fast ones.
    """

    def __init__(self, below: int, width: int, skip: bool = True) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(below, width, 3, padding=1)
        self.grown = nn.Conv2d(width, width, 3, padding=1)
        if skip:
            self.skipped = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.has_skip = skip
        self.last = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, below: Tensor, skip: Tensor, planes: int = 0) -> Tensor:
        """Double the size of `below` and merge it with `skip`.

        With `planes`, the number of planes is doubled, too, to so many of each volume.
        """
        reduced = self.reduce(below)
        reduced = taken_apart(reduced, planes) if planes else reduced
        grown = F.interpolate(reduced, scale_factor=2.0, mode="nearest")
        merged = self.grown(grown)
        if self.has_skip:
            merged = merged + self.skipped(skip)
        return F.leaky_relu(self.last(F.leaky_relu(merged, _SLOPE)), _SLOPE)


class HalfPlaneUNet(BaseModel):
    """Half-plane U-Net (blind by construction).

    Four turned copies of the image pass one U-Net that looks upwards only; 1x1
    convolutions join what it says of the half-planes above, below, left and right of a
    pixel. The pixel itself lies in none of them: nothing needs hiding, and every pixel
    is learned from. Slow: four passes of a network that is wider going up.
    Laine et al. 2019; Khademi et al. 2021.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", title="Half-plane U-Net")

    kind: Literal["half_plane"] = "half_plane"
    width: int = Field(
        32,
        ge=4,
        le=256,
        title="Width",
        description="Number of feature maps going down; twice as many going up. 48 as "
        "published. Twice the width is about four times slower.",
        json_schema_extra={"unit": "channels"},
    )
    depth: int = Field(
        3,
        ge=1,
        le=5,
        title="Depth",
        description="How often the image is halved in size; 5 as published. Each level "
        "doubles the context that a pixel is predicted from.",
        json_schema_extra={"unit": "levels"},
    )

    def build(self, outputs: int) -> HalfPlaneModule:
        """Make the network, with one input channel and `outputs` output channels."""
        return HalfPlaneModule(self, outputs)

    @property
    def blind(self) -> bool:
        """Whether the prediction of a pixel is blind to it: it is."""
        return True

    @property
    def stride(self) -> int:
        """A shift by this many pixels shifts the prediction; any side will do."""
        return int(2**self.depth)

    @property
    def flops_per_pixel(self) -> float:
        """Floating-point operations of one prediction, a pixel of the image."""
        w, up = self.width, 2 * self.width
        cost = float(w + w * w)
        cost += sum(w * w / 4**level for level in range(1, self.depth + 1))
        for level in range(self.depth):
            below = w if level == self.depth - 1 else up
            skip = w if level else 1
            cost += ((below + skip) * up + up * up) / 4**level
        joining = 4 * up * (4 * up + up)
        return float(2 * (4 * 9 * cost + joining))

    @property
    def receptive_field_radius(self) -> int:
        """Receptive field radius in px: how far from a pixel its prediction depends."""
        radius = 4 + sum(2 * 2**level for level in range(1, self.depth + 1))  # down
        radius += self.stride - 1  # poolings look a row of their level further up
        radius += sum(4 * 2**level for level in range(self.depth))  # going up
        return int(radius + self.stride)


class HalfPlaneModule(nn.Module):
    """What `HalfPlaneUNet` describes: (B, 1, Y, X) -> (B, outputs, Y, X)."""

    def __init__(self, spec: HalfPlaneUNet, outputs: int) -> None:
        super().__init__()
        width, depth = spec.width, spec.depth
        self.stride = spec.stride
        self.first = UpwardDouble((1,), width)
        self.down = nn.ModuleList(UpwardConv(width, width) for _ in range(depth))
        belows = [2 * width] * (depth - 1) + [width]
        skips = [1] + [width] * (depth - 1)
        self.up = nn.ModuleList(
            UpwardDouble(inputs, 2 * width)
            for inputs in zip(belows, skips, strict=True)
        )
        self.mix = nn.Sequential(
            _mixing(8 * width, 8 * width), _mixing(8 * width, 2 * width)
        )
        self.head = Head(2 * width, outputs)
        _start(self)

    def forward(self, image: Tensor, planes: int = 1) -> Tensor:
        """Predict from images of any size; beyond them all is zero.

        Planes of a volume are not looked at.
        """
        output: Tensor = self.head(self._features(image))
        return output  # (B, outputs, Y, X)

    def at(
        self, image: Tensor, positions: Tensor, planes: int = 1
    ) -> tuple[Tensor, Tensor]:
        """Predict the mean everywhere, all else at some pixels; see `Head.at`."""
        return self.head.at(self._features(image), positions)

    def _features(self, image: Tensor) -> Tensor:
        """Features of each pixel, (B, C, Y, X)."""
        height, width = image.shape[-2:]
        rest = (-width % self.stride, -height % self.stride)
        # Zeros: a reflection would show pixels to their own predictions.
        padded = F.pad(image, (0, rest[0], 0, rest[1]))
        mixed: Tensor = self.mix(self._half_planes(padded))
        return mixed[..., :height, :width]

    def _half_planes(self, image: Tensor) -> Tensor:
        """Features of the four half-planes around each pixel, (B, 4 C, Y, X)."""
        square = image.shape[-2] == image.shape[-1]
        found: dict[int, Tensor] = {}
        for turns in [(0, 1, 2, 3)] if square else [(0, 2), (1, 3)]:
            turned = torch.cat([_rotated(image, turn) for turn in turns])
            features = self._above(turned).chunk(len(turns))
            for turn, half in zip(turns, features, strict=True):
                found[turn] = _rotated(half, -turn)
        return torch.cat([found[turn] for turn in range(4)], dim=1)

    def _above(self, image: Tensor) -> Tensor:
        """Features of all that lies above each pixel, (B, 1, Y, X) -> (B, C, Y, X)."""
        skips, features = [image], self.first(image)
        for block in self.down:
            pooled = F.max_pool2d(_moved_down(features), 2)
            skips.append(pooled)
            features = block(pooled)
        skips.pop()  # the deepest level joins nothing
        for block in reversed(self.up):
            grown = F.interpolate(features, scale_factor=2.0, mode="nearest")
            features = block(grown, skips.pop())
        return _moved_down(features)  # the pixel's own row leaves the half-plane


NetworkModule = UNetModule | HalfPlaneModule


def _rotated(image: Tensor, quarters: int) -> Tensor:
    """As `torch.rot90` of the last two axes, which ONNX does not have."""
    flips = {1: (-2,), 2: (-2, -1), 3: (-1,)}
    quarters %= 4
    turned = image.transpose(-2, -1) if quarters % 2 else image
    return turned.flip(flips[quarters]) if quarters else turned


def _moved_down(features: Tensor) -> Tensor:
    """Each row takes what the row above it had; zeros enter at the top."""
    return F.pad(features, (0, 0, 1, -1))


class UpwardConv(nn.Module):
    """3x3 convolution over a pixel's row and the two above it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=(0, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Convolve (B, C, Y, X), and cut off what is negative, nearly."""
        convolved = self.conv(F.pad(features, (0, 0, 2, 0)))
        return F.leaky_relu(convolved, _SLOPE, inplace=True)


class UpwardDouble(nn.Module):
    """Two 3x3 convolutions that see a pixel's row and those above it.

    Of one input or of several, as if they were concatenated.
    """

    def __init__(self, inputs: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.joined = nn.ModuleList(
            nn.Conv2d(channels, outputs, 3, padding=(0, 1), bias=not branch)
            for branch, channels in enumerate(inputs)
        )
        self.last = nn.Conv2d(outputs, outputs, 3, padding=(0, 1))

    def forward(self, *inputs: Tensor) -> Tensor:
        """Convolve the inputs, each (B, C, Y, X), twice."""
        # Padded for both convolutions at once: one copy instead of two.
        branches = [
            conv(F.pad(features, (0, 0, 4, 0)))
            for conv, features in zip(self.joined, inputs, strict=True)
        ]
        merged = F.leaky_relu(functools.reduce(torch.add, branches), _SLOPE)
        return F.leaky_relu(self.last(merged), _SLOPE, inplace=True)


Network = Annotated[UNet | HalfPlaneUNet, Field(discriminator="kind")]


def _mixing(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 1), nn.LeakyReLU(_SLOPE, inplace=True)
    )


def _double(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.LeakyReLU(_SLOPE, inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.LeakyReLU(_SLOPE, inplace=True),
    )


def _start(network: UNetModule | HalfPlaneModule) -> None:
    """Give a network its first weights, by torch's random numbers."""
    network.apply(_initialise)
    with torch.no_grad():
        network.head.weight.mul_(0.1)  # the first guess is the median of the image
        network.apply(_balance)


def _balance(module: nn.Module) -> None:
    """Give the sum of branches the variance that one convolution of all would have."""
    branches: list[nn.Module] = []
    if isinstance(module, Up) and module.has_skip:
        branches = [module.grown, module.skipped]
    elif isinstance(module, UpwardDouble):
        branches = list(module.joined)
    convolutions = [branch for branch in branches if isinstance(branch, nn.Conv2d)]
    total = sum(conv.in_channels for conv in convolutions)
    for conv in convolutions:
        conv.weight.mul_(math.sqrt(conv.in_channels / total))


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, a=_SLOPE)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
