"""Files that something else is writing: which of them are complete by now."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

State = tuple[int, int, int]
"""Number of files, their bytes, and when one was last changed, in ns."""


class _Known(NamedTuple):
    state: State
    since: float


class Arrivals:
    """Waits until files do not change any more.

    Who writes does not say when it is done. So a file counts as complete once its size
    and its time have stayed the same for a while; one that changes later is there anew.

    Parameters
    ----------
    settle_s : float
        Seconds without a change after which a file is complete.
    clock : callable
        Seconds that only ever grow.
    """

    def __init__(
        self, settle_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settle_s, self._clock = settle_s, clock
        self._known: dict[Path, _Known] = {}
        self._taken: dict[Path, State] = {}

    def look(self, paths: Iterable[Path]) -> list[Path]:
        """Return the files that are complete and were not returned as they are now.

        Parameters
        ----------
        paths : iterable of Path
            All files, or folders that are images; those that are gone are left out.
        """
        now, ready = self._clock(), []
        states = {path: state_of(path) for path in paths}
        # What is gone, or is not looked at any more, is not waited for.
        self._known = {p: one for p, one in self._known.items() if states.get(p)}
        for path, state in states.items():
            if state is None:
                continue
            known = self._known.get(path)
            if known is None or known.state != state:
                self._known[path] = _Known(state, now)
            elif now - known.since >= self._settle_s and self._is_new(path, state):
                self._taken[path] = state
                ready.append(path)
        return ready

    @property
    def waiting(self) -> int:
        """How many files are being written, or have changed a moment ago."""
        known = self._known.items()
        return sum(self._is_new(path, one.state) for path, one in known)

    def _is_new(self, path: Path, state: State) -> bool:
        return self._taken.get(path) != state


def state_of(path: Path) -> State | None:
    """What changes while a file, or a folder of files, is written; None if gone."""
    try:
        files = [one for one in path.rglob("*") if one.is_file()]
        files = files if path.is_dir() else [path]
        stats = [one.stat() for one in files]
    except OSError:
        return None
    times = [stat.st_mtime_ns for stat in stats]
    return len(stats), sum(stat.st_size for stat in stats), max(times, default=0)
