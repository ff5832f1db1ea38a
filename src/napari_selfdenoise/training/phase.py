"""The phases of a training: what teaches the network, and what the noise model does."""

from __future__ import annotations

from enum import Enum


class Phase(Enum):
    """What teaches the network now."""

    SQUARED_ERROR = "squared error of masked pixels"
    LIKELIHOOD = "likelihood of masked pixels"
    SURE = "SURE of all pixels, none masked"


class NoisePhase(Enum):
    """What is done with the noise model now."""

    LEARNING = "learned from residuals while the network learns"
    FINAL = "fitted to the residuals of the finished network"
    BOOTSTRAPPED = "fitted to predictions, and kept since"
    GIVEN = "known before the training: a calibration, or another image's"

    @property
    def is_fixed(self) -> bool:
        """Whether no gradient and no fit changes it any more."""
        return self in (NoisePhase.BOOTSTRAPPED, NoisePhase.GIVEN)
