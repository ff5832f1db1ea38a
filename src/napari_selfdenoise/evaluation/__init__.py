"""Scores of a prediction against a reference.

Knows images alone. For demo, command line and window.
"""

from napari_selfdenoise.evaluation.evaluation import evaluate
from napari_selfdenoise.evaluation.metrics import (
    frc_resolution,
    psnr,
    scale_invariant_psnr,
    ssim,
)

__all__ = [
    "evaluate",
    "frc_resolution",
    "psnr",
    "scale_invariant_psnr",
    "ssim",
]
