"""The message at the end of a run."""

from __future__ import annotations

from collections.abc import Sequence

from napari_selfdenoise.config import why_not
from napari_selfdenoise.context import stack_axis
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.parts.context import NoContext
from napari_selfdenoise.prediction import Denoised, in_words
from napari_selfdenoise.training import CHANNELS_ALONE, PLANES_ALONE

_CHANGED = "The image was changed during the run: the result is of the image as it was."


def outcome(
    model: TrainedModel,
    result: Denoised,
    hidden: str,
    changed: bool = False,
    as_chosen: bool = False,
) -> tuple[str, str]:
    """Sentences on the result of a run: those that are shown, and those that unfold.

    Parameters
    ----------
    model : TrainedModel
        The model that denoised.
    result : Denoised
        Its result.
    hidden : str
        Names of the layers that are not shown at first.
    changed : bool
        Whether the layer has other pixels by now than those that were read.
    as_chosen : bool
        Whether all is denoised that was to be, where that is not all of the image.

    Returns
    -------
    str
        Shown at once, what limits the result first; a line each.
    str
        Unfolds: how the result was made; a line each.
    """
    known = model.provenance
    few, finding = known.get("few_steps", ""), known.get("finding", "")
    notes = list(dict.fromkeys((*known.get("warnings", []), *result.notes)))
    for note in notes:
        finding = finding.replace(note, "").strip()
    changed_note = _CHANGED if changed else ""
    also = f"Also made, but not shown at first: {hidden}."
    if few:  # what else is said of the result means nothing
        notes = [note for note in notes if note != few]
        stopped = "" if result.complete else _unfinished(result, as_chosen)
        shown = _joined(f"Hardly trained. {few}", stopped, changed_note, *notes)
        return shown, _joined(also, finding)
    done = 'Done: see "denoised" in the layer list.'
    text = done if result.complete else _unfinished(result, as_chosen)
    blended = f"How it was blended: {result.chosen}." if result.chosen else ""
    shown = _joined(text, changed_note, in_words(result.blends), *notes)
    alone = _alone(model, result), _channels_alone(model)
    return shown, _joined(also, *alone, blended, finding)


def outcome_of_several(
    denoised: int, total: int, partly: str, failed: Sequence[tuple[str, str]]
) -> str:
    """Sentences on how a run over several layers ended.

    Parameters
    ----------
    denoised, total : int
        How many are denoised, of how many.
    partly : str
        Name of one that was stopped in the middle; else empty.
    failed : sequence of (str, str)
        Names of those that could not be denoised, and why.

    Examples
    --------
    >>> print(outcome_of_several(1, 2, "", [("b", "The layer was removed.")]))
    Done: 1 of 2 layers is denoised.
    Not 'b': The layer was removed.
    >>> outcome_of_several(1, 5, "b", [])
    "Stopped: 1 of 5 layers is denoised, 'b' in part. Press Denoise for all of them."
    """
    are = "is" if denoised == 1 else "are"
    counts = f"{denoised} of {total} layers {are} denoised"
    if denoised + len(failed) < total:
        part = f", '{partly}' in part" if partly else ""
        text = f"Stopped: {counts}{part}. Press Denoise for all of them."
    elif failed:
        text = f"Done: {counts}."
    else:
        text = f'Done: all {total} layers are denoised. See "denoised" above each.'
    return _joined(text, *(f"Not '{name}': {why}" for name, why in failed))


def _alone(model: TrainedModel, result: Denoised) -> str:
    """A hint where planes of a stack were denoised by themselves, unasked."""
    config, found = model.config, model.provenance.get("finding", "")
    decided = not isinstance(config.context, NoContext) or PLANES_ALONE in found
    impossible = why_not(config, "context", "auto") or not stack_axis(result.denoised)
    if decided or impossible:
        return ""
    return (
        "Each image of the stack was denoised by itself. Those around it may help: "
        "below Method, set Stack to Automatic."
    )


def _channels_alone(model: TrainedModel) -> str:
    """A hint where channels were denoised by themselves, unasked."""
    config, found = model.config, model.provenance.get("finding", "")
    decided = config.channels.together or CHANNELS_ALONE in found
    learned = sum(not channel.is_empty for channel in model.channels)
    if decided or learned < 2 or why_not(config, "channels", "joint"):
        return ""
    return (
        "Each channel was denoised by itself. Where channels show the same structure, "
        "they may help each other: below Method, set Channels to Automatic."
    )


def _joined(*sentences: str) -> str:
    return "\n".join(filter(None, sentences))


def _unfinished(result: Denoised, as_chosen: bool) -> str:
    if as_chosen:
        return f"Done, as chosen: {_reached(result)}"
    return _stopped(result)


def _stopped(result: Denoised) -> str:
    return f"Stopped: {_reached(result)} Press Denoise for all of it."


def _reached(result: Denoised) -> str:
    planes = sum(1 for _ in result.denoised.planes())
    if planes == 1:
        share = f"{100 * result.done_fraction:.0f} % of the image is denoised"
        return f"{share}, the rest shows the raw image."
    done = len(result.coverage.planes)
    return f"{done} of {planes} images are denoised, the others show the raw image."
