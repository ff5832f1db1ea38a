"""What is learned from of many files: some all over the list, of one kind."""

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
