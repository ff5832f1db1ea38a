"""Foreseeing, while it is early, that a time is too short to learn anything in."""

from __future__ import annotations

from napari_selfdenoise.training.schedule import Schedule

_WATCHED_S = 2.0
"""Seconds of learning that tell how many steps will be done: the first step is slow."""


class Pace:
    """Watches how fast steps come, and says where they will be too few.

    Parameters
    ----------
    schedule : Schedule
        The budget.
    """

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._first: tuple[float, int] | None = None

    def note(self, step: int) -> str:
        """Sentence on a training that will have hardly any steps; else empty."""
        schedule = self._schedule
        if schedule.budget_s is None or schedule.steps is not None or not step:
            return ""
        trained = schedule.trained()
        began, first = self._first = self._first or (trained, step)
        spent, left = trained - began, schedule.budget_s - trained
        if spent < _WATCHED_S or left <= 0:
            return ""
        steps = round(step + left * (step - first) / spent)
        if not schedule.few(steps):
            return ""
        return (
            f"This computer is slow now: the time is enough for about {steps} steps, "
            "too few to learn much. Give more time, or end other programs."
        )
