"""A training that was interrupted, as one file: all that it needs to go on.

A training writes it every minute. It goes on from there to the very result that it
would have had, where steps were given; by time, it has the rest of its time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from napari_selfdenoise.config import TrainingConfig, parse_config
from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.images import parse_json, saving
from napari_selfdenoise.training.packing import packed, unpacked

FORMAT = "napari-selfdenoise checkpoint"
VERSION = 1
SUFFIX = ".checkpoint"

_STATE = {"precision", "trained_s", "advances", "moments", "losses", "history"}
_STATE |= {"batch", "trainers"}
"""What `TrainingLoop.state` holds."""

_DOES_NOT_FIT = (
    SafetensorError,
    OSError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
)
"""Errors of a file whose content is not what `write_checkpoint` writes."""

_PRECISIONS = ("float32", "bfloat16")

EVERY_S = 60.0
"""Seconds between two."""

_FIRST_S = 10.0
"""Seconds until the first one: most trainings are brief, and may fail as well."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A moment of a training.

    Parameters
    ----------
    config : TrainingConfig
        As the user chose it.
    continued : bool
        Whether it went on from a model.
    step : int
        Steps done.
    state : dict
        Of the training, from `TrainingLoop.state`.
    """

    config: TrainingConfig
    continued: bool
    step: int
    state: dict[str, Any]


def checkpoint_path(model_path: str | Path) -> Path:
    """Where the checkpoint of a training lies whose model is to be a file.

    Raises
    ------
    RequestError
        If it has no name.
    """
    path = Path(model_path)
    if not path.name:
        raise RequestError(
            f"{str(model_path)!r} names no model file.",
            "Name one, such as model.safetensors.",
        )
    return path.with_name(path.name.removesuffix(".safetensors") + SUFFIX)


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write it; an older one is replaced only when all is written.

    Raises
    ------
    RequestError
        If the folder is not there.
    DenoisingError
        If the file cannot be written.
    """
    tensors: dict[str, torch.Tensor] = {}
    about = {
        "format": FORMAT,
        "version": VERSION,
        "config": checkpoint.config.model_dump(mode="json"),
        "continued": checkpoint.continued,
        "step": checkpoint.step,
        "state": packed(checkpoint.state, tensors),
    }
    with saving(path, "checkpoint") as part:
        part.write_bytes(save(tensors, {"selfdenoise": json.dumps(about)}))


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read what `write_checkpoint` wrote; nothing in it is executed.

    Raises
    ------
    RequestError
        If the file is not there, is no checkpoint, or is damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise RequestError(
            f"There is no checkpoint {path}: no training was interrupted.",
            "Train without going on from one.",
        )
    try:
        with safe_open(path, framework="pt") as file:
            about = parse_json((file.metadata() or {}).get("selfdenoise", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return _rebuilt(path, about, tensors)
    except RequestError:
        raise
    except _DOES_NOT_FIT as error:
        raise damaged(path) from error


def _rebuilt(
    path: Path, about: Mapping[str, Any], tensors: dict[str, torch.Tensor]
) -> Checkpoint:
    if about.get("format") != FORMAT:
        raise damaged(path)
    if about["version"] > VERSION:
        raise RequestError(
            f"{path.name} was written by a newer version of napari-selfdenoise.",
            "Update napari-selfdenoise, or train anew.",
        )
    try:
        config = parse_config(about["config"])
    except RequestError as error:
        raise damaged(path) from error
    state = unpacked(about["state"], tensors)
    if not state.keys() >= _STATE or state["precision"] not in _PRECISIONS:
        raise damaged(path)
    return Checkpoint(config, bool(about["continued"]), int(about["step"]), state)


def damaged(path: Path) -> RequestError:
    """Return the error of a file that no training goes on from."""
    return RequestError(
        f"{path.name} is no checkpoint of a training, or is damaged.",
        "Train anew: leave it out, or remove the file.",
    )


def require_same_training(
    checkpoint: Checkpoint, config: TrainingConfig, continued: bool, processes: int = 1
) -> None:
    """Refuse to go on with other settings than those of the training.

    Parameters
    ----------
    checkpoint : Checkpoint
        To go on from.
    config : TrainingConfig
        As the user chose it; the device may be another one.
    continued : bool
        Whether it goes on from a model.
    processes : int
        That are to train together.

    Raises
    ------
    RequestError
        If settings differ, or the number of processes.
    """
    before = checkpoint.state.get("processes", 1)
    if before != processes:
        # Each step learns from one batch a process: it would be another training.
        raise RequestError(
            f"The training that was interrupted ran on {_processes(before)}; "
            f"{_processes(processes)} cannot go on with it.",
            "Start as many as before, or train anew.",
        )
    free = {"device": "auto", "precision": "auto"}
    one, other = (c.model_copy(update=free) for c in (checkpoint.config, config))
    differing = [
        str(field.title or name).lower()
        for name, field in TrainingConfig.model_fields.items()
        if getattr(one, name) != getattr(other, name)
    ]
    if checkpoint.continued != continued:
        differing.append("the model that it goes on from")
    if differing:
        raise RequestError(
            "The training that was interrupted had other settings; here differ: "
            f"{', '.join(differing)}.",
            "Give the same settings, or train anew.",
        )


def _processes(count: int) -> str:
    return f"{count} process{'es' if count != 1 else ''}"


class CheckpointWriter:
    """Writes a checkpoint every minute, between two steps.

    Parameters
    ----------
    path : Path
        Of the file.
    config : TrainingConfig
        As the user chose it.
    continued : bool
        Whether the training goes on from a model.

    Attributes
    ----------
    problem : str
        Why the last one could not be written; else empty.
    last_step : int
        Steps that the last one that was written goes on from; 0 where there is none.
    """

    def __init__(self, path: Path, config: TrainingConfig, continued: bool) -> None:
        self._path, self._config, self._continued = path, config, continued
        self._due = time.monotonic() + min(_FIRST_S, EVERY_S)
        self.problem, self.last_step = "", 0

    @property
    def is_due(self) -> bool:
        """Whether it is time for the next one."""
        return time.monotonic() >= self._due

    def write(self, step: int, state: dict[str, Any]) -> None:
        """Write what is needed to go on after so many steps."""
        found = Checkpoint(self._config, self._continued, step, state)
        self.problem = ""
        try:
            write_checkpoint(self._path, found)
            self.last_step = step
        except (RequestError, DenoisingError) as error:
            # A full disk must not end a training of hours.
            self.problem = f"No checkpoint could be written. {error}"
        self._due = time.monotonic() + EVERY_S
