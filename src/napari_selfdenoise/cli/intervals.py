"""The verb that measures how far a result can be trusted: `intervals`."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from napari_selfdenoise.cli.inputs import Inputs, input_options
from napari_selfdenoise.cli.outputs import require_new, require_writable
from napari_selfdenoise.cli.report import reports
from napari_selfdenoise.cli.runs import drive
from napari_selfdenoise.cli.screen import Shown
from napari_selfdenoise.long_work import STOP

if TYPE_CHECKING:
    from napari_selfdenoise.images import Image
    from napari_selfdenoise.prediction import Coverage, Doubt, Intervals

_STOPPED = "Stopping: nothing is measured yet."


@click.command(name="intervals")
@click.argument("model_path", metavar="MODEL")
@click.argument("source", metavar="INPUT")
@click.option(
    "--frame", type=int, help="Take this frame or plane of the stack, from 0."
)
@click.option(
    "--doubt",
    "doubt_file",
    metavar="FILE",
    help="Also write where the denoised image is not to be trusted: 1 nearly all from "
    "the context and unsure, 2 improbable, 3 mended or clipped.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda:0…")
@input_options
@reports
def intervals_verb(
    model_path: str, source: str, doubt_file: str | None, device: str, **values: Any
) -> dict[str, Any]:
    """Measure how many held-out pixels of INPUT lie within the intervals of MODEL."""
    from napari_selfdenoise.model import load_model
    from napari_selfdenoise.prediction import doubt_steps, interval_steps

    require_writable(doubt_file)
    if doubt_file:
        require_new([Path(doubt_file)], [model_path, source])
    inputs = Inputs.take(values)
    model = load_model(model_path)
    image = inputs.read(source)
    if doubt_file:
        found = _driven(doubt_steps(image, model, device=device))
        report = _report(found.intervals) | _written(doubt_file, image, found)
    else:
        report = _report(_driven(interval_steps(image, model, device=device)))
    return report | inputs.report()


def _driven(steps: Generator[Any, Any, Any]) -> Any:
    """The result of a generator; a stop keeps nothing."""
    return drive(steps, STOP, _line, lambda _: False, (_STOPPED, _STOPPED))


def _line(progress: Any) -> Shown:
    fraction = progress.fraction
    return Shown(f"Holding pixels out: {fraction:.0%}", fraction)


def _report(found: Intervals) -> dict[str, Any]:
    """All of a measurement as values that JSON holds."""
    return {
        "intervals": str(found),
        "coverage": _percent(found.coverage),
        "coverage_uncorrected": _percent(found.uncorrected),
        "temperature": found.temperature,
        "spread": found.spread._asdict(),
        "histogram": found.histogram.tolist(),
        "pixels": found.pixels,
    }


def _percent(found: Coverage | None) -> dict[str, float]:
    if found is None:
        return {}
    return {"50 %": 100 * found.half, "90 %": 100 * found.nine_tenths}


def _written(path: str, image: Image, doubt: Doubt) -> dict[str, Any]:
    """Write a mask of doubt, and report it."""
    from napari_selfdenoise.images import write_image

    name = f"{image.name} where not to trust"
    plain = replace(image, look=None)  # no intensities, to be shown as such
    write_image(plain.with_data(doubt.labels, name), path)
    return {"doubt": str(doubt), "doubt_file": path}
