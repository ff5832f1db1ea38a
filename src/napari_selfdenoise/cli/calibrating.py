"""The verb `calibrate`: the noise of a camera from repeated frames."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from napari_selfdenoise.cli.flags import help_named, member_changes, member_options
from napari_selfdenoise.cli.inputs import axes_option, series_option
from napari_selfdenoise.cli.outputs import require_writable
from napari_selfdenoise.cli.report import curve_report, reports
from napari_selfdenoise.cli.runs import drive
from napari_selfdenoise.cli.screen import Shown, say
from napari_selfdenoise.config import noise_model
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.long_work import STOP
from napari_selfdenoise.parts.noise_models import NoiseModel

if TYPE_CHECKING:
    from napari_selfdenoise.images import Image
    from napari_selfdenoise.noise.calibration import Comparison
    from napari_selfdenoise.parts.noise_models import FittedNoise

_NOT_CALIBRATED = ("unmodelled", "file")
"""Kinds of noise model that cannot be calibrated."""

_SENTENCES = "", "Stopping: nothing is measured yet, so no file is written."


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
@click.option(
    "--compare",
    is_flag=True,
    help="Fit several kinds, compare them by pixels that no fit has used, and keep the "
    "best, or the one that --kind names. Takes a few minutes.",
)
@click.option("--camera", metavar="TEXT", help="Note in the file: which camera.")
@click.option("--date", metavar="TEXT", help="Note in the file: when it was recorded.")
@click.option(
    "--conditions",
    metavar="TEXT",
    help="Note in the file: gain, exposure, read-out mode, temperature.",
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
    compare: bool,
    camera: str | None,
    date: str | None,
    conditions: str | None,
    seed: int,
    axes: str | None,
    series: int | None,
    **values: Any,
) -> dict[str, Any]:
    """Measure the noise of a camera from repeated frames in STACK."""
    from napari_selfdenoise.images import read_image
    from napari_selfdenoise.parts.noise_models import save_noise_model

    require_writable(target)
    kind = values.pop("kind")
    changes = member_changes(values, NoiseModel, _NOT_CALIBRATED)
    if compare:
        _require_comparable(signal, changes)
    with help_named("calibrate"):
        noise = noise_model({"kind": kind or "gaussian_mixture"} | changes)
    image = _read(stack, axes, series)
    if compare:
        fitted, more = _compared(image, kind, noise, seed)
    else:
        clean = read_image(signal) if signal else None
        fitted, more = _calibrated(image, noise, clean, seed), {}
    fitted = fitted.noted(camera=camera, date=date, conditions=conditions)
    return {
        "noise_model": str(save_noise_model(fitted, target)),
        "kind": fitted.kind,
        "poisson_gaussian": dict(zip("ab", fitted.poisson_gaussian, strict=True)),
        "bits_per_pixel": fitted.bits_per_pixel,
        "noise_curve": curve_report(fitted.curve),
        "notes": fitted.notes,
        **more,
        "warnings": [*image.notes, *fitted.warnings],
    }


def _read(stack: str, axes: str | None, series: int | None) -> Image:
    from napari_selfdenoise.images import read_image

    image = read_image(stack, axes=axes, series=series)
    say(f"{image.name}: {image.describe()}")
    for note in image.notes:
        say(note)
    return image


def _calibrated(
    image: Image, noise: NoiseModel, signal: Image | None, seed: int
) -> FittedNoise:
    """Fit one kind of noise model."""
    from napari_selfdenoise.noise.calibration import calibrate_steps

    steps = calibrate_steps(image, noise, signal=signal, seed=seed)
    fitted = drive(steps, STOP, _share_line, lambda _: False, _SENTENCES)
    assert fitted is not None  # a stop ends it before
    return fitted


def _compared(
    image: Image, kind: str | None, noise: NoiseModel, seed: int
) -> tuple[FittedNoise, dict[str, Any]]:
    """Fit several kinds; the best, or the chosen kind, and the report."""
    from napari_selfdenoise.noise.calibration import COMPARED, compare_steps

    known = [config.kind for config in COMPARED]
    configs = COMPARED if kind in (None, *known) else (*COMPARED, noise)
    steps = compare_steps(image, configs, seed=seed)
    found = drive(steps, STOP, _share_line, lambda _: False, _SENTENCES)
    assert found is not None  # a stop ends it before
    for line in _table(found):
        say(line)
    chosen = found.row(kind) if kind else found.best
    return chosen.fitted, {
        "best": found.best.kind,
        "comparison": {
            row.kind: {
                "bits_per_pixel": row.bits,
                "behind": row.behind,
                "error": row.error,
                "bic": row.bic,
            }
            for row in found.rows
        },
        "held_out": found.held_out,
    }


def _table(found: Comparison) -> Iterator[str]:
    """Lines of the table of noise models, the best marked."""
    yield f"  {'noise model':<18}{'bits per pixel':>16}{'behind':>20}{'BIC':>12}"
    for row in found.rows:
        mark = "*" if row is found.best else " "
        behind = f"{row.behind:.4f} ± {row.error:.4f}" if row.behind else "-"
        bits = f"{row.bits:.4f}"
        yield f"{mark} {row.kind:<18}{bits:>16}{behind:>20}{f'+{row.bic:.0f}':>12}"
    yield "* best: fewest bits on pixels kept out of the fit, or simpler and as good."


def _require_comparable(signal: str | None, changes: dict[str, Any]) -> None:
    if signal:
        raise RequestError(
            "--compare needs repeated frames, whose mean is the signal.",
            "Leave out --signal, or --compare.",
        )
    if changes:
        raise RequestError(
            "--compare takes each kind of noise model with its own defaults.",
            f"Leave out --{next(iter(changes)).replace('_', '-')}, or --compare.",
        )


def _share_line(share: float) -> Shown:
    return Shown(f"Calibrating: {share:.0%}", share)
