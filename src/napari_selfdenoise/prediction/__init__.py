"""From an image and a model to results: `predict_tiles` is the way in.

For run_time, demo, command line and window.
"""

from napari_selfdenoise.prediction.blend_candidates import low_pass_radius
from napari_selfdenoise.prediction.cluster import cluster_steps
from napari_selfdenoise.prediction.denoised_resolution import denoised_resolution_steps
from napari_selfdenoise.prediction.doubt import REASONS, Doubt, doubt_steps
from napari_selfdenoise.prediction.evidence import PixelEvidence
from napari_selfdenoise.prediction.held_out_likelihood import (
    HeldOutBits,
    held_out_bits_steps,
)
from napari_selfdenoise.prediction.image_planes import TilePrediction
from napari_selfdenoise.prediction.intervals import (
    Coverage,
    IntervalProgress,
    Intervals,
    interval_steps,
    measure_intervals,
)
from napari_selfdenoise.prediction.model_evaluation import evaluate_model_steps
from napari_selfdenoise.prediction.pixel_probe import PixelProbe, ProbeProgress
from napari_selfdenoise.prediction.predict import (
    Prediction,
    denoise,
    predict_tiles,
)
from napari_selfdenoise.prediction.results import (
    Denoised,
    allocate,
    are_intensities,
    image_like,
    result_names,
    result_shapes,
)
from napari_selfdenoise.prediction.slab_views import MOST_PLANES
from napari_selfdenoise.prediction.stein_risk import SteinRisk, stein_risk_steps
from napari_selfdenoise.prediction.stored import store_steps
from napari_selfdenoise.prediction.sure import in_words, raw_share_in_words
from napari_selfdenoise.prediction.tile_size import largest_side
from napari_selfdenoise.prediction.unfinished import (
    Unfinished,
    over_raw,
    predict_over_raw,
)

__all__ = [
    "MOST_PLANES",
    "REASONS",
    "Coverage",
    "Denoised",
    "Doubt",
    "HeldOutBits",
    "IntervalProgress",
    "Intervals",
    "PixelEvidence",
    "PixelProbe",
    "Prediction",
    "ProbeProgress",
    "SteinRisk",
    "TilePrediction",
    "Unfinished",
    "allocate",
    "are_intensities",
    "cluster_steps",
    "denoise",
    "denoised_resolution_steps",
    "doubt_steps",
    "evaluate_model_steps",
    "held_out_bits_steps",
    "image_like",
    "in_words",
    "interval_steps",
    "largest_side",
    "low_pass_radius",
    "measure_intervals",
    "over_raw",
    "predict_over_raw",
    "predict_tiles",
    "raw_share_in_words",
    "result_names",
    "result_shapes",
    "stein_risk_steps",
    "store_steps",
]
