"""The verb `calibrate`: the noise of a camera from repeated frames."""

from __future__ import annotations

from typing import Any

import click

from napari_selfdenoise.cli.flags import help_named, member_changes, member_options
from napari_selfdenoise.cli.inputs import axes_option, series_option
from napari_selfdenoise.cli.outputs import require_writable
from napari_selfdenoise.cli.report import curve_report, reports, say
from napari_selfdenoise.cli.runs import drive
from napari_selfdenoise.config import noise_model
from napari_selfdenoise.long_work import STOP
from napari_selfdenoise.parts.noise_models import NoiseModel

_NOT_CALIBRATED = ("unmodelled", "file")
"""Kinds of noise model that cannot be calibrated."""


@click.command(name="calibrate")
@click.argument("stack", metavar="STACK")
@click.option(
    "--noise-model",
    "target",
    required=True,
    metavar="FILE",
    help="Where to keep the noise model; .noise.json is added.",
)
@click.option(
    "--signal",
    metavar="FILE",
    help="What the frames show without noise: one plane for all, or one each. "
    "Default: the mean of the frames, which must show a scene that does not move.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the fit.")
@axes_option
@series_option
@member_options(NoiseModel, _NOT_CALIBRATED)
@reports
def calibrate_verb(
    stack: str,
    target: str,
    signal: str | None,
    seed: int,
    axes: str | None,
    series: int | None,
    **values: Any,
) -> dict[str, Any]:
    """Measure the noise of a camera from repeated frames in STACK."""
    from napari_selfdenoise.images import read_image
    from napari_selfdenoise.noise.calibration import calibrate_steps
    from napari_selfdenoise.parts.noise_models import save_noise_model

    require_writable(target)
    kind = values.pop("kind") or "gaussian_mixture"
    changes = member_changes(values, NoiseModel, _NOT_CALIBRATED)
    with help_named("calibrate"):
        noise = noise_model({"kind": kind} | changes)
    image = read_image(stack, axes=axes, series=series)
    clean = read_image(signal) if signal else None
    say(f"{image.name}: {image.describe()}")
    for note in image.notes:
        say(note)
    steps = calibrate_steps(image, noise, signal=clean, seed=seed)
    sentences = "", "Stopping: nothing is measured yet, so no file is written."
    fitted = drive(steps, STOP, _share_line, lambda _: False, sentences)
    assert fitted is not None  # a stop ends it before
    return {
        "noise_model": str(save_noise_model(fitted, target)),
        "kind": fitted.kind,
        "poisson_gaussian": dict(zip("ab", fitted.poisson_gaussian, strict=True)),
        "bits_per_pixel": fitted.bits_per_pixel,
        "noise_curve": curve_report(fitted.curve),
        "warnings": [*image.notes, *fitted.warnings],
    }


def _share_line(share: float) -> str:
    return f"Calibrating: {share:.0%}"
