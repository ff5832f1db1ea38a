"""What the network of a channel is shown: pixels, or bins of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.defects import CleanPlane
from napari_selfdenoise.images import (
    Normalization,
    sliding_means,
    variance_of_bins,
    whole_bins,
)
from napari_selfdenoise.noise.correlation import measure_correlation

# Pixels that statistics are made of.
_SAMPLE = 2**20


@dataclass(frozen=True, eq=False)
class Observations:
    """Planes of one channel as the network is shown them.

    Parameters
    ----------
    planes : list of ndarray
        Observations, or means of bins that begin at each pixel, (Y, X), raw units.
    good : list of ndarray
        False at defects, (Y, X), one array a plane.
    pixel_to_bin_std : float
        Noise std of a pixel over that of a bin.
    """

    planes: list[NDArray[np.float32]]
    good: list[NDArray[np.bool_]]
    pixel_to_bin_std: float

    @classmethod
    def of(cls, planes: Sequence[CleanPlane], bin_size: int) -> Observations:
        """Average planes over bins of `bin_size` x `bin_size` pixels; 1 for none."""
        shown, good = observed(planes, bin_size)
        if bin_size == 1:
            return cls(shown, good, 1.0)
        rho = measure_correlation([plane.recorded for plane in planes]).rho
        return cls(shown, good, 1 / math.sqrt(variance_of_bins(rho, bin_size)))

    def sample(self) -> NDArray[np.float32]:
        """About a million good pixels, (n,), raw units."""
        every = max(1, sum(p.size for p in self.planes) // _SAMPLE)
        pairs = list(zip(self.planes, self.good, strict=True))
        found = np.concatenate(
            [p.ravel()[::every][good.ravel()[::every]] for p, good in pairs]
        )
        return found if len(found) else np.concatenate([p[good] for p, good in pairs])


def observed(
    planes: Sequence[CleanPlane], bin_size: int
) -> tuple[list[NDArray[np.float32]], list[NDArray[np.bool_]]]:
    """Observations and what is good of them, as of `Observations`."""
    shown, good = [p.pixels for p in planes], [p.good for p in planes]
    if bin_size == 1:
        return shown, good
    return (
        [sliding_means(plane, bin_size) for plane in shown],
        [whole_bins(flags, bin_size) for flags in good],
    )


def std_floor(pixels: NDArray[np.float32], normalization: Normalization) -> float:
    """Smallest noise std that is taken for possible, normalised.

    It is that of rounding, or a thousandth of the range.

    Parameters
    ----------
    pixels : ndarray
        Observations, (n,), raw units.
    normalization : Normalization
        Of the image.
    """
    steps = np.diff(np.unique(pixels[:65536]))
    rounding = float(steps.min()) / math.sqrt(12) if len(steps) else 0.0
    return max(0.5 * rounding / normalization.scale, 1e-3)
