"""Pixels that tell nothing of the signal: outliers, and what was never recorded.

Found before anything is measured or learned, so that a few of them rule neither the
normalisation nor the loss, the noise or the result.
"""

from napari_selfdenoise.defects.cleaning import (
    CleanImage,
    CleanPlane,
    PlaneDefects,
    measure_defects,
)
from napari_selfdenoise.defects.summary import (
    DefectCount,
    describe_defects,
    nothing_to_learn,
)

__all__ = [
    "CleanImage",
    "CleanPlane",
    "DefectCount",
    "PlaneDefects",
    "describe_defects",
    "measure_defects",
    "nothing_to_learn",
]
