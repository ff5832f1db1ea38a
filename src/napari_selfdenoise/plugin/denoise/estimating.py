"""A model in hand, and the estimator that is chosen."""

from __future__ import annotations

from napari_selfdenoise.config import TrainingConfig, with_estimator
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.parts.estimators import Estimator
from napari_selfdenoise.plugin.forms.fields import member_title


def estimating(model: TrainedModel, estimator: Estimator) -> TrainingConfig:
    """The model's settings with another estimator.

    Parameters
    ----------
    model : TrainedModel
        The model in hand.
    estimator : Estimator
        As the form has it.

    Raises
    ------
    RequestError
        If the model cannot be used with it, in the words of the window.
    """
    try:
        return with_estimator(model.config, estimator)
    except RequestError as error:
        name = member_title(type(estimator))
        if estimator.fuses and not model.config.signal.spreads:
            raise RequestError(
                "This model knows single values, not how sure they are, as the "
                f"estimator '{name}' needs.",
                "Choose the estimator Automatic, or train with a recipe such as PN2V.",
            ) from error
        raise RequestError(
            f"This model cannot be used with the estimator {name}. {error.message}",
            error.hint,
        ) from error
