"""Processes that train one model together: who they are, and what they tell each other.

`torchrun` starts them, on one machine or several, and says in the environment which one
each is. Without it there is a single process, which has nobody to wait for.
"""

from __future__ import annotations

import atexit
import functools
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from napari_selfdenoise.compute.device import resolve_device
from napari_selfdenoise.errors import DenoisingError, RequestError

Value = TypeVar("Value")

_PATIENCE = timedelta(minutes=30)
"""Time to wait for another process: one may read its images long before the others."""


@dataclass(frozen=True)
class Processes:
    """The processes that train together, from the place of one of them.

    All of them call the same methods in the same order: each waits for the others.

    Parameters
    ----------
    rank : int
        Number of this one, from 0.
    count : int
        How many there are, on all machines.
    place : int
        Number of this one on its machine, from 0.
    neighbours : int
        How many there are on its machine.
    """

    rank: int = 0
    count: int = 1
    place: int = 0
    neighbours: int = 1

    @classmethod
    def started(cls) -> Processes:
        """Return what torchrun has started; a single process without it."""
        rank, count, place, neighbours = (
            int(os.environ.get(name, default))
            for name, default in (
                ("RANK", "0"),
                ("WORLD_SIZE", "1"),
                ("LOCAL_RANK", "0"),
                ("LOCAL_WORLD_SIZE", "1"),
            )
        )
        return cls(rank, count, place, neighbours) if count > 1 else cls()

    @property
    def is_first(self) -> bool:
        """Whether it is the one that writes files and talks to the user."""
        return self.rank == 0

    def device(self, name: str) -> torch.device:
        """Return what this process computes on; each one has a GPU of its own.

        Parameters
        ----------
        name : str
            As for `resolve_device`, but "cuda:1" would be the same GPU for all.

        Raises
        ------
        RequestError
            If there is no such device, or not one for each process.
        """
        if self.count == 1:
            return resolve_device(name)
        gpus = torch.cuda.device_count()
        if name == "cpu" or (name == "auto" and not gpus):
            return torch.device("cpu")
        if name not in ("auto", "cuda") or self.neighbours > gpus:
            raise RequestError(
                f"{self.neighbours} processes were started on a machine with {gpus} "
                f'CUDA GPUs, to compute on "{name}". Each process needs a GPU of its '
                "own, or all compute on the CPU.",
                "Start as many as there are GPUs and leave the device out, or choose "
                "the CPU.",
            )
        device = torch.device("cuda", self.place)
        torch.cuda.set_device(device)
        return device

    def draw_apart(self, generator: torch.Generator, *numbers: int) -> None:
        """Let a generator go on otherwise than those of all other processes.

        That of the first process goes on as it would alone.

        Parameters
        ----------
        generator : torch.Generator
            Is seeded anew, but for the first process.
        *numbers : int
            What the seed follows, besides the process; not negative.
        """
        if not self.is_first:
            seed = np.random.SeedSequence([*numbers, self.rank])
            # A CPU's generator takes 32 bits.
            generator.manual_seed(int(seed.generate_state(1)[0]))

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Put the mean over all processes in the place of each tensor.

        Parameters
        ----------
        tensors : iterable of Tensor
            On one device, float32.
        """
        if self.count == 1:
            return
        tensors = list(tensors)
        flat = _joined(tensors)
        with self._together() as group:
            dist.all_reduce(flat, group=None if flat.is_cuda else group)
        _split_into(tensors, flat / self.count)

    def copy_first(self, tensors: Iterable[Tensor]) -> None:
        """Put what the first process has in the place of each tensor, as of `average`.

        Equal values stay as they are to the bit, which those of a mean may not.
        """
        if self.count == 1 or not (tensors := list(tensors)):
            return
        flat = _joined(tensors)
        with self._together() as group:
            dist.broadcast(flat, 0, group=None if flat.is_cuda else group)
        _split_into(tensors, flat)

    def greatest(self, values: Sequence[float]) -> list[float]:
        """Return the greatest of each value that any process gives."""
        if self.count == 1:
            return list(values)
        found = torch.tensor(values, dtype=torch.float64)
        with self._together() as group:
            dist.all_reduce(found, dist.ReduceOp.MAX, group)
        return [float(value) for value in found]

    def of_first(self, value: Value) -> Value:
        """Return what the first process gives, in all of them; no tensors of a GPU."""
        if self.count == 1:
            return value
        values = [value if self.is_first else None]
        with self._together() as group:
            dist.broadcast_object_list(values, 0, group, torch.device("cpu"))
        assert values[0] is not None, "the first process gives a value"
        return values[0]

    @contextmanager
    def _together(self) -> Iterator[dist.ProcessGroup]:
        """Group of all processes; that one of them has ended becomes a sentence."""
        group = _group()
        try:
            yield group
        except RuntimeError as error:
            raise DenoisingError(
                f"Process {self.rank} of {self.count} has lost the others: one of them "
                "ended, or could not be reached.",
                "See what it says. With --resume, the training goes on.",
            ) from error


@torch.no_grad()
def _joined(tensors: Sequence[Tensor]) -> Tensor:
    """Values of tensors one after the other: they are many and small, to be sent."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


@torch.no_grad()
def _split_into(tensors: Sequence[Tensor], flat: Tensor) -> None:
    """Write such values into tensors, which stay where they lie.

    Recorded passes add to gradients there.
    """
    end = 0
    for tensor in tensors:
        begin, end = end, end + tensor.numel()
        tensor.copy_(flat[begin:end].view(tensor.shape))


@functools.cache
def _group() -> dist.ProcessGroup:
    """Group of all processes for what lies in main memory."""
    if not dist.is_initialized():
        gpus = torch.cuda.is_available() and dist.is_nccl_available()
        _join("cpu:gloo,cuda:nccl" if gpus else "gloo")
        atexit.register(dist.destroy_process_group)
    group = dist.new_group(backend="gloo", timeout=_PATIENCE)
    assert isinstance(group, dist.ProcessGroup), "it is a group of all"
    return group


def _join(backend: str) -> None:
    try:
        dist.init_process_group(backend, timeout=_PATIENCE)
    except (ValueError, RuntimeError) as error:
        raise RequestError(
            f"The processes that train together do not find each other: {error}.",
            "Start them with torchrun; the address it is given must be that of a "
            "machine that all of them reach.",
        ) from error
