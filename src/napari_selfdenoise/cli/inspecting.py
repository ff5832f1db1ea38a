"""The verb that shows what noise models say: `inspect`."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from napari_selfdenoise.cli.outputs import require_new, require_writable
from napari_selfdenoise.cli.report import reports
from napari_selfdenoise.errors import RequestError

if TYPE_CHECKING:
    from napari_selfdenoise.noise.inspection import InspectedNoise

_HEADER = "signal      noise std   skewness    divergence"


@click.command(name="inspect")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option(
    "--signal",
    type=float,
    help="Also the distribution of the observation at this signal, grey values.",
)
@click.option("--csv", "target", metavar="FILE", help="Write all figures as CSV.")
@click.option(
    "--electrons", is_flag=True, help="In photo-electrons: grey values over the gain."
)
@click.option(
    "--offset",
    type=float,
    help="Grey value without light, for --electrons; default: the darkest signal.",
)
@reports
def inspect_verb(
    files: Sequence[str],
    signal: float | None,
    target: str | None,
    electrons: bool,
    offset: float | None,
) -> dict[str, Any]:
    """Show what the noise models in FILE... say, and what was measured."""
    require_writable(target)
    if target:
        require_new([Path(target)], files)
    _require_numbers(signal, offset, electrons)
    noises = [noise for file in files for noise in _load(Path(file))]
    if electrons:
        noises = [noise.in_electrons(offset) for noise in noises]
    if target:
        _write(noises, signal, Path(target))
    found = [_report(noise, signal) for noise in noises]
    table = "\n\n".join("\n".join(_lines(one)) for one in found)
    return {"table": table, "models": found} | ({"csv": target} if target else {})


def _require_numbers(
    signal: float | None, offset: float | None, electrons: bool
) -> None:
    for name, value in (("signal", signal), ("offset", offset)):
        if value is not None and not math.isfinite(value):
            raise RequestError(
                f"--{name} is {value}, which is no grey value.", "Give a number."
            )
    if offset is not None and not electrons:
        raise RequestError(
            "--offset changes nothing without --electrons.",
            "Add --electrons, or leave out --offset.",
        )


def _load(path: Path) -> list[InspectedNoise]:
    """The noise models of a file: one of a noise model, one a channel of a model."""
    from napari_selfdenoise.model import load_model
    from napari_selfdenoise.noise.inspection import inspect_fitted, inspect_model_curves
    from napari_selfdenoise.parts.noise_models import SUFFIX, load_noise_model

    if path.suffix == ".safetensors":
        return inspect_model_curves(path.stem, load_model(path).noise_curves)
    return [inspect_fitted(path.name.removesuffix(SUFFIX), load_noise_model(path))]


def _report(noise: InspectedNoise, signal: float | None) -> dict[str, Any]:
    """All figures of a noise model as values that JSON holds."""
    from napari_selfdenoise.noise.inspection import numbers_at, tables

    at_signal = None if signal is None else noise.from_grey_values(signal)
    low, high = noise.span
    places = [low, noise.middle, high]
    places += [] if at_signal is None else [at_signal]
    return {
        "name": noise.name,
        "kind": noise.kind,
        "unit": noise.unit,
        "measured": [low, high],
        "has_measurement": noise.measured is not None,
        "gain": noise.gain,
        "at": numbers_at(noise, places),
        "figures": {
            name: {"x": x.tolist(), "y": [_number(value) for value in y.tolist()]}
            for name, (x, y) in tables(noise, at_signal).items()
        },
    }


def _number(value: float) -> float | None:
    """A number, or nothing where there is none."""
    return value if value == value else None


def _lines(found: dict[str, Any]) -> Iterator[str]:
    low, high = found["measured"]
    kind = f" ({found['kind'].replace('_', ' ')})" if found["kind"] else ""
    yield f"{found['name']}{kind}, in {found['unit']}"
    yield f"measured for signals from {low:.4g} to {high:.4g}"
    if found["gain"] is not None and found["unit"] != "electrons":
        yield f"gain: {found['gain']:.4g} grey values per photo-electron"
    yield _HEADER
    columns = ("signal", "std", "skewness", "divergence")
    for row in zip(*(found["at"][name] for name in columns), strict=True):
        yield "  ".join(f"{value:<10.4g}" for value in row).rstrip()


def _write(noises: Sequence[InspectedNoise], signal: float | None, path: Path) -> None:
    """Write all figures: model, figure, x, y, unit."""
    from napari_selfdenoise.images import saving, table_cell
    from napari_selfdenoise.noise.inspection import tables

    with saving(path, "table") as part, part.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["model", "figure", "x", "y", "unit"])
        for noise in noises:
            at = None if signal is None else noise.from_grey_values(signal)
            called = table_cell(noise.name)
            for name, (x, y) in tables(noise, at).items():
                for pair in zip(x.tolist(), y.tolist(), strict=True):
                    table.writerow([called, name, *pair, noise.unit])
