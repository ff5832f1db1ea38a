"""A checksum of all that a model file holds: damage is noticed before it is used."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from torch import Tensor


def checksum(description: str, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of a description and of tensors with their names, types and shapes.

    Parameters
    ----------
    description : str
        JSON.
    tensors : mapping of str to Tensor
        By name; their order does not matter.

    Returns
    -------
    str
        In hexadecimal digits.
    """
    found = hashlib.sha256(description.encode())
    for name, tensor in sorted(tensors.items()):
        about = f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n"
        found.update(about.encode())
        found.update(tensor.contiguous().numpy().tobytes())
    return found.hexdigest()
