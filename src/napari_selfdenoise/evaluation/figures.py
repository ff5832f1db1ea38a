"""Figures of merit with their names, units and directions: one table for all.

Window, command line, report and JSON show the same figures in the same words. A figure
that cannot be computed says why.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from napari_selfdenoise.errors import RequestError


@dataclass(frozen=True)
class Quantity:
    """What is measured.

    Parameters
    ----------
    key : str
        Name in JSON and in Python.
    title : str
        Name in tables.
    unit : str
        "dB", "px", "grey values", "bits per pixel"; empty for a bare number.
    higher_is_better : bool or None
        Direction; None where neither is better by itself.
    meaning : str
        One sentence for a tooltip.
    needs_reference : bool
        Whether a second, better image is compared with.
    """

    key: str
    title: str
    unit: str
    higher_is_better: bool | None
    meaning: str
    needs_reference: bool = False


PSNR = Quantity(
    "psnr",
    "PSNR",
    "dB",
    True,
    "Range of the reference over the mean squared error; 3 dB are a factor of two.",
    True,
)
SCALE_INVARIANT_PSNR = Quantity(
    "psnr_scale_invariant",
    "Scale-invariant PSNR",
    "dB",
    True,
    "PSNR after the best gain and offset, for a reference of another exposure.",
    True,
)
SSIM = Quantity(
    "ssim",
    "SSIM",
    "",
    True,
    "How far local contrast agrees with the reference; 1 for equal images.",
    True,
)
MICRO_SSIM = Quantity(
    "micro_ssim",
    "MicroSSIM",
    "",
    True,
    "SSIM after the background is subtracted and the brightness is matched.",
    True,
)
FRC = Quantity(
    "frc_resolution_px",
    "FRC resolution",
    "px",
    False,
    "Period of the finest detail that the result shares with the reference.",
    True,
)
NOISY_RESOLUTION = Quantity(
    "noisy_resolution_px",
    "Resolution of the noisy image",
    "px",
    False,
    "Period of the finest detail that two such noisy images would share.",
)
DENOISED_RESOLUTION = Quantity(
    "denoised_resolution_px",
    "Resolution of the result",
    "px",
    False,
    "Period of the finest detail that the result would share with another noisy frame.",
)
RESIDUAL_STD = Quantity(
    "residual_over_noise",
    "Residual over noise",
    "",
    None,
    "Typical residual over the noise: near 1 where noise alone was removed.",
)
STEIN_ERROR = Quantity(
    "sure_rmse",
    "Error by SURE",
    "grey values",
    False,
    "Typical remaining error, estimated from the noisy image and the model.",
)
STEIN_GAIN = Quantity(
    "sure_gain_db",
    "Gain by SURE",
    "dB",
    True,
    "Mean squared noise before over the mean squared error after, estimated.",
)
HELD_OUT_BITS = Quantity(
    "held_out_bits",
    "Held-out bits",
    "bits per pixel",
    False,
    "How unexpected each pixel is to the model that was not shown it.",
)

QUANTITIES = (
    PSNR,
    SCALE_INVARIANT_PSNR,
    SSIM,
    MICRO_SSIM,
    FRC,
    NOISY_RESOLUTION,
    DENOISED_RESOLUTION,
    RESIDUAL_STD,
    STEIN_ERROR,
    STEIN_GAIN,
    HELD_OUT_BITS,
)
"""All, in the order of tables."""


@dataclass(frozen=True)
class Figure:
    """The value of a quantity, or why there is none.

    Parameters
    ----------
    quantity : Quantity
        What was measured.
    value : float or None
        In the quantity's unit, the mean over the planes; None where it cannot be
        computed. Infinite for the PSNR of equal images, and for no detail at all.
    reason : str
        Why there is no value, in a sentence; or what limits it.
    by_plane : tuple of float
        Where planes were measured one by one.
    error : float or None
        Standard error of the value, where it is an estimate.
    """

    quantity: Quantity
    value: float | None
    reason: str = ""
    by_plane: tuple[float, ...] = ()
    error: float | None = None

    @classmethod
    def missing(cls, quantity: Quantity, error: RequestError | str) -> Figure:
        """Return the figure that cannot be computed, and the sentence why."""
        return cls(quantity, None, str(error))

    @property
    def text(self) -> str:
        """Value and unit, such as "38.42 dB"; a dash where there is none."""
        if self.value is None:
            return "–"
        if math.isinf(self.value):
            number = "∞"
        elif self.error is None or not math.isfinite(self.error):
            number = f"{self.value:.4g}"
        else:
            number = _with_error(self.value, self.error)
        return f"{number} {self.quantity.unit}".rstrip()

    def to_json(self) -> dict[str, Any]:
        """Plain values; an infinite one is null, as JSON cannot say it."""
        finite = self.value is not None and math.isfinite(self.value)
        return {
            "name": self.quantity.key,
            "title": self.quantity.title,
            "value": self.value if finite else None,
            "text": self.text,
            "unit": self.quantity.unit,
            "higher_is_better": self.quantity.higher_is_better,
            "reason": self.reason,
            "error": self.error,
            "planes": list(self.by_plane),
        }


@dataclass(frozen=True)
class Evaluation:
    """All figures of one result.

    Parameters
    ----------
    figures : tuple of Figure
        In the order of `QUANTITIES`, each quantity once at most.
    notes : tuple of str
        Sentences on what was compared: planes left out, files that look swapped.
    """

    figures: tuple[Figure, ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def joined(cls, parts: Iterable[Evaluation]) -> Evaluation:
        """Return all figures of several evaluations of one result; the last wins."""
        parts = list(parts)
        by_key = {f.quantity.key: f for part in parts for f in part.figures}
        order = [q.key for q in QUANTITIES if q.key in by_key]
        notes = dict.fromkeys(note for part in parts for note in part.notes)
        return cls(tuple(by_key[key] for key in order), tuple(notes))

    def figure(self, key: str) -> Figure | None:
        """Return the figure of a quantity by its key; None where it is not there."""
        return next((f for f in self.figures if f.quantity.key == key), None)

    def value(self, key: str) -> float | None:
        """Return the value of a quantity by its key; None where there is none."""
        found = self.figure(key)
        return found.value if found else None

    def table(self) -> str:
        """Lines to read: title, value and unit, and the reason where there is one."""
        lines = [
            " ".join(filter(None, (f"{f.quantity.title}: {f.text}", _aside(f.reason))))
            for f in self.figures
        ]
        return "\n".join([*lines, *self.notes])

    def to_json(self) -> dict[str, Any]:
        """Plain values, for the command line and exports."""
        return {
            "figures": [figure.to_json() for figure in self.figures],
            "notes": list(self.notes),
        }


def mean_of(quantity: Quantity, values: Sequence[float], reason: str = "") -> Figure:
    """Return the figure of values that were measured plane by plane, (planes,)."""
    if not values:
        return Figure.missing(quantity, reason)
    mean = math.fsum(values) / len(values) if all(map(math.isfinite, values)) else None
    if mean is None:
        finite = [value for value in values if math.isfinite(value)]
        mean = math.inf if not finite or math.inf in values else math.nan
    return Figure(quantity, mean, reason, tuple(values))


def _aside(reason: str) -> str:
    return f"({reason})" if reason else ""


def _with_error(value: float, error: float) -> str:
    """A value to the digit that its error begins at, such as "8.64 ± 0.05"."""
    rounded = float(f"{error:.1g}")
    decimals = max(0, -math.floor(math.log10(rounded))) if rounded > 0 else 9
    # Numbers with many zeros are read more easily as powers of ten.
    number = f"{value:.{decimals}f}" if decimals <= 4 else f"{value:.4g}"
    return f"{number} ± {rounded:g}"
