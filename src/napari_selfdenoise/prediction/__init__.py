"""From an image and a model to results: `predict_tiles` is the way in.

For run_time, demo, command line and window.
"""

from napari_selfdenoise.prediction.predict import (
    Denoised,
    Prediction,
    TilePrediction,
    allocate,
    denoise,
    largest_side,
    predict_tiles,
    result_names,
    result_shapes,
)
from napari_selfdenoise.prediction.sure import in_words, raw_share_in_words
from napari_selfdenoise.prediction.unfinished import (
    Unfinished,
    over_raw,
    predict_over_raw,
)

__all__ = [
    "Denoised",
    "Prediction",
    "TilePrediction",
    "Unfinished",
    "allocate",
    "denoise",
    "in_words",
    "largest_side",
    "over_raw",
    "predict_over_raw",
    "predict_tiles",
    "raw_share_in_words",
    "result_names",
    "result_shapes",
]
