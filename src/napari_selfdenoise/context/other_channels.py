"""The other channels of a plane, as further inputs of the network that predicts it.

They are brought to the level and spread of the channel that is predicted by two fixed
numbers each, so that a plane on which one of them is dark stays dark there: measured
plane by plane, its noise would become as strong as structure.
"""

from __future__ import annotations

import copy

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.context.compared_planes import KEPT, ComparedPlanes
from napari_selfdenoise.context.plane_pairs import (
    Brightness,
    PairOfPlanes,
    share_noise,
)
from napari_selfdenoise.defects import CleanImage, CleanPlane
from napari_selfdenoise.images import PlaneIndex
from napari_selfdenoise.parts.channels import JointChannels

_BEYOND = 0.5
"""How far a channel may be brighter or darker than in the training, as a share of the
range that it had there."""


class OtherChannels:
    """Finds the other channels of planes of an image.

    Parameters
    ----------
    image : CleanImage
        With channels.
    channels : JointChannels
        As they were measured before the training.

    Attributes
    ----------
    plane_shape : tuple of int
        Rows and columns of the region that is read.
    """

    def __init__(self, image: CleanImage, channels: JointChannels) -> None:
        self.image, self._channels = image, channels
        self._corner, self.plane_shape = (0, 0), image.plane_shape
        image.kept_planes = max(image.kept_planes, channels.count + 1)
        self._compared = ComparedPlanes(image)
        self._found: dict[PlaneIndex, list[PlaneIndex | None]] = {}

    def at(
        self, corner: tuple[int, int], plane_shape: tuple[int, int]
    ) -> OtherChannels:
        """The same of a region; what was measured of planes is used again."""
        found = copy.copy(self)
        found._corner, found.plane_shape = corner, plane_shape
        return found

    def of(self, plane: PlaneIndex) -> list[PlaneIndex | None]:
        """The other channels at a plane's place, in order; None where not usable."""
        if plane not in self._found:
            if len(self._found) > KEPT:
                self._found.clear()
            self._found[plane] = self._usable(plane)
        return self._found[plane]

    def _usable(self, plane: PlaneIndex) -> list[PlaneIndex | None]:
        own = self.image.image.channel_of(plane)
        others = [n for n in range(self.image.image.channels) if n != own]
        if own not in self._channels.helped:
            return [None] * len(others)
        found = [self._at(plane, n) if self._helps(plane, n) else None for n in others]
        waves = [self._compared.waves(other) for other in found if other]
        one, rest = self._compared.waves(plane), [w for w in waves if w]
        if one is None or (rest and share_noise(one, rest)):
            return [None] * len(others)
        return found

    def lacks(self, plane: PlaneIndex) -> bool:
        """Whether a plane is helped by channels, one of which may not be used."""
        own, scales = self.image.image.channel_of(plane), self._channels.scales
        there = sum(bool(scale) for scale in scales) - bool(scales[own])
        used = sum(other is not None for other in self.of(plane))
        return own in self._channels.helped and used < there

    def has_enough(self, plane: PlaneIndex) -> bool:
        """Whether any channel may help to predict a plane."""
        return any(self.of(plane))

    def stack(
        self, plane: PlaneIndex, rows: slice, columns: slice
    ) -> NDArray[np.float32]:
        """Pixels of the other channels at a region of a plane, about as bright.

        Returns
        -------
        ndarray
            (C - 1, Y, X), raw units of the plane's channel: its level where another
            channel is not used, or was not recorded.
        """
        shape = rows.stop - rows.start, columns.stop - columns.start
        level = self._channels.offsets[self.image.image.channel_of(plane)]
        found = np.full((self._channels.count, *shape), level, np.float32)
        for number, other in enumerate(self.of(plane)):
            if other is not None:
                clean = self.read(other, rows, columns)
                pixels = self._brightness(plane, other).matched(clean.pixels)
                found[number] = np.where(clean.missing, np.float32(level), pixels)
        return found

    def noise_shares(self, plane: PlaneIndex) -> NDArray[np.float32]:
        """Std of the noise of what `stack` gives, over that of the plane, one each."""
        shares = np.zeros(self._channels.count, np.float32)
        for number, other in enumerate(self.of(plane)):
            if other is not None:
                noises = [self._noise(one) for one in (plane, other)]
                gain = self._brightness(plane, other).gain
                shares[number] = gain * noises[1] / noises[0] if noises[0] else 0.0
        return shares

    def sequence(self, plane: PlaneIndex) -> PlaneIndex:
        """Sort key by which planes follow each other."""
        return plane

    def read(self, plane: PlaneIndex, rows: slice, columns: slice) -> CleanPlane:
        """Read a region of a plane; rows and columns are counted from the corner."""
        y, x = (
            slice(span.start + first, span.stop + first)
            for span, first in zip((rows, columns), self._corner, strict=True)
        )
        return self.image.read(plane, y, x)

    def pair(self, one: PlaneIndex, other: PlaneIndex) -> PairOfPlanes | None:
        """How two planes are alike; None where one of them is blank."""
        return self._compared.pair(one, other)

    def _at(self, plane: PlaneIndex, channel: int) -> PlaneIndex:
        """The same place in another channel."""
        number = self.image.image.outer_axes.index("C")
        return (*plane[:number], channel, *plane[number + 1 :])

    def _helps(self, plane: PlaneIndex, other: int) -> bool:
        """Whether another channel is recorded there, with noise of its own."""
        if not self._channels.scales[other]:
            return False
        place = self._at(plane, other)
        pair, waves = self.pair(plane, place), self._compared.waves(place)
        if pair is None or waves is None or not pair.unrelated:
            return False
        low, high = self._channels.lows[other], self._channels.highs[other]
        margin = _BEYOND * (high - low)
        darkest, brightest = waves.range
        return low - margin <= darkest and brightest <= high + margin

    def _brightness(self, plane: PlaneIndex, other: PlaneIndex) -> Brightness:
        """How bright a channel is where another is as bright as it mostly is."""
        own, of_other = (self.image.image.channel_of(p) for p in (plane, other))
        scales, offsets = self._channels.scales, self._channels.offsets
        gain = scales[own] / scales[of_other]
        return Brightness(gain, offsets[own] - gain * offsets[of_other])

    def _noise(self, plane: PlaneIndex) -> float:
        """Std of the noise of a plane, raw units, as its shortest waves show it."""
        waves = self._compared.waves(plane)
        return waves.noise_std if waves else 0.0
