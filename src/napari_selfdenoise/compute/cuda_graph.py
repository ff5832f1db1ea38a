"""Work that a GPU repeats from a recording, not kernel by kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import torch

Result = TypeVar("Result")

_EAGER_RUNS = 3
"""Runs before the recording: libraries choose kernels and take memory in the first."""


class RecordedWork(Generic[Result]):
    """Work on a GPU that is recorded once and then repeated as a whole (CUDA graph).

    A pass of a small network is some 900 kernels of a few microseconds each; to hand
    them over one by one takes a CPU ten times as long as the GPU computes.

    Parameters
    ----------
    work : callable
        Takes no arguments. Its tensors stay where they are from one run to the next,
        it waits for none of them, and whatever it does besides is done only in the
        first runs.
    generator : torch.Generator
        Where its random numbers come from: on the GPU. They go on from run to run as
        without a recording.
    pool : tuple of int
        Memory of recordings that never run at the same time, of
        `torch.cuda.graph_pool_handle`.
    """

    def __init__(
        self,
        work: Callable[[], Result],
        generator: torch.Generator,
        pool: Any,
    ) -> None:
        self._work, self._generator, self._pool = work, generator, pool
        self._runs = 0
        self._recorded: tuple[torch.cuda.CUDAGraph, Result] | None = None
        self.refusal = ""
        """Why the work could not be recorded, where it could not."""

    def __call__(self) -> Result:
        """Run the work; from the recording on, its result lies where it lay before."""
        self._runs += 1
        if self._runs == _EAGER_RUNS + 1:
            self._record()
        if self._recorded is None:
            return self._work()
        graph, result = self._recorded
        graph.replay()
        return result

    def _record(self) -> None:
        """Record the work without running it; it goes on as before where it cannot."""
        graph, spare = torch.cuda.CUDAGraph(), self._generator.clone_state()
        graph.register_generator_state(self._generator)
        context = torch.cuda.graph(
            graph, pool=self._pool, capture_error_mode="thread_local"
        )
        try:
            with context:
                result = self._work()
        except RuntimeError as error:
            self.refusal = str(error)
            _put_back(self._generator, spare)
            return
        self._recorded = graph, result


def records(device: torch.device) -> bool:
    """Whether work on a device can be recorded at all."""
    return device.type == "cuda"


def _put_back(generator: torch.Generator, spare: torch.Generator) -> None:
    """Let a generator go on from a copy: a recording that failed blocks its state."""
    generator.graphsafe_set_state(spare)
