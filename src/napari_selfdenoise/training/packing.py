"""Nested values with tensors as JSON and named tensors: nothing is executed."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

_TENSOR, _ARRAY, _DICT, _TUPLE = "tensor", "array", "dict", "tuple"


def packed(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return a value that JSON can hold; tensors and arrays in it are put aside.

    Parameters
    ----------
    value : object
        Numbers, text, None, tensors, arrays, and dicts, lists and tuples of such.
        Tuples with names become plain ones.
    tensors : dict
        Gets the tensors by the names that stand in their places.

    Raises
    ------
    TypeError
        If there is anything else in it.
    """
    if isinstance(value, Tensor | np.ndarray):
        kind = _TENSOR if isinstance(value, Tensor) else _ARRAY
        # A copy of its own: a file cannot hold tensors that share memory.
        tensor = torch.as_tensor(value).detach().cpu().clone().contiguous()
        name = str(len(tensors))
        tensors[name] = tensor
        return {kind: name}
    if isinstance(value, dict):
        pairs = [[key, packed(item, tensors)] for key, item in value.items()]
        return {_DICT: pairs}
    if isinstance(value, tuple):
        return {_TUPLE: [packed(item, tensors) for item in value]}
    if isinstance(value, list):
        return [packed(item, tensors) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{type(value).__name__} cannot be kept in a file")


def unpacked(content: Any, tensors: dict[str, Tensor]) -> Any:
    """Return what `packed` was given.

    Raises
    ------
    KeyError, ValueError
        If it was not made by `packed`.
    """
    if isinstance(content, list):
        return [unpacked(item, tensors) for item in content]
    if not isinstance(content, dict):
        return content
    ((kind, inner),) = content.items()
    if kind == _TENSOR:
        return tensors[inner]
    if kind == _ARRAY:
        return tensors[inner].numpy()
    if kind == _DICT:
        return {key: unpacked(item, tensors) for key, item in inner}
    if kind == _TUPLE:
        return tuple(unpacked(item, tensors) for item in inner)
    raise ValueError(f"{kind} is not known")
