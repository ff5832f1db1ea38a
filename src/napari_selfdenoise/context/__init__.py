"""Which other planes and channels a plane is predicted from, and whether they help.

Knows images, defects and parts. For training, prediction and what stands above them.
"""

from napari_selfdenoise.context.benefit import Benefit, measure_benefit, pooled
from napari_selfdenoise.context.context_planes import (
    ContextPlanes,
    neighbour_places,
    stack_axis,
)
from napari_selfdenoise.context.context_sources import ContextSources
from napari_selfdenoise.context.motion import Motion, measure_motion, moved_back
from napari_selfdenoise.context.other_channels import OtherChannels
from napari_selfdenoise.context.plane_pairs import (
    Brightness,
    PairOfPlanes,
    PlaneWaves,
)
from napari_selfdenoise.context.volumes import (
    Slab,
    Volumes,
    depth_axis,
    plane_spacing,
)

__all__ = [
    "Benefit",
    "Brightness",
    "ContextPlanes",
    "ContextSources",
    "Motion",
    "OtherChannels",
    "PairOfPlanes",
    "PlaneWaves",
    "Slab",
    "Volumes",
    "depth_axis",
    "measure_benefit",
    "measure_motion",
    "moved_back",
    "neighbour_places",
    "plane_spacing",
    "pooled",
    "stack_axis",
]
