"""Now `napari_selfdenoise.noise.calibration`."""

from napari_selfdenoise.noise.calibration import *  # noqa: F403
