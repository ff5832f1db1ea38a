"""Calibration: the noise of a camera from frames of a static scene."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.defects import rounding_notes
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import (
    Image,
    PlaneIndex,
    as_frames,
    bins_by_signal,
    means_of_bins,
    require_denoisable,
)
from napari_selfdenoise.long_work import run_to_end
from napari_selfdenoise.noise.calibration.fit import Fit, fit_steps
from napari_selfdenoise.noise.calibration.motion import motion_warnings
from napari_selfdenoise.noise.calibration.pairs import MAX_PAIRS, grey_step
from napari_selfdenoise.parts.noise_models import FittedNoise, NoiseModel, binned_means
from napari_selfdenoise.version import __version__

Array = NDArray[np.float64]

_CLIPPED = 1e-3

_SHOWN_PIXELS = 2_000_000
_LEAST_FRAMES = 4
"""Pixels that a scatter is measured from."""


def calibrate_steps(
    stack: Image,
    config: NoiseModel,
    *,
    signal: Image | None = None,
    own_variance: Image | None = None,
    clip: tuple[float, float] = (0.0, 100.0),
    seed: int = 0,
) -> Fit:
    """Fit a noise model to repeated frames of a camera.

    Without a signal, the frames show the same static scene, and their mean is taken
    for it. A frame is part of that mean, so residuals are too small by
    sqrt((n - 1) / n) for n frames; they are corrected.

    Parameters
    ----------
    stack : Image
        Noisy frames of one channel.
    config : NoiseModel
        What to fit.
    signal : Image, optional
        What the frames show without noise: one plane for all, or one each. A
        prediction, in a bootstrap.
    own_variance : Image, optional
        Variance of the signal itself, as `signal`, where it is a prediction.
    clip : tuple of float
        Percentiles of the signal outside which pixels are left out.
    seed : int
        Of the random choices.

    Yields
    ------
    float
        Share that is done, at least once a second. Send anything to end it.

    Returns
    -------
    FittedNoise
        Or None, where it was ended early.

    Raises
    ------
    RequestError
        If there are several channels, too few frames, or shapes that do not match.
    """
    stack = as_frames(stack)  # each line of a line scan is a frame
    signal = None if signal is None else as_frames(signal)
    _require_stack(stack, signal, own_variance)
    rounded = rounding_notes(stack)
    rng = np.random.default_rng(seed)
    planes = list(stack.planes())
    reading = _Reading.plan(stack, planes, rng)
    for number, plane in enumerate(planes, 1):
        reading.read(plane, signal, own_variance)
        if (yield 0.5 * number / len(planes)) is not None:
            return None
    pairs = reading.pairs()
    fitting = fit_steps(
        config,
        *pairs,
        own_variance=reading.own_variance(),
        clip=clip,
        seed=seed,
        step=reading.step(),
        provenance=_provenance(stack, signal),
    )
    fitted = yield from _second_half(fitting)
    if fitted is not None:
        fitted.warnings.extend([*rounded, *reading.warnings()])
    return fitted


def calibrate(stack: Image, config: NoiseModel, **options: Any) -> FittedNoise:
    """Run `calibrate_steps` to its end; see there."""
    fitted = run_to_end(calibrate_steps(stack, config, **options))
    assert fitted is not None  # nobody stopped it
    return fitted


def _second_half(steps: Fit) -> Fit:
    command: object = None
    while True:
        try:
            share = steps.send(command)
        except StopIteration as end:
            fitted: FittedNoise | None = end.value
            return fitted
        command = yield 0.5 + 0.5 * share


def _provenance(stack: Image, signal: Image | None) -> dict[str, Any]:
    return {
        "image": stack.name,
        "axes": stack.describe(),
        "signal": "mean of the frames" if signal is None else signal.name,
        "version": __version__,
    }


def _require_stack(
    stack: Image, signal: Image | None, own_variance: Image | None
) -> None:
    images = [image for image in (stack, signal, own_variance) if image is not None]
    for image in images:
        require_denoisable(image)
        if image.channels > 1:
            raise RequestError(
                f"{image.name} has {image.channels} channels, each with noise of its "
                "own.",
                "Calibrate one channel at a time: choose one, or split the image.",
            )
    frames = _count(stack)
    if signal is None and frames < 2:
        raise RequestError(
            f"{stack.name} is {stack.describe(False)}; its noise can be measured from "
            "two or more frames of the same static scene.",
            "Record more frames, or give the signal.",
        )
    for given in images[1:]:
        if given.plane_shape != stack.plane_shape or _count(given) not in (1, frames):
            raise RequestError(
                f"{given.name} ({given.describe(False)}) does not match {stack.name} "
                f"({stack.describe(False)}).",
                "Give one plane of the same size for all frames, or one for each.",
            )


def _count(image: Image) -> int:
    """Number of planes."""
    return sum(1 for _ in image.planes())


class _Reading:
    """Pixels and grey values that are kept of frames as they are read, one by one.

    The same pixels of every frame, so that their mean over frames is at hand.
    """

    def __init__(self, stack: Image, places: NDArray[np.intp]) -> None:
        self.stack, self.places = stack, places
        self.observed: list[Array] = []
        self.signals: list[Array] = []
        self.own: list[Array] = []
        self.ends: dict[str, dict[float, int]] = {"low": {}, "high": {}}
        self.pixels = 0

    @classmethod
    def plan(
        cls, stack: Image, planes: list[PlaneIndex], rng: np.random.Generator
    ) -> _Reading:
        """Choose the pixels to keep."""
        size = math.prod(stack.plane_shape)
        count = min(size, max(1, MAX_PAIRS // len(planes)))
        places = np.sort(rng.choice(size, count, replace=False))
        return cls(stack, places)

    def read(
        self, plane: PlaneIndex, signal: Image | None, own_variance: Image | None
    ) -> None:
        """Read one frame and keep its chosen pixels."""
        pixels = self.stack.read_plane(plane)
        self.observed.append(self._chosen(pixels))
        for given, kept in ((signal, self.signals), (own_variance, self.own)):
            if given is not None:
                kept.append(self._chosen_of(given, kept))
        self.pixels += pixels.size
        for end, value in (("low", pixels.min()), ("high", pixels.max())):
            tally = self.ends[end]
            tally[float(value)] = tally.get(float(value), 0) + int(
                (pixels == value).sum()
            )

    def _chosen_of(self, given: Image, kept: list[Array]) -> Array:
        """What is given for the next frame: a plane of its own, or that of all."""
        planes = list(given.planes())
        if kept and len(planes) == 1:
            return kept[0]
        return self._chosen(given.read_plane(planes[len(kept)]))

    def _chosen(self, pixels: NDArray[np.float32]) -> Array:
        return pixels.ravel()[self.places].astype(np.float64)

    def pairs(self) -> tuple[Array, Array]:
        """Signals and observations, (n,)."""
        observed = np.stack(self.observed)  # (frames, pixels)
        if self.signals:
            return np.stack(self.signals).ravel(), observed.ravel()
        mean, count = observed.mean(0), len(observed)
        residual = (observed - mean) * math.sqrt(count / (count - 1))
        return np.broadcast_to(mean, observed.shape).ravel(), (mean + residual).ravel()

    def step(self) -> float:
        """Step between grey values as recorded; what `pairs` gives is corrected."""
        return grey_step(self.observed[0])

    def own_variance(self) -> Array | None:
        """Variance of the signals themselves, (n,)."""
        return np.stack(self.own).ravel() if self.own else None

    def warnings(self) -> list[str]:
        """Sentences about frames that a noise model should not be made from."""
        notes = self._clipping()
        if not self.signals:
            width = self.stack.plane_shape[-1]
            notes += motion_warnings(np.stack(self.observed), self.places, width)
        return notes

    def _clipping(self) -> list[str]:
        if self.stack.dtype.kind == "f" and not self._whole():
            return []
        notes = []
        for end, pick in (("low", min), ("high", max)):
            tally = self.ends[end]
            value = pick(tally)
            share = tally[value] / self.pixels
            if share > _CLIPPED:
                notes.append(
                    f"Noise of {'dark' if end == 'low' else 'bright'} pixels is "
                    f"underestimated: {100 * share:.2g} % of all are clipped, at the "
                    f"{'lowest' if end == 'low' else 'highest'} value, {value:g}. "
                    + ("Raise the camera's offset." if end == "low" else "Expose less.")
                )
        return notes

    def _whole(self) -> bool:
        return self.step() > 0


def measured_variance(stack: NDArray[Any], bins: int = 64) -> tuple[Array, Array]:
    """Variance over repeated frames, in bins of equally many pixels of like signal.

    Parameters
    ----------
    stack : ndarray
        Frames of a static scene, (n, Y, X), raw units.
    bins : int
        Fewer are made of fewer than 64 pixels a bin.

    Returns
    -------
    signal, variance : ndarray
        Of each bin, by increasing signal.
    """
    flat = np.asarray(stack, np.float64).reshape(len(stack), -1)
    if len(flat) < 2 * _LEAST_FRAMES:  # each half tells a variance
        return _variance_by(flat.mean(0), flat, bins)
    # Sorted by themselves, skewed noise looks weaker where it happened to be dim.
    even, odd = flat[::2], flat[1::2]
    found = _variance_by(even.mean(0), odd, bins), _variance_by(odd.mean(0), even, bins)
    signal, variance = (np.mean(values, axis=0) for values in zip(*found, strict=True))
    order = np.argsort(signal)
    return signal[order], variance[order]


def _variance_by(order: Array, frames: Array, bins: int) -> tuple[Array, Array]:
    """Mean and variance over frames (n, pixels), in bins of pixels of like `order`."""
    groups = bins_by_signal(order, bins, least=64)
    signal, variance = frames.mean(0), frames.var(0, ddof=1)
    return means_of_bins(groups, signal), means_of_bins(groups, variance)


def measured_scatter(stack: Image, signal: Image | None = None) -> tuple[Array, Array]:
    """Noise std in bins of like signal, from some rows of all frames.

    Parameters
    ----------
    stack, signal : Image
        As for `calibrate_steps`.

    Returns
    -------
    signal, std : ndarray
        Of each bin, by increasing signal, raw units.
    """
    count = _count(stack) * math.prod(stack.plane_shape)
    every = math.ceil(count / _SHOWN_PIXELS)
    frames = _some_rows(stack, every)
    if signal is None:
        centre, variance = measured_variance(frames)
    else:
        mean = np.broadcast_to(_some_rows(signal, every), frames.shape).ravel()
        squared = (frames.ravel() - mean) ** 2
        centre, variance, _ = binned_means(mean, squared, np.ones_like(mean))
    return centre, np.sqrt(variance)


def _some_rows(image: Image, every: int) -> Array:
    """Each n-th row of all planes, (planes, rows, X)."""
    rows = [image.read_plane(plane)[::every] for plane in image.planes()]
    return np.stack(rows).astype(np.float64)
