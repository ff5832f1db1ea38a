"""A second exposure or a noise-free image of a scene: whether it fits, and matched.

Knows images, defects and context. For training, prediction and what stands above them.
"""

from napari_selfdenoise.pairing.brightness import fit_noise_free, fit_pair
from napari_selfdenoise.pairing.match import (
    Matched,
    match_noise_free,
    match_pair,
    require_alike,
)
from napari_selfdenoise.pairing.shift import Shift, measure_shift

__all__ = [
    "Matched",
    "Shift",
    "fit_noise_free",
    "fit_pair",
    "match_noise_free",
    "match_pair",
    "measure_shift",
    "require_alike",
]
