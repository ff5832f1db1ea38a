"""The verbs that check the program: `demo` and `doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from napari_selfdenoise.cli.report import reports
from napari_selfdenoise.cli.screen import say
from napari_selfdenoise.config import parse_budget, recipe


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
