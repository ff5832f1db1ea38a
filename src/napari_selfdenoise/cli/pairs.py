"""Flags for a second exposure, or a noise-free image, of what is denoised."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from napari_selfdenoise.cli.inputs import Inputs
from napari_selfdenoise.config import Supervision, TrainingConfig, supervised
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import Image

Files = dict[Supervision, list[str]]
"""Files by "pair" or "noise_free"; empty where an image is learned from alone."""

pair_option = click.option(
    "--pair",
    multiple=True,
    metavar="FILE",
    help="A second exposure of INPUT: both are denoised together, closer to the signal "
    "than one. Of several INPUTs one each, in their order.",
)

_noise_free_option = click.option(
    "--noise-free",
    multiple=True,
    metavar="FILE",
    help="INPUT without noise, such as a long exposure or a mean of many: the network "
    "learns from that. Of several INPUTs one each, in their order.",
)


def teaching_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the flags for images that teach besides its inputs."""
    return pair_option(_noise_free_option(command))


def take_files(values: dict[str, Any], sources: Sequence[str]) -> Files:
    """Take the flags of `teaching_options` out of a verb's values.

    Raises
    ------
    RequestError
        If both are given, or not one for each of the sources.
    """
    kinds: tuple[Supervision, ...] = ("pair", "noise_free")
    given: Files = {kind: list(values.pop(kind)) for kind in kinds}
    files: Files = {kind: paths for kind, paths in given.items() if paths}
    if len(files) > 1:
        raise RequestError(
            "Both --pair and --noise-free are given.", "Give one of them."
        )
    for kind, paths in files.items():
        if len(paths) != len(sources):
            flag = f"--{kind.replace('_', '-')}"
            raise RequestError(
                f"There are {len(sources)} inputs, but {len(paths)} files by {flag}.",
                f"Give {flag} once for each input, in the same order.",
            )
    return files


def take_pairs(values: dict[str, Any], sources: Sequence[str]) -> dict[str, str]:
    """Take second exposures out of a verb's values: by their input, or none at all.

    Raises
    ------
    RequestError
        If there is not one for each of the sources.
    """
    given = {"pair": values.pop("pair"), "noise_free": ()}
    return dict(zip(sources, take_files(given, sources).get("pair", []), strict=False))


def paths_of(files: Files) -> list[str]:
    """All files that are read."""
    return [path for paths in files.values() for path in paths]


def second_of(taught: dict[str, Any]) -> Image | None:
    """The second exposure of the only input; None where there is none."""
    return next(iter(taught.get("pair", [])), None)


def for_files(config: TrainingConfig, files: Files) -> TrainingConfig:
    """Settings that go with what is learned from."""
    return supervised(config, next(iter(files), "self"))


def read_files(files: Files, inputs: Inputs) -> dict[str, Any]:
    """Read the files as inputs are read, as arguments of `train_steps`.

    Raises
    ------
    RequestError
        If one cannot be read.
    """
    return {
        kind: [inputs.read(path) for path in paths] for kind, paths in files.items()
    }
