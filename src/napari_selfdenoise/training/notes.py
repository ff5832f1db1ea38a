"""What the user should know of a finished training."""

from __future__ import annotations

import math

import torch

from napari_selfdenoise.noise.calibration import range_warning
from napari_selfdenoise.noise.correlation import left_over
from napari_selfdenoise.training.channel_trainer import ChannelTrainer

# Patches in which noise that is left is looked for.
_PATCHES = 16


def notes_of(trainer: ChannelTrainer) -> list[str]:
    """Sentences on the noise model, on noise that is left, and on a rough training."""
    found = _range_note(trainer), _left_over_note(trainer), _rescue_note(trainer)
    return [note for note in found if note]


def _range_note(trainer: ChannelTrainer) -> str | None:
    """Whether the image leaves the signals of a calibrated noise model."""
    learner = trainer.noise
    measured = learner.module.signal_range if learner.module else None
    if not learner.phase.is_fixed or measured is None:
        return None
    signal = learner.residuals().signal
    return range_warning(measured, float(signal.min()), float(signal.max()))


@torch.no_grad()
def _left_over_note(trainer: ChannelTrainer) -> str | None:
    """Whether noise that neighbours share was left in the prediction."""
    drawn = trainer.draw_unturned(_PATCHES)
    batch, good, _ = drawn
    mean = trainer.mean(drawn)
    if good is not None:  # what was filled is flat, and not for lack of noise
        batch = batch.masked_fill(~good, math.nan)
    before, after = (list(v[:, 0].cpu().numpy()) for v in (batch, mean))
    found = left_over(before, after, trainer.config.masking)
    return str(found) if found.wider else None


def _rescue_note(trainer: ChannelTrainer) -> str | None:
    """Whether the training was thrown off."""
    rescues = trainer.recovery.rescues
    if not rescues:
        return None
    times = "once" if rescues == 1 else f"{rescues} times"
    return (
        f"The training became unstable {times} and went on from earlier weights, "
        "at a smaller learning rate."
    )
