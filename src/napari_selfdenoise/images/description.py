"""Axes of an image in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_NOUNS = {
    "T": ("time point", "time points"),
    "Z": ("plane", "planes"),
    "C": ("channel", "channels"),
    "P": ("position", "positions"),
}


_LONGEST_NAMES = 40
"""Letters of all names of channels, above which they are left out."""


def describe_axes(
    sizes: Mapping[str, int],
    line_scan: str,
    pixels: str,
    channel_names: Sequence[str] = (),
) -> str:
    """Say how axes are understood, such as "12 time points of 512 × 512 images".

    Parameters
    ----------
    sizes : mapping of str to int
        Length of each axis by its letter, in their order.
    line_scan : str
        Axes as the file has them, where lines were scanned again and again.
    pixels : str
        What is known of the pixel size; may be empty.
    channel_names : sequence of str
        One a channel, or none.
    """
    outer = {
        axis: n
        for axis, n in sizes.items()
        if axis not in "YXS" and not (line_scan and n == 1)
    }
    names = _in_brackets(channel_names, sizes.get("C", 1))
    named = [
        f"{n} {_noun(axis, n)}{names if axis == 'C' else ''}"
        for axis, n in outer.items()
        if axis in _NOUNS
    ]
    nameless = [n for axis, n in outer.items() if axis not in _NOUNS]
    counts = named + _images(nameless)
    plane = _plane(sizes, line_scan, counts, bool(named) and not nameless)
    phrase = ", ".join(filter(None, (plane, pixels)))
    return f"{phrase}; {_nameless(len(nameless))}" if nameless else phrase


def _in_brackets(names: Sequence[str], channels: int) -> str:
    """Names of channels after their number, where they are few and short."""
    text = ", ".join(names)
    short = text and len(text) <= _LONGEST_NAMES
    return f" ({text})" if short and len(names) == channels else ""


def _noun(axis: str, count: int) -> str:
    singular, plural = _NOUNS[axis]
    return singular if count == 1 else plural


def _images(nameless: list[int]) -> list[str]:
    """How many images axes without a name hold, in no or one phrase."""
    product = " × ".join(map(str, nameless))
    return [f"{product} {'image' if product == '1' else 'images'}"] if nameless else []


def _plane(
    sizes: Mapping[str, int], line_scan: str, counts: list[str], plural: bool
) -> str:
    """How many planes there are, and how large each is."""
    rows, columns = sizes["Y"], sizes["X"]
    many = "".join(f"{count} of " for count in counts)
    if not line_scan:
        return f"{many or 'one image of '}{rows} × {columns} {_unit(plural)}"
    axis = line_scan[tuple(sizes).index("Y")]
    lines = _NOUNS.get(axis, ("line", "lines"))[1]
    scans = "line scans" if counts else "line scan"
    return f"{many}{scans}: {rows} {lines} × {columns} positions"


def _unit(plural: bool) -> str:
    return "images" if plural else "px"


def _nameless(count: int) -> str:
    """Say how many axes have no name."""
    return "one axis has no name" if count == 1 else f"{count} axes have no name"
