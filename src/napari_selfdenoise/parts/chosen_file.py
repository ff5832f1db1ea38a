"""A field that names a file, or none."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator


def _blank_is_none(name: Any) -> Any:
    """What was written before has an empty name where there is no file."""
    return None if isinstance(name, str) and not name.strip() else name


ChosenFile = Annotated[Path | None, BeforeValidator(_blank_is_none)]
"""Path of a file, or None where none is chosen."""
