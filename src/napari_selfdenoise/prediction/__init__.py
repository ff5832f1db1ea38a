"""From an image and a model to results: `predict_tiles` is the way in.

For run_time, demo, command line and window.
"""

from napari_selfdenoise.prediction.blend_candidates import low_pass_radius
from napari_selfdenoise.prediction.held_out_likelihood import (
    HeldOutBits,
    held_out_bits_steps,
)
from napari_selfdenoise.prediction.model_evaluation import evaluate_model_steps
from napari_selfdenoise.prediction.predict import (
    Prediction,
    TilePrediction,
    denoise,
    predict_tiles,
)
from napari_selfdenoise.prediction.results import (
    Denoised,
    allocate,
    result_names,
    result_shapes,
)
from napari_selfdenoise.prediction.stein_risk import SteinRisk, stein_risk_steps
from napari_selfdenoise.prediction.sure import in_words, raw_share_in_words
from napari_selfdenoise.prediction.tile_size import largest_side
from napari_selfdenoise.prediction.unfinished import (
    Unfinished,
    over_raw,
    predict_over_raw,
)

__all__ = [
    "Denoised",
    "HeldOutBits",
    "Prediction",
    "SteinRisk",
    "TilePrediction",
    "Unfinished",
    "allocate",
    "denoise",
    "evaluate_model_steps",
    "held_out_bits_steps",
    "in_words",
    "largest_side",
    "low_pass_radius",
    "over_raw",
    "predict_over_raw",
    "predict_tiles",
    "raw_share_in_words",
    "result_names",
    "result_shapes",
    "stein_risk_steps",
]
