"""What is learned from of many files or layers: images of one kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from napari_selfdenoise.images import Image


def kind_of_most(images: Sequence[Image]) -> list[Image]:
    """Those that have as many channels as most of them, in their order.

    One network a channel learns from all of them together.
    """
    counts = Counter(image.channels for image in images)
    most = max(counts, key=lambda channels: counts[channels])
    return [image for image in images if image.channels == most]


def is_like(image: Image, other: Image) -> bool:
    """Whether two images have the same axes, type of numbers and channels."""
    kinds = {(one.axes, one.dtype, one.channels) for one in (image, other)}
    return len(kinds) == 1
