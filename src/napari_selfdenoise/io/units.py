"""Units of length and time as microscopy files write them."""

from __future__ import annotations

import math
import re

_WORDS = {
    "µm": ("um", "micron", "microns", "micrometer", "micrometre", "micrometers"),
    "nm": ("nanometer", "nanometre", "nanometers"),
    "mm": ("millimeter", "millimetre", "millimeters"),
    "s": ("sec", "second", "seconds"),
    "ms": ("msec", "millisecond", "milliseconds"),
    "in": ("inch", "inches"),
    "pixel": ("", "pixels", "px", "none", "null"),
}
_UNITS = {word: unit for unit, words in _WORDS.items() for word in words}


def unit_symbol(word: object) -> str:
    """Bring a unit to its symbol; ImageJ writes µm as micron, um or an escape."""
    text = re.sub(
        r"\\u([0-9a-fA-F]{4})", lambda code: chr(int(code[1], 16)), str(word).strip()
    )
    text = text.replace("Âµ", "µ").replace("μ", "µ")  # UTF-8 as Latin-1; Greek mu
    return _UNITS.get(text.lower(), text)


def ascii_unit(unit: str) -> str:
    """Write a unit as ImageJ does: um for µm, other letters as escapes."""
    unit = "um" if unit_symbol(unit) == "µm" else unit
    return "".join(c if ord(c) < 128 else f"\\u{ord(c):04X}" for c in unit)


def positive(value: object) -> float | None:
    """Return a number above zero, or nothing for all else a file may say."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if 0 < number < math.inf else None
