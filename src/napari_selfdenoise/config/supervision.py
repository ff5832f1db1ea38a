"""Settings for images that are learned from together with another one."""

from __future__ import annotations

from napari_selfdenoise.config.training_config import Supervision, TrainingConfig


def supervised(config: TrainingConfig, supervision: Supervision) -> TrainingConfig:
    """Return a config for a second exposure, or a noise-free image, as target.

    What is of no use there gives way: masks, planes around, a spread of the signal, and
    objectives and estimators that need them.

    Parameters
    ----------
    config : TrainingConfig
        As the user chose it.
    supervision : str
        "pair" or "noise_free"; with "self" all stays as it is.

    Raises
    ------
    RequestError
        If the network or its noise model cannot learn from a pair.
    """
    if supervision == "self":
        return config
    changes = {
        "supervision": supervision,
        "masking": "none",
        "context": "none",
        "channels": "independent",
        "signal": "point",
        "objective": "squared_error",
    }
    if not config.estimator.blends:
        changes["estimator"] = "single_pass"
    return config.override(changes)
