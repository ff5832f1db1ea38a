"""A noise model to look at: what it says, and where that was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.noise.inspection.measured import MeasuredNoise
from napari_selfdenoise.parts.noise_models import (
    FittedNoise,
    NoiseCurve,
    NoiseUnits,
    TabulatedModule,
)

Array = NDArray[np.float64]

GREY_VALUES = "grey values"
ELECTRONS = "electrons"

_TINY_STD = 1e-6
"""Smallest std beyond the ends of a curve, as a share of its range of signals."""


@dataclass(frozen=True, eq=False)
class InspectedNoise:
    """A noise model with what is known of its origin, in one unit throughout.

    Parameters
    ----------
    name : str
        Of the noise model.
    curve : NoiseCurve
        What it says.
    signal_range : tuple of float
        Lowest and highest signal that it was fitted to.
    line : tuple of float or None
        a and b of variance = a * signal + b, where such a line is known.
    measured : MeasuredNoise or None
        What the noise was measured to be, where that is kept.
    unit : str
        Of signals and residuals: "grey values" or "electrons".
    kind : str
        Of the noise model, such as "histogram"; empty where it is not known.
    conversion : tuple of float
        Grey values a unit, and the grey value of zero.
    """

    name: str
    curve: NoiseCurve
    signal_range: tuple[float, float]
    line: tuple[float, float] | None = None
    measured: MeasuredNoise | None = None
    unit: str = GREY_VALUES
    kind: str = ""
    conversion: tuple[float, float] = (1.0, 0.0)

    @property
    def span(self) -> tuple[float, float]:
        """Lowest and highest signal at which noise was measured."""
        return self.signal_range if self.measured is None else self.measured.span

    @property
    def gain(self) -> float | None:
        """Units that one more photo-electron adds; None where noise does not grow."""
        if self.line is None or not self.line[0] > 0:
            return None
        return self.line[0]

    @property
    def dark(self) -> float:
        """The darkest signal of the span, as a guess of the signal without light."""
        return self.span[0]

    @property
    def middle(self) -> float:
        """The middle of the span."""
        return 0.5 * sum(self.span)

    def from_grey_values(self, value: float) -> float:
        """A grey value in the unit of this noise model."""
        step, zero = self.conversion
        return (value - zero) / step

    def is_measured_at(self, signal: float) -> bool:
        """Whether noise was measured at a signal."""
        return bool(self.is_measured(np.array([signal], float))[0])

    def is_measured(self, signal: Array) -> NDArray[np.bool_]:
        """Whether noise was measured at signals (...)."""
        if self.measured is not None:
            return self.measured.covers(signal)
        low, high = self.signal_range
        return np.asarray((signal >= low) & (signal <= high))

    def at(self, signal: Array) -> NoiseCurve:
        """What the noise model says at signals (n,), beyond its ends as in predictions.

        There the shape is that of the end, and the variance goes on along its line.
        """
        curve = self.curve.at(np.asarray(signal, float))
        stretch = self._stretch(curve.signal)[:, None]
        return replace(curve, means=curve.means * stretch, stds=curve.stds * stretch)

    def _stretch(self, signal: Array) -> Array:
        """Noise std over that at the nearest end of the curve, (n,); 1 within it."""
        low, high = float(self.curve.signal[0]), float(self.curve.signal[-1])
        outside = (signal < low) | (signal > high)
        if not outside.any():
            return np.ones(len(signal))
        std, (first, last) = self._std(signal), self._std(np.array([low, high]))
        return np.where(outside, std / np.where(signal < low, first, last), 1.0)

    def _std(self, signal: Array) -> Array:
        """Noise std as a prediction tabulates it, at any signal (n,)."""
        low, scale = self._tabulated.units.offset, self._tabulated.units.scale
        scaled = torch.from_numpy(((signal - low) / scale).astype(np.float32))
        return self._tabulated.std(scaled).double().numpy()

    @cached_property
    def _tabulated(self) -> TabulatedModule:
        low, high = float(self.curve.signal[0]), float(self.curve.signal[-1])
        units = NoiseUnits(low, max(high - low, 1e-30), _TINY_STD)
        # Only widths are asked for: of one Gaussian they are tabulated at once.
        curve = NoiseCurve.gaussian(self.curve.signal, self.curve.std)
        line = self.curve.poisson_gaussian
        return TabulatedModule(units, replace(curve, poisson_gaussian=line))

    def in_electrons(self, offset: float | None = None) -> InspectedNoise:
        """The same in photo-electrons, counted from an offset on.

        Parameters
        ----------
        offset : float, optional
            Signal without light, grey values; the darkest that was measured if not
            given.

        Raises
        ------
        RequestError
            If the gain is not known.
        """
        if self.gain is None:
            raise RequestError(
                f"The gain of {self.name} is not known: its noise does not grow with "
                "the signal.",
                "Choose grey values as unit, or calibrate with brighter frames.",
            )
        gain, dark = self.gain, self.dark if offset is None else offset
        assert self.line is not None
        line = 1.0, (self.line[0] * dark + self.line[1]) / gain**2
        low, high = ((end - dark) / gain for end in self.signal_range)
        curve = replace(
            self.curve,
            signal=(self.curve.signal - dark) / gain,
            means=self.curve.means / gain,
            stds=self.curve.stds / gain,
            poisson_gaussian=self.curve.poisson_gaussian and line,
        )
        measured = self.measured and self.measured.in_units(gain, dark)
        return replace(
            self,
            curve=curve,
            signal_range=(low, high),
            line=line,
            measured=measured,
            unit=ELECTRONS,
            conversion=(gain, dark),
        )


def inspect_fitted(name: str, fitted: FittedNoise) -> InspectedNoise:
    """Take what a calibration or a noise model file holds.

    Parameters
    ----------
    name : str
        What to call it.
    fitted : FittedNoise
        The noise model; where its provenance has "measured", that is used.
    """
    kept = fitted.provenance.get("measured")
    try:
        measured = None if kept is None else MeasuredNoise.from_json(kept)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        measured = None  # edited by hand: then without
    return InspectedNoise(
        name,
        fitted.curve,
        fitted.signal_range,
        fitted.poisson_gaussian,
        measured,
        kind=fitted.kind,
    )


def inspect_curve(
    name: str, curve: NoiseCurve, measured: MeasuredNoise | None = None
) -> InspectedNoise:
    """Take the noise curve of a trained model, or of a result.

    Parameters
    ----------
    name : str
        What to call it.
    curve : NoiseCurve
        In raw units; it spans what it was learned from.
    measured : MeasuredNoise, optional
        Residuals of the same image.
    """
    ends = float(curve.signal[0]), float(curve.signal[-1])
    return InspectedNoise(name, curve, ends, curve.poisson_gaussian, measured)


def inspect_model_curves(
    name: str, curves: Sequence[NoiseCurve]
) -> list[InspectedNoise]:
    """Take the noise curves of a trained model, one a channel."""
    numbers = [f", channel {n}" if len(curves) > 1 else "" for n in range(len(curves))]
    return [
        inspect_curve(f"{name}{number}", curve)
        for number, curve in zip(numbers, curves, strict=True)
    ]


def with_measurement(fitted: FittedNoise, measured: MeasuredNoise) -> FittedNoise:
    """Return a noise model that keeps, also in its file, what it was fitted to."""
    provenance = {**fitted.provenance, "measured": measured.to_json()}
    return replace(fitted, provenance=provenance)
