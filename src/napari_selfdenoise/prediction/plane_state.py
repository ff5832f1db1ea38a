"""What an estimator has learned of a plane before it denoises its tiles."""

from __future__ import annotations

from typing import NamedTuple

from napari_selfdenoise.parts.noise_models import NoiseCurve
from napari_selfdenoise.prediction.context_spread import ContextSpread
from napari_selfdenoise.prediction.sure import Blend


class PlaneState(NamedTuple):
    """All that tiles of one plane have in common: with it, others can denoise them.

    Parameters
    ----------
    curve : NoiseCurve
        Noise of the plane, raw units.
    temperature : float
        As of `ImageNoise`.
    blend : Blend or None
        What the results are made of, where that was chosen.
    spread : ContextSpread or None
        How far the context leaves the signal open, where that was measured.
    """

    curve: NoiseCurve
    temperature: float = 1.0
    blend: Blend | None = None
    spread: ContextSpread | None = None
