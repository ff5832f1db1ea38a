"""A step's batch, in as many passes as time and memory ask for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from napari_selfdenoise.compute import if_memory_allows
from napari_selfdenoise.config import TrainingConfig, patches_a_step
from napari_selfdenoise.training.channel_trainer import ChannelTrainer
from napari_selfdenoise.training.consensus import Consensus
from napari_selfdenoise.training.schedule import Schedule

_PASS_FLOP = 8e9
"""Cost of a pass, forwards: about a tenth of a second here, more on a slower CPU. With
half of it, networks of 32 features were slower by up to a quarter."""

_TIMED = 5
"""Passes that are timed."""


class Batch:
    """Patches that a step learns from, split into passes.

    On a CPU a pass must not delay a stop: how many there are follows from the network's
    cost, not from the clock, so that equal seeds give equal results.

    Parameters
    ----------
    config : TrainingConfig
        Its batch size and network are used.
    patch_size : int
        Side of the patches, in pixels.
    device : torch.device
        Where to compute.
    schedule : Schedule
        The budget.
    channels : int
        That learn in each step.
    agreed : Consensus
        Processes that train together split their batches alike.

    Attributes
    ----------
    passes : int
        Of a step, in each channel.
    patches : int
        Of a pass.
    """

    def __init__(
        self,
        config: TrainingConfig,
        patch_size: int,
        device: torch.device,
        schedule: Schedule,
        channels: int,
        agreed: Consensus,
    ) -> None:
        self._schedule, self._channels, self._agreed = schedule, channels, agreed
        self._asked = self._size = fits = patches_a_step(config)
        if device.type == "cpu":
            pixels = config.context.depth * patch_size**2
            cost = config.network.flops_per_pixel * pixels
            fits = max(1, int(_PASS_FLOP // cost))
        self._split(math.ceil(self._size / fits))
        self._done, self._crowded = 0, False

    def state(self) -> dict[str, Any]:
        """How a step is split, and what was timed."""
        return {
            "size": self._size,
            "passes": self.passes,
            "patches": self.patches,
            "done": self._done,
            "crowded": self._crowded,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self._size, self._done = state["size"], state["done"]
        self.passes, self.patches = state["passes"], state["patches"]
        self._crowded = state["crowded"]

    def _split(self, passes: int) -> None:
        self.passes, self.patches = passes, math.ceil(self._size / passes)

    def passes_of(self, trainer: ChannelTrainer) -> Iterator[tuple[Tensor, bool]]:
        """Add the gradient of a whole step, pass by pass.

        Where the device has no room for a pass, the step starts over in smaller ones;
        there must be room for a single patch.

        Yields
        ------
        loss : Tensor
            Of a pass, a scalar, detached.
        complete : bool
            Whether it was the step's last pass.
        """
        done = 0
        while done < self.passes:
            loss = self._accumulate(trainer)
            # Where one has no room, all start over: they agree after each pass.
            if self._agreed.renew(loss is None) or loss is None:
                trainer.start_over()
                self._split(min(2 * self.passes, self._size))
                self._crowded, done = True, 0
                continue
            done += 1
            self._done += 1
            self._keep_time()
            yield loss, done >= self.passes

    def _accumulate(self, trainer: ChannelTrainer) -> Tensor | None:
        """Add the gradient of one pass; None where the device had no room for it."""
        work = partial(trainer.accumulate, self.patches, 1 / self.passes)
        return if_memory_allows(work) if self.patches > 1 else work()

    def _keep_time(self) -> None:
        """Leave out passes where the budget would end after too few steps."""
        if self._done != _TIMED:
            return
        room = self._schedule.passes_a_step(_TIMED, self._channels)
        if room < self.passes:
            self._size = int(room) * self.patches
            self._split(int(room))

    def notes(self) -> list[str]:
        """Return what the user should know of a batch that was changed."""
        found = []
        if self._size < self._asked:
            found.append(
                "The result may be worse: these settings are too heavy for this "
                f"computer in the time given. Each step learned from {self._size} "
                f"patch{'es' if self._size != 1 else ''} instead of {self._asked}. Try "
                "Fast, or give more time."
            )
        if self._crowded:
            found.append(
                "Steps took longer; the result is as good. The device had room for "
                f"{self.patches} patches at a time only."
            )
        return found
