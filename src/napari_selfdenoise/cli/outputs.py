"""Files that results are written to, checked before a run of minutes begins."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import click

from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import file_stem, is_zarr, require_folder

OUTPUTS = (
    "denoised",
    "noise-std",
    "deconvolved",
    "posterior-std",
    "trust",
    "posterior-samples",
)
"""What can be written, as `--outputs` names it."""

outputs_option = click.option(
    "--outputs",
    default="denoised",
    show_default=True,
    help=f"What to write, separated by commas: {', '.join(OUTPUTS)}.",
)

type_option = click.option(
    "--type-of-source",
    "as_source",
    is_flag=True,
    help="Round images to whole numbers of the type of INPUT, and report what is "
    "clipped; else they are 32-bit floats.",
)


def inputs_and_output(paths: Sequence[str]) -> tuple[list[str], str]:
    """INPUTs and OUTPUT of a verb, of which at least one each is needed."""
    *sources, target = paths
    if not sources:
        raise RequestError("An output is missing.", "Name INPUT and OUTPUT.")
    return sources, target


def output_paths(target: Path, outputs: str) -> dict[str, Path]:
    """Files of the outputs, by name: OUTPUT itself, and others with a suffix.

    Parameters
    ----------
    target : Path
        OUTPUT, the name of a TIFF or an OME-Zarr in a folder that is there.
    outputs : str
        Names from `OUTPUTS`, separated by commas.

    Raises
    ------
    RequestError
        If an output is not known, or OUTPUT cannot be written.
    """
    require_writable(target)
    return result_paths(target, outputs)


def result_paths(target: Path, outputs: str) -> dict[str, Path]:
    """As `output_paths`, of a folder that need not be there yet."""
    names = _output_names(outputs)
    stem, ending = _split_name(target)
    return {
        name: target
        if name == "denoised"
        else target.with_name(
            f"{stem.removesuffix(' denoised')} {name.replace('-', ' ')}{ending}"
        )
        for name in names
    }


def output_places(target: Path, sources: Sequence[str]) -> list[Path]:
    """OUTPUT of each of several inputs: a file itself, or files in a folder.

    Raises
    ------
    RequestError
        If there are several inputs and no folder, or two results of one name.
    """
    places = [_place(target, source, several=len(sources) > 1) for source in sources]
    if len(set(places)) < len(places):
        raise RequestError(
            "Two inputs have the same name: one result would overwrite the other.",
            "Give them one after the other, each its own folder.",
        )
    return places


def require_writable(path: str | Path | None) -> None:
    """Raise an error if a file's folder is not there, or may not be written to."""
    if not path:
        return
    path = Path(path)
    require_folder(path)
    if not os.access(path.parent, os.W_OK):
        raise RequestError(
            f"The folder {path.parent} may not be written to.", "Choose another."
        )


def require_new(outputs: Iterable[Path], sources: Iterable[str]) -> None:
    """Raise an error if an output would replace an input, by whatever name.

    Raises
    ------
    RequestError
        If one is the same file, or a zarr that the input is a part of; what was
        recorded must not be lost.
    """
    outputs = list(outputs)
    for path, source in itertools.product(outputs, map(Path, sources)):
        inside = path.resolve().parent.is_relative_to(source.resolve())
        if inside and is_zarr(source):
            raise RequestError(
                f"The result would lie inside {source}, which is read.",
                "Choose a place beside it.",
            )
    there = [path for path in outputs if _is_there(path)]
    read = [source for source in map(Path, sources) if _is_there(source)]
    for path, source in itertools.product(there, read):
        if source.resolve().is_relative_to(path.resolve()) or path.samefile(source):
            raise RequestError(
                f"The result would overwrite {source}, which would be lost.",
                "Choose another name for the result.",
            )


def _is_there(path: Path) -> bool:
    """Whether there is such a file; there is none where its name is too long."""
    with suppress(OSError):
        return path.exists()
    return False


def require_given(config: TrainingConfig, paths: dict[str, Path]) -> None:
    """Raise an error for outputs that these settings do not give."""
    from napari_selfdenoise.prediction import result_names

    given = [name.replace("_", "-") for name in result_names(config)]
    missing = [name for name in paths if name not in given]
    if missing:
        raise RequestError(
            f"These settings give no {' and no '.join(missing)}.",
            "deconvolved needs --psf, posterior-std and trust an --estimator that is a "
            "posterior, posterior-samples --estimator posterior_samples.",
        )


def _output_names(outputs: str) -> list[str]:
    names = [name.strip() for name in outputs.split(",") if name.strip()]
    unknown = [name for name in names if name not in OUTPUTS]
    if unknown or not names:
        raise RequestError(
            f"There is no output called {', '.join(unknown) or 'nothing'}.",
            f"Choose from {', '.join(OUTPUTS)}.",
        )
    return names


def _split_name(target: Path) -> tuple[str, str]:
    """Stem and ending, ".ome.tif" for one; a stem may have dots of its own."""
    stem, dot, suffix = target.name.partition(".")
    if suffix.lower() in ("tif", "tiff", "ome.tif", "ome.tiff"):
        return stem, f"{dot}{suffix}"
    ending = re.search(r"(\.ome)?\.(tiff?|zarr)$", target.name, re.IGNORECASE)
    if not ending:
        raise RequestError(
            f"The output {target.name} is no TIFF file name.",
            "End it with .tif, or with .ome.zarr for an OME-Zarr.",
        )
    return target.name[: ending.start()], ending[0]


def _place(target: Path, source: str, several: bool) -> Path:
    if target.is_dir() and target.suffix.lower() != ".zarr":
        return target / f"{file_stem(Path(source))} denoised.tif"
    if several:
        raise RequestError(
            f"There are several inputs, but {target} is no folder.",
            "Make the folder first, or give one input at a time.",
        )
    return target
