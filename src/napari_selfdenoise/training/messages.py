"""Sentences that a training has for its user."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class MessageKind(Enum):
    """What a message is for."""

    FINDING = "what was found of the image, and decided by it"
    WARNING = "what may be wrong with the result, and what to try"


class Message(NamedTuple):
    """A sentence or two for the user."""

    kind: MessageKind
    text: str
