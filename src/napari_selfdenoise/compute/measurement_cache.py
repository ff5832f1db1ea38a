"""Measurements of this machine, kept for later sessions."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import platformdirs

from napari_selfdenoise.images import parse_json, replacing


def cached(what: str, measure: Callable[[], str]) -> str:
    """Return an earlier measurement, or measure now and keep the result.

    A measurement depends on what else the machine does at the moment. Kept, it is the
    same next time, and takes no time.

    Parameters
    ----------
    what : str
        What is measured, of which part of the machine, with which versions.
    measure : callable
        Called if that has not been measured yet.
    """
    path = _path()
    known = _read(path)
    if what not in known:
        known[what] = measure()
        _keep(path, known)
    return known[what]


def forget() -> None:
    """Delete all measurements: the next time they are made anew."""
    with suppress(OSError):  # a folder that is read-only: it stays as it is
        _path().unlink(missing_ok=True)


def _path() -> Path:
    return Path(platformdirs.user_cache_dir("napari-selfdenoise")) / "measured.json"


def _read(path: Path) -> dict[str, str]:
    try:
        known = parse_json(path.read_text("utf-8"))
    except (OSError, ValueError):  # not there yet, or damaged
        return {}
    sound = isinstance(known, dict) and all(isinstance(v, str) for v in known.values())
    return known if sound else {}


def _keep(path: Path, known: dict[str, str]) -> None:
    with suppress(OSError):  # a disk that is full: it is measured again next time
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            part.write_text(json.dumps(known, indent=1), "utf-8")
