"""The verb that says what the estimate of one pixel is made of: `probe`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from napari_selfdenoise.cli.inputs import Inputs, input_options
from napari_selfdenoise.cli.outputs import require_new, require_writable
from napari_selfdenoise.cli.report import reports
from napari_selfdenoise.cli.screen import say
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import Image, PlaneIndex, saving


@click.command(name="probe")
@click.argument("model_path", metavar="MODEL")
@click.argument("source", metavar="INPUT")
@click.option(
    "--at",
    "place",
    type=(int, int),
    required=True,
    metavar="Y X",
    help="Row and column of the pixel, from 0.",
)
@click.option(
    "--plane",
    metavar="N",
    help="Which plane of a stack, from 0; of several axes one number each, such as "
    "0,2. Default: the first.",
)
@click.option("--csv", "csv_file", metavar="FILE", help="Write the curves to FILE.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda:0…")
@input_options
@reports
def probe_verb(
    model_path: str,
    source: str,
    place: tuple[int, int],
    plane: str | None,
    csv_file: str | None,
    device: str,
    **values: Any,
) -> dict[str, Any]:
    """Say what a saved MODEL knows of one pixel of INPUT.

    Prior from the surroundings, likelihood of the observed value, posterior, estimate,
    and how much of it came from the pixel itself.
    """
    from napari_selfdenoise.model import load_model
    from napari_selfdenoise.prediction import PixelProbe

    require_writable(csv_file)
    if csv_file:
        require_new([Path(csv_file)], [model_path, source])
    inputs = Inputs.take(values | {"frame": None})
    image = inputs.read(source)
    probe = PixelProbe(image, load_model(model_path), device=device)
    found = _predicted(probe, _plane(plane, image), *place)
    if csv_file:
        with saving(Path(csv_file), "curves") as part:
            part.write_text(found.to_csv(), encoding="utf-8")
    curves = {name: curve.tolist() for name, curve in found.curves.items()}
    report: dict[str, Any] = {"finding": " ".join(found.sentences)}
    report |= found.figures()
    report |= {"curves": {"signal": found.signal.tolist()} | curves, "csv": csv_file}
    return report | inputs.report()


def _predicted(probe: Any, plane: PlaneIndex, row: int, column: int) -> Any:
    """Evidence of a pixel, with progress on stderr."""
    steps, last = probe.predict_steps(plane, row, column), ""
    while True:
        try:
            progress = next(steps)
        except StopIteration as end:
            return end.value
        text = progress.text.partition("…")[0]
        if text and text != last:
            say(f"{text}…")
        last = text


def _plane(text: str | None, image: Image) -> PlaneIndex:
    """The plane that a flag names, one number for each axis but Y and X."""
    axes = image.outer_axes
    if text is None:
        return (0,) * len(axes)
    parts = text.split(",")
    if len(parts) != len(axes) or not all(part.strip().isdigit() for part in parts):
        wanted = f"one number for each of the axes {axes}" if axes else "no plane"
        raise RequestError(
            f"--plane {text} was not understood: this is {image.describe(False)}.",
            f"Give {wanted}, from 0 and separated by commas.",
        )
    return tuple(int(part) for part in parts)
