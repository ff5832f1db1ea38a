"""Scores of a prediction: against a reference, or from its residual alone.

Knows images, their defects and noise models. For report, demo, command line and window.
"""

from napari_selfdenoise.evaluation.autocorrelation import (
    DIRECTIONS,
    Autocorrelation,
    autocorrelation,
)
from napari_selfdenoise.evaluation.evaluation import evaluate
from napari_selfdenoise.evaluation.metrics import (
    frc_resolution,
    psnr,
    scale_invariant_psnr,
    ssim,
)
from napari_selfdenoise.evaluation.residual_check import (
    Histogram,
    ResidualCheck,
    check_residual,
)
from napari_selfdenoise.evaluation.residuals import residual_image, residual_planes
from napari_selfdenoise.evaluation.structure import Excess, Structure, find_structure

__all__ = [
    "DIRECTIONS",
    "Autocorrelation",
    "Excess",
    "Histogram",
    "ResidualCheck",
    "Structure",
    "autocorrelation",
    "check_residual",
    "evaluate",
    "find_structure",
    "frc_resolution",
    "psnr",
    "residual_image",
    "residual_planes",
    "scale_invariant_psnr",
    "ssim",
]
