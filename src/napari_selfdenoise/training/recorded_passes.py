"""Passes of a training that a GPU repeats from recordings."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from napari_selfdenoise.compute import RecordedWork, records

Result = TypeVar("Result")


@dataclass(eq=False)
class _Kind(Generic[Result]):
    """Passes of one kind, and the parameters that they teach.

    Parameters
    ----------
    work : RecordedWork
        A pass.
    taught : list of nn.Parameter or None
        None until the first pass has shown it.
    """

    work: RecordedWork[Result]
    taught: list[nn.Parameter] | None = None


class RecordedPasses(Generic[Result]):
    """Runs passes; on a CUDA device it records each kind of them, and repeats that.

    Passes are of one kind where they do the same with the same tensors, whatever these
    hold. Elsewhere than on CUDA devices passes just run.

    Parameters
    ----------
    generator : torch.Generator
        Of all random numbers of a pass, on the device that computes.
    allowed : bool
        False where a pass waits for the device, or its tensors differ in size from
        those of the last one: it cannot be recorded, and to try costs memory.
    """

    def __init__(self, generator: torch.Generator, allowed: bool = True) -> None:
        self._generator, self._allowed = generator, allowed
        self.forget()

    def forget(self) -> None:
        """Give back the memory of the recordings: what comes next is of other kinds."""
        self._kinds: dict[Hashable, _Kind[Result]] = {}
        self._memory: dict[nn.Parameter, Tensor] = {}
        can = self._allowed and records(self._generator.device)
        self._pool = torch.cuda.graph_pool_handle() if can else None

    def run(
        self,
        kind: Hashable,
        work: Callable[[], Result],
        parameters: Iterable[nn.Parameter],
    ) -> Result:
        """Run a pass that adds to the gradients of some of the parameters.

        Parameters
        ----------
        kind : hashable
            What distinguishes this pass from those that are no repetitions of it.
        work : callable
            The pass.
        parameters : iterable of nn.Parameter
            All that learn.

        Returns
        -------
        Result
            What the pass returns. The next pass may write over its tensors.
        """
        if self._pool is None:
            return work()
        if kind not in self._kinds:
            self._kinds[kind] = _Kind(RecordedWork(work, self._generator, self._pool))
        known = self._kinds[kind]
        self._place_gradients(known.taught or [])
        result = known.work()
        if known.taught is None:
            known.taught = [p for p in parameters if p.grad is not None]
        return result

    def _place_gradients(self, taught: Iterable[nn.Parameter]) -> None:
        """Let gradients that a step has not begun yet lie where the last ones lay."""
        fresh = [p for p in taught if p.grad is None]
        for parameter in fresh:
            if parameter not in self._memory:
                self._memory[parameter] = torch.zeros_like(parameter)
            parameter.grad = self._memory[parameter]
        if fresh:
            torch._foreach_zero_([self._memory[parameter] for parameter in fresh])
