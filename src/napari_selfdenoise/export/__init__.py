"""Trained models for other programs: BioImage.IO, ONNX, TorchScript, and their card.

Knows models, their parts and reports. For the command line and the window.
"""

from napari_selfdenoise.export.card import model_card
from napari_selfdenoise.export.denoiser import ExportedModel
from napari_selfdenoise.export.exporting import (
    FORMATS,
    Exported,
    export_model,
    export_steps,
    format_of,
)

__all__ = [
    "FORMATS",
    "Exported",
    "ExportedModel",
    "export_model",
    "export_steps",
    "format_of",
    "model_card",
]
