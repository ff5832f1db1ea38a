"""What the record of a viewer keeps of a run."""

from __future__ import annotations

from napari_selfdenoise.config import TITLES, TrainingConfig
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.plugin.docks.run_record import FinishedRun
from napari_selfdenoise.plugin.forms.fields import member_title
from napari_selfdenoise.plugin.viewer.results import Results


def finished_run(
    results: Results, model: TrainedModel, config: TrainingConfig, seconds: float
) -> FinishedRun:
    """What the record of the viewer keeps of a run: no pixels.

    Parameters
    ----------
    results : Results
        Of the run.
    model : TrainedModel
        That denoised.
    config : TrainingConfig
        As the form had it: what a training decided from it is in the model.
    seconds : float
        Of the whole run.
    """
    return FinishedRun(
        results.run,
        results.source_id,
        results.name,
        TITLES.get(config.recipe, config.recipe),
        member_title(type(config.masking)),
        member_title(type(config.noise_model)),
        seconds,
        int(model.provenance.get("steps", 0)),
        config.model_dump(mode="json"),
    )
