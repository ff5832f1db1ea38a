"""The chart of docs/choosing-a-method.md: questions, and what each yes leads to.

Run as ``python scripts/decision_chart.py docs/images/decision-chart.svg``.
"""

from __future__ import annotations

import sys
from html import escape
from pathlib import Path

QUESTIONS = (
    ("A second exposure, or a noise-free image?", "With: that layer"),
    ("Do neighbours share noise?", "Masking: Automatic"),
    ("Are planes of the stack much alike?", "Stack: Automatic"),
    ("Do channels show the same structure?", "Channels: Automatic"),
    ("Record with these settings again?", "Noise model: calibrated"),
    ("Must you know how sure a pixel is?", "Posterior mean, mixture"),
    ("Pixels below half the resolution?", "PSF: Gaussian or optics"),
    ("Many images, and ten minutes?", "Recipe: best"),
)
START, END = "Recipe: fast", "Train"

LEFT, RIGHT, STEP, HEIGHT = 330, 200, 62, 40
GAP = 70
WIDTH = LEFT + GAP + RIGHT + 20
# Boxes have colours of their own, so that the chart suits a dark page and a light one.
STYLE = """text { font-family: sans-serif; font-size: 14px; text-anchor: middle }
.word { fill: #808080; font-size: 13px }
.ask { fill: #dbe7f6; stroke: #5b7fa8 }
.do { fill: #fbe3c8; stroke: #b97a36 }
.end { fill: #d9efdc; stroke: #4f8f5b }
path.way { stroke: #808080; fill: none; stroke-width: 1.5; marker-end: url(#arrow) }"""
ARROW = (
    '<marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
    'markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" '
    'fill="#808080"/></marker>'
)


def box(kind: str, x: float, y: float, width: float, text: str) -> str:
    """A box with a text in it, by its left upper corner, in px."""
    return (
        f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{HEIGHT}" '
        f'rx="8"/><text x="{x + width / 2}" y="{y + HEIGHT / 2 + 5}">'
        f"{escape(text)}</text>"
    )


def arrow(line: str) -> str:
    """An arrow along a line."""
    return f'<path class="way" d="{line}"/>'


def chart() -> str:
    """Return the chart as SVG."""
    middle, right = 10 + LEFT / 2, 10 + LEFT + GAP
    boxes = [("end", START), *(("ask", ask) for ask, _ in QUESTIONS), ("end", END)]
    parts = []
    for number, (kind, text) in enumerate(boxes):
        top = 10 + number * STEP
        parts.append(box(kind, 10, top, LEFT, text))
        if number:
            parts.append(arrow(f"M{middle} {top - STEP + HEIGHT}V{top}"))
    for number, (_, answer) in enumerate(QUESTIONS, 1):
        top = 10 + number * STEP
        level = top + HEIGHT / 2
        parts += [
            arrow(f"M{10 + LEFT} {level}H{right}"),
            f'<text class="word" x="{right - GAP / 2}" y="{level - 6}">yes</text>',
            box("do", right, top, RIGHT, answer),
        ]
    height = len(boxes) * STEP
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}">',
            f"<style>{STYLE}</style><defs>{ARROW}</defs>",
            *parts,
            "</svg>\n",
        )
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(chart(), encoding="utf-8")
