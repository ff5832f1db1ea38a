"""Many files: which are denoised, where results go, and how each of them ended.

Knows images and errors. For command line and window.
"""

from napari_selfdenoise.batch.arrivals import Arrivals
from napari_selfdenoise.batch.files import (
    IMAGE_ENDINGS,
    NAME,
    Job,
    Outputs,
    find_images,
    find_jobs,
    images_in,
    is_folder,
    is_pattern,
    job_of,
    require_name,
)
from napari_selfdenoise.batch.outcomes import Outcome, Outcomes, Work, attempt, run_jobs
from napari_selfdenoise.batch.sample import is_like, kind_of_most

__all__ = [
    "IMAGE_ENDINGS",
    "NAME",
    "Arrivals",
    "Job",
    "Outcome",
    "Outcomes",
    "Outputs",
    "Work",
    "attempt",
    "find_images",
    "find_jobs",
    "images_in",
    "is_folder",
    "is_like",
    "is_pattern",
    "job_of",
    "kind_of_most",
    "require_name",
    "run_jobs",
]
