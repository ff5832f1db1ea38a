"""Measuring noise: its std, whether that follows the signal, and noise correlation.

Knows images, defects and parts. For training, prediction and what stands above them.
"""

from napari_selfdenoise.noise.block_contrasts import (
    PROBE,
    Differences,
    block_numbers,
    squared_noise,
)
from napari_selfdenoise.noise.evenness import Evenness, measure_evenness
from napari_selfdenoise.noise.masked_residuals import (
    MaskedPixels,
    Residuals,
    balanced,
    binned,
    smoothness,
)
from napari_selfdenoise.noise.noise_level import NoiseLevel, measure_level
from napari_selfdenoise.noise.variance_curve import VarianceCurve

__all__ = [
    "PROBE",
    "Differences",
    "Evenness",
    "MaskedPixels",
    "NoiseLevel",
    "Residuals",
    "VarianceCurve",
    "balanced",
    "binned",
    "block_numbers",
    "measure_evenness",
    "measure_level",
    "smoothness",
    "squared_noise",
]
