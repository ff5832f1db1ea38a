"""The flag `--report`: what a verb did, as one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from napari_selfdenoise.cli.screen import say
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import Image

report_option = click.option(
    "--report",
    "report_file",
    metavar="FILE",
    help="Also write an HTML page: images, curves, settings, a text for Methods.",
)


def write_run_report(
    path: str,
    model: Any,
    noisy: Image | None = None,
    denoised: Path | None = None,
    warnings: Sequence[str] = (),
    seconds: float | None = None,
) -> str:
    """Write the page of a run; returns its path.

    Parameters
    ----------
    path : str
        Of the page.
    model : TrainedModel
        That was trained or used.
    noisy : Image, optional
        That was denoised.
    denoised : Path, optional
        File of the result.
    warnings : sequence of str
        Of the run.
    seconds : float, optional
        Of the whole run.
    """
    from napari_selfdenoise.evaluation import check_residual
    from napari_selfdenoise.images import in_order_of, read_image
    from napari_selfdenoise.report import write_report

    result, check = None, None
    if noisy is not None and denoised is not None:
        result = in_order_of(read_image(denoised), noisy)
        if result.axes != noisy.axes:  # those without a name have one in the file
            result = read_image(denoised, axes=noisy.axes)
        try:
            check = check_residual(noisy, result)
        except RequestError as error:
            say(f"The residual was not checked. {error}")
    written = write_report(
        path, model, noisy, result, check=check, seconds=seconds, warnings=warnings
    )
    return str(written)
