"""Whether repeated frames are fit for a calibration, and what is wrong with them."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.images import Image, bins_by_signal
from napari_selfdenoise.long_work import run_to_end
from napari_selfdenoise.noise.calibration.motion import motion_warnings
from napari_selfdenoise.noise.calibration.reading import Reading, read_steps

Array = NDArray[np.float64]

Topic = Literal[
    "frames", "brightness", "drift", "motion", "clipping", "pixels", "range"
]

_CLIPPED = 1e-3
"""Share of the pixels at one end of the grey values that is too much."""

_FLICKER = 0.15
"""Standard deviation of the mean level that is spoken of, in units of the noise's."""

_DRIFT = 0.02
"""Share that slow drift adds to the variance somewhere, from which on it is named."""

_MUCH_DRIFT = 0.5
"""The same from which on the frames are doubtful."""

_MOVED = 0.25
"""Share of the scene in motion from which on nothing can be relied on."""

_STEPS = 24
_FEW = 1e-4
_FEWEST = 64
"""Parts of the signal range, and share and number of pixels of a gap, at most."""

_GAP = 3
_BESIDE = 0.01
"""Parts in a row that make a gap, and share of the pixels to either side, at least."""

_BAD = 1e-3
"""Share of hot or dead pixels that is spoken of; the sharpest spots look like some."""

_SCATTER = 8.0
"""Range of the means of n frames of one signal, in noise stds over the root of n."""

_UNEQUAL = 0.25
"""Relative std of the pixels' noise variances at one signal that is spoken of."""

_LEAST_FRAMES = 8
"""Frames from which on pixels are compared with each other."""


@dataclass(frozen=True)
class Finding:
    """One thing that is odd about repeated frames.

    Parameters
    ----------
    topic : str
        What it is about.
    found, meaning, advice : str
        A sentence each: what was found, what it means for the noise model, what to try.
    serious : bool
        Whether the noise model is wrong because of it; otherwise it was corrected, or
        does little.
    """

    topic: Topic
    found: str
    meaning: str
    advice: str
    serious: bool = True

    def __str__(self) -> str:
        """All of it, what it means first."""
        return " ".join(
            part for part in (self.meaning, self.found, self.advice) if part
        )


@dataclass(frozen=True)
class FrameCheck:
    """What is odd about repeated frames of a scene.

    Parameters
    ----------
    frames : int
        That show the scene.
    left_out : tuple of int
        Frames that do not, counted from 0.
    moved : float
        Share of the pixels that lie where something moves.
    drift : float
        Share that slow drift adds to the variance over frames, at most.
    signal_range : tuple of float
        Lowest and highest signal, raw units.
    findings : tuple of Finding
        The most serious first.
    """

    frames: int
    left_out: tuple[int, ...]
    moved: float
    drift: float
    signal_range: tuple[float, float]
    findings: tuple[Finding, ...]

    @property
    def static(self) -> bool:
        """Whether nothing was found that moves."""
        return not any(one.topic == "motion" for one in self.findings)

    @property
    def warnings(self) -> list[str]:
        """The findings as sentences."""
        return [str(one) for one in self.findings]


def check_steps(
    stack: Image, *, seed: int = 0
) -> Generator[float, object, FrameCheck | None]:
    """Check whether frames show one static scene, unclipped, over a range of signals.

    Parameters
    ----------
    stack : Image
        Frames of one channel.
    seed : int
        Of the choice of pixels.

    Yields
    ------
    float
        Share that is done. Send anything to end it.

    Returns
    -------
    FrameCheck
        Or None, where it was ended early.

    Raises
    ------
    RequestError
        If there are several channels, or fewer than two frames.
    """
    reading = yield from read_steps(stack, seed=seed)
    return None if reading is None else check_reading(reading)


def check_stack(stack: Image, *, seed: int = 0) -> FrameCheck:
    """Run `check_steps` to its end; see there."""
    found = run_to_end(check_steps(stack, seed=seed))
    assert found is not None  # nobody stopped it
    return found


def check_reading(reading: Reading) -> FrameCheck:
    """Check frames that were read; where a signal is given, only for clipping."""
    findings = _equal(reading)
    if not findings:
        findings = [finding for check in _CHECKS for finding in check(reading)]
    findings.sort(key=lambda finding: not finding.serious)
    signal = reading.signals.signal
    return FrameCheck(
        len(reading.observed),
        tuple(np.flatnonzero(reading.left_out).tolist()),
        float(reading.moved.mean()),
        reading.signals.drift,
        (float(signal.min()), float(signal.max())),
        tuple(findings),
    )


def _equal(reading: Reading) -> list[Finding]:
    """Copies of one frame."""
    if reading.has_signal or np.ptp(reading.observed, axis=0).max() > 0:
        return []
    equal = "All frames are equal: there is no noise in them."
    return [Finding("frames", equal, "", "Record each frame anew.")]


def _frames(reading: Reading) -> list[Finding]:
    """Frames that were left out."""
    out = np.flatnonzero(reading.left_out) + 1
    if not len(out):
        return []
    listed = ", ".join(map(str, out[:5])) + (", …" if len(out) > 5 else "")
    return [
        Finding(
            "frames",
            f"{len(out)} of {len(reading.left_out)} frames show nothing of the scene "
            f"(frame {listed}).",
            "Blank frames were left out.",
            "",
            serious=False,
        )
    ]


def _brightness(reading: Reading) -> list[Finding]:
    """Frames that are brighter or darker as a whole."""
    level, noise = reading.signals.brightness, reading.signals.residual.std()
    if reading.has_signal or level.std() <= _FLICKER * noise:
        return []
    return [
        Finding(
            "brightness",
            "The lamp flickers, or the sample bleaches: the mean brightness changes "
            f"from frame to frame by {_rounded(np.ptp(level))} (noise std "
            f"{_rounded(noise)}).",
            "Each frame was compared with the mean at its own brightness.",
            "Use a steady lamp, or a sample that does not bleach.",
            serious=False,
        )
    ]


def _drift(reading: Reading) -> list[Finding]:
    """Pixels that drift slowly, which was followed."""
    drift = reading.signals.drift
    if drift < _DRIFT:
        return []
    serious = drift > _MUCH_DRIFT
    return [
        Finding(
            "drift",
            f"The scene moves or fades slowly: that adds {_percent(drift)} to the "
            "variance over frames where it is strongest.",
            "What changes slowly was followed and taken out.",
            "To be sure, record a fixed slide." if serious else "",
            serious,
        )
    ]


def _motion(reading: Reading) -> list[Finding]:
    """What moves faster than can be followed."""
    if reading.has_signal:
        return []
    share = float(reading.moved.mean())
    if share > _MOVED:
        return [_moving_scene(share)]
    findings = [_moving_parts(share)] if share else []
    kept, places = reading.usable, reading.places[reading.usable]
    count, waves = len(reading.observed), reading.signals.waves
    steady = reading.signals.residual[:, kept] * math.sqrt((count - waves) / count)
    sentences = motion_warnings(steady, places, reading.width, waves)
    return findings + [Finding("motion", "", one, "") for one in sentences]


def _moving_scene(share: float) -> Finding:
    return Finding(
        "motion",
        f"Something moves in {_percent(share)} of the picture.",
        "These frames are no calibration: motion is taken for noise, and the noise "
        "curve is wrong.",
        "Record a fixed slide.",
    )


def _moving_parts(share: float) -> Finding:
    return Finding(
        "motion",
        f"Something moves in {_percent(share)} of the picture.",
        "The moving parts were left out.",
        "",
        serious=False,
    )


def _clipping(reading: Reading) -> list[Finding]:
    """Pixels that are cut off at either end of the grey values."""
    if reading.stack.dtype.kind == "f" and not reading.step() > 0:
        return []
    findings = []
    ends = ("low", "Raise the camera's offset."), ("high", "Expose less.")
    for end, advice in ends:
        value, share = reading.share_at_end(end)
        if share > _CLIPPED:
            dark, lowest = ("dark", "lowest") if end == "low" else ("bright", "highest")
            findings.append(
                Finding(
                    "clipping",
                    f"{_percent(share)} of all are clipped, at the {lowest} value, "
                    f"{value:g}.",
                    f"Noise of {dark} pixels is underestimated.",
                    advice,
                )
            )
    return findings


def _pixels(reading: Reading) -> list[Finding]:
    """Hot pixels, and pixels whose noise differs at the same signal."""
    if reading.has_signal:
        return []
    findings = []
    bad = int((~reading.good).sum())
    if bad > _BAD * len(reading.good):
        findings.append(
            Finding(
                "pixels",
                f"{bad} pixels are hot, dead or not recorded.",
                "Bad pixels were left out.",
                "",
                serious=False,
            )
        )
    unequal = _spread_of_variances(reading)
    if unequal > _UNEQUAL:
        findings.append(
            Finding(
                "pixels",
                "Pixels of the same signal differ in their noise variance by "
                f"{_percent(unequal)} (std), as on an sCMOS camera.",
                "The noise curve is that of the average pixel.",
                "Where this matters, correct the camera's offset and gain pixel by "
                "pixel first.",
            )
        )
    return findings


def _spread_of_variances(reading: Reading) -> float:
    """Relative std of the pixels' variances at one signal, dark end: 0 if by chance.

    Variances of even and of odd frames are independent but for what is the pixel's.
    """
    residual = reading.signals.residual[:, reading.usable]
    if len(residual) < _LEAST_FRAMES:
        return 0.0
    signal = reading.signals.signal[:, reading.usable].mean(0)
    squared = residual**2
    even, odd = squared[::2].mean(0), squared[1::2].mean(0)
    found = []
    groups = bins_by_signal(signal, 64, least=512)
    for group in groups[: max(1, len(groups) // 4)]:
        pair = np.stack((even[group], odd[group]))
        pair = pair - np.stack([_straight(signal[group], one) for one in pair])
        shared = float((pair[0] * pair[1]).mean())
        error = float((pair[0] * pair[1]).std()) / np.sqrt(len(group))
        mean = float(squared[:, group].mean())
        sure = shared > 4 * error and mean > 0
        found.append(np.sqrt(shared) / mean if sure else 0.0)
    return float(np.median(found))


def _straight(x: Array, y: Array) -> Array:
    """Least-squares line through points (n,), at each x."""
    centred = x - x.mean()
    slope = centred @ y / max(float(centred @ centred), 1e-300)
    return np.asarray(y.mean() + slope * centred)


def _range(reading: Reading) -> list[Finding]:
    """Signals that the frames do not hold."""
    if reading.has_signal:
        return []
    signal = reading.signals.signal[:, reading.usable].mean(0)
    low, high = np.percentile(signal, (0.1, 99.9))
    noise = float(reading.signals.residual.std())
    if high - low <= noise * max(1.0, _SCATTER / math.sqrt(len(reading.observed))):
        return [_narrow(low, high, noise)]
    counts, edges = np.histogram(signal, _STEPS, (low, high))
    few = counts < max(_FEWEST / len(reading.observed), _FEW * len(signal))
    first, length = _longest(few)
    around = counts[:first].sum(), counts[first + length :].sum()
    if length < _GAP or min(around) < _BESIDE * len(signal):
        return []
    return [
        Finding(
            "range",
            f"Hardly any pixel has a signal between {edges[first]:.4g} and "
            f"{edges[first + length]:.4g}.",
            "The noise curve is interpolated there.",
            "Add frames of a scene with such signals, such as an out-of-focus one.",
            serious=False,
        )
    ]


def _narrow(low: float, high: float, noise: float) -> Finding:
    return Finding(
        "range",
        f"Signals span {_rounded(low)} to {_rounded(high)} only (noise std "
        f"{_rounded(noise)}).",
        "How the noise grows with the signal cannot be measured.",
        "Use a scene from dark to bright.",
        serious=False,
    )


def _longest(flags: NDArray[np.bool_]) -> tuple[int, int]:
    """First place and length of the longest run of True."""
    best, run = (0, 0), 0
    for place, flag in enumerate(flags):
        run = run + 1 if flag else 0
        if run > best[1]:
            best = place - run + 1, run
    return best


def _percent(share: float) -> str:
    """A share in percent, of two digits."""
    return f"{float(f'{100 * share:.2g}'):g} %"


def _rounded(value: float) -> str:
    """A number of three digits, without an exponent where it is of usual size."""
    return f"{float(f'{value:.3g}'):g}"


_CHECKS: tuple[Callable[[Reading], list[Finding]], ...] = (
    _motion,
    _clipping,
    _brightness,
    _drift,
    _pixels,
    _frames,
    _range,
)
