"""How a training uses its budget: seconds, steps, or whichever ends first."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.training.curriculum import Moment

_LEAST_STEPS = 1000
_FEW_STEPS = 100

_VIEWS = 350
"""Times that each pixel is shown, on average, after which there is no more to learn.

A network that goes on learns the noise of the very pixels it was given.
"""


class Schedule:
    """Learning rate over the budget: seconds, steps, or whichever ends first.

    Warm-up over the first 3 %, then a cosine to zero. Without a budget the rate
    falls with the square root of time, so that any moment is a good one to stop.

    Parameters
    ----------
    config : TrainingConfig
        Its budget and learning rate are used.
    start : float
        When the training began, by the clock.
    clock : callable
        Returns the time, in seconds.
    """

    def __init__(
        self,
        config: TrainingConfig,
        start: float,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._clock = clock
        self.steps, self.budget_s = config.steps, config.budget_s
        self.peak, self.start = config.learning_rate, start
        self.began = 0.0
        self._paused, self._pauses, self._pauses_left = 0.0, 0, 0
        self.enough: int | None = None

    def limit(self, pixels: int, shown: int) -> None:
        """End a training by time early, when its images have taught what they can.

        Parameters
        ----------
        pixels : int
            Of the images of one channel.
        shown : int
            Pixels that each step is shown.
        """
        if self.steps is None and self.budget_s is not None:
            self.enough = max(_LEAST_STEPS, round(_VIEWS * pixels / shown))

    def ended_early(self, step: int) -> bool:
        """Whether there was no more to learn before the time was over."""
        return self.enough is not None and step >= self.enough

    def begin(self) -> None:
        """Count the budget from now: reading and imports take none of it."""
        self.began = self.elapsed()

    def resume(self, trained_s: float) -> None:
        """Count the time of an interrupted training as well.

        Parameters
        ----------
        trained_s : float
            Seconds that it had trained.
        """
        self.began -= trained_s

    def pause(self, seconds: float, left: int) -> None:
        """Leave out a pause that is over, and expect so many more of about its length.

        Parameters
        ----------
        seconds : float
            That it took.
        left : int
            How many are still to come.
        """
        self._paused += seconds
        self._pauses += 1
        self._pauses_left = left

    @property
    def _pauses_s(self) -> float:
        """Seconds of the pauses still to come."""
        return self._pauses_left * self._paused / max(1, self._pauses)

    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._clock() - self.start

    def trained(self) -> float:
        """Seconds since the first step began, without pauses."""
        return self.elapsed() - self.began - self._paused

    def out_of_time(self, step: int) -> bool:
        """Whether the seconds were over before much could be learned."""
        over = self.budget_s is not None and self.trained() >= self.budget_s
        return over and self.few(step)

    def few(self, step: int) -> bool:
        """Whether that many steps teach next to nothing."""
        return step < _FEW_STEPS

    def fraction(self, step: int) -> float | None:
        """Share of the budget that is used after `step` steps."""
        shares = []
        most = self.steps or self.enough
        if most is not None:
            shares.append(step / most)
        if self.budget_s is not None:
            shares.append(self.trained() / self.budget_s)
        return min(max(shares), 1.0) if shares else None

    def remaining(self, step: int) -> float | None:
        """Estimated seconds left."""
        left = []
        most = self.steps or self.enough
        if most is not None and step:
            left.append(max(self.trained() * (most - step) / step, 0.0))
        if self.budget_s is not None:
            left.append(max(self.budget_s - self.trained(), 0.0))
        return min(left) + self._pauses_s if left else None

    def reached(self, step: int, moment: Moment) -> bool:
        """Whether a share of the budget is used, or so many steps without one."""
        used = self.fraction(step)
        return step >= moment.steps if used is None else used >= moment.share

    def is_over(self, step: int) -> bool:
        """Whether the budget is used up."""
        used = self.fraction(step)
        return used is not None and used >= 1.0

    def passes_a_step(self, passes: int, channels: int) -> float:
        """How many passes a step may have, for a budget of a thousand steps.

        From the time that so many passes have taken. Published batches are made for
        hours on a GPU: with too few steps nothing is learned from them.
        """
        if self.budget_s is None:
            return math.inf
        each = self.trained() / passes
        steps = min(_LEAST_STEPS, self.steps or _LEAST_STEPS)
        return max(1, int(self.budget_s / (each * channels * steps)))

    def learning_rate(self, step: int) -> float:
        """Rate of the step that comes next."""
        used = self.fraction(step)
        warm = min(1.0, (step + 1) / 20)
        if used is None:
            return self.peak * warm / math.sqrt(1 + self.trained() / 60)
        return (
            self.peak
            * min(warm, (used + 1e-3) / 0.03)
            * 0.5
            * (1 + math.cos(math.pi * used))
        )
