"""What is kept of repeated frames as they are read, one by one."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import replace
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.defects import CleanImage
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import (
    Image,
    PlaneIndex,
    as_frames,
    require_denoisable,
)
from napari_selfdenoise.noise.calibration.drift import (
    FrameSignals,
    follow_signals,
    unrelated_frames,
)
from napari_selfdenoise.noise.calibration.halves import pairs_of_halves
from napari_selfdenoise.noise.calibration.local_motion import SIDE, moved_pixels
from napari_selfdenoise.noise.calibration.pairs import MAX_PAIRS, grey_step

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
Result = TypeVar("Result")

_LEAST_GOOD = 0.5
"""Share of good pixels below which the scene is not judged by its mean."""


class Reading:
    """The same pixels of every frame, and how often the extreme grey values occur.

    Parameters
    ----------
    stack : Image
        Frames of one channel.
    places : ndarray
        Pixels to keep, in the raveled frame, (n,), increasing.
    """

    def __init__(self, stack: Image, places: Indices) -> None:
        self.stack, self.places = stack, places
        self._frames: list[Array] = []
        self._signals: list[Array] = []
        self._own: list[Array] = []
        self._ends: list[dict[str, tuple[float, int]]] = []
        self._total = np.zeros(stack.plane_shape)

    @classmethod
    def plan(
        cls, stack: Image, planes: list[PlaneIndex], rng: np.random.Generator
    ) -> Reading:
        """Choose the pixels to keep: all, or whole blocks at random."""
        size = math.prod(stack.plane_shape)
        count = min(size, max(1, MAX_PAIRS // len(planes)))
        rows, width = math.prod(stack.plane_shape[:-1]), stack.plane_shape[-1]
        if count < size and min(rows, width) >= 4 * SIDE:
            return cls(stack, _blocks(rows, width, count, rng))
        return cls(stack, np.sort(rng.choice(size, count, replace=False)))

    def read(
        self, plane: PlaneIndex, signal: Image | None, own_variance: Image | None
    ) -> None:
        """Read one frame and keep its chosen pixels."""
        pixels = self.stack.read_plane(plane)
        self._frames.append(self._chosen(pixels))
        for given, kept in ((signal, self._signals), (own_variance, self._own)):
            if given is not None:
                kept.append(self._chosen_of(given, kept))
        self._total += pixels
        self._ends.append(
            {
                end: (float(value), int((pixels == value).sum()))
                for end, value in (("low", pixels.min()), ("high", pixels.max()))
            }
        )

    def _chosen_of(self, given: Image, kept: list[Array]) -> Array:
        """What is given for the next frame: a plane of its own, or that of all."""
        planes = list(given.planes())
        if kept and len(planes) == 1:
            return kept[0]
        return self._chosen(given.read_plane(planes[len(kept)]))

    def _chosen(self, pixels: NDArray[np.float32]) -> Array:
        return pixels.ravel()[self.places].astype(np.float64)

    @property
    def width(self) -> int:
        """Pixels in a row of the frame."""
        return self.stack.plane_shape[-1]

    def share_at_end(self, end: str) -> tuple[float, float]:
        """Lowest or highest value of all frames, and the share of pixels there.

        Parameters
        ----------
        end : str
            "low" or "high".
        """
        kept = zip(self._ends, self.left_out, strict=True)
        values = [ends[end] for ends, out in kept if not out]
        last = (min if end == "low" else max)(value for value, _ in values)
        number = sum(count for value, count in values if value == last)
        return last, number / (len(values) * math.prod(self.stack.plane_shape))

    @property
    def has_signal(self) -> bool:
        """Whether the signal is given: otherwise it is the mean of the frames."""
        return bool(self._signals)

    @cached_property
    def left_out(self) -> NDArray[np.bool_]:
        """Frames that show nothing of the scene, (frames,); none of a given signal."""
        if self.has_signal:
            return np.zeros(len(self._frames), np.bool_)
        return unrelated_frames(np.stack(self._frames))

    @cached_property
    def observed(self) -> Array:
        """Chosen pixels of the frames that show the scene, (frames, n), raw units."""
        kept = zip(self._frames, self.left_out, strict=True)
        return np.stack([frame for frame, out in kept if not out])

    @cached_property
    def signals(self) -> FrameSignals:
        """Signal and residual of each frame that shows the scene."""
        if not self.has_signal:
            return follow_signals(self.observed)
        signal = np.stack(self._signals)
        residual = self.observed - signal
        return FrameSignals(signal, residual, 0, signal.mean(1), 0.0)

    def pairs(self, chosen: NDArray[np.bool_] | None = None) -> tuple[Array, Array]:
        """Signals and observations, (pairs,), of pixels that can be used.

        Parameters
        ----------
        chosen : ndarray, optional
            Which pixels to take of those that were kept, (n,); all good ones without.
        """
        chosen = self.usable if chosen is None else chosen
        signal = self.signals.signal[:, chosen]
        residual = self.signals.residual[:, chosen]
        return signal.ravel(), (signal + residual).ravel()

    def variance_pairs(
        self, chosen: NDArray[np.bool_] | None = None
    ) -> tuple[Array, Array] | None:
        """The same, for the variance: of halves of the frames (`pairs_of_halves`)."""
        if self.has_signal:
            return None
        chosen, found = self.usable if chosen is None else chosen, self.signals
        return pairs_of_halves(
            replace(
                found,
                signal=found.signal[:, chosen],
                residual=found.residual[:, chosen],
            )
        )

    @cached_property
    def good(self) -> NDArray[np.bool_]:
        """Which chosen pixels are no hot or dead ones and were recorded, (n,).

        As the mean of the frames shows them; all, where a signal is given.
        """
        mean = np.float32(self._total / len(self._frames))
        if self.has_signal or self.left_out.all():
            return np.ones(len(self.places), np.bool_)
        plane = Image(mean, "YX")
        clean = CleanImage(plane, subtract=False).read(next(iter(plane.planes())))
        good = clean.good.ravel()[self.places]
        enough = good.mean() > _LEAST_GOOD
        return good if enough else np.ones_like(good)

    @cached_property
    def moved(self) -> NDArray[np.bool_]:
        """Which chosen pixels lie where something moves, (n,)."""
        if self.has_signal:
            return np.zeros(len(self.places), np.bool_)
        signals = self.signals
        mean = signals.signal.mean(0)
        return moved_pixels(signals.residual, self.places, self.width, mean)

    @cached_property
    def usable(self) -> NDArray[np.bool_]:
        """Which chosen pixels noise can be measured at, (n,).

        Good ones where nothing moves; where too much moves, what does is kept.
        """
        still = self.good & ~self.moved
        return still if still.mean() > _LEAST_GOOD else self.good

    def step(self) -> float:
        """Step between grey values as recorded; what `pairs` gives is corrected."""
        return grey_step(self.observed[0])

    def own_variance(self) -> Array | None:
        """Variance of the signals themselves, (pairs,)."""
        return np.stack(self._own)[:, self.usable].ravel() if self._own else None


def _blocks(rows: int, width: int, count: int, rng: np.random.Generator) -> Indices:
    """Pixels of blocks at random, about `count`, in the raveled frame, increasing."""
    down, across = rows // SIDE, width // SIDE
    number = min(down * across, max(1, count // SIDE**2))
    chosen = rng.choice(down * across, number, replace=False)
    corner = chosen // across * SIDE * width + chosen % across * SIDE
    within = np.add.outer(np.arange(SIDE) * width, np.arange(SIDE)).ravel()
    return np.sort(np.add.outer(corner, within).ravel())


def read_steps(
    stack: Image,
    signal: Image | None = None,
    own_variance: Image | None = None,
    *,
    seed: int = 0,
) -> Generator[float, object, Reading | None]:
    """Read the frames of a stack, and keep of them what a calibration needs.

    Parameters
    ----------
    stack, signal, own_variance : Image
        As for `calibrate_steps`; of a line scan, each line is a frame.
    seed : int
        Of the choice of pixels.

    Yields
    ------
    float
        Share that is read. Send anything to end it.

    Returns
    -------
    Reading
        Or None, where it was ended early.

    Raises
    ------
    RequestError
        If there are several channels, too few frames, or shapes that do not match.
    """
    stack = as_frames(stack)
    signal = None if signal is None else as_frames(signal)
    require_stack(stack, signal, own_variance)
    planes = list(stack.planes())
    reading = Reading.plan(stack, planes, np.random.default_rng(seed))
    for number, plane in enumerate(planes, 1):
        reading.read(plane, signal, own_variance)
        if (yield number / len(planes)) is not None:
            return None
    _require_frames(reading)
    return reading


def in_part(
    steps: Generator[float, object, Result], begin: float, end: float
) -> Generator[float, object, Result]:
    """Run a generator of shares as a part of a longer one, from begin to end."""
    command: object = None
    while True:
        try:
            share = steps.send(command)
        except StopIteration as done:
            result: Result = done.value
            return result
        command = yield begin + (end - begin) * share


def _require_frames(reading: Reading) -> None:
    shown = int((~reading.left_out).sum())
    if shown < 2 and not reading.has_signal:
        raise RequestError(
            f"Of {len(reading.left_out)} frames of {reading.stack.name}, {shown} "
            "shows a scene: the others are blank.",
            "Record two or more frames of the same static scene.",
        )


def require_stack(
    stack: Image, signal: Image | None, own_variance: Image | None
) -> None:
    """Refuse several channels, single frames, and shapes that do not match.

    Raises
    ------
    RequestError
        If there are any.
    """
    images = [image for image in (stack, signal, own_variance) if image is not None]
    for image in images:
        require_denoisable(image)
        if image.channels > 1:
            raise RequestError(
                f"{image.name} has {image.channels} channels, each with noise of its "
                "own.",
                "Calibrate one channel at a time: choose one, or split the image.",
            )
    frames = count_of_frames(stack)
    if signal is None and frames < 2:
        raise RequestError(
            f"{stack.name} is {stack.describe(False)}; its noise can be measured from "
            "two or more frames of the same static scene.",
            "Record more frames, or give the signal.",
        )
    for given in images[1:]:
        if given.plane_shape != stack.plane_shape or count_of_frames(given) not in (
            1,
            frames,
        ):
            raise RequestError(
                f"{given.name} ({given.describe(False)}) does not match {stack.name} "
                f"({stack.describe(False)}).",
                "Give one plane of the same size for all frames, or one for each.",
            )


def count_of_frames(image: Image) -> int:
    """Number of planes."""
    return sum(1 for _ in image.planes())
