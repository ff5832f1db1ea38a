"""What the noise of an image is, before anything is trained, and what that asks for.

`diagnose_steps` is the way in. Knows images, defects, noise, config and what training
decides. For command line and window.
"""

from napari_selfdenoise.diagnosis.autocorrelogram import (
    Autocorrelogram,
    Shared,
    autocorrelogram,
)
from napari_selfdenoise.diagnosis.diagnosis import (
    Diagnosing,
    Diagnosis,
    diagnose,
    diagnose_steps,
)
from napari_selfdenoise.diagnosis.forecast_gain import GainForecast, forecast_gain
from napari_selfdenoise.diagnosis.frames import Frames, compare_frames
from napari_selfdenoise.diagnosis.photon_transfer import (
    PhotonTransfer,
    measure_photon_transfer,
)
from napari_selfdenoise.diagnosis.recommendations import Recommendation
from napari_selfdenoise.diagnosis.rows import Finding

__all__ = [
    "Autocorrelogram",
    "Diagnosing",
    "Diagnosis",
    "Finding",
    "Frames",
    "GainForecast",
    "PhotonTransfer",
    "Recommendation",
    "Shared",
    "autocorrelogram",
    "compare_frames",
    "diagnose",
    "diagnose_steps",
    "forecast_gain",
    "measure_photon_transfer",
]
