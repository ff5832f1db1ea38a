"""Many files: which are denoised, where results go, and how each of them ended.

Knows images and errors. For the command line.
"""

from napari_selfdenoise.batch.files import (
    IMAGE_ENDINGS,
    NAME,
    Job,
    find_images,
    find_jobs,
    is_folder,
    is_pattern,
    require_name,
)
from napari_selfdenoise.batch.outcomes import Outcome, Outcomes, run_jobs
from napari_selfdenoise.batch.sample import kind_of_most

__all__ = [
    "IMAGE_ENDINGS",
    "NAME",
    "Job",
    "Outcome",
    "Outcomes",
    "find_images",
    "find_jobs",
    "is_folder",
    "is_pattern",
    "kind_of_most",
    "require_name",
    "run_jobs",
]
