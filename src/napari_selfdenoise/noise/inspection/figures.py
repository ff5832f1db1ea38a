"""The figures of a noise model as arrays: what plots draw and files hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from napari_selfdenoise.noise.inspection.inspected import InspectedNoise
from napari_selfdenoise.noise.inspection.maps import NoiseMaps, noise_maps
from napari_selfdenoise.noise.inspection.measured import MeasuredNoise
from napari_selfdenoise.parts.noise_models import NoiseCurve

Array = NDArray[np.float64]

_SIGNALS = 256
_SHAPES = 96
_BEYOND = 0.15
"""How far a figure goes on where nothing was measured, as a share of the span."""

_REACH = 5.0
_RESIDUALS = 401
_CONFIDENCE = 1.96
_TERMS = 7
"""Terms of the line that a confidence band lies around, at most."""


@dataclass(frozen=True, eq=False)
class StdFigure:
    """Noise std against signal; arrays are (n,) each, in the unit of the noise model.

    Parameters
    ----------
    signal, std : ndarray
        What the noise model says.
    measured : ndarray of bool
        Whether anything was measured at each signal.
    low, high : ndarray
        Ends of the 95 % confidence band of the std, from what was measured alone; NaN
        where nothing was.
    dots : tuple of ndarray
        Signal, std and standard error of the std as measured; empty without.
    """

    signal: Array
    std: Array
    measured: NDArray[np.bool_]
    low: Array
    high: Array
    dots: tuple[Array, Array, Array]

    @property
    def solid(self) -> Array:
        """The std where noise was measured, NaN elsewhere."""
        return np.where(self.measured, self.std, np.nan)

    @property
    def dashed(self) -> Array:
        """The std where nothing was measured, and one point on; NaN elsewhere."""
        return np.where(beyond(self.measured), self.std, np.nan)


@dataclass(frozen=True, eq=False)
class SignalDensity:
    """Distribution of the observation at one signal, in the unit of the noise model.

    Parameters
    ----------
    signal : float
        The signal.
    observation, density : ndarray
        What the noise model says, (n,).
    edges, counted : ndarray
        Edges (m + 1,) and density (m,) of the measured histogram; empty where nothing
        was measured at this signal.
    std, skewness : float
        Of what the noise model says.
    """

    signal: float
    observation: Array
    density: Array
    edges: Array
    counted: Array
    std: float
    skewness: float

    @property
    def middles(self) -> Array:
        """Middles of the cells of the measured histogram, (m,)."""
        return np.asarray(0.5 * (self.edges[1:] + self.edges[:-1]))


@dataclass(frozen=True, eq=False)
class ShapeFigure:
    """Shape of the noise against signal, as Fig. 3 of Ollion et al. 2021.

    Parameters
    ----------
    signal, skewness, divergence : ndarray
        What the noise model says, (n,): skewness, and the Kullback-Leibler divergence
        from a Gaussian of the same std, in nats.
    measured : ndarray of bool
        Whether anything was measured at each signal.
    dots : tuple of ndarray
        Signal, skewness, its standard error and divergence as measured; empty without.
    misfit : ndarray
        Divergence of what was measured from the noise model, at the dots.
    """

    signal: Array
    skewness: Array
    divergence: Array
    measured: NDArray[np.bool_]
    dots: tuple[Array, Array, Array, Array]
    misfit: Array

    def split(self, values: Array) -> tuple[Array, Array]:
        """Values where noise was measured, and where it was not; NaN elsewhere."""
        solid = np.where(self.measured, values, np.nan)
        return solid, np.where(beyond(self.measured), values, np.nan)


def beyond(measured: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where nothing was measured (n,), and the neighbours, so that lines join."""
    free = ~measured
    joined = free.copy()
    joined[1:] |= free[:-1]
    joined[:-1] |= free[1:]
    return joined


def std_figure(noise: InspectedNoise) -> StdFigure:
    """Noise std against signal, over what was measured."""
    signal = _signals(noise, _SIGNALS)
    std, measured = noise.at(signal).std, noise.is_measured(signal)
    low, high = _band(noise, signal, std, measured)
    none = np.zeros(0)
    found = noise.measured
    dots = (none,) * 3 if found is None else (found.signal, found.std, found.std_error)
    return StdFigure(signal, std, measured, low, high, dots)


def density_figure(noise: InspectedNoise, signal: float) -> SignalDensity:
    """Distribution of the observation at one signal."""
    curve = noise.at(np.array([signal], float))
    std = float(curve.std[0])
    residual = np.linspace(-_REACH, _REACH, _RESIDUALS) * std
    density = curve.density(residual)[:, 0]
    edges = counted = np.zeros(0)
    found = noise.measured
    if found is not None and found.covers(np.array([signal], float))[0]:
        bin_ = found.nearest(signal)
        edges, counted = _trimmed(signal + found.edges(bin_), found.density(bin_))
    return SignalDensity(
        signal,
        signal + residual,
        density,
        edges,
        counted,
        std,
        float(curve.skewness[0]),
    )


def _trimmed(edges: Array, counted: Array) -> tuple[Array, Array]:
    """A histogram without the empty cells at its ends."""
    filled = np.flatnonzero(counted)
    if not filled.size:
        return np.zeros(0), np.zeros(0)
    first, last = int(filled[0]), int(filled[-1]) + 1
    return edges[first : last + 1], counted[first:last]


def shape_figure(noise: InspectedNoise) -> ShapeFigure:
    """Skewness and divergence from a Gaussian, against signal."""
    signal = _signals(noise, _SHAPES)
    curve = noise.at(signal)
    none, found = np.zeros(0), noise.measured
    dots, misfit = (none,) * 4, none
    if found is not None:
        error = np.sqrt(6 / np.maximum(found.count, 1))
        dots = found.signal, found.skewness, error, found.divergence
        misfit = found.divergence_from(_probabilities(noise.at(found.signal), found))
    return ShapeFigure(
        signal,
        curve.skewness,
        gaussian_divergence(curve),
        noise.is_measured(signal),
        dots,
        misfit,
    )


def gaussian_divergence(curve: NoiseCurve) -> Array:
    """Divergence of each distribution of a curve from a Gaussian of its std, (n,)."""
    scaled = np.linspace(-8.0, 8.0, 641)
    found = np.empty(len(curve.signal))
    for number, std in enumerate(curve.std):
        one = replace(
            curve,
            signal=curve.signal[number : number + 1],
            weights=curve.weights[number : number + 1],
            means=curve.means[number : number + 1],
            stds=curve.stds[number : number + 1],
        )
        density = one.density(scaled * std)[:, 0] * std
        log_normal = -0.5 * scaled**2 - 0.5 * np.log(2 * np.pi)
        each = density * (np.log(np.maximum(density, 1e-300)) - log_normal)
        found[number] = max(float(each.sum() * (scaled[1] - scaled[0])), 0.0)
    return found


@dataclass(frozen=True, eq=False)
class Figures:
    """All that is drawn of a noise model, but for single signals.

    Parameters
    ----------
    noise : InspectedNoise
        The noise model, in the unit of the figures.
    std, shape, maps
        The figures.
    """

    noise: InspectedNoise
    std: StdFigure
    shape: ShapeFigure
    maps: NoiseMaps


def all_figures(noise: InspectedNoise) -> Figures:
    """Compute all figures of a noise model; some tenths of a second."""
    return Figures(noise, std_figure(noise), shape_figure(noise), noise_maps(noise))


def numbers_at(
    noise: InspectedNoise, signals: Sequence[float]
) -> dict[str, list[float]]:
    """Noise std, skewness and divergence from a Gaussian at some signals, as lists."""
    curve = noise.at(np.array(signals, float))
    return {
        "signal": list(signals),
        "std": curve.std.tolist(),
        "skewness": curve.skewness.tolist(),
        "divergence": gaussian_divergence(curve).tolist(),
    }


def tables(
    noise: InspectedNoise, signal: float | None = None
) -> Mapping[str, tuple[Array, Array]]:
    """All figures by name, each as x and y of equal length.

    Parameters
    ----------
    noise : InspectedNoise
        The noise model.
    signal : float, optional
        Where the distribution of the observation is wanted too.
    """
    curve, shape = std_figure(noise), shape_figure(noise)
    found = {
        "std": (curve.signal, curve.std),
        "std, measured": curve.dots[:2],
        "std, low end of the band": (curve.signal, curve.low),
        "std, high end of the band": (curve.signal, curve.high),
        "skewness": (shape.signal, shape.skewness),
        "skewness, measured": shape.dots[:2],
        "divergence from a Gaussian": (shape.signal, shape.divergence),
        "divergence from a Gaussian, measured": (shape.dots[0], shape.dots[3]),
        "divergence of the measured from the model": (shape.dots[0], shape.misfit),
    }
    if signal is not None:
        density = density_figure(noise, signal)
        found["density"] = density.observation, density.density
        found["density, measured"] = density.middles, density.counted
    return {name: (x, y) for name, (x, y) in found.items() if len(x)}


def _signals(noise: InspectedNoise, count: int) -> Array:
    """Signals of a figure: what was measured, and somewhat beyond."""
    low, high = noise.span
    first, last = min(low, noise.curve.signal[0]), max(high, noise.curve.signal[-1])
    room = _BEYOND * (last - first)
    least = first if first <= 0 else max(first - room, 0.0)
    if noise.gain is not None and noise.curve.poisson_gaussian:
        a, b = noise.curve.poisson_gaussian
        # No signal is darker than where a line has no noise left.
        least = min(max(least, -b / a), first)
    even = np.linspace(least, last + room, count)
    # The ends themselves, so that lines change where the measurement does.
    return np.unique(np.concatenate((even, [low, high])))


def _probabilities(curve: NoiseCurve, found: MeasuredNoise) -> Array:
    """Probability of each cell of each bin, (bins, cells), by a curve at the bins."""
    rows = []
    for number in range(len(found.signal)):
        edges = found.edges(number)[:, None]
        below = ndtr((edges - curve.means[number]) / curve.stds[number])
        rows.append((curve.weights[number] * np.diff(below, axis=0)).sum(1))
    return np.array(rows)


def _band(
    noise: InspectedNoise, signal: Array, std: Array, measured: NDArray[np.bool_]
) -> tuple[Array, Array]:
    """Ends of the 95 % confidence band of the std at signals (n,).

    A smooth line is fitted to the logarithm of measured over predicted std; its errors
    are those of the dots, and larger where they scatter more than they should.
    """
    nothing = np.full(len(signal), np.nan)
    found = noise.measured
    if found is None or not (found.std > 0).all():
        return nothing, nothing
    low, high = found.span
    terms = int(np.clip(len(found.signal) // 6, 1, _TERMS))
    basis = _smooth(found.signal, low, high, terms)
    ratio = np.log(found.std / noise.at(found.signal).std)
    trust = 2 * found.count
    normal = (basis.T * trust) @ basis
    inverse = np.linalg.pinv(normal)
    fitted = inverse @ ((basis.T * trust) @ ratio)
    left = len(ratio) - terms
    chi = (trust * (ratio - basis @ fitted) ** 2).sum() / left if left > 0 else 1.0
    at = _smooth(signal, low, high, terms)
    error = np.sqrt(np.maximum(((at @ inverse) * at).sum(1), 0) * max(1.0, chi))
    middle, wide = at @ fitted, _CONFIDENCE * error
    ends = (std * np.exp(middle - wide), std * np.exp(middle + wide))
    return np.where(measured, ends[0], np.nan), np.where(measured, ends[1], np.nan)


def _smooth(signal: Array, low: float, high: float, terms: int) -> Array:
    """Legendre polynomials over the root of the place of signals, (n, terms)."""
    # Dots crowd at dark signals: by square roots they lie more evenly.
    place = np.clip((signal - low) / max(high - low, 1e-300), 0, 1) ** 0.5
    return np.asarray(np.polynomial.legendre.legvander(2 * place - 1, terms - 1))
