"""Scores of a prediction: against a reference, or from its residual alone.

Knows images, their defects and their noise. What needs the network is in `prediction`.
For report, demo, command line and window.
"""

from napari_selfdenoise.evaluation.autocorrelation import (
    DIRECTIONS,
    Autocorrelation,
    autocorrelation,
)
from napari_selfdenoise.evaluation.before_after import BeforeAfter
from napari_selfdenoise.evaluation.evaluation import compare_steps, evaluate
from napari_selfdenoise.evaluation.figures import (
    DENOISED_RESOLUTION,
    HELD_OUT_BITS,
    QUANTITIES,
    STEIN_ERROR,
    STEIN_GAIN,
    Evaluation,
    Figure,
    Quantity,
    mean_of,
)
from napari_selfdenoise.evaluation.full_evaluation import (
    FullEvaluation,
    evaluation_steps,
)
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
from napari_selfdenoise.evaluation.residuals import (
    ResidualPlane,
    require_pair,
    residual_image,
    residual_planes,
)
from napari_selfdenoise.evaluation.single_image_frc import (
    RingCorrelation,
    confirmed_resolution,
    measured_curve,
    noise_std_of,
    raised_to_floor,
    require_white,
    single_image_frc,
)
from napari_selfdenoise.evaluation.structure import Excess, Structure, find_structure
from napari_selfdenoise.evaluation.without_reference import (
    examine_steps,
    resolution_steps,
)

__all__ = [
    "DENOISED_RESOLUTION",
    "DIRECTIONS",
    "HELD_OUT_BITS",
    "QUANTITIES",
    "STEIN_ERROR",
    "STEIN_GAIN",
    "Autocorrelation",
    "BeforeAfter",
    "Evaluation",
    "Excess",
    "Figure",
    "FullEvaluation",
    "Histogram",
    "LineProfile",
    "Quantity",
    "ResidualCheck",
    "ResidualPlane",
    "RingCorrelation",
    "Structure",
    "autocorrelation",
    "check_residual",
    "check_steps",
    "compare_steps",
    "confirmed_resolution",
    "evaluate",
    "evaluation_steps",
    "examine_steps",
    "find_structure",
    "frc_resolution",
    "line_profile",
    "mean_of",
    "measured_curve",
    "noise_std_of",
    "psnr",
    "raised_to_floor",
    "require_pair",
    "require_white",
    "residual_image",
    "residual_planes",
    "resolution_steps",
    "scale_invariant_psnr",
    "single_image_frc",
    "ssim",
]
