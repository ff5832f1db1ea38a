"""Trainings that were interrupted, and wait in a folder of the user until they go on.

Each has a folder of its own: its checkpoint, what its images were, the model that it
began with. A lock, which ends with its process, tells those that go on from those that
do not.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import platformdirs
from filelock import FileLock, Timeout

from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.images import parse_json, saving
from napari_selfdenoise.model import TrainedModel, load_model, save_model
from napari_selfdenoise.training.checkpoint import Checkpoint, read_checkpoint
from napari_selfdenoise.training.training_run import Training

ELSEWHERE = "SELFDENOISE_CHECKPOINTS"
"""Environment variable that names another folder for them."""

_KEPT_S = 30 * 86_400
"""Seconds after which one that nobody went on with is removed."""

_WAIT_S = 1.0
"""Seconds that a new one waits for its lock: who looks for others holds it briefly."""

# Files of a training in its folder.
_CHECKPOINT, _START, _LOCK = "training.checkpoint", "start.safetensors", "lock"
_ABOUT = "selfdenoise-training.json"


@dataclass(frozen=True)
class KeptImage:
    """An image that is learned from, as it can be found again.

    Parameters
    ----------
    name : str
        What the user calls it.
    path : str
        Its file; empty where it has none.
    series : int
        Number of the image in the file.
    axes : str
        Letters of its axes.
    shape : tuple of int
        Lengths of its axes.
    options : dict
        Of its layer in the window, which say how its axes were understood.
    """

    name: str
    path: str
    series: int
    axes: str
    shape: tuple[int, ...]
    options: dict[str, Any]

    def __str__(self) -> str:
        """Name, and size in pixels."""
        return f"'{self.name}' ({' × '.join(map(str, self.shape))})"


@dataclass(frozen=True)
class KeptImages:
    """All that a training learns from.

    Parameters
    ----------
    images : tuple of KeptImage
        In the order of the training.
    others : dict
        Names of other images by what they were: "dark", "mask", "pair" and so on.
    """

    images: tuple[KeptImage, ...]
    others: dict[str, str]

    def __str__(self) -> str:
        """Name of the first image, and how many there are besides."""
        first, more = f"'{self.images[0].name}'", len(self.images) - 1
        if not more:
            return first
        return f"{first} and {more} other image{'s' if more > 1 else ''}"


class Interrupted(NamedTuple):
    """A training that can go on.

    Parameters
    ----------
    kept : KeptTraining
        Where it lies.
    images : KeptImages
        What it learned from.
    step : int
        Steps that it had done.
    time : datetime
        When that was.
    """

    kept: KeptTraining
    images: KeptImages
    step: int
    time: datetime

    def __str__(self) -> str:
        """Sentence on it, as of now."""
        when = moment_in_words(self.time, datetime.now())
        return (
            f"A training of {self.images} was interrupted at step {self.step:,}, "
            f"{when}."
        )


class Reopened(NamedTuple):
    """What a training goes on from: its checkpoint, and the model it began with."""

    checkpoint: Checkpoint
    start: TrainedModel | None


class KeptTraining:
    """A folder in which a training keeps what it needs to go on.

    Nothing is made or read before a method needs it.

    Parameters
    ----------
    folder : Path
        Its own.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Another thread than the one that trains may end it.
        self._lock = FileLock(folder / _LOCK, thread_local=False)

    @classmethod
    def named(cls, name: str) -> KeptTraining:
        """A new one, which can be recognised by a name."""
        plain = re.sub(r"[^\w-]+", "_", name).strip("_")[:40]
        return cls(home() / f"{plain or 'image'}-{secrets.token_hex(4)}")

    @property
    def checkpoint(self) -> Path:
        """File of the checkpoint."""
        return self.folder / _CHECKPOINT

    def begin(self, images: KeptImages, start: TrainedModel | None = None) -> None:
        """Make the folder, and hold it until `release`.

        Without a folder, the training tells that it has no checkpoint, and goes on.
        """
        with suppress(OSError, NotImplementedError, DenoisingError):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=_WAIT_S)
            if start is not None:
                save_model(start, self.folder / _START)
            with saving(self.folder / _ABOUT, "list of images") as part:
                part.write_text(json.dumps(asdict(images)), "utf-8")

    def reopen(self) -> Reopened:
        """Take hold of it, and read what is needed to go on.

        Raises
        ------
        RequestError
            If it goes on elsewhere by now, or is damaged.
        """
        try:
            self._lock.acquire(timeout=_WAIT_S)
        except (Timeout, OSError, NotImplementedError) as error:
            raise RequestError(
                "This training goes on in another window by now.",
                "Look for it there, or train anew.",
            ) from error
        try:
            found = read_checkpoint(self.checkpoint)
            start = load_model(self.folder / _START) if found.continued else None
        except RequestError:
            self.release()
            raise
        return Reopened(found, start)

    def steps(self, train: Callable[..., Training], resume: bool = False) -> Training:
        """Train with checkpoints in the folder, and let go of it at the end.

        The folder stays where there is a checkpoint: a crash may yet come.

        Parameters
        ----------
        train : callable
            As `train_steps`, given `checkpoint` and `resume`.
        resume : bool
            Whether it goes on from the checkpoint.
        """
        try:
            return (yield from train(checkpoint=self.checkpoint, resume=resume))
        finally:
            if self.checkpoint.is_file():
                self.release()
            else:
                self.discard()

    def release(self) -> None:
        """Let others go on with it."""
        self._lock.release(force=True)

    def discard(self) -> None:
        """Remove it, as it is not needed any more; what else lies there stays."""
        self.release()
        with suppress(OSError):
            unfinished = self.folder.glob(".*.part")  # of a writer that was killed
            names = _CHECKPOINT, _START, _ABOUT, _LOCK
            for file in (*unfinished, *(self.folder / name for name in names)):
                file.unlink(missing_ok=True)
            self.folder.rmdir()

    def is_free(self) -> bool:
        """Whether no process is at it."""
        try:
            with self._lock.acquire(timeout=0):
                return True
        except (Timeout, OSError, NotImplementedError):
            return False

    def about(self) -> KeptImages:
        """What it learns from.

        Raises
        ------
        ValueError, LookupError, TypeError, OSError
            If that was not written, or is damaged.
        """
        found = parse_json((self.folder / _ABOUT).read_text("utf-8"))
        images = [one | {"shape": tuple(one["shape"])} for one in found["images"]]
        if not images:
            raise ValueError("it learns from no image")
        others = {str(kind): str(name) for kind, name in found["others"].items()}
        return KeptImages(tuple(KeptImage(**one) for one in images), others)


def home() -> Path:
    """Folder of the user in which they lie."""
    if elsewhere := os.environ.get(ELSEWHERE):
        return Path(elsewhere)
    return platformdirs.user_data_path("napari-selfdenoise") / "checkpoints"


def last_interrupted() -> Interrupted | None:
    """The training that was interrupted last and that nobody goes on with, if any.

    Those that are too old to be missed are removed.
    """
    found = [(_age_s(one), one) for one in _folders()]
    for age, kept in sorted(found, key=lambda pair: pair[0]):
        if not kept.is_free():
            continue
        if age > _KEPT_S:
            kept.discard()
        elif (interrupted := _read(kept)) is not None:
            return interrupted
    return None


def _folders() -> Iterator[KeptTraining]:
    with suppress(OSError):  # there is none, as nothing was trained
        for one in home().iterdir():
            if (one / _ABOUT).is_file():
                yield KeptTraining(one)


def _age_s(kept: KeptTraining) -> float:
    """Seconds since a training did something, as far as its files tell."""
    for file in (kept.checkpoint, kept.folder):
        with suppress(OSError):
            return time.time() - file.stat().st_mtime
    return 0.0


def _read(kept: KeptTraining) -> Interrupted | None:
    """Read what can go on; None where there is no checkpoint, or a damaged one."""
    try:
        step = read_checkpoint(kept.checkpoint).step
        written = datetime.fromtimestamp(kept.checkpoint.stat().st_mtime)
        return Interrupted(kept, kept.about(), step, written)
    except (RequestError, OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def moment_in_words(moment: datetime, now: datetime) -> str:
    """Day and time, as a person says it.

    Examples
    --------
    >>> moment_in_words(datetime(2026, 3, 1, 18, 3), datetime(2026, 3, 2, 9, 0))
    'yesterday 18:03'
    >>> moment_in_words(datetime(2026, 2, 3, 8, 15), datetime(2026, 3, 2, 9, 0))
    'on 3 February 08:15'
    """
    days = {now.date(): "today", now.date() - timedelta(days=1): "yesterday"}
    day = days.get(moment.date(), f"on {moment.day} {moment:%B}")
    return f"{day} {moment:%H:%M}"
