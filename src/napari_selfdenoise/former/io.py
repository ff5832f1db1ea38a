"""Now `napari_selfdenoise.images`."""

from napari_selfdenoise.images import *  # noqa: F403
