"""A model card: what a model was trained on, how, and what it is good for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from napari_selfdenoise.config import TITLES
from napari_selfdenoise.images import printable
from napari_selfdenoise.model import ChannelModel, TrainedModel
from napari_selfdenoise.report import methods_paragraph

_SIGNALS = 5
"""How many rows of the noise curve a card shows."""

_LIMITS = (
    "Use it for images of the same microscope, camera and settings. With another "
    "brightness or noise it may blur, or invent structure.",
    "Structure that is as faint as the noise may be lost. Compare with the raw image "
    "before you conclude from detail.",
)

_UNKNOWN = "not given: ask who trained it before you use it"


def model_card(
    model: TrainedModel,
    *,
    licence: str = "",
    authors: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> str:
    """Describe a model for those who get its file: data, noise, recipe, versions.

    Parameters
    ----------
    model : TrainedModel
        What is described.
    licence : str
        Under which it may be used, such as "CC-BY-4.0".
    authors : sequence of str
        Who trained it.
    notes : sequence of str
        Sentences on the file that the card goes with.

    Returns
    -------
    str
        Markdown.
    """
    text, references = methods_paragraph(model)
    parts = [
        f"# {model_name(model)}",
        "Denoises microscopy images like those it was trained on. Trained with "
        "napari-selfdenoise, without noise-free images.",
        _table(_facts(model, licence, authors)),
        *(["## This file", _listed(notes)] if notes else []),
        "## Noise",
        "How strong the noise is at each signal, in grey values.",
        *_curves(model),
        "## Training",
        text,
        _listed(references),
        *_warnings(model),
        "## Limits",
        _listed(_LIMITS),
    ]
    # Names of files may hold bytes that no text can be written with.
    return printable("\n\n".join(parts) + "\n")


def model_name(model: TrainedModel) -> str:
    """What a model is called by the image that it learned from."""
    images = model.provenance.get("images") or ["an image"]
    return f"Denoiser of {images[0] or 'an image'}"


def _facts(
    model: TrainedModel, licence: str, authors: Sequence[str]
) -> Iterator[tuple[str, str]]:
    made = model.provenance
    images = [str(name) for name in made.get("images", [])]
    yield "Images", ", ".join(images[:5]) + (" …" if len(images) > 5 else "")
    yield "Axes", str(made.get("axes", ""))
    yield "Microscope", str(made.get("microscope") or "not known")
    recipe = model.config.recipe
    yield "Recipe", f"{recipe} ({TITLES.get(recipe, 'changed')})"
    yield "Steps", f"{made.get('steps', '?')} in {made.get('seconds', '?')} s"
    yield "Device", f"{made.get('device', '')}, {made.get('precision', '')}"
    yield "Seed", str(made.get("seed", model.config.seed))
    yield "Trained on", str(made.get("date", "a day that was not written down"))
    versions = made.get("versions", {})
    yield "Versions", ", ".join(f"{name} {v}" for name, v in versions.items())
    yield "Authors", ", ".join(authors) or "not given"
    yield "Licence", licence or _UNKNOWN


def _table(rows: Iterator[tuple[str, Any]]) -> str:
    lines = [f"| {name} | {_cell(value)} |" for name, value in rows]
    return "\n".join(["| | |", "|---|---|", *lines])


def _cell(value: Any) -> str:
    """Text that stays within a cell of a table."""
    return " ".join(str(value).replace("|", "\\|").split())


def _curves(model: TrainedModel) -> Iterator[str]:
    for number, channel in enumerate(model.channels):
        if len(model.channels) > 1:
            yield f"Channel {number}"
        yield _curve_table(channel)


def _curve_table(channel: ChannelModel) -> str:
    if channel.is_empty:
        return "Nothing was learned of this channel: it stays as it is."
    curve = channel.noise_curve
    signal = np.linspace(curve.signal[0], curve.signal[-1], _SIGNALS)
    rows = zip(signal, curve.std_at(signal.astype(np.float32)), strict=True)
    lines = [f"| {x:.4g} | {y:.4g} |" for x, y in rows]
    return "\n".join(["| signal | noise std |", "|---|---|", *lines])


def _warnings(model: TrainedModel) -> Iterator[str]:
    found = model.provenance.get("warnings", [])
    if found:
        yield "## What was found while training"
        yield _listed(_cell(text) for text in found)


def _listed(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)
