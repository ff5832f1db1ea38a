"""Marks in `layer.metadata` of layers that this plugin made, and of references."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

METADATA_KEY = "selfdenoise"
"""Where result layers keep their provenance in `layer.metadata`, references a mark."""

TEMPORARY = {METADATA_KEY: {"temporary": True}}
"""Metadata of a layer that is there for a moment only: no list offers it."""


def marks(metadata: Mapping[Any, Any]) -> Mapping[str, Any]:
    """What this plugin wrote into a layer's metadata; empty for other layers."""
    found = metadata.get(METADATA_KEY)
    return found if isinstance(found, Mapping) else {}


def reference() -> dict[str, Any]:
    """Metadata of a reference to compare with: it is not to be denoised."""
    return {METADATA_KEY: {"reference": True}}
