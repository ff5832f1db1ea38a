"""The verb that looks at an image before anything is trained: `diagnose`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from napari_selfdenoise.cli.inputs import Inputs, input_options
from napari_selfdenoise.cli.report import reports

if TYPE_CHECKING:
    from napari_selfdenoise.diagnosis import Diagnosis

_WIDTHS = (15, 36, 36, 36)
"""Characters of the columns of the table."""

_HEADER = ("", "what was found", "what it means", "what will be done")
_ADVICE = ("", "recommended", "why", "")


@click.command(name="diagnose")
@click.argument("source", metavar="INPUT")
@click.option(
    "--frame", type=int, help="Take this frame or plane of the stack, from 0."
)
@click.option(
    "--channel",
    type=int,
    default=0,
    show_default=True,
    help="Which channel, from 0.",
)
@input_options
@reports
def diagnose_verb(source: str, channel: int, **values: Any) -> dict[str, Any]:
    """Say what the noise of INPUT is like, before anything is trained."""
    from napari_selfdenoise.diagnosis import diagnose

    inputs = Inputs.take(values)
    found = diagnose(inputs.read(source), channel)
    return {"table": "\n".join(_table(found)), **_report(found)} | inputs.report()


def _table(found: Diagnosis) -> Iterator[str]:
    """Lines of the table of findings, and of what is recommended."""
    yield from _lines(_HEADER)
    yield "-" * (sum(_WIDTHS) + 3 * (len(_WIDTHS) - 1))
    for row in found.findings:
        yield from _lines((row.subject, row.found, row.meaning, row.action))
    if found.recommended:
        yield ""
        yield from _lines(_ADVICE)
        yield "-" * (sum(_WIDTHS) + 3 * (len(_WIDTHS) - 1))
    for one in found.recommended:
        yield from _lines((one.setting, one.choice, one.reason, ""))


def _lines(cells: Sequence[str]) -> Iterator[str]:
    """A row of the table, each cell broken into lines of its column's width."""
    broken = [
        textwrap.wrap(cell, width) or [""]
        for cell, width in zip(cells, _WIDTHS, strict=True)
    ]
    for number in range(max(map(len, broken))):
        parts = [
            (lines[number] if number < len(lines) else "").ljust(width)
            for lines, width in zip(broken, _WIDTHS, strict=True)
        ]
        yield "   ".join(parts).rstrip()


def _report(found: Diagnosis) -> dict[str, Any]:
    """All of a diagnosis as values that JSON holds."""
    return {
        "image": found.image,
        "channel": found.channel,
        "findings": [
            vars(row) | {"changes": dict(row.changes)} for row in found.findings
        ],
        "recommended": [
            vars(one) | {"changes": dict(one.changes)} for one in found.recommended
        ],
        "changes": found.changes,
        "photon_transfer": _transfer(found),
        "correlation": _correlation(found),
        "frames": None if found.frames is None else vars(found.frames),
        "forecast": None if found.forecast is None else vars(found.forecast),
        "seconds": found.seconds,
    }


def _transfer(found: Diagnosis) -> dict[str, Any] | None:
    line = found.transfer
    if line is None:
        return None
    low, high = line.offset
    return {
        "gain": line.gain if line.grows else None,
        "gain_error": line.gain_error,
        "offset_guess": high,
        "offset_least": low,
        "read_noise": line.read_noise,
        "read_noise_error": line.read_noise_error,
        "read_noise_electrons": line.read_noise_electrons,
        "variance_at_0": line.constant,
        "source": line.source,
        "signal": line.signal.tolist(),
        "variance": line.variance.tolist(),
        "error": line.error.tolist(),
    }


def _correlation(found: Diagnosis) -> dict[str, Any] | None:
    known = found.autocorrelogram
    if known is None:
        return None
    return {
        "lags": known.lags.tolist(),
        "rho": {name: rho.tolist() for name, rho in known.rho.items()},
        "error": known.error,
        "shared": [one._asdict() for one in known.shared],
        "weak": known.weak,
        "pixels": known.pixels,
    }
