"""Times as people type them: "60s", "2 min", "1:30", "until I stop"."""

from __future__ import annotations

import re

from napari_selfdenoise.errors import RequestError

_UNITS = {
    **dict.fromkeys(("", "s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hour", "hours"), 3600.0),
}


def parse_budget(text: str) -> float | None:
    """Seconds in a budget such as "60s", "2 min", "1:30" or "until I stop" (None).

    Raises
    ------
    RequestError
        If the text is no duration, or the duration is not positive.
    """
    if "stop" in text.lower():
        return None
    seconds = _seconds(text)
    if seconds is None:
        raise RequestError(f"{text!r} is not a time.", _TYPE_SUCH)
    if seconds <= 0:
        raise RequestError(f"{text!r} leaves no time to learn.", _TYPE_SUCH)
    return seconds


_TYPE_SUCH = "Type such as 45 s or 3 min."


def _seconds(text: str) -> float | None:
    """Seconds in a duration; None if the text is none."""
    if re.fullmatch(r"\s*\d+(:[0-5]?\d){1,2}\s*", text):  # 1:30, or 1:30:00
        *_, hours, minutes, seconds = [0, *map(int, text.split(":"))][-3:]
        return float(3600 * hours + 60 * minutes + seconds)
    match = re.fullmatch(r"\s*(-?[\d.,]+)\s*([a-zA-Z]*)\s*", text)
    try:
        return (
            float(match[1].replace(",", ".")) * _UNITS[match[2].lower()]
            if match
            else None
        )
    except (KeyError, ValueError):
        return None


def budget_text(seconds: float | None) -> str:
    """Text of a budget in seconds, as `parse_budget` reads it."""
    if seconds is None:
        return "until I stop"
    return f"{seconds / 60:g} min" if seconds % 60 == 0 else f"{seconds:g} s"
