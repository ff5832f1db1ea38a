"""The verb that writes a model for other programs: `export`."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import click

from napari_selfdenoise.cli.flags import config_changes, config_options, help_named
from napari_selfdenoise.cli.outputs import require_new, require_writable
from napari_selfdenoise.cli.report import reports


@click.command(name="export")
@click.argument("model_path", metavar="MODEL")
@click.argument("target", metavar="OUTPUT")
@click.option(
    "--licence",
    default="",
    metavar="SPDX",
    help="Under which others may use the model, such as CC-BY-4.0.",
)
@click.option(
    "--author", "authors", multiple=True, metavar="NAME", help="Who trained it."
)
@functools.partial(config_options, part="estimator")
@reports
def export_verb(
    model_path: str, target: str, licence: str, authors: tuple[str, ...], **values: Any
) -> dict[str, Any]:
    """Write a saved MODEL for other programs.

    The ending of OUTPUT says how: .zip is a package for the BioImage Model Zoo, .onnx
    is ONNX, .pt is TorchScript, and .md is a model card, to read. Images go in and come
    out as grey values; each file is compared with the model before it is kept.
    """
    from napari_selfdenoise.export import export_steps, format_of
    from napari_selfdenoise.model import load_model

    path = Path(target)
    format_of(path)
    require_writable(target)
    require_new([path], [model_path])
    model = load_model(model_path)
    changes = config_changes(values, "estimator")
    estimator = None
    if changes:
        with help_named("export"):
            estimator = model.config.override(changes).estimator
    steps = export_steps(
        model, path, estimator=estimator, licence=licence, authors=authors
    )
    while True:
        try:
            click.echo(f"{next(steps)}…", err=True)
        except StopIteration as end:
            made = end.value
            break
    return {"output": str(made.path), "format": made.kind, "notes": list(made.notes)}
