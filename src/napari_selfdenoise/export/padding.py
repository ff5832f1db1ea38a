"""Borders that are added to images before a network, and taken off behind it.

In steps that exported programs can hold: sides are those of whatever image comes.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Span(NamedTuple):
    """Where the pixels along one axis of a padded image come from.

    Parameters
    ----------
    source : Tensor
        Place in the image of each place of the padded one, mirrored beyond its ends,
        (padded,).
    start, length : int
        Of the image within it.
    """

    source: Tensor
    start: int
    length: int

    @property
    def is_inside(self) -> Tensor:
        """True where there is a pixel of the image, (padded,)."""
        count = self.source.shape[0]  # len() would be that of the example
        place = torch.arange(count, device=self.source.device) - self.start
        return (place >= 0) & (place < self.length)


def span(image: Tensor, axis: int, margin: int, stride: int) -> Span:
    """How an axis is padded: by a margin at least, to a multiple of the stride.

    The same places as of a tile that covers the whole image.

    Parameters
    ----------
    image : Tensor
        (B, C, Y, X).
    axis : int
        2 or 3.
    margin, stride : int
        In pixels.
    """
    length = image.shape[axis]
    before = -(-margin // stride) * stride
    after = before + -length % stride
    place = torch.arange(before + length + after, device=image.device) - before
    # 1 for a side of one pixel; max() would be that of the example
    period = 2 * (length - 1) + 1 // length
    place = place % period
    return Span(torch.minimum(place, period - place), before, length)


def padded(image: Tensor, rows: Span, columns: Span) -> Tensor:
    """Return an image (B, C, Y, X) with mirrored borders."""
    return image.index_select(2, rows.source).index_select(3, columns.source)


def cut(image: Tensor, rows: Span, columns: Span) -> Tensor:
    """Return what is left of a padded image (..., Y, X) without its borders."""
    inner = image.narrow(-2, rows.start, rows.length)
    return inner.narrow(-1, columns.start, columns.length)
