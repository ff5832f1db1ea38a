"""Ways to spoil bytes, JSON, TIFF tags and safetensors files, drawn at random."""

from __future__ import annotations

import copy
import json
import re
import struct
from typing import Any

import numpy as np

Random = np.random.Generator

_WORDS = (0, 1, 2, 3, 127, 128, 255, 256, 32767, 65535, 65536, 2**31 - 1, 2**31)
_WORDS += (2**32 - 1, 2**32, 2**40, 2**62, 2**63 - 1, 2**64 - 1)
_DEEP = 100_000
"""Brackets within brackets: more than any parser follows by calling itself."""


def pick(rng: Random, values: Any) -> Any:
    """One of some values, as it is."""
    return values[int(rng.integers(len(values)))]


# -- Bytes -----------------------------------------------------------------------------


def spoiled(rng: Random, content: bytes) -> bytes:
    """Bytes with one to six changes, often near the beginning or the end."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 7))):
        pick(rng, _CHANGES)(rng, data)
        if rng.random() < 0.5:
            break
    return bytes(data)


def _place(rng: Random, data: bytearray) -> int:
    size = max(1, len(data))
    near = int(rng.integers(min(size, 512)))
    return pick(rng, (near, size - 1 - near, int(rng.integers(size))))


def _flip(rng: Random, data: bytearray) -> None:
    if data:
        data[_place(rng, data)] ^= 1 << int(rng.integers(8))


def _overwrite(rng: Random, data: bytearray) -> None:
    at = _place(rng, data)
    data[at : at + 8] = rng.bytes(int(rng.integers(1, 9)))


def _word(rng: Random, data: bytearray) -> None:
    size, order = pick(rng, (1, 2, 4, 8)), pick(rng, ("little", "big"))
    value = pick(rng, _WORDS) % 2 ** (8 * size)
    at = _place(rng, data) // size * size
    data[at : at + size] = value.to_bytes(size, order)


def _cut(rng: Random, data: bytearray) -> None:
    del data[int(rng.integers(len(data) + 1)) :]


def _remove(rng: Random, data: bytearray) -> None:
    at = _place(rng, data)
    del data[at : at + int(rng.integers(1, 64))]


def _repeat(rng: Random, data: bytearray) -> None:
    at = _place(rng, data)
    data[at:at] = data[at : at + int(rng.integers(1, 64))] * int(rng.integers(1, 9))


def _digits(rng: Random, data: bytearray) -> None:
    """Another number in a text: of the same length, or not."""
    found = list(re.finditer(rb"\d+", bytes(data[:4096] + data[-4096:])))
    found = list(re.finditer(rb"\d{1,6}", bytes(data[:8192]))) if found else []
    if found:
        one = pick(rng, found)
        new = pick(rng, (b"0", b"-1", b"999999999999", b"nan", b"1e400", b"3.5", b""))
        same = rng.random() < 0.5
        data[one.start() : one.end()] = (
            new.ljust(len(one[0]))[: len(one[0])] if (same) else new
        )


_CHANGES = (_flip, _overwrite, _word, _word, _cut, _remove, _repeat, _digits)


# -- TIFF ------------------------------------------------------------------------------


def spoiled_tag(rng: Random, content: bytes) -> bytes:
    """A little-endian TIFF with a field of its first directory changed."""
    data, big = bytearray(content), content[2:3] == b"+"
    entry, count_size, offset_format = (20, 8, "<Q") if big else (12, 2, "<I")
    try:
        (start,) = struct.unpack_from(offset_format, data, 8 if big else 4)
        count = int.from_bytes(data[start : start + count_size], "little")
        for _ in range(int(rng.integers(1, 3))):
            at = start + count_size + entry * int(rng.integers(max(1, count)))
            width = (entry - 4) // 2
            field = pick(rng, ((0, 2), (2, 2), (4, width), (4 + width, width)))
            value = pick(rng, (*_WORDS, int(rng.integers(300))))
            low, size = at + field[0], field[1]
            data[low : low + size] = (value % 2 ** (8 * size)).to_bytes(size, "little")
    except struct.error:
        return spoiled(rng, content)
    return bytes(data[: len(content)])


# -- JSON ------------------------------------------------------------------------------


def spoiled_json(rng: Random, value: Any) -> str:
    """Text of a JSON value that was changed in a few places, or is none any more."""
    choice = rng.random()
    if choice < 0.05:
        return "[" * _DEEP + "]" * _DEEP
    if choice < 0.08:
        return '{"a":' * _DEEP + "1" + "}" * _DEEP
    if choice < 0.2:
        return spoiled(rng, json.dumps(value).encode()).decode("utf-8", "replace")
    value = json.loads(json.dumps(value))
    for _ in range(int(rng.integers(1, 4))):
        value = _changed(rng, value)
    text = json.dumps(value)
    if rng.random() < 0.1:  # the same key twice
        text = re.sub(r'("(?:\w+)": )', r"\1[], \1", text, count=1)
    return text


def _changed(rng: Random, value: Any) -> Any:
    """A JSON value with one value within it replaced, removed, repeated or added."""
    if not isinstance(value, dict | list) or not value or rng.random() < 0.03:
        return _odd(rng, value)
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = pick(rng, keys)
    inner = value[key]
    if isinstance(inner, dict | list) and inner and rng.random() < 0.75:
        value[key] = _changed(rng, inner)
    elif rng.random() < 0.2:
        del value[key]
    elif isinstance(value, list) and rng.random() < 0.2:
        value.extend([inner] * int(rng.integers(1, 5)))
    elif isinstance(value, dict) and rng.random() < 0.1:
        value[pick(rng, ("", "kind", "x" * 300, "\x1b[31m"))] = inner
    else:
        value[key] = _odd(rng, inner)
    return value


def _odd(rng: Random, value: Any) -> Any:
    if isinstance(value, int | float) and rng.random() < 0.4:
        return pick(rng, (-value, value * 1000, value + 1, value * 0, value / 3))
    return copy.deepcopy(pick(rng, _ODD))


_ODD: tuple[Any, ...] = (None, True, False, 0, 1, -1, 2, 0.5, 1e-300, 1e300, 1e308)
_ODD += (float("nan"), float("inf"), -float("inf"), 10**9, 2**31, 2**63, 10**30)
_ODD += ("", "unet", "auto", "nan", "x" * 1000, "=1+1", "<b>bold</b>", "\x1b[31m", "\0")
_ODD += ([], {}, [[]], [0], [1, 2, 3], {"kind": "auto"}, {"name": "y"}, [None], "../..")


# -- Safetensors -----------------------------------------------------------------------


def spoiled_safetensors(rng: Random, content: bytes) -> bytes:
    """A safetensors file with its description, header, tensors or bytes changed."""
    size = int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8 : 8 + size]), content[8 + size :]
    choice = rng.random()
    if choice < 0.15:
        return spoiled(rng, content)
    header.get("__metadata__", {}).pop("sha256", None)  # it would notice all else
    if choice < 0.65:
        about = json.loads(header["__metadata__"]["selfdenoise"])
        header["__metadata__"]["selfdenoise"] = spoiled_json(rng, about)
        return _joined(json.dumps(header), data)
    if choice < 0.75:
        return _joined(spoiled_json(rng, header), data)
    return _with_tensors(rng, header, data)


def _joined(header: str, data: bytes) -> bytes:
    text = header.encode("utf-8", "replace")
    return len(text).to_bytes(8, "little") + text + data


def _with_tensors(rng: Random, header: dict[str, Any], data: bytes) -> bytes:
    """A sound file in which some tensors have another type, shape or other values."""
    import torch
    from safetensors.torch import load, save

    metadata = header["__metadata__"]
    tensors = load(_joined(json.dumps(header), data))
    for _ in range(int(rng.integers(1, 4))):
        name = pick(rng, sorted(tensors))
        one = tensors.pop(name)
        kind = pick(rng, (torch.float64, torch.int64, torch.float16, torch.bool))
        kind = pick(rng, (kind, torch.complex64, torch.uint8, torch.bfloat16))
        odd = pick(rng, (float("nan"), float("inf"), 1e38, -1e38, 0.0))
        made = (
            lambda one=one, kind=kind: one.to(kind),
            lambda one=one, odd=odd: torch.full_like(one.float(), odd),
            lambda one=one: one.flatten(),
            lambda one=one: one[None],
            lambda one=one: one.flatten()[: one.numel() // 2],
            lambda one=one: torch.cat([one.reshape(-1)] * 2),
        )
        action = int(rng.integers(len(made) + 2))
        if action < len(made):
            tensors[name] = made[action]().contiguous()
        elif action == len(made):
            tensors[f"{name}.x"] = one
    return save({k: v.clone() for k, v in tensors.items()}, metadata)
