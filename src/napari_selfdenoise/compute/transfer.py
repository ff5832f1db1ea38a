"""Pixels on their way to a device."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray


def to_device(values: NDArray[Any], device: torch.device) -> torch.Tensor:
    """Copy an array to a device; on the CPU, the tensor shares its memory.

    A CUDA device takes pixels from pinned memory, and copies them while the program
    goes on. PyTorch keeps that memory until then, and uses it for the next tile.

    Parameters
    ----------
    values : ndarray
        Any shape, of a type that PyTorch has: a tile, not a whole image, as pinned
        memory cannot be swapped out.
    device : torch.device
        Where to.

    Returns
    -------
    Tensor
        Of the same shape and type.
    """
    made = torch.from_numpy(values)
    if device.type != "cuda":
        return made.to(device)
    return made.pin_memory().to(device, non_blocking=True)
