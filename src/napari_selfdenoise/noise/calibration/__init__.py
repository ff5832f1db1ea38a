"""Noise models from pairs of signal and observation: calibration and bootstrap.

Pairs come from repeated frames of a static scene, whose mean is the signal; from a
noisy stack and a signal that is given; or from an image and its own prediction.
"""

from napari_selfdenoise.noise.calibration.compare import (
    COMPARED,
    Compared,
    Comparison,
    compare,
    compare_steps,
)
from napari_selfdenoise.noise.calibration.fit import (
    Fit,
    bits_per_pixel,
    fit_noise,
    fit_steps,
    range_warning,
)
from napari_selfdenoise.noise.calibration.frame_check import (
    Finding,
    FrameCheck,
    check_stack,
    check_steps,
)
from napari_selfdenoise.noise.calibration.frames import (
    calibrate,
    calibrate_steps,
    measured_scatter,
    measured_variance,
)
from napari_selfdenoise.noise.calibration.line import fit_poisson_gaussian
from napari_selfdenoise.noise.calibration.pairs import MAX_PAIRS

__all__ = [
    "COMPARED",
    "MAX_PAIRS",
    "Compared",
    "Comparison",
    "Finding",
    "Fit",
    "FrameCheck",
    "bits_per_pixel",
    "calibrate",
    "calibrate_steps",
    "check_stack",
    "check_steps",
    "compare",
    "compare_steps",
    "fit_noise",
    "fit_poisson_gaussian",
    "fit_steps",
    "measured_scatter",
    "measured_variance",
    "range_warning",
]
