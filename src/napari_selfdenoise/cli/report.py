"""Output of the verbs: one JSON object or lines on stdout, progress on stderr."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable
from typing import Any

import click

from napari_selfdenoise.cli.processes import wait_for_first
from napari_selfdenoise.images import printable

_ONLY_IN_JSON = (
    "noise_curve",
    "comparison",
    "images",
    "histogram",
    "autocorrelation",
    "structure",
    "curves",
)


def complain(message: str, hint: str, as_json: bool, status: int) -> int:
    """Print what went wrong and what to try; returns the exit status."""
    whose = wait_for_first()
    click.echo(printable(f"Error: {whose}{message} {hint}".rstrip()), err=True)
    if as_json and not whose:
        click.echo(json.dumps({"error": message, "hint": hint}))
    return status


def reports(command: Callable[..., dict[str, Any]]) -> Callable[..., None]:
    """Print what a verb returns: as JSON, or as lines to read.

    A "table" of a report is printed instead of its lines, and is not in the JSON. The
    exit status is 1 where the report counts inputs that "failed".
    """

    @functools.wraps(command)
    def reporting(**values: Any) -> None:
        as_json = values.pop("as_json")
        report = command(**values)
        text = report.pop("table", None)
        readable = _readable(report) if text is None else text
        click.echo(json.dumps(_finite(report)) if as_json else printable(readable))
        if report.get("failed"):
            raise click.exceptions.Exit(1)

    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON object on stdout."
    )(reporting)


def training_report(model: Any, seconds: float, kept: str | None) -> dict[str, Any]:
    """Report of a training: model file, steps, seconds and noise curve."""
    curve, made = model.noise_curves[0], model.provenance
    fitted = curve.poisson_gaussian
    return {
        "seconds": seconds,
        "steps": made["steps"],
        "device": made["device"],
        "precision": made["precision"],
        "processes": made.get("processes", 1),
        "seed": made["seed"],
        "recipe": made["recipe"],
        "masking": model.config.masking.model_dump(mode="json"),
        "finding": made.get("finding", ""),
        "model": kept,
        "noise_curve": curve_report(curve),
        "poisson_gaussian": dict(zip("ab", fitted, strict=True)) if fitted else None,
        "estimator": model.config.estimator.kind
        + ("_flips" if model.config.flips else ""),
        "warnings": made["warnings"],
    }


def curve_report(curve: Any) -> dict[str, list[float]]:
    """Signals of a `NoiseCurve` and the noise std at each, raw units."""
    return {"signal": curve.signal.tolist(), "std": curve.std.tolist()}


def _finite(value: Any) -> Any:
    """Values with None for what JSON cannot hold, such as an infinite PSNR."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _readable(report: dict[str, Any]) -> str:
    lines = []
    for name, value in report.items():
        if name == "noise_curve":
            lines.append(_noise_line(value))
        if name in _ONLY_IN_JSON or value in (None, "", [], {}):
            continue
        shown = f"{value:.4g}" if isinstance(value, float) else value
        if isinstance(value, dict):
            shown = ", ".join(f"{key}: {_listed(item)}" for key, item in value.items())
        elif isinstance(value, list):
            shown = _listed(value)
        lines.append(f"{name.replace('_', ' ')}: {shown}")
    return "\n".join(lines)


def _listed(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(str(item) for item in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _noise_line(curve: dict[str, list[float]]) -> str:
    low, high = min(curve["std"]), max(curve["std"])
    first, last = curve["signal"][0], curve["signal"][-1]
    return f"noise std: {low:.4g} to {high:.4g} over signals {first:.4g} to {last:.4g}"
