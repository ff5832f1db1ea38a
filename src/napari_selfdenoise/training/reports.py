"""Progress that is handed out in time, and what is sent back for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from napari_selfdenoise.compute import if_memory_allows
from napari_selfdenoise.images import FieldOfView
from napari_selfdenoise.long_work import STOP, Command
from napari_selfdenoise.training.consensus import Consensus
from napari_selfdenoise.training.preview import Preview
from napari_selfdenoise.training.progress import Reporting, TrainingProgress

# Seconds between two reports: plots and previews look alive, and take no time.
_INTERVAL_S = 0.15


class Reports:
    """Hands out progress, and keeps what is sent back until it is answered.

    Parameters
    ----------
    preview : callable
        Denoises a field of view as the network is now.
    agreed : Consensus
        The time, and whether `STOP` was sent.
    """

    def __init__(
        self, preview: Callable[[FieldOfView], Preview], agreed: Consensus
    ) -> None:
        self._preview, self._agreed = preview, agreed
        self._field: FieldOfView | None = None
        self._due = agreed.now()

    @property
    def stopped(self) -> bool:
        """Whether `STOP` was sent."""
        return self._agreed.stopped

    @property
    def is_due(self) -> bool:
        """Whether it is time for the next report."""
        return self._agreed.now() >= self._due

    def receive(self, command: Command | FieldOfView | None) -> None:
        """Take in what was sent."""
        if command is STOP:
            self._agreed.stop()
        elif isinstance(command, FieldOfView):
            self._field = command

    def hand_out(self, progress: TrainingProgress) -> Reporting:
        """Report, with the preview of the field of view that was sent before."""
        field, self._field = self._field, None
        # A device may have room to learn, and none for what is shown meanwhile.
        show = partial(self._preview, field) if field else None
        preview = if_memory_allows(show) if show else None
        self.receive((yield replace(progress, preview=preview)))
        self._due = self._agreed.now() + _INTERVAL_S
