"""Some of many, at equal distances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

One = TypeVar("One")


def spread(all_of_them: Sequence[One], count: int) -> list[One]:
    """Some of a list at equal distances, the first among them.

    Parameters
    ----------
    all_of_them : sequence
        In their order.
    count : int
        How many at most.
    """
    total = len(all_of_them)
    if total <= count:
        return list(all_of_them)
    return [all_of_them[number * total // count] for number in range(count)]
