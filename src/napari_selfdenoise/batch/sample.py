"""What is learned from of many files: some all over the list, of one kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

from napari_selfdenoise.images import Image

One = TypeVar("One")


def spread(all_of_them: Sequence[One], count: int) -> list[One]:
    """Some of a list at equal distances, the first among them.

    Parameters
    ----------
    all_of_them : sequence
        In their order.
    count : int
        How many at most.
    """
    total = len(all_of_them)
    if total <= count:
        return list(all_of_them)
    return [all_of_them[number * total // count] for number in range(count)]


def kind_of_most(images: Sequence[Image]) -> list[Image]:
    """Those that have as many channels as most of them, in their order.

    One network a channel learns from all of them together.
    """
    counts = Counter(image.channels for image in images)
    most = max(counts, key=lambda channels: counts[channels])
    return [image for image in images if image.channels == most]
