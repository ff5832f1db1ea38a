"""What is wrong with an image, found before anything is measured or learned.

Outliers, missing pixels, line offsets, clipping, rounding and JPEG; and ways out for
images that are refused. So a few bad pixels spoil neither the normalisation nor the
loss, the noise model or the result. Knows images alone.
"""

from napari_selfdenoise.defects.camera_correction import (
    Corrections,
    as_floats,
    corrected,
)
from napari_selfdenoise.defects.cleaning import (
    WHOLE_PIXELS,
    CleanImage,
    CleanPlane,
    PlaneDefects,
    measure_defects,
    spread_planes,
)
from napari_selfdenoise.defects.clipping import (
    CLIPPING_PIXELS,
    Clipping,
    measure_clipping,
)
from napari_selfdenoise.defects.fixed_patterns import FixedPatterns
from napari_selfdenoise.defects.jpeg import went_through_jpeg
from napari_selfdenoise.defects.mending import (
    Findings,
    Mending,
    examine_steps,
    fill_steps,
    near_zero_steps,
    ways_out,
)
from napari_selfdenoise.defects.missing import find_padding, is_blank
from napari_selfdenoise.defects.rounding import rounding_notes
from napari_selfdenoise.defects.summary import (
    DefectCount,
    describe_defects,
    nothing_to_learn,
    require_numbers,
)

__all__ = [
    "CLIPPING_PIXELS",
    "WHOLE_PIXELS",
    "CleanImage",
    "CleanPlane",
    "Clipping",
    "Corrections",
    "DefectCount",
    "Findings",
    "FixedPatterns",
    "Mending",
    "PlaneDefects",
    "as_floats",
    "corrected",
    "describe_defects",
    "examine_steps",
    "fill_steps",
    "find_padding",
    "is_blank",
    "measure_clipping",
    "measure_defects",
    "near_zero_steps",
    "nothing_to_learn",
    "require_numbers",
    "rounding_notes",
    "spread_planes",
    "ways_out",
    "went_through_jpeg",
]
