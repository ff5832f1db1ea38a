"""What the processes of a training decide by: one clock, and one wish to stop."""

from __future__ import annotations

import math
from collections.abc import Iterator

from napari_selfdenoise.compute import AwakeTime, Processes


class Consensus:
    """The time, and the wish to stop, as all processes of a training know them.

    A process that changed the phase, or stopped, by its own clock would leave the
    others waiting for it. So all go by the clock of the first one, which they hear of
    after each pass; in between it stands still. A single process has its own clock.

    Parameters
    ----------
    processes : Processes
        That train together.
    clock : AwakeTime, optional
        Of this process.

    Attributes
    ----------
    stopped : bool
        Whether all stop, as one of them was asked to.
    """

    def __init__(
        self, processes: Processes | None = None, clock: AwakeTime | None = None
    ) -> None:
        self._processes, self._clock = processes or Processes(), clock or AwakeTime()
        self.stopped, self._asked, self._now = False, False, 0.0
        self.renew()

    @property
    def processes(self) -> Processes:
        """That train together."""
        return self._processes

    def now(self) -> float:
        """Seconds that the first process was awake."""
        return self._clock() if self._processes.count == 1 else self._now

    @property
    def slept_s(self) -> float:
        """Seconds that this process slept, which count for nothing."""
        return self._clock.slept_s

    def stop(self) -> None:
        """Ask for a stop: a single process stops at once, several when all know."""
        self._asked = True
        self.stopped |= self._processes.count == 1

    def renew(self, raised: bool = False) -> bool:
        """Agree on the time and on a stop.

        Parameters
        ----------
        raised : bool
            Whether this process raises its hand.

        Returns
        -------
        bool
            Whether any process does.
        """
        if self._processes.count == 1:
            return raised
        now = self._clock() if self._processes.is_first else -math.inf
        mine = now, float(self._asked), float(raised)
        self._now, stopped, any_raised = self._processes.greatest(mine)
        self.stopped = bool(stopped)
        return bool(any_raised)

    def by_first(self, work: Iterator[None]) -> Iterator[None]:
        """Do some work in the first process, bit by bit; the others wait for each."""
        if self._processes.count == 1:
            yield from work
            return
        first = self._processes.is_first
        while self.renew(first and next(work, _OVER) is not _OVER):
            yield


_OVER = object()
"""What comes after the last bit."""
