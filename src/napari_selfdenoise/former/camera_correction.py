"""Now `napari_selfdenoise.defects`."""

from napari_selfdenoise.defects import *  # noqa: F403
