"""Figures of merit with names, units and meanings, for tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_NOTHING = 1e-6
"""Size of what rounding leaves of zero."""


@dataclass(frozen=True)
class Figure:
    """A figure of merit.

    Parameters
    ----------
    name : str
        What a table calls it.
    value : float
        In `unit`.
    unit : str
        Such as "dB"; empty for none.
    meaning : str
        One sentence: what a high or low value tells.
    """

    name: str
    value: float
    unit: str = ""
    meaning: str = ""

    @property
    def text(self) -> str:
        """Value and unit."""
        value = 0.0 if abs(self.value) < _NOTHING else self.value
        return f"{value:.4g} {self.unit}".rstrip()


_KNOWN = {
    "psnr": ("PSNR", "dB", "Higher is closer to the reference."),
    "psnr_scale_invariant": (
        "scale-invariant PSNR",
        "dB",
        "The same after the best gain and offset.",
    ),
    "ssim": ("SSIM", "", "From 0 to 1: whether local contrast agrees."),
    "frc_resolution_px": (
        "FRC resolution",
        "px",
        "The finest detail that result and reference share: lower is finer.",
    ),
    "rms": (
        "residual rms",
        "grey values",
        "The typical size of what was removed.",
    ),
    "bias": (
        "residual mean",
        "grey values",
        "Above zero, the result is too dark.",
    ),
}
"""Name, unit and meaning by the key that `evaluate` and `check_residual` use."""


def figures_of(measured: Mapping[str, Any]) -> tuple[Figure, ...]:
    """Figures of the numbers among what was measured, in its order.

    Parameters
    ----------
    measured : mapping of str to value
        As `evaluate` returns; what is no number is left out. Unknown keys are names.
    """
    found = []
    for key, value in measured.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            name, unit, meaning = _KNOWN.get(key, (key.replace("_", " "), "", ""))
            found.append(Figure(name, float(value), unit, meaning))
    return tuple(found)
