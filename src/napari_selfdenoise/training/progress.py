"""A moment of a training, as it is shown to the user."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.images import FieldOfView
from napari_selfdenoise.long_work import Command
from napari_selfdenoise.model import LossHistory
from napari_selfdenoise.parts.noise_models import NoiseCurve
from napari_selfdenoise.training.preview import Preview

# What is being done, of most progress; before it, the image is read.
READING = "Reading the image and measuring its noise"
FOLLOWING = "Following what moves between frames"
JOINING = "Reading the other channels"
LEARNING = "Learning"
FITTING = "Fitting the noise model"
FINISHING = "Finishing: fitting the noise"


@dataclass(frozen=True, eq=False)
class TrainingProgress:
    """A moment of a training.

    Parameters
    ----------
    stage : str
        What is being done, as a phrase.
    step : int
        Steps done.
    elapsed_s : float
        Since the start, in seconds.
    remaining_s : float or None
        Estimated; None where the training runs until it is stopped.
    fraction : float or None
        Share of the budget that is used.
    loss : float
        Mean since the last progress; NaN before the first step.
    history : LossHistory
        The loss so far.
    noise_curve : NoiseCurve or None
        Of the first channel, raw units: signal grid and predicted std.
    scatter : tuple of ndarray
        Signal and standard deviation of the residuals of masked pixels around it, in
        bins of equally many pixels, raw units; each (n,).
    preview : Preview or None
        Answer to the last `FieldOfView` that was sent.
    finding : str
        What was found of the image and decided by it, in a sentence; may be empty.
    config : TrainingConfig or None
        With the settings that follow the image decided; None before that.
    warning : str
        What will spoil the result if nothing is done about it now; may be empty.
    """

    stage: str
    step: int = 0
    elapsed_s: float = 0.0
    remaining_s: float | None = None
    fraction: float | None = None
    loss: float = math.nan
    history: LossHistory = field(default_factory=LossHistory)
    noise_curve: NoiseCurve | None = None
    scatter: tuple[NDArray[np.float64], NDArray[np.float64]] = field(
        default_factory=lambda: (np.zeros(0), np.zeros(0))
    )
    preview: Preview | None = None
    finding: str = ""
    config: TrainingConfig | None = None
    warning: str = ""


Reporting = Generator[TrainingProgress, Command | FieldOfView | None, None]
"""A stretch of a training that hands out progress and takes what is sent back."""
