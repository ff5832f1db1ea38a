"""The page: one HTML file that needs no other file."""

from __future__ import annotations

import html
import os
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from napari_selfdenoise.evaluation import ResidualCheck
from napari_selfdenoise.images import Image, saving
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.report.methods_text import methods_paragraph
from napari_selfdenoise.report.pictures import contrast, picture, pixel_size
from napari_selfdenoise.report.plots import plot


def write_report(
    path: str | os.PathLike[str],
    model: TrainedModel,
    noisy: Image | None = None,
    denoised: Image | None = None,
    *,
    check: ResidualCheck | None = None,
    seconds: float | None = None,
    warnings: Sequence[str] = (),
) -> Path:
    """Write what a run did as one HTML page; nothing of it lies elsewhere.

    Parameters
    ----------
    path : path
        Where; a file that is there is replaced once all is written.
    model : TrainedModel
        That was trained or used.
    noisy, denoised : Image, optional
        Whose first planes are shown, with their difference.
    check : ResidualCheck, optional
        Of what was removed.
    seconds : float, optional
        Of the whole run.
    warnings : sequence of str
        What the user should know, besides what the model says.

    Returns
    -------
    Path
        Where it was written.

    Raises
    ------
    RequestError
        If the folder is not there.
    DenoisingError
        If the file cannot be written.
    """
    path = Path(path)
    name = noisy.name if noisy else ", ".join(model.provenance.get("images", ()))
    parts = [
        _pictures(noisy, denoised),
        _verdict(check),
        _methods(model),
        _curves(model),
        _warnings([*model.provenance.get("warnings", ()), *warnings]),
        _table("Run", _run(model, seconds)),
        _table("Settings", _flat(model.config.model_dump(mode="json"))),
    ]
    title = html.escape(f"Denoising of {name}" if name else "Denoising")
    template = files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    text = Template(template).substitute(title=title, body="".join(parts))
    with saving(path, "report") as part:
        part.write_text(text, encoding="utf-8")
    return path


def _pictures(noisy: Image | None, denoised: Image | None) -> str:
    if noisy is None or denoised is None:
        return ""
    before = noisy.read_plane(next(iter(noisy.planes())))
    after = denoised.read_plane(next(iter(denoised.planes())))
    size, shown = pixel_size(noisy), contrast(before)
    figures = [
        picture(before, shown, f"{noisy.name}: noisy", size),
        picture(after, shown, "Denoised, the same contrast", size),
    ]
    if before.shape == after.shape:
        removed = before - after
        reach = max(abs(end) for end in contrast(removed))
        caption = f"What was removed, from -{reach:.3g} to {reach:.3g}"
        figures.append(picture(removed, (-reach, reach), caption, size))
    return f"<section>{''.join(figures)}</section>"


def _verdict(check: ResidualCheck | None) -> str:
    return f"<h2>What was removed</h2>{_paragraph(check.verdict)}" if check else ""


def _methods(model: TrainedModel) -> str:
    text, references = methods_paragraph(model)
    items = "".join(f"<li>{html.escape(reference)}</li>" for reference in references)
    return f"<h2>For the Methods section</h2>{_paragraph(text)}<ul>{items}</ul>"


def _curves(model: TrainedModel) -> str:
    history = model.history
    steps = history.step.astype(np.float64)
    lines = [(steps, history.smoothed), (steps, history.loss)]
    curves = [(curve.signal, curve.std) for curve in model.noise_curves]
    loss = plot(lines, "step", "training error")
    noise = plot(curves, "signal (grey values)", "noise std (grey values)")
    return f"<h2>Training error, and noise</h2>{loss}{noise}" if loss or noise else ""


def _warnings(sentences: Iterable[str]) -> str:
    known = [html.escape(text) for text in dict.fromkeys(sentences) if text]
    items = "".join(f"<li>{text}</li>" for text in known)
    return f"<h2>To know</h2><ul>{items}</ul>" if items else ""


def _run(model: TrainedModel, seconds: float | None) -> dict[str, Any]:
    known = {k: v for k, v in model.provenance.items() if k != "warnings"}
    made = {
        key.replace("_", " "): value
        for key, value in _flat(known).items()
        if value not in ("", None)
    }
    whole = {} if seconds is None else {"seconds of the whole run": round(seconds, 1)}
    return made | whole


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Values of nested mappings by their dotted names."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{before}{key}.")
        else:
            found[f"{before}{key}"] = value
    return found


def _table(title: str, values: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(_text(value))}</td></tr>"
        for name, value in values.items()
    )
    return f"<h2>{html.escape(title)}</h2><table>{rows}</table>"


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        text = ", ".join(map(str, value))
        return text if len(text) < 300 else f"{len(value)} values"
    return "not set" if value is None else str(value)


def _paragraph(text: str) -> str:
    return f"<p>{html.escape(text)}</p>"
