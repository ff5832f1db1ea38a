"""Curves as SVG within a page, with axes."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_W, _H = 420, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 12, 12, 44
_MOST_TICKS = 6


def plot(lines: Sequence[tuple[Array, Array]], x_label: str, y_label: str) -> str:
    """Return a figure of some curves, the first one strong; empty without points.

    Parameters
    ----------
    lines : sequence of pairs
        x and y of each curve, (n,) each; values that are not finite are left out.
    x_label, y_label : str
        Plain text; it is escaped.
    """
    kept = [_finite(x, y) for x, y in lines]
    kept = [line for line in kept if len(line[0]) > 1]
    if not kept:
        return ""
    across, up = (_span(np.concatenate([k[i] for k in kept])) for i in (0, 1))
    drawn = "".join(
        _curve(x, y, across, up, "faint" if number else "strong")
        for number, (x, y) in reversed(list(enumerate(kept)))
    )
    return (
        f'<svg viewBox="0 0 {_W} {_H}" width="{_W}" role="img">'
        f"{_axes(across, up, x_label, y_label)}{drawn}</svg>"
    )


def _finite(x: Array, y: Array) -> tuple[Array, Array]:
    good = np.isfinite(x) & np.isfinite(y)
    return np.asarray(x)[good], np.asarray(y)[good]


def _span(values: Array) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _round_numbers(low: float, high: float) -> list[float]:
    """A few numbers between two ends, 1, 2 or 5 times a power of ten apart."""
    least = (high - low) / _MOST_TICKS
    power = 10.0 ** math.floor(math.log10(least))
    step = next(n * power for n in (1, 2, 5, 10) if n * power >= least)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [float(f"{number * step:.6g}") for number in range(first, last + 1)]


def _place(
    x: Array | float,
    y: Array | float,
    across: tuple[float, float],
    up: tuple[float, float],
) -> tuple[Array, Array]:
    width, height = _W - _LEFT - _RIGHT, _H - _TOP - _BOTTOM
    right = _LEFT + (np.asarray(x) - across[0]) / (across[1] - across[0]) * width
    down = _H - _BOTTOM - (np.asarray(y) - up[0]) / (up[1] - up[0]) * height
    return right, down


def _curve(
    x: Array, y: Array, across: tuple[float, float], up: tuple[float, float], look: str
) -> str:
    right, down = _place(x, y, across, up)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(right, down, strict=True))
    return f'<polyline class="{look}" points="{points}"/>'


def _axes(
    across: tuple[float, float], up: tuple[float, float], x_label: str, y_label: str
) -> str:
    bottom, right = _H - _BOTTOM, _W - _RIGHT
    parts = [f'<path class="axis" d="M{_LEFT} {_TOP}V{bottom}H{right}"/>']
    for value in _round_numbers(*across):
        at = float(_place(value, up[0], across, up)[0])
        parts.append(f'<text x="{at:.1f}" y="{bottom + 16}" class="x">{value:g}</text>')
    for value in _round_numbers(*up):
        at = float(_place(across[0], value, across, up)[1])
        parts.append(
            f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" class="y">{value:g}</text>'
        )
    middle = (_LEFT + right) / 2, (_TOP + bottom) / 2
    parts.append(
        f'<text x="{middle[0]}" y="{_H - 8}" class="x">{html.escape(x_label)}</text>'
        f'<text transform="translate(13 {middle[1]}) rotate(-90)" class="x">'
        f"{html.escape(y_label)}</text>"
    )
    return "".join(parts)
