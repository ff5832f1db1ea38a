"""Scores of a prediction: against a reference, or from its residual alone.

Knows images, their defects and noise models. For report, demo, command line and window.
"""

from napari_selfdenoise.evaluation.autocorrelation import (
    DIRECTIONS,
    Autocorrelation,
    autocorrelation,
)
from napari_selfdenoise.evaluation.before_after import BeforeAfter
from napari_selfdenoise.evaluation.evaluation import evaluate
from napari_selfdenoise.evaluation.figures import Figure, figures_of
from napari_selfdenoise.evaluation.full_evaluation import Evaluation, evaluation_steps
from napari_selfdenoise.evaluation.metrics import (
    frc_resolution,
    psnr,
    scale_invariant_psnr,
    ssim,
)
from napari_selfdenoise.evaluation.profiles import LineProfile, line_profile
from napari_selfdenoise.evaluation.residual_check import (
    Histogram,
    ResidualCheck,
    check_residual,
    check_steps,
)
from napari_selfdenoise.evaluation.residuals import residual_image, residual_planes
from napari_selfdenoise.evaluation.structure import Excess, Structure, find_structure

__all__ = [
    "DIRECTIONS",
    "Autocorrelation",
    "BeforeAfter",
    "Evaluation",
    "Excess",
    "Figure",
    "Histogram",
    "LineProfile",
    "ResidualCheck",
    "Structure",
    "autocorrelation",
    "check_residual",
    "check_steps",
    "evaluate",
    "evaluation_steps",
    "figures_of",
    "find_structure",
    "frc_resolution",
    "line_profile",
    "psnr",
    "residual_image",
    "residual_planes",
    "scale_invariant_psnr",
    "ssim",
]
