"""What is known of the noise in the image's raw units, and as an image."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_selfdenoise.parts.noise_models.base import NoiseModule
from napari_selfdenoise.parts.noise_models.lines import weighted_line

Array = NDArray[np.float64]

_KNOTS = 256
_NARROW = 33
"""Gaussians that a density without closed form is made of."""


@dataclass(frozen=True, eq=False)
class NoiseCurve:
    """How observations scatter around each signal, in the image's raw units.

    At each of n signals the residual (observation - signal) is a mixture of K
    Gaussians with mean zero.

    Parameters
    ----------
    signal : ndarray
        Increasing grid, (n,).
    weights, means, stds : ndarray
        Of the Gaussians, (n, K).
    poisson_gaussian : tuple of float, optional
        a and b of variance = a * signal + b, where the noise model is such a line.
    """

    signal: Array
    weights: Array
    means: Array
    stds: Array
    poisson_gaussian: tuple[float, float] | None = None

    @classmethod
    def gaussian(cls, signal: Array, std: Array) -> NoiseCurve:
        """Return the curve of one Gaussian a signal, from grids (n,)."""
        one, column = np.ones((len(signal), 1)), np.asarray(std, float)[:, None]
        return cls(np.asarray(signal, float), one, 0 * one, column)

    @classmethod
    def line(
        cls, a: float, b: float, low: float, high: float, std_floor: float = 1e-30
    ) -> NoiseCurve:
        """Return the Poisson-Gaussian curve of variance = a * signal + b, raw units.

        Parameters
        ----------
        a, b : float
            Gain and constant.
        low, high : float
            Range of the signal.
        std_floor : float
            Smallest standard deviation, where the line falls below.
        """
        # A grid of one place would be none; images may have any unit.
        least = np.nextafter(np.float32(low), np.float32(np.inf)) if low else 1e-30
        signal = np.linspace(low, max(high, float(least)), _KNOTS)
        if a > 0:  # where the line begins to rise, or interpolation cuts the corner
            corner = (std_floor**2 - b) / a
            inside = signal[0] < corner < signal[-1]
            signal = np.union1d(signal, [corner]) if inside else signal
        std = np.sqrt(np.maximum(a * signal + b, std_floor**2))
        return replace(cls.gaussian(signal, std), poisson_gaussian=(a, b))

    def at(self, signal: Array) -> NoiseCurve:
        """Return the curve on another grid (n,), clamped to the ends of this one."""
        knots = np.arange(len(self.signal))
        place = np.interp(signal, self.signal, knots)
        left = np.minimum(place.astype(int), max(len(knots) - 2, 0))
        right, share = np.minimum(left + 1, knots[-1]), (place - left)[:, None]
        weights, means, stds = (
            values[left] * (1 - share) + values[right] * share
            for values in (self.weights, self.means, self.stds)
        )
        return replace(self, signal=signal, weights=weights, means=means, stds=stds)

    def less(self, variance: Array) -> NoiseCurve:
        """Return the curve less a variance (n,), of which at least a quarter stays.

        Residuals of a prediction hold its own variance beside the noise's.
        """
        kept = np.sqrt(np.maximum(1 - variance / self.std**2, 0.25))[:, None]
        less = replace(self, means=self.means * kept, stds=self.stds * kept)
        if self.poisson_gaussian is None or not np.any(variance):
            return less
        trust = 1 / np.maximum(less.std, 1e-300) ** 4  # the same relative error at each
        line = weighted_line(self.signal, less.std**2, trust)
        return replace(less, poisson_gaussian=line)

    def with_variance(self, signal: Array, variance: Array) -> NoiseCurve:
        """Return noise of the same shape that is as strong as was measured.

        Parameters
        ----------
        signal : ndarray
            Increasing grid of the new curve, (n,); beyond the ends of this one, the
            shape is that at its end.
        variance : ndarray
            Variance at each of them, (n,).
        """
        shape, std = self.at(signal), np.sqrt(variance)[:, None]
        before = shape.std[:, None]
        factor = std / np.where(before > 0, before, 1.0)
        # Where there was no noise, it has no shape either.
        stds = np.where(before > 0, shape.stds * factor, std)
        means = shape.means * factor
        return replace(shape, means=means, stds=stds, poisson_gaussian=None)

    def scaled(self, factor: float) -> NoiseCurve:
        """Return the curve of noise that is so many times as strong."""
        line = self.poisson_gaussian
        return replace(
            self,
            means=self.means * factor,
            stds=self.stds * factor,
            poisson_gaussian=line and (line[0] * factor**2, line[1] * factor**2),
        )

    @property
    def std(self) -> Array:
        """Standard deviation of the whole mixture at each signal, (n,)."""
        return np.asarray(np.sqrt(self._variance()))

    @property
    def skewness(self) -> Array:
        """Third moment over the cubed standard deviation at each signal, (n,)."""
        apart = self._apart()
        third = apart**3 + 3 * apart * self.stds**2
        return np.asarray((self.weights * third).sum(1) / self._variance() ** 1.5)

    def _apart(self) -> Array:
        mean = (self.weights * self.means).sum(1, keepdims=True)
        return np.asarray(self.means - mean)

    def _variance(self) -> Array:
        spread = self.stds**2 + self._apart() ** 2
        return np.asarray((self.weights * spread).sum(1))

    def std_at(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        """Noise standard deviation at each pixel, clamped to the ends of the grid."""
        return np.interp(signal, self.signal, self.std).astype(np.float32)

    def density(self, residual: Array) -> Array:
        """Probability density of the residuals (m,) at each signal, (m, n)."""
        scaled = (residual[:, None, None] - self.means) / self.stds
        each = np.exp(-0.5 * scaled**2) / (self.stds * math.sqrt(2 * math.pi))
        return np.asarray((self.weights * each).sum(-1))

    def to_json(self) -> dict[str, Any]:
        """Plain lists, for the model file."""
        return {
            "signal": self.signal.tolist(),
            "weights": self.weights.tolist(),
            "means": self.means.tolist(),
            "stds": self.stds.tolist(),
            "poisson_gaussian": self.poisson_gaussian,
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> NoiseCurve:
        """Inverse of `to_json`.

        Raises
        ------
        LookupError, TypeError, ValueError
            If it is no noise curve, or none that noise can follow.
        """
        signal, weights, means, stds = (
            np.array(content[key], float)
            for key in ("signal", "weights", "means", "stds")
        )
        fitted = content["poisson_gaussian"]
        fit = (float(fitted[0]), float(fitted[1])) if fitted else None
        curve = cls(signal, weights, means, stds, fit)
        curve._require_sound()
        return curve

    def _require_sound(self) -> None:
        """Refuse what no noise can follow."""
        columns = (self.weights, self.means, self.stds)
        shape = (len(self.signal), self.weights.shape[-1])
        if any(values.shape != shape for values in columns) or 0 in shape:
            raise ValueError("the curve's columns differ in length")
        finite = (self.signal, *columns, self.poisson_gaussian or 0.0)
        if not all(np.isfinite(values).all() for values in finite):
            raise ValueError("numbers of the curve are not finite")
        if (np.diff(self.signal) < 0).any():
            raise ValueError("the signals of the curve do not increase")
        if (self.stds < 0).any() or (self.weights < 0).any():
            raise ValueError("widths and weights must be positive")
        if not np.isfinite(self.std).all() or not (self.weights.sum(1) > 0).all():
            raise ValueError("the curve is no noise curve")


@torch.no_grad()
def raw_curve(
    module: NoiseModule, low: float, high: float, offset: float, scale: float
) -> NoiseCurve:
    """Tabulate a noise model in raw units.

    Parameters
    ----------
    module : NoiseModule
        In normalised units: raw = normalised * scale + offset.
    low, high : float
        Range of the signal, normalised.
    offset, scale : float
        The normalisation.
    """
    knots = torch.linspace(low, max(high, low + 1e-3), _KNOTS, device=module.device)
    if module.closed_form:
        mixture = module.residual_mixture(knots)
        log_weight, means, log_std = (v.double().cpu().numpy() for v in mixture)
        weights, stds = np.exp(log_weight), np.exp(log_std)
    else:
        weights, means, stds = _narrow_gaussians(module, knots)
    signal = knots.double().cpu().numpy() * scale + offset
    line = module.line()
    fitted = None
    if line:
        gain, constant = line
        fitted = (gain * scale, constant * scale**2 - gain * scale * offset)
    return NoiseCurve(signal, weights, means * scale, stds * scale, fitted)


def _narrow_gaussians(
    module: NoiseModule, knots: torch.Tensor
) -> tuple[Array, Array, Array]:
    """Weights, means and stds (n, K) of many Gaussians that follow a density.

    They lie dense in the middle and far apart in the tails, and are then moved and
    scaled to a mean of zero and to the module's own standard deviation.
    """
    places = np.linspace(-1, 1, _NARROW)
    scaled = 8 * np.sinh(2.5 * places) / math.sinh(2.5)
    width = np.gradient(scaled)
    std = module.std(knots)
    residual = (
        torch.as_tensor(scaled, dtype=std.dtype, device=std.device) * std[:, None]
    )
    signal = knots[:, None].expand_as(residual)
    density = module.log_likelihood(signal, signal + residual) + std.log()[:, None]
    weights = np.exp(density.double().cpu().numpy()) * width
    weights /= weights.sum(1, keepdims=True)
    means = scaled - (weights * scaled).sum(1, keepdims=True)
    stds = np.broadcast_to(0.6 * width, weights.shape)
    spread = np.sqrt((weights * (means**2 + stds**2)).sum(1))
    factor = (std.double().cpu().numpy() / spread)[:, None]
    return weights, means * factor, stds * factor


@dataclass(frozen=True, eq=False)
class NoiseDistribution:
    """Probability density of residuals at each signal, as an image.

    Parameters
    ----------
    density : ndarray
        (residual, signal), one over raw units.
    origin : tuple of float
        Residual and signal of the first pixel, raw units.
    steps : tuple of float
        Residual and signal from pixel to pixel, raw units.
    """

    density: NDArray[np.float32]
    origin: tuple[float, float]
    steps: tuple[float, float]


def noise_distribution(
    curve: NoiseCurve, residuals: int = 201, signals: int = 256
) -> NoiseDistribution:
    """Draw a noise curve as an image, out to four standard deviations.

    Parameters
    ----------
    curve : NoiseCurve
        In raw units.
    residuals, signals : int
        Rows and columns of the image.
    """
    signal = np.linspace(curve.signal[0], curve.signal[-1], signals)
    even = curve.at(signal)
    reach = 4 * float(even.std.max())
    residual = np.linspace(-reach, reach, residuals)
    return NoiseDistribution(
        even.density(residual).astype(np.float32),
        (-reach, float(signal[0])),
        (2 * reach / (residuals - 1), float(signal[-1] - signal[0]) / (signals - 1)),
    )
