"""Time that a run has had, without the hours that a laptop slept."""

from __future__ import annotations

import time
from collections.abc import Callable

_GAP_S = 30.0
"""Seconds between two readings that are looked at: runs read far more often."""

_IDLE = 0.1
"""Share of such a gap that the process has computed, below which it stood still."""


class AwakeTime:
    """Seconds, as of `time.perf_counter`, that the computer was awake.

    Whether a clock goes on while a computer sleeps differs between systems: on Windows
    it does. So a long gap between two readings in which this process has hardly
    computed is left out: it slept, or was held.

    Parameters
    ----------
    clock, computed : callable
        Return the time, and the time that this process has computed, in seconds.

    Attributes
    ----------
    slept_s : float
        Seconds that were left out so far.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.perf_counter,
        computed: Callable[[], float] = time.process_time,
    ) -> None:
        self._clock, self._computed = clock, computed
        self._last, self._last_computed = clock(), computed()
        self.slept_s = 0.0

    def __call__(self) -> float:
        """Return the time without the gaps so far."""
        now, computed = self._clock(), self._computed()
        gap, worked = now - self._last, computed - self._last_computed
        if gap > _GAP_S and worked < _IDLE * gap:
            self.slept_s += gap - worked
        self._last, self._last_computed = now, computed
        return now - self.slept_s
