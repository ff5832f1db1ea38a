"""Work that takes long: generators that yield progress and return a result."""

from __future__ import annotations

import enum
from collections.abc import Generator
from typing import Any, TypeVar

Result = TypeVar("Result")


class Command(enum.Enum):
    """What can be sent to work that goes on."""

    STOP = "stop"


STOP = Command.STOP
"""Send it to end the work early and keep what was done."""


def run_to_end(steps: Generator[Any, Any, Result]) -> Result:
    """Run a generator to its end, and return its result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result
