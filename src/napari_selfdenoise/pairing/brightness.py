"""How bright two images of a scene are, and one in the units of the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.context import Brightness
from napari_selfdenoise.defects import as_floats
from napari_selfdenoise.images import Image

Array = NDArray[np.float64]

_LEAST_BLOCKS = 16
_RELATED = 0.7
"""Correlation of the blocks' means, at least, for a gain to be found in them."""


def fit_pair(wanted: Array, given: Array) -> Brightness:
    """Fit a line to means of blocks (n,) that are equally noisy in both images.

    Orthogonal regression, which treats both alike: the other way round it gives the
    inverse.
    """
    if not _are_related(wanted, given):
        return _of_level(wanted, given)
    (x, xy), (_, y) = np.cov(given, wanted)
    gain = float((y - x + np.hypot(y - x, 2 * xy)) / (2 * xy))
    return Brightness(gain, float(wanted.mean() - gain * given.mean()))


def fit_noise_free(wanted: Array, given: Array) -> Brightness:
    """Fit a line to means of blocks (n,) of a noisy image and a noise-free one."""
    if not _are_related(wanted, given):
        return _of_level(wanted, given)
    gain = float(np.cov(given, wanted)[0, 1] / given.var(ddof=1))
    return Brightness(gain, float(wanted.mean() - gain * given.mean()))


def _of_level(wanted: Array, given: Array) -> Brightness:
    """Only the means of both, where there is too little structure for a gain."""
    if not len(wanted):
        return Brightness()
    return Brightness(1.0, float(wanted.mean() - given.mean()))


def _are_related(wanted: Array, given: Array) -> bool:
    if len(wanted) < _LEAST_BLOCKS or not (wanted.std() and given.std()):
        return False
    return bool(np.corrcoef(wanted, given)[0, 1] >= _RELATED)


def matched(image: Image, by_channel: Sequence[Brightness]) -> Image:
    """Return an image in the brightness of another one; lazy arrays stay lazy.

    Parameters
    ----------
    image : Image
        Raw units.
    by_channel : sequence of Brightness
        One a channel.
    """
    if all(one == Brightness() for one in by_channel):
        return image
    shape = [len(by_channel) if axis == "C" else 1 for axis in image.axes]
    gains, offsets = (
        np.array(values, np.float32).reshape(shape)
        for values in zip(*by_channel, strict=True)
    )
    return replace(image, data=as_floats(image) * gains + offsets)
