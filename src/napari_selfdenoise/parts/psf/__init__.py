"""Point spread functions: from a phantom to the signal.

Knows kernels and beads as arrays, no files.
"""

from napari_selfdenoise.parts.psf.bead import bead_light, in_focus, measure_psf
from napari_selfdenoise.parts.psf.forward_model import Optics
from napari_selfdenoise.parts.psf.kernels import PixelSize
from napari_selfdenoise.parts.psf.models import (
    PSF,
    GaussianPSF,
    MeasuredPSF,
    NoPSF,
    darkest_level,
)

__all__ = [
    "PSF",
    "GaussianPSF",
    "MeasuredPSF",
    "NoPSF",
    "Optics",
    "PixelSize",
    "bead_light",
    "darkest_level",
    "in_focus",
    "measure_psf",
]
