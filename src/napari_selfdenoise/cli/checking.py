"""The verbs that check: `evaluate` a result, `demo` and `doctor` the program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from napari_selfdenoise.cli.inputs import axes_option
from napari_selfdenoise.cli.report import reports, say
from napari_selfdenoise.config import parse_budget, recipe
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import Image


@click.command(name="evaluate")
@click.argument("prediction")
@click.argument("reference", required=False)
@click.option(
    "--noisy",
    metavar="FILE",
    help="The image that was denoised: what was removed is checked for structure.",
)
@click.option(
    "--range",
    "data_range",
    type=float,
    help="Range of the data, such as 255; default: the reference's.",
)
@click.option("--frame", type=int, help="Take this frame of a stack on either side.")
@axes_option
@reports
def evaluate_verb(
    prediction: str,
    reference: str | None,
    noisy: str | None,
    data_range: float | None,
    frame: int | None,
    axes: str | None,
) -> dict[str, Any]:
    """Compare PREDICTION with a REFERENCE, plane by plane, or with the noisy image."""
    from napari_selfdenoise.evaluation import check_residual, evaluate

    if not (reference or noisy):
        raise RequestError(
            "There is nothing to compare with.",
            "Give a REFERENCE, or the image that was denoised by --noisy.",
        )
    report: dict[str, Any] = {}
    if noisy:
        denoised, source = _pair(prediction, noisy, frame, axes)
        report |= check_residual(source, denoised).to_json()
    if reference:
        images = _pair(prediction, reference, frame, axes)
        report |= evaluate(*images, data_range)
    return report


def _pair(
    prediction: str, other: str, frame: int | None, axes: str | None
) -> tuple[Image, Image]:
    """Read a prediction and what it is compared with."""
    from napari_selfdenoise.images import read_image

    images = [read_image(prediction, axes=axes), read_image(other)]
    if axes is not None and images[1].ndim == images[0].ndim:
        images[1] = read_image(other, axes=axes)
    if frame is not None:
        if not any(_is_stack(image) for image in images):
            raise RequestError(
                f"Frame {frame} was asked for, but neither side is a stack.",
                "Leave the frame out.",
            )
        images = [i.frame(frame) if _is_stack(i) else i for i in images]
    return images[0], images[1]


@click.command(name="demo")
@click.option(
    "--output",
    default="selfdenoise-demo",
    show_default=True,
    type=click.Path(file_okay=False),
    help="Folder for the results; made if it is not there.",
)
@click.option("--budget", default="60s", show_default=True, help="Training time.")
@click.option("--window/--no-window", default=True, help="Also drive a napari window.")
@reports
def demo_verb(output: str, budget: str, window: bool) -> dict[str, Any]:
    """Run the whole pipeline on the real image that ships with the program."""
    from napari_selfdenoise.demo import run_demo

    seconds = parse_budget(budget)
    config = recipe("fast").override({"budget_s": seconds})
    return run_demo(Path(output), config, window=window, say=say)


@click.command(name="doctor")
@reports
def doctor_verb() -> dict[str, Any]:
    """Show versions, devices and their speed, and what is known to be bad."""
    from napari_selfdenoise.compute import examine

    return examine()


def _is_stack(image: Image) -> bool:
    return any(axis not in "CS" for axis in image.outer_axes)
