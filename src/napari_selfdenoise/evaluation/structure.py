"""Whether a residual holds structure: neighbours that are alike in some places only.

Noise may be correlated, but is so everywhere; structure is where the image has edges,
or in places that the denoising has smoothed away. So the likeness of neighbours is
compared between places of like signal. A denoiser that uses neighbours makes residuals
differ from them, and more so at edges. That never counts as structure, which makes them
alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_gradient_magnitude, maximum_filter

from napari_selfdenoise.evaluation.autocorrelation import (
    DIRECTIONS,
    SIGNIFICANT,
    products,
)
from napari_selfdenoise.evaluation.residuals import ResidualPlane
from napari_selfdenoise.images import bins_by_signal, means_of_bins
from napari_selfdenoise.parts.noise_models import NoiseCurve

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

BLOCK = 16
"""Side in px of the blocks that are compared."""

_EDGES, _FLAT = 0.8, 0.5  # quantiles of the slope from which on, and up to which
_STEEP = 0.15
"""Slope from which on there is an edge, in noise stds a pixel."""

_LEVEL = 0.05
"""Slope up to which a region is flat in itself, and not only flatter than others."""

_AROUND = 5  # px; side of the square whose steepest slope counts: ridges are no flats

_LEAST_PIXELS = 500
_LEAST_PAIRS = 40
_TOP, _REST = 0.8, 0.5

_ALIKE_LEAST = 0.05
"""Share of the noise's variance from which on what is left matters."""

_SIZE_LEAST = 0.15

SIZE = "size"
"""Name of the mean square of residuals, next to the directions."""


@dataclass(frozen=True)
class Excess:
    """By how much residuals are more alike in one group of places than in others.

    Parameters
    ----------
    value : dict
        Difference of mean products of neighbours, by direction (`DIRECTIONS`), and of
        mean squares (`SIZE`), over the noise's variance: the share of structure in it.
    error : dict
        Standard errors.
    """

    value: dict[str, float]
    error: dict[str, float]

    def certain(self) -> dict[str, float]:
        """Those that chance does not explain, and that matter."""
        least = dict.fromkeys(self.value, _ALIKE_LEAST) | {SIZE: _SIZE_LEAST}
        return {
            name: value
            for name, value in self.value.items()
            if value > max(SIGNIFICANT * self.error[name], least[name])
        }


@dataclass(frozen=True)
class Structure:
    """Structure in a residual.

    Parameters
    ----------
    edges : Excess or None
        Edges of the denoised image against flat regions of like signal; None where it
        has no edges, or nothing flat.
    places : Excess or None
        Blocks diagonal to such with much likeness against others; None where there are
        too few blocks.
    flat : dict or None
        Mean correlation of pixels one and two steps apart in flat regions, by
        direction; None where there is nothing flat.
    """

    edges: Excess | None
    places: Excess | None
    flat: dict[str, float] | None = None

    @property
    def found(self) -> bool:
        """Whether there is structure."""
        return any(part and part.certain() for part in (self.edges, self.places))


@dataclass(frozen=True, eq=False)
class _Likeness:
    """How alike the neighbours of each pixel of a plane are.

    Parameters
    ----------
    by_direction : dict
        Mean of the products one and two pixels away, and squares; each (Y, X), NaN
        where not known. Offsets of whole rows and columns are taken out.
    flat : dict
        The same with these offsets, of the pixels of flat regions alone, (n,).
    signal : ndarray
        Prediction, raw units, (Y, X).
    slope : ndarray
        Of the prediction, in noise stds a pixel, (Y, X); NaN next to missing pixels.
    """

    by_direction: dict[str, Array]
    flat: dict[str, Array]
    signal: Array
    slope: Array

    @classmethod
    def of(cls, plane: ResidualPlane, curve: NoiseCurve | None) -> _Likeness:
        scaled, std = plane.standardised(curve), plane.noise_std(curve)
        slope = gaussian_gradient_magnitude(plane.denoised, 1.5)
        slope = maximum_filter(slope / np.maximum(std, 1e-300), _AROUND)
        # Next to what was not recorded, the slope is that of its border.
        slope[maximum_filter(~plane.recorded, 9)] = np.nan
        level = slope <= _LEVEL
        flat = {
            name: values[level & np.isfinite(values)]
            for name, values in _alike(scaled).items()
        }
        alike = _alike(plane.without_lines().standardised(curve))
        return cls(alike, flat, plane.denoised, slope)

    def expected(self, name: str, known: Flags) -> _BySignal | None:
        """Mean likeness of known pixels by signal; None where there are none."""
        values = self.by_direction[name]
        known = known & np.isfinite(values)
        if not known.any():
            return None
        signal = self.signal[known]
        bins = bins_by_signal(signal, 16, _LEAST_PIXELS)
        centre, mean = (means_of_bins(bins, v) for v in (signal, values[known]))
        sizes = np.array([len(pixels) for pixels in bins], float)
        return _BySignal(centre, mean, sizes, float(np.var(values[known])))


class _BySignal(NamedTuple):
    """Mean of some values at some signals, (n,) each, and their variance in all."""

    signal: Array
    mean: Array
    sizes: Array
    variance: float

    def at(self, signal: Array) -> Array:
        """Mean at signals of any shape."""
        return np.asarray(np.interp(signal, self.signal, self.mean))

    def error(self, signal: Array) -> float:
        """Standard error of the average of the means at signals (n,)."""
        edges = (self.signal[1:] + self.signal[:-1]) / 2
        used = np.bincount(np.searchsorted(edges, signal), minlength=len(self.mean))
        share = used / max(1, len(signal))
        return float(np.sqrt(self.variance * (share**2 / self.sizes).sum()))


def find_structure(
    planes: Sequence[ResidualPlane], curves: Sequence[NoiseCurve] | None = None
) -> Structure:
    """Look for structure in residuals, at edges and elsewhere.

    Parameters
    ----------
    planes : sequence of ResidualPlane
        Of one image.
    curves : sequence of NoiseCurve, optional
        Of the noise of each channel, raw units; by default the residuals' own.
    """
    edges: dict[str, list[_AtEdges]] = {}
    places: dict[str, list[Array]] = {}
    level: dict[str, list[Array]] = {}
    for plane in planes:
        alike = _Likeness.of(plane, curves[plane.channel] if curves else None)
        steep, flat = _edges(alike.slope)
        for name, values in alike.by_direction.items():
            edges.setdefault(name, []).append(_AtEdges.of(alike, name, steep, flat))
            level.setdefault(name, []).append(alike.flat[name])
            anywhere = np.isfinite(values)
            usual = alike.expected(name, anywhere)
            beyond = values - usual.at(alike.signal) if usual else values
            places.setdefault(name, []).append(block_means(beyond, anywhere))
    return Structure(_at_edges(edges), _in_places(places), _in_flats(level))


class _AtEdges(NamedTuple):
    """Likeness at the edges of a plane, beyond that of flat regions of like signal.

    Parameters
    ----------
    sums : ndarray
        Sum over edges and their number in each block, (2, rows, columns).
    error : float
        Standard error of the mean in flat regions.
    variance : float
        Of the values.
    """

    sums: Array
    error: float
    variance: float

    @classmethod
    def of(cls, alike: _Likeness, name: str, steep: Flags, flat: Flags) -> _AtEdges:
        usual = alike.expected(name, flat)
        if usual is None:
            return cls(np.zeros((2, 1, 1)), 0.0, 1.0)
        values = alike.by_direction[name] - usual.at(alike.signal)
        sums = _block_sums(values, steep)
        error = usual.error(alike.signal[steep & np.isfinite(values)])
        return cls(sums, error, usual.variance)

    def spread(self, mean: float) -> tuple[list[float], float]:
        """Squared errors of the sum over edges: by edges, and by flat regions.

        By edges there are three: pixels of one block may share their noise, those of
        one row or column of blocks the offset of a line.
        """
        beyond = self.sums[0] - mean * self.sums[1]
        groups = beyond, beyond.sum(0), beyond.sum(1)
        by_edges = [float((group**2).sum()) for group in groups]
        return by_edges, float(self.error * self.sums[1].sum()) ** 2


def _alike(scaled: Array) -> dict[str, Array]:
    """Mean products of neighbours by direction, and squares; (Y, X) each."""
    scaled = scaled / max(float(np.sqrt(np.nanmean(scaled**2))), 1e-300)
    alike = {
        name: (_aligned(scaled, name, 1) + _aligned(scaled, name, 2)) / 2
        for name in DIRECTIONS
    }
    return alike | {SIZE: scaled**2}


def _aligned(plane: Array, direction: str, lag: int) -> Array:
    """Products as of `products`, at the place of the upper pixel, (Y, X)."""
    whole = np.full(plane.shape, np.nan)
    each = products(plane, direction, lag)
    left = max(0, -lag * DIRECTIONS[direction][1])
    whole[: each.shape[0], left : left + each.shape[1]] = each
    return whole


def _edges(slope: Array) -> tuple[Flags, Flags]:
    """Edges and flat regions, (Y, X) each."""
    known = slope[np.isfinite(slope)]
    if not known.size:
        return np.zeros(slope.shape, bool), np.zeros(slope.shape, bool)
    steep = max(_STEEP, float(np.quantile(known, _EDGES)))
    gentle = float(np.quantile(known, _FLAT))
    return slope >= steep, slope <= min(gentle, steep / 2)


def _block_sums(values: Array, chosen: Flags) -> Array:
    """Sum and number of chosen values in each block, (2, rows, columns)."""
    known = chosen & np.isfinite(values)
    parts = np.where(known, values, 0.0), known.astype(np.float64)
    tops, lefts = (np.arange(0, side, BLOCK) for side in values.shape)
    summed = [
        np.add.reduceat(np.add.reduceat(part, tops, axis=0), lefts, axis=1)
        for part in parts
    ]
    return np.stack(summed)


def block_means(values: Array, chosen: Flags) -> Array:
    """Mean of chosen values in each block, (rows, columns).

    NaN where less than half of a block is chosen and known.
    """
    total, count = _block_sums(values, chosen)
    enough = count >= BLOCK**2 / 2
    return np.asarray(
        np.divide(total, count, out=np.full_like(total, np.nan), where=enough)
    )


def _in_flats(parts: dict[str, list[Array]]) -> dict[str, float] | None:
    """Mean products of neighbours over the mean square, where there is no structure."""
    values = {name: np.concatenate(planes) for name, planes in parts.items()}
    if len(values[SIZE]) < _LEAST_PIXELS:
        return None
    variance = float(values.pop(SIZE).mean())
    return {name: float(each.mean()) / variance for name, each in values.items()}


def _at_edges(parts: dict[str, list[_AtEdges]]) -> Excess | None:
    values, errors = {}, {}
    for name, planes in parts.items():
        total, pixels = np.sum([plane.sums.sum((1, 2)) for plane in planes], axis=0)
        if pixels < _LEAST_PIXELS:
            return None
        mean = float(total / pixels)
        spread = [plane.spread(mean) for plane in planes]
        white = max(plane.variance for plane in planes) * pixels
        squared = max(white, *np.sum([each for each, _ in spread], axis=0))
        squared += sum(flat for _, flat in spread)
        values[name], errors[name] = mean, float(np.sqrt(squared) / pixels)
    return Excess(values, errors) if values else None


def _in_places(parts: dict[str, list[Array]]) -> Excess | None:
    """Compare blocks by the ones diagonal to them, whose noise is not theirs.

    Not along rows or columns: lines that are too bright span many blocks.
    """
    names = [name for name in parts if name != SIZE]
    sums = [sum(planes) for planes in zip(*(parts[n] for n in names), strict=True)]
    rank = np.concatenate([_upper(plane) for plane in sums])
    values, errors = {}, {}
    for name in names:
        lower = np.concatenate([_lower(plane) for plane in parts[name]])
        both = np.isfinite(rank) & np.isfinite(lower)
        if both.sum() < _LEAST_PAIRS:
            return None
        ordered = lower[both][np.argsort(rank[both])]
        rest = ordered[: int(_REST * len(ordered))]
        top = ordered[int(_TOP * len(ordered)) :]
        values[name] = float(top.mean() - rest.mean())
        spread = _std(ordered)
        errors[name] = spread * float(np.sqrt(1 / len(top) + 1 / len(rest)))
    return Excess(values, errors)


def _upper(plane: Array) -> Array:
    return plane[:-1, :-1].ravel()


def _lower(plane: Array) -> Array:
    return plane[1:, 1:].ravel()


def _std(values: Iterable[float]) -> float:
    """Std that a few blocks with structure hardly change."""
    array = np.asarray(values)
    return 1.4826 * float(np.median(np.abs(array - np.median(array))))
