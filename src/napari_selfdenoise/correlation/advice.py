"""From a measured correlation to a masking, and to a sentence about it."""

from __future__ import annotations

from napari_selfdenoise.correlation.measure import STRONG, NoiseCorrelation
from napari_selfdenoise.correlation.squares import REACH
from napari_selfdenoise.masking import LineMask, Masking, RandomMask, ShapeMask

_BEYOND = 2
"""Pixels that a block reaches beyond those that noticeably share noise.

What is shared further away is little, but shared with many: the network adds it up. On
wide-field frames, 9 x 9 px instead of 5 x 5 gained 0.4 to 0.7 dB.
"""


def recommended_masking(*correlations: NoiseCorrelation) -> Masking:
    """Return the masking that hides all pixels that share noise.

    Parameters
    ----------
    *correlations : NoiseCorrelation
        As measured; one a channel, of which it hides enough for each.

    Returns
    -------
    RandomMask, LineMask or ShapeMask
        Single pixels, lines along the axis that noise is shared along, or blocks.
    """
    y, x = (max(reach) for reach in zip(*map(_hidden, correlations), strict=True))
    return masking_of(y, x)


def _hidden(correlation: NoiseCorrelation) -> tuple[int, int]:
    """How many neighbours along y and x are to be hidden."""
    y, x = correlation.extent_y, correlation.extent_x
    return (y + _BEYOND, x + _BEYOND) if y and x else (y, x)


def masking_of(y: int, x: int) -> Masking:
    """Masking that hides neighbours up to y and x px away along the axes."""
    if y and x:
        return ShapeMask(footprint=f"{2 * y + 1}x{2 * x + 1}")
    if y or x:
        return LineMask(axis="y" if y else "x", extent=max(y, x))
    return RandomMask()


def hidden_by(y: int, x: int) -> str:
    """Say what such a masking hides."""
    if y and x:
        return f"blocks of {2 * y + 1} x {2 * x + 1} px"
    return f"lines of {2 * max(y, x) + 1} px along {'y' if y else 'x'}"


def describe(correlation: NoiseCorrelation) -> str:
    """Say in one sentence what was measured, and what is hidden for it."""
    y, x = correlation.extent_y, correlation.extent_x
    if not y and not x:
        return f"{_independent(correlation)}, so single pixels are hidden."
    end = "."
    if REACH in (y, x):
        end = "; it may be shared even further, so try to remove stripes before."
    shared = f"Neighbouring pixels share noise {_values(correlation)}"
    return f"{shared}, so {hidden_by(*_hidden(correlation))} are hidden{end}"


def _independent(correlation: NoiseCorrelation) -> str:
    """Say why noise is taken to be independent."""
    y, x = (abs(correlation.along(axis)[1]) for axis in ("y", "x"))
    values = f"correlation at 1 px: {y:.2f} along y, {x:.2f} along x"
    if not correlation.pixels:
        return "Too few pixels show noise to tell whether neighbours share it"
    if max(y, x) < 0.05:
        return "Noise is independent from pixel to pixel"
    if max(y, x) < STRONG:
        return f"Noise is nearly independent from pixel to pixel ({values})"
    return f"Neighbouring pixels are alike ({values}), but as structure would make them"


def _values(correlation: NoiseCorrelation) -> str:
    """Such as "along x (0.58 at 1 px, 0.12 at 4 px)"."""
    parts = []
    for axis, extent in (("y", correlation.extent_y), ("x", correlation.extent_x)):
        line = correlation.along("y" if axis == "y" else "x")
        values = (f"{line[lag]:.2f} at {lag} px" for lag in sorted({1, extent}))
        parts += [f"along {axis} ({', '.join(values)})"] if extent else []
    return " and ".join(parts)
