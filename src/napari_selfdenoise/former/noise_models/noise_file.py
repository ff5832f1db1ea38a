"""Now `napari_selfdenoise.parts.noise_models`."""

from napari_selfdenoise.parts.noise_models import *  # noqa: F403
