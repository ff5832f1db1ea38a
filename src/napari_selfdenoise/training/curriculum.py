"""When a training goes over to its next phase.

From the start, a likelihood would weigh dim pixels most and hold the mean back; and
SURE needs a network that predicts well. So each objective but the squared error
begins after it.
"""

from __future__ import annotations

from dataclasses import dataclass

from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.training.phase import NoisePhase


@dataclass(frozen=True)
class Moment:
    """When something changes.

    Parameters
    ----------
    share : float
        Of the budget that is used.
    steps : int
        Steps that are done, where there is no budget.
    noise_fraction : float or None
        Share of the measured noise variance that the noise model is given, where it is
        fitted to predictions now.
    """

    share: float
    steps: int
    noise_fraction: float | None = None


# When the likelihood begins.
_LIKELIHOOD = (Moment(0.05, 50),)

# When no pixel is masked any more: a network that predicts well from the rest first.
_SURE = (Moment(0.2, 200),)

# When the noise model is fitted to predictions, which are better each time. A prior
# that is left no width, as the noise explains all scatter, hardly gets it back; one
# that is too wide shrinks at once. So the first fits are given less than all noise.
_BOOTSTRAPS = (Moment(0.05, 50, 0.8), Moment(0.2, 200, 0.92), Moment(0.45, 1000, 1.0))


def moments_of(config: TrainingConfig, noise: NoisePhase) -> tuple[Moment, ...]:
    """Moments at which a training changes, in order.

    Parameters
    ----------
    config : TrainingConfig
        Its objective decides.
    noise : NoisePhase
        A noise model that is given needs no fits.
    """
    if config.objective == "squared_error":
        return ()
    if config.uses_sure:
        return _SURE
    bootstraps = config.objective == "bootstrap" and noise is not NoisePhase.GIVEN
    return _BOOTSTRAPS if bootstraps else _LIKELIHOOD
