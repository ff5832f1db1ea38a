"""The noise that pairs of signal and observation show, whatever a model says of it."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import Image, as_frames

Array = NDArray[np.float64]

_BINS = 32
"""Bins of equally many pixels, and as many of equal width, for both ends."""

_LEAST = 256
"""Pairs of a bin, at least."""

_LEAST_FOR_SHAPE = 1000
"""Pairs of a bin from which on chance hides no divergence of some hundredths."""

_CELLS = 64
"""Even cells of the signal, of which it is noted whether pixels lie in them."""

_OCCUPIED = 16
"""Pairs of a cell from which on it counts as measured."""

_SIDE = 30
"""Cells of residuals on either side of zero."""

_CELL_STDS = 0.2
"""Width of a cell of residuals, in standard deviations, where grey values allow it."""

_PIXELS = 2_000_000
_HALVES = 8
"""Frames from which on each half of them orders the pixels of the other half."""


@dataclass(frozen=True, eq=False)
class MeasuredNoise:
    """Residuals in n bins of pixels of like signal, in one unit throughout.

    Parameters
    ----------
    signal : ndarray
        Mean signal of each bin, increasing, (n,).
    std : ndarray
        Root of the mean squared residual, (n,).
    count : ndarray
        Pairs of each bin, (n,).
    width : ndarray
        Width of the cells that residuals are counted in, (n,).
    histogram : ndarray
        Residuals in each cell, (n, cells); the middle cell is centred on zero.
    occupied : ndarray
        Whether pixels lie in each of even cells of the signal, (cells,).
    averaged : int
        Frames whose mean was taken for the signal; 0 where the signal was given.
    """

    signal: Array
    std: Array
    count: Array
    width: Array
    histogram: Array
    occupied: NDArray[np.bool_]
    averaged: int = 0

    @property
    def span(self) -> tuple[float, float]:
        """Lowest and highest signal of the bins."""
        return float(self.signal[0]), float(self.signal[-1])

    def covers(self, signal: Array) -> NDArray[np.bool_]:
        """Whether noise was measured at signals (...): in the span, and in no gap."""
        low, high = self.span
        inside = (signal >= low) & (signal <= high)
        step = max(high - low, 1e-300) / len(self.occupied)
        cell = np.nan_to_num((signal - low) / step).clip(0, len(self.occupied) - 1)
        return np.asarray(inside & self.occupied[cell.astype(int)])

    def nearest(self, signal: float) -> int:
        """The bin whose mean signal is nearest."""
        return int(np.argmin(np.abs(self.signal - signal)))

    def edges(self, index: int) -> Array:
        """Edges of the cells of residuals of a bin, (cells + 1,)."""
        cells = self.histogram.shape[1]
        return np.asarray((np.arange(cells + 1) - cells / 2) * self.width[index])

    def density(self, index: int) -> Array:
        """Density of the residuals of a bin in its cells, (cells,)."""
        counts = self.histogram[index]
        return np.asarray(counts / max(counts.sum(), 1.0) / self.width[index])

    @property
    def std_error(self) -> Array:
        """Standard error of each std, (n,), of noise with short tails."""
        return np.asarray(self.std / np.sqrt(2 * np.maximum(self.count, 1)))

    @property
    def skewness(self) -> Array:
        """Third moment over the cubed std of each bin, (n,); NaN for two frames.

        Frames are part of their own mean, which makes residuals more symmetrical: for m
        frames by (m - 2) / sqrt(m (m - 1)), which is taken out.
        """
        mean, std = self._moments()
        centred = self._centres() - mean[:, None]
        third = (self._shares() * centred**3).sum(1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(third / std**3 / self._kept_skewness())

    @property
    def divergence(self) -> Array:
        """Kullback-Leibler divergence from a Gaussian of the same std, (n,), in nats.

        What it would be by chance alone is taken off, and nothing is below zero.
        """
        mean, std = self._moments()
        upper = (self._centres() + self.width[:, None] / 2 - mean[:, None]) / std[
            :, None
        ]
        lower = (self._centres() - self.width[:, None] / 2 - mean[:, None]) / std[
            :, None
        ]
        found = self.divergence_from(ndtr(upper) - ndtr(lower))
        # The square is that of the leading term, which goes with the skewness.
        return np.asarray(found / self._kept_skewness() ** 2)

    def divergence_from(self, expected: Array) -> Array:
        """Kullback-Leibler divergence of each bin from probabilities (n, cells).

        NaN where too few pixels are in a bin.
        """
        expected = np.maximum(expected, 1e-12)
        expected = expected / expected.sum(1, keepdims=True)
        shares = self._shares()
        ratio = np.where(shares > 0, shares, 1.0) / expected
        found = np.where(shares > 0, shares * np.log(ratio), 0.0).sum(1)
        few = self.count < _LEAST_FOR_SHAPE
        by_chance = (np.maximum((shares > 0).sum(1) - 3, 0)) / (2 * self._totals())
        return np.where(few, np.nan, np.maximum(found - by_chance, 0.0))

    def in_units(self, gain: float, offset: float) -> MeasuredNoise:
        """The same, in units of `gain` from `offset` on."""
        return replace(
            self,
            signal=(self.signal - offset) / gain,
            std=self.std / gain,
            width=self.width / gain,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain lists, for a noise model file."""
        return {
            "signal": self.signal.tolist(),
            "std": self.std.tolist(),
            "count": self.count.tolist(),
            "width": self.width.tolist(),
            "histogram": self.histogram.astype(int).tolist(),
            "occupied": self.occupied.astype(int).tolist(),
            "averaged": self.averaged,
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> MeasuredNoise:
        """Inverse of `to_json`."""
        signal, std, count, width, histogram = (
            np.array(content[name], float)
            for name in ("signal", "std", "count", "width", "histogram")
        )
        occupied = np.array(content["occupied"], bool)
        columns = (signal, std, count, width, histogram)
        if (
            [v.shape[:1] for v in columns] != [signal.shape] * 5
            or not (signal.size and occupied.size and histogram.size)
            or [v.ndim for v in (*columns, occupied)] != [1, 1, 1, 1, 2, 1]
        ):
            raise ValueError("the columns of the measured noise differ in length")
        averaged = int(content["averaged"])
        return cls(signal, std, count, width, histogram, occupied, averaged)

    def _kept_skewness(self) -> float:
        """Share of the skewness that residuals of a mean of frames keep."""
        frames = self.averaged
        if not frames:
            return 1.0
        if frames < 3:
            return math.nan
        return (frames - 2) / math.sqrt(frames * (frames - 1))

    def _centres(self) -> Array:
        cells = np.arange(self.histogram.shape[1]) - (self.histogram.shape[1] - 1) / 2
        return np.asarray(cells[None] * self.width[:, None])

    def _totals(self) -> Array:
        return np.asarray(np.maximum(self.histogram.sum(1), 1.0))

    def _shares(self) -> Array:
        return np.asarray(self.histogram / self._totals()[:, None])

    def _moments(self) -> tuple[Array, Array]:
        """Mean and std of the counted residuals, each (n,)."""
        mean = (self._shares() * self._centres()).sum(1)
        variance = (self._shares() * (self._centres() - mean[:, None]) ** 2).sum(1)
        return mean, np.sqrt(np.maximum(variance, 1e-300))


def measure_pairs(
    signal: Array,
    residual: Array,
    *,
    order: Array | None = None,
    averaged: int = 0,
    step: float = 0.0,
) -> MeasuredNoise:
    """Sort residuals into bins of like signal.

    Parameters
    ----------
    signal, residual : ndarray
        Of each pixel, (n,), raw units; pixels that are not finite are left out.
    order : ndarray, optional
        What pixels are sorted by, (n,): another estimate of the signal, where residuals
        depend on the one that is given.
    averaged : int
        Frames whose mean was taken for the signal; 0 where the signal was given.
    step : float
        Step between grey values; 0 for none.

    Raises
    ------
    RequestError
        If there are too few pixels.
    """
    order = signal if order is None else order
    good = np.isfinite(signal) & np.isfinite(residual) & np.isfinite(order)
    if good.sum() < _LEAST:
        raise RequestError(
            f"{int(good.sum())} pixels are too few to measure noise; at least {_LEAST} "
            "are needed.",
            "Choose larger or more images.",
        )
    signal, residual, order = signal[good], residual[good], order[good]
    place = _bins(order)
    count = np.bincount(place).astype(float)
    centre = np.bincount(place, signal) / count
    std = np.sqrt(np.bincount(place, residual**2) / count)
    width = _widths(std, step, float(np.abs(signal).max()))
    histogram = _histogram(place, residual, width)
    by_signal = np.argsort(centre, kind="stable")
    return MeasuredNoise(
        centre[by_signal],
        std[by_signal],
        count[by_signal],
        width[by_signal],
        histogram[by_signal],
        _occupied(signal, centre[by_signal]),
        averaged,
    )


def _bins(order: Array) -> NDArray[np.intp]:
    """Number of the bin of each pixel, (n,); none is empty."""
    shares = np.linspace(0, 1, _BINS + 1)
    thin = order[:: max(1, len(order) // 2**18)]
    even = np.linspace(order.min(), order.max(), _BINS + 1)
    edges = np.unique(np.concatenate((np.quantile(thin, shares), even)))[1:-1]
    place = np.searchsorted(edges, order, side="right")
    counts = np.bincount(place, minlength=len(edges) + 1)
    merged, number, total = np.zeros(len(counts), np.intp), 0, 0
    for index, each in enumerate(counts):
        merged[index], total = number, total + each
        if total >= _LEAST:
            number, total = number + 1, 0
    if total < _LEAST:  # what is left over at the bright end joins the last bin
        merged = np.minimum(merged, max(number - 1, 0))
    return np.asarray(merged[place])


def _widths(std: Array, step: float, largest: float) -> Array:
    """Width of the cells of residuals: whole steps between grey values, if any."""
    width = np.maximum(_CELL_STDS * std, max(1e-9 * largest, 1e-30))
    return np.ceil(width / step - 1e-9) * step if step else width


def _histogram(place: NDArray[np.intp], residual: Array, width: Array) -> Array:
    """Residuals in each cell of each bin, (bins, cells); far ones are left out."""
    cells = 2 * _SIDE + 1
    cell = np.floor(residual / width[place] + 0.5) + _SIDE
    inside = (cell >= 0) & (cell < cells)
    flat = place[inside] * cells + cell[inside].astype(np.intp)
    counts = np.bincount(flat, minlength=len(width) * cells)
    return counts.reshape(len(width), cells).astype(float)


def _occupied(signal: Array, centre: Array) -> NDArray[np.bool_]:
    low, high = float(centre[0]), float(centre[-1])
    if high <= low:
        return np.ones(1, bool)
    counts, _ = np.histogram(signal, _CELLS, (low, high))
    return np.asarray(counts >= _OCCUPIED)


Measurement = Generator[float, object, MeasuredNoise | None]
"""Yields the share that is done; ends with None once anything is sent to it."""


def measure_noise_steps(stack: Image, signal: Image | None = None) -> Measurement:
    """Measure the noise of repeated frames, or of an image whose signal is given.

    From eight frames on, pixels are sorted by the mean of every other frame, and
    residuals are those of the others: noise that sorted itself would look narrow.

    Parameters
    ----------
    stack : Image
        Frames of one channel of a static scene; or any image, with a signal.
    signal : Image, optional
        What it shows without noise, or nearly: one plane for all, or one each.

    Yields
    ------
    float
        Share that is done. Send anything to end it.

    Raises
    ------
    RequestError
        If there are too few frames or pixels.
    """
    stack = as_frames(stack)
    frames = yield from _rows(stack, 0.0 if signal is None else 0.5)
    if frames is None:
        return None
    step = _grey_step(frames)
    if signal is None:
        _require_frames(stack, frames)
        return _of_frames(frames, step)
    given = yield from _rows(as_frames(signal), 0.5, like=stack)
    if given is None:
        return None
    return _of_signal(frames, given, step)


def _require_frames(stack: Image, frames: Array) -> None:
    if len(frames) < 2:
        raise RequestError(
            f"{stack.name} has one frame; noise shows in two or more of a still scene.",
            "Choose repeated frames, or a layer that shows the signal.",
        )


def _of_signal(frames: Array, given: Array, step: float) -> MeasuredNoise:
    if given.shape[1:] != frames.shape[1:] or len(given) not in (1, len(frames)):
        raise RequestError(
            "The signal has another size than the frames.",
            "Choose a layer of one plane of the same size, or of as many planes.",
        )
    mean = np.broadcast_to(given, frames.shape).ravel()
    return measure_pairs(mean, frames.ravel() - mean, step=step)


def _of_frames(frames: Array, step: float) -> MeasuredNoise:
    """Measure frames (n, rows, X) by each half of them, or all where they are few."""
    flat = frames.reshape(len(frames), -1)
    halves = [(flat[::2], flat[1::2]), (flat[1::2], flat[::2])]
    if len(flat) < _HALVES:
        halves = [(flat, flat)]
    parts = [_deviations(*pair) for pair in halves]
    order, signal, residual = (
        np.concatenate(each) for each in zip(*parts, strict=True)
    )
    # Halves of unequal number differ by one frame, which matters little.
    averaged = min(len(half) for _, half in halves)
    return measure_pairs(signal, residual, order=order, averaged=averaged, step=step)


def _deviations(sorting: Array, frames: Array) -> Iterator[Array]:
    """What to sort by, mean and residual of frames (m, pixels); each flat."""
    mean, count = frames.mean(0), len(frames)
    yield np.broadcast_to(sorting.mean(0), frames.shape).ravel()
    yield np.broadcast_to(mean, frames.shape).ravel()
    yield ((frames - mean) * math.sqrt(count / (count - 1))).ravel()


def _rows(
    image: Image, start: float, like: Image | None = None
) -> Generator[float, object, Array | None]:
    """Each n-th row of all planes, (planes, rows, X); None once anything is sent."""
    planes = list(image.planes())
    reference = image if like is None else like
    total = sum(1 for _ in reference.planes()) * math.prod(reference.plane_shape)
    every = math.ceil(total / _PIXELS)
    rows = []
    for number, plane in enumerate(planes, 1):
        rows.append(image.read_plane(plane)[::every].astype(np.float64))
        if (yield start + 0.5 * number / len(planes)) is not None:
            return None
    return np.stack(rows)


def _grey_step(frames: Array) -> float:
    """Step between grey values of whole numbers; 0 for others."""
    values = np.unique(frames.ravel()[:65536])
    values = values[np.isfinite(values)]
    if len(values) < 2 or not np.array_equal(values, np.round(values)):
        return 0.0
    return float(np.diff(values).min())
