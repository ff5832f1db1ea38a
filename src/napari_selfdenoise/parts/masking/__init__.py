"""Masking schemes: which pixels are masked, and what the network gets instead.

Every scheme is blind: what a masked pixel is filled with comes from unmasked pixels
only, so its own value cannot reach its own prediction.
"""

from napari_selfdenoise.parts.masking.fills import neighbour_sum
from napari_selfdenoise.parts.masking.footprint import FootprintScheme, footprint_text
from napari_selfdenoise.parts.masking.scheme import ORIENTATIONS, Mask, MaskingScheme
from napari_selfdenoise.parts.masking.schemes import (
    LARGEST_BIN,
    AutomaticMask,
    BinMask,
    GridMask,
    LineMask,
    Masking,
    NoMask,
    RandomMask,
    ShapeMask,
)

__all__ = [
    "LARGEST_BIN",
    "ORIENTATIONS",
    "AutomaticMask",
    "BinMask",
    "FootprintScheme",
    "GridMask",
    "LineMask",
    "Mask",
    "Masking",
    "MaskingScheme",
    "NoMask",
    "RandomMask",
    "ShapeMask",
    "footprint_text",
    "neighbour_sum",
]
