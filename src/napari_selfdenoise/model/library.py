"""The last models that were trained in the window: found again without a file name."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path

import platformdirs
from safetensors import SafetensorError, safe_open

from napari_selfdenoise.images import printable
from napari_selfdenoise.model.model_file import SUFFIX, model_digest, save_model
from napari_selfdenoise.model.trained_model import TrainedModel

ELSEWHERE = "SELFDENOISE_MODELS"
"""Environment variable that names another folder for them."""

_KEPT = 20
"""How many are kept, the last ones."""

_NAME = re.compile(rf"[A-Za-z0-9-]+-[0-9a-f]{{8}}{re.escape(SUFFIX)}")
"""Names of their files, as `ModelLibrary.add` gives them."""

_LINE = 60
"""Letters of a name in a list."""

_MOST_BYTES = 2**30
"""Bytes that all of them may take."""


@dataclass(frozen=True)
class KeptModel:
    """A model of the library.

    Parameters
    ----------
    path : Path
        Its file.
    image : str
        What the image was called that it learned from.
    microscope : str
        That the image is from; empty where its file did not say so.
    recipe : str
        Name of the recipe.
    date : datetime
        When it was trained, local time.
    """

    path: Path
    image: str
    microscope: str
    recipe: str
    date: datetime

    def __str__(self) -> str:
        """One line for a list."""
        words = map(_short, [self.image or "an image", self.microscope, self.recipe])
        return f"{self.date:%d %b %Y, %H:%M}: {', '.join(filter(None, words))}"


class ModelLibrary:
    """The last models, in a folder of the user.

    Parameters
    ----------
    folder : Path, optional
        Where; else among the user's data, or where SELFDENOISE_MODELS says.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or _usual_folder()

    def add(self, model: TrainedModel) -> Path:
        """Keep a model; the oldest go where there are too many.

        Returns
        -------
        Path
            Its file.

        Raises
        ------
        RequestError, DenoisingError
            As of `save_model`.
        """
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
        name = f"{_slug(model)}-{model_digest(model)[:8]}{SUFFIX}"
        path = save_model(model, self.folder / name)
        self._forget(path)
        return path

    def models(self) -> list[KeptModel]:
        """The last ones, the newest first; what cannot be read is left out."""
        files = sorted(self._files(), key=_modified, reverse=True)
        return list(islice(filter(None, map(_kept, files)), _KEPT))

    def _forget(self, newest: Path) -> None:
        """Remove the oldest beyond what is kept, but never the newest.

        Nor what has a name that is not given here: the folder may be one of the user.
        """
        total = 0
        given = (path for path in self._files() if _NAME.fullmatch(path.name))
        for number, path in enumerate(sorted(given, key=_modified)[::-1]):
            with suppress(OSError):
                total += path.stat().st_size
                if path != newest and (number >= _KEPT or total > _MOST_BYTES):
                    path.unlink()

    def _files(self) -> Iterator[Path]:
        with suppress(OSError):
            # A pipe would be waited for.
            yield from (p for p in self.folder.glob(f"*{SUFFIX}") if p.is_file())


def _usual_folder() -> Path:
    if elsewhere := os.environ.get(ELSEWHERE):
        return Path(elsewhere)
    return platformdirs.user_data_path("napari-selfdenoise") / "models"


def _slug(model: TrainedModel) -> str:
    """Name of the first image, in letters that all systems allow in names of files."""
    images = model.provenance.get("images") or ["image"]
    return re.sub(r"[^A-Za-z0-9]+", "-", str(images[0])).strip("-")[:40] or "image"


def _short(text: str) -> str:
    """A name as one line that fits a list."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= _LINE else f"{line[: _LINE - 1]}…"


def _modified(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def _kept(path: Path) -> KeptModel | None:
    """What the head of a model file says; None where it is none."""
    try:
        with safe_open(path, framework="np") as file:
            content = json.loads((file.metadata() or {})["selfdenoise"])
        made, recipe = content["provenance"], content["config"].get("recipe", "")
        images = made.get("images") or [""]
        date = datetime.fromtimestamp(_modified(path))
        microscope = str(made.get("microscope") or "")
        return KeptModel(path, str(images[0]), microscope, str(recipe), date)
    except (SafetensorError, OSError, ValueError, LookupError, TypeError):
        return None
    except (AttributeError, RecursionError, OverflowError):
        return None
