"""The one table of units: how files and viewers write them, and their lengths."""

from __future__ import annotations

import math
import re

_WORDS = {  # the first is how OME-Zarr calls it
    "pm": ("picometer", "picometre", "picometers", "picometres"),
    "Å": ("angstrom", "angstroms"),
    "nm": ("nanometer", "nanometre", "nanometers", "nanometres"),
    "µm": (
        *("micrometer", "micrometers", "micrometre", "micrometres"),
        *("um", "micron", "microns"),
    ),
    "mm": ("millimeter", "millimetre", "millimeters", "millimetres"),
    "cm": ("centimeter", "centimetre", "centimeters", "centimetres"),
    "m": ("meter", "metre", "meters", "metres"),
    "s": ("second", "seconds", "sec"),
    "min": ("minute", "minutes"),
    "h": ("hour", "hours"),
    "d": ("day", "days"),
    "ns": ("nanosecond", "nanoseconds"),
    "µs": ("microsecond", "microseconds", "us"),
    "ms": ("millisecond", "milliseconds", "msec"),
    "in": ("inch", "inches"),
    "pixel": ("", "pixels", "px", "none", "null"),
}
_SYMBOLS = {word: unit for unit, words in _WORDS.items() for word in words}

_MICROMETRES = {
    "pm": 1e-6,
    "Å": 1e-4,
    "nm": 1e-3,
    "µm": 1.0,
    "mm": 1e3,
    "cm": 1e4,
    "m": 1e6,
    "in": 25_400.0,
}


def unit_symbol(word: object) -> str:
    """Symbol of a unit, however it is written; ImageJ writes µm as micron or um."""
    text = from_ascii(str(word).strip())
    text = text.replace("Âµ", "µ").replace("μ", "µ")  # UTF-8 as Latin-1; Greek mu
    return _SYMBOLS.get(text.lower(), text)


def in_micrometres(unit: str) -> float | None:
    """Length of a unit in µm, however it is written; None where it is no length."""
    return _MICROMETRES.get(unit_symbol(unit))


def in_words(unit: str) -> str:
    """Name of a unit, as OME-Zarr writes it; "" where it is none of physics."""
    symbol = unit_symbol(unit)
    known = symbol != "pixel" and symbol in _WORDS
    return _WORDS[symbol][0] if known else ""


def ascii_unit(unit: str) -> str:
    """A unit in ASCII, as ImageJ writes it: um for µm, other letters as escapes."""
    return as_ascii("um" if unit_symbol(unit) == "µm" else unit)


def as_ascii(text: str) -> str:
    """Text in one line of ASCII, as ImageJ writes it: other letters as escapes."""
    line = " ".join(text.split())
    return "".join(c if ord(c) < 128 else f"\\u{ord(c):04X}" for c in line)


def from_ascii(text: str) -> str:
    """Text of which ImageJ, or `as_ascii`, wrote letters as escapes."""
    return re.sub(r"\\u([0-9a-fA-F]{4})", lambda code: chr(int(code[1], 16)), text)


def positive(value: object) -> float | None:
    """Return a number if it is above zero; None for all else a file may hold."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if 0 < number < math.inf else None
