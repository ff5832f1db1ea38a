"""What the window says of a run that has come to its end."""

from __future__ import annotations

from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.prediction import Denoised


def outcome(model: TrainedModel, result: Denoised, hidden: str) -> str:
    """Say what came of a run; first what the user must know before she believes it.

    Parameters
    ----------
    model : TrainedModel
        What denoised.
    result : Denoised
        What it made.
    hidden : str
        Names of the layers that are not shown at first.
    """
    known = model.provenance
    few, finding = known.get("few_steps", ""), known.get("finding", "")
    notes = list(known.get("warnings", []))
    if result.complete:
        said = f"Done. {hidden} are hidden: press their eyes."
    else:
        said = f"Stopped: {_reached(result)} Press Denoise for all of it."
    if few:  # what else is said of the result means nothing
        others = [note for note in notes if note != few]
        stopped = [] if result.complete else [said]
        parts = [f"Hardly trained. {few}", *stopped, finding, *others]
    else:
        made_of = f"The result is made of: {result.chosen}." if result.chosen else ""
        parts = [said, made_of, finding, *notes]
    return " ".join(filter(None, parts))


def _reached(result: Denoised) -> str:
    planes = sum(1 for _ in result.denoised.planes())
    if planes == 1:
        share = f"{100 * result.done_fraction:.0f} % of the image is denoised"
        return f"{share}, the rest shows the raw image."
    done = len(result.coverage.planes)
    return f"{done} of {planes} images are denoised, the others show the raw image."
