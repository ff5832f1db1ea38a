"""Noise models from pairs of signal and observation: calibration and bootstrap.

Pairs come from repeated frames of a static scene, whose mean is the signal; from a
noisy stack and a signal that is given; or from an image and its own prediction.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import ndtr

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.image import Image, PlaneIndex, require_denoisable
from napari_selfdenoise.noise_models import (
    NoiseCurve,
    NoiseModel,
    NoiseUnits,
    PoissonGaussianNoise,
    UnmodelledNoise,
    raw_curve,
)
from napari_selfdenoise.noise_models.lines import binned_means, variance_line
from napari_selfdenoise.sampling import Normalization

Array = NDArray[np.float64]

MAX_PAIRS = 4_000_000
"""Pairs that a noise model is fitted to; more tell no more."""

_YIELD_S = 0.5
_STEPS = 800
_GROUPS = 2**14
_LEAST_PAIRS = 256
_FEW_PAIRS = 20_000
_SCORED = 2**16
_SCORED_SHARE = 0.05
_CLIPPED = 1e-3


@dataclass(frozen=True, eq=False)
class FittedNoise:
    """A noise model with what is known of it; what a noise model file holds.

    Parameters
    ----------
    kind : str
        Of the noise model: "histogram", for instance.
    config : NoiseModel
        Its settings.
    curve : NoiseCurve
        What it says, in raw units.
    signal_range : tuple of float
        Lowest and highest signal that it was fitted to, raw units.
    poisson_gaussian : tuple of float
        a and b of the line variance = a * signal + b through the same pairs.
    bits_per_pixel : float
        Mean of -log2 of the probability of the observations given the signal, of pairs
        that were kept out of the fit where there were enough. Lower is better; it
        compares noise models of the same pairs.
    provenance : dict
        Where the pairs came from.
    warnings : list of str
        Sentences the user should read.
    """

    kind: str
    config: NoiseModel
    curve: NoiseCurve
    signal_range: tuple[float, float]
    poisson_gaussian: tuple[float, float]
    bits_per_pixel: float
    provenance: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


Fit = Generator[float, object, FittedNoise | None]
"""Yields the share that is done; ends with None once anything is sent to it."""


# -- Fits ------------------------------------------------------------------------------


def fit_poisson_gaussian(
    signal: Array,
    observation: Array,
    *,
    weight: Array | None = None,
    prior_variance: Array | float | None = None,
    cuts: tuple[float, float] = (0.02, 0.97),
    cut_by: Literal["observation", "signal"] = "signal",
) -> tuple[float, float]:
    """Fit variance = a * signal + b by maximum likelihood (Nelder-Mead).

    Khademi et al. 2021, sections 3 and 4. The start is a weighted least-squares line
    and the search is for the variance at two signals, so that units do not matter.

    Parameters
    ----------
    signal, observation : ndarray
        Predictions and what was observed, (n,), raw units.
    weight : ndarray, optional
        What each pair counts, (n,).
    prior_variance : ndarray or float, optional
        Variance of the prediction itself, (n,) or one for all: part of the residuals,
        not of the noise.
    cuts : tuple of float
        Quantiles outside which pairs are left out.
    cut_by : {"signal", "observation"}
        Whose quantiles. The paper cuts by the observation; that truncates the noise
        at both ends, and a and b come out wrong.

    Returns
    -------
    a, b : float
        Of raw units. b may be negative. Where the signal varies too little to tell a
        from 0, a is 0 and b is the variance.
    """
    arrays = _kept(signal, observation, weight, prior_variance, cuts, cut_by)
    pairs = _Grouped.of(*arrays)
    level = float(np.average(pairs.squared - pairs.prior, weights=pairs.weight))
    a, b = variance_line(pairs.signal, pairs.squared - pairs.prior, pairs.weight)
    if level <= 0 or a <= 3 * pairs.uncertainty_of_a(level):
        return 0.0, max(level, 0.0)
    low, high = pairs.ends()
    start = np.array([a * low + b, a * high + b]) / level
    found = minimize(
        lambda ends: pairs.surprise(*_through(ends * level, low, high), 1e-3 * level),
        np.maximum(start, 1e-2),
        method="Nelder-Mead",
        options={"xatol": 1e-5, "fatol": 1e-10, "maxiter": 400},
    )
    a, b = _through(found.x * level, low, high)
    return (a, b) if a > 0 else (0.0, level)


def _through(ends: Array, low: float, high: float) -> tuple[float, float]:
    """The line with two values at two signals: slope and constant."""
    slope = float(ends[1] - ends[0]) / (high - low)
    return slope, float(ends[0]) - slope * low


def _kept(
    signal: Array,
    observation: Array,
    weight: Array | None,
    prior_variance: Array | float | None,
    cuts: tuple[float, float],
    cut_by: str,
) -> tuple[Array, Array, Array, Array]:
    """Signal, squared residual, weight and prior variance of the pairs to fit."""
    signal, observation = np.asarray(signal, float), np.asarray(observation, float)
    if signal.size == 0:
        raise RequestError(
            "There are no pixels to fit noise to.", "Choose an image that holds pixels."
        )
    deciding = signal if cut_by == "signal" else observation
    low, high = np.quantile(deciding, cuts)
    inside = (deciding >= low) & (deciding <= high)
    prior = 0.0 if prior_variance is None else prior_variance
    shape = signal.shape
    values = (
        signal,
        (observation - signal) ** 2,
        np.ones(shape) if weight is None else np.broadcast_to(weight, shape),
        np.broadcast_to(np.asarray(prior, float), shape),
    )
    s, r, w, v = (np.asarray(array[inside], float) for array in values)
    return s, r, w, v


class _Grouped(NamedTuple):
    """Means over few neighbours in signal: as good as all pairs, and quick."""

    signal: Array
    squared: Array
    weight: Array
    prior: Array
    number: int

    @classmethod
    def of(cls, signal: Array, squared: Array, weight: Array, prior: Array) -> _Grouped:
        groups = min(_GROUPS, len(signal))
        order = np.argsort(signal, kind="stable")
        starts = np.linspace(0, len(signal), groups, endpoint=False).astype(int)
        total = np.maximum(np.add.reduceat(weight[order], starts), 1e-300)
        s, r, v = (
            np.add.reduceat((values * weight)[order], starts) / total
            for values in (signal, squared, prior)
        )
        return cls(s, r, total / total.mean(), v, len(signal))

    def surprise(self, a: float, b: float, least: float) -> float:
        """Mean of squared residual / variance + log variance."""
        variance = np.maximum(a * self.signal + b, least) + self.prior
        each = self.squared / variance + np.log(variance)
        return float(np.average(each, weights=self.weight))

    def ends(self) -> tuple[float, float]:
        """Two signals far apart, but not the rarest."""
        low, high = np.quantile(self.signal, (0.1, 0.9))
        if high <= low:
            low, high = self.signal.min(), self.signal.max()
        return float(low), float(high)

    def uncertainty_of_a(self, level: float) -> float:
        """Standard error of the slope of a variance that is about `level`."""
        middle = np.average(self.signal, weights=self.weight)
        spread = np.average((self.signal - middle) ** 2, weights=self.weight)
        if spread <= (1e-9 * abs(middle)) ** 2:
            return math.inf
        total = level + float(np.average(self.prior, weights=self.weight))
        return total * math.sqrt(2 / (self.number * spread))


def fit_steps(
    config: NoiseModel,
    signal: Array,
    observation: Array,
    *,
    seed: int = 0,
    own_variance: Array | None = None,
    clip: tuple[float, float] = (0.0, 100.0),
    provenance: dict[str, Any] | None = None,
) -> Fit:
    """Fit a noise model to pairs of signal and observation.

    Parameters
    ----------
    config : NoiseModel
        The noise model; not the unmodelled one, and not one from a file.
    signal, observation : ndarray
        Pairs, (n,), raw units.
    seed : int
        Of the random choices.
    own_variance : ndarray, optional
        Variance of the signal itself, (n,), raw units squared, where it is a
        prediction: residuals hold it beside the noise, and are shrunk accordingly.
        Without, a bootstrap overestimates the noise.
    clip : tuple of float
        Percentiles of the signal outside which pairs are left out; (0.5, 99.5) for
        bootstraps, as in Prakash et al. 2020.
    provenance : dict, optional
        What to note of the pairs' origin.

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
        If there are too few pairs, or the noise model cannot be fitted.
    """
    _require_fittable(config)
    luck = np.random.default_rng(seed)
    own = np.zeros(1) if own_variance is None else np.asarray(own_variance, float)
    pairs = _Pairs.of(signal, observation, own, clip, luck)
    if (yield 0.0) is not None:
        return None
    taught, scored = pairs.split()
    norm = Normalization.measure(taught.observation.astype(np.float32))
    low, high = (float(end) for end in (taught.signal.min(), taught.signal.max()))
    floor = _std_floor(taught, norm)
    line = fit_poisson_gaussian(taught.signal, taught.observation, cuts=(0.0, 1.0))
    if (yield 0.0) is not None:
        return None
    if isinstance(config, PoissonGaussianNoise):
        curve = NoiseCurve.line(*line, low, high, floor * norm.scale)
    else:
        fitting = _fit_module(config, taught, norm, floor, seed)
        fitted = yield from _interruptible(fitting)
        if fitted is None:
            return None
        curve = fitted
    if (yield 1.0) is not None:
        return None
    notes = {"pairs": len(taught.signal), "seed": seed, **(provenance or {})}
    return FittedNoise(
        config.kind,
        config,
        curve,
        (low, high),
        curve.poisson_gaussian or line,
        bits_per_pixel(curve, scored.signal, scored.observation),
        notes,
        _fit_warnings(taught),
    )


def fit_noise(
    config: NoiseModel, signal: Array, observation: Array, **options: Any
) -> FittedNoise:
    """Run `fit_steps` to its end; see there."""
    return _run(fit_steps(config, signal, observation, **options))


def _run(steps: Fit) -> FittedNoise:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            fitted: FittedNoise = end.value
            return fitted


def _require_fittable(config: NoiseModel) -> None:
    if config.kind in (UnmodelledNoise().kind, "file"):
        raise RequestError(
            f'The noise model "{config.model_config.get("title")}" cannot be fitted.',
            "Choose histogram, gaussian_mixture or poisson_gaussian.",
        )


class _Pairs(NamedTuple):
    """Signals and observations, in no particular order, each (n,)."""

    signal: Array
    observation: Array

    @classmethod
    def of(
        cls,
        signal: Array,
        observation: Array,
        own: Array,
        clip: tuple[float, float],
        luck: np.random.Generator,
    ) -> _Pairs:
        """Choose from the pairs, at random, and take the signal's own variance out."""
        signal, observation = np.ravel(signal), np.ravel(observation)
        _require_pairs(signal, observation)
        low, high = np.percentile(signal, clip)
        inside = np.flatnonzero((signal >= low) & (signal <= high))
        chosen = luck.permutation(inside)[:MAX_PAIRS]
        s = signal[chosen].astype(np.float64)
        y = observation[chosen].astype(np.float64)
        own = np.broadcast_to(np.ravel(own), signal.shape)[chosen]
        return cls(s, _without_own(s, y, own))

    def split(self) -> tuple[_Pairs, _Pairs]:
        """Pairs to fit, and pairs to score the fit with; the same where few."""
        count = min(_SCORED, int(_SCORED_SHARE * len(self.signal)))
        if len(self.signal) < _FEW_PAIRS:
            return self, self
        taught, scored = slice(count, None), slice(count)
        return (
            _Pairs(self.signal[taught], self.observation[taught]),
            _Pairs(self.signal[scored], self.observation[scored]),
        )


def _require_pairs(signal: Array, observation: Array) -> None:
    if signal.shape != observation.shape:
        raise RequestError(
            f"There are {signal.size} signals for {observation.size} observations.",
            "Give one signal for each observation.",
        )
    if signal.size < _LEAST_PAIRS:
        raise RequestError(
            f"{signal.size} pixels are too few to fit noise to; at least "
            f"{_LEAST_PAIRS} are needed.",
            "Use larger or more frames.",
        )
    if not (np.isfinite(signal).all() and np.isfinite(observation).all()):
        raise RequestError(
            "Some pixels are NaN or infinite; every pixel must be a number.",
            "Crop them away, or fill them, for instance with numpy.nan_to_num.",
        )


def _without_own(signal: Array, observation: Array, own: Array) -> Array:
    """Shrink residuals by the share of their variance that is the signal's own.

    The noise's variance is what a bin of like signal has beyond the mean of the
    signal's own; at least a quarter is left.
    """
    if not np.any(own):
        return observation
    residual, one = observation - signal, np.ones_like(signal)
    centre, total, _ = binned_means(signal, residual**2, one)
    _, part, _ = binned_means(signal, own, one)
    noise = np.interp(signal, centre, np.maximum(total - part, 0.25 * total))
    kept = noise / np.maximum(noise + own, 1e-300)
    return np.asarray(signal + residual * np.sqrt(np.maximum(kept, 0.0)))


def _std_floor(pairs: _Pairs, norm: Normalization) -> float:
    """Rounding's own std, or 3 % of the median noise; normalised."""
    residual = pairs.observation - pairs.signal
    typical = 0.03 * 1.48 * float(np.median(np.abs(residual)))
    rounding = _grey_step(pairs.observation) / math.sqrt(12)
    return max(rounding / norm.scale, typical / norm.scale, 1e-6)


def _grey_step(observation: Array) -> float:
    """Step between grey values of whole numbers; 0 for others."""
    values = np.unique(observation[:65536])
    if len(values) < 2 or not np.array_equal(values, np.round(values)):
        return 0.0
    return float(np.diff(values).min())


def _fit_module(
    config: NoiseModel, pairs: _Pairs, norm: Normalization, floor: float, seed: int
) -> Generator[float, None, NoiseCurve]:
    """Fit the module of a noise model; returns its curve."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = config.build(NoiseUnits(norm.offset, norm.scale, floor))
    assert module is not None
    signal, observation = (
        torch.from_numpy(((v - norm.offset) / norm.scale).astype(np.float32))
        for v in pairs
    )
    luck = torch.Generator().manual_seed(seed)
    steps = module.fit(signal, observation, None, luck, steps=_STEPS)
    for number, _ in enumerate(steps, 1):
        yield number / _STEPS
    low, high = float(signal.min()), float(signal.max())
    return raw_curve(module.eval(), low, high, norm.offset, norm.scale)


def _interruptible(
    steps: Generator[float, None, NoiseCurve],
) -> Generator[float, object, NoiseCurve | None]:
    """Pass the share that is done on now and then; None once anything was sent."""
    reported = -math.inf
    while True:
        try:
            share = next(steps)
        except StopIteration as end:
            curve: NoiseCurve = end.value
            return curve
        if time.monotonic() - reported > _YIELD_S:
            reported = time.monotonic()
            if (yield share) is not None:
                return None


def _fit_warnings(pairs: _Pairs) -> list[str]:
    if len(pairs.signal) >= _FEW_PAIRS:
        return []
    return [
        f"The noise model rests on {len(pairs.signal)} pixels only; its curve is "
        "uncertain. Use more or larger frames."
    ]


def bits_per_pixel(curve: NoiseCurve, signal: Array, observation: Array) -> float:
    """Mean of -log2 of the probability of observations given the signal.

    Whole numbers have a probability, that of all values which are rounded to them;
    other values have a density, over raw units. Lower is better.

    Parameters
    ----------
    curve : NoiseCurve
        In raw units.
    signal, observation : ndarray
        Pairs, (n,), raw units.
    """
    step = _grey_step(observation)
    chunks = np.array_split(np.arange(len(signal)), max(1, len(signal) // 8192))
    total = 0.0
    for chunk in chunks:
        at, residual = curve.at(signal[chunk]), (observation - signal)[chunk, None]
        if step:
            upper, lower = (
                ndtr((residual + half - at.means) / at.stds)
                for half in (step / 2, -step / 2)
            )
            each = upper - lower
        else:
            scaled = (residual - at.means) / at.stds
            each = np.exp(-0.5 * scaled**2) / (at.stds * math.sqrt(2 * math.pi))
        probability = (at.weights * each).sum(1)
        total -= float(np.log2(np.maximum(probability, 1e-30)).sum())
    return total / len(signal)


# -- Calibration -----------------------------------------------------------------------


def calibrate_steps(
    stack: Image,
    config: NoiseModel,
    *,
    signal: Image | None = None,
    own_variance: Image | None = None,
    clip: tuple[float, float] = (0.0, 100.0),
    seed: int = 0,
) -> Fit:
    """Measure the noise of a camera.

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
    _require_stack(stack, signal, own_variance)
    luck = np.random.default_rng(seed)
    planes = list(stack.planes())
    reading = _Reading.plan(stack, planes, luck)
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
        provenance=_provenance(stack, signal),
    )
    fitted = yield from _second_half(fitting)
    if fitted is not None:
        fitted.warnings.extend(reading.warnings())
    return fitted


def calibrate(stack: Image, config: NoiseModel, **options: Any) -> FittedNoise:
    """Run `calibrate_steps` to its end; see there."""
    return _run(calibrate_steps(stack, config, **options))


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
    from napari_selfdenoise import __version__

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
    """Frames as they are read, one by one: some of their pixels, and their levels.

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
        cls, stack: Image, planes: list[PlaneIndex], luck: np.random.Generator
    ) -> _Reading:
        """Choose the pixels to keep."""
        size = math.prod(stack.plane_shape)
        count = min(size, max(1, MAX_PAIRS // len(planes)))
        places = np.sort(luck.choice(size, count, replace=False))
        return cls(stack, places)

    def read(
        self, plane: PlaneIndex, signal: Image | None, own_variance: Image | None
    ) -> None:
        """Take note of one frame."""
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

    def own_variance(self) -> Array | None:
        """Variance of the signals themselves, (n,)."""
        return np.stack(self.own).ravel() if self.own else None

    def warnings(self) -> list[str]:
        """Sentences about frames that a noise model should not be made from."""
        notes = self._clipping()
        if not self.signals:
            notes += self._motion()
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
                    f"{100 * share:.2g} % of the pixels have the "
                    f"{'lowest' if end == 'low' else 'highest'} value, {value:g}: they "
                    "are clipped, and noise at such signals is underestimated. "
                    + ("Raise the camera's offset." if end == "low" else "Expose less.")
                )
        return notes

    def _whole(self) -> bool:
        return _grey_step(self.observed[0]) > 0

    def _motion(self) -> list[str]:
        observed = np.stack(self.observed)
        residual = observed - observed.mean(0)
        noise = residual.std() * math.sqrt(len(observed) / (len(observed) - 1))
        if noise == 0:
            return ["All frames are equal: there is no noise in them."]
        drift = residual.mean(1)
        if drift.std() > 0.15 * noise:
            return [
                f"The mean level changes from frame to frame by {np.ptp(drift):.3g} "
                f"(the noise std is {noise:.3g}): the lamp flickers, or the scene "
                "bleaches or moves. The noise is overestimated."
            ]
        residual = residual - drift[:, None]
        shared = (residual[1:] * residual[:-1]).mean() / noise**2
        if len(observed) > 3 and shared > 0.05:
            return [
                f"Consecutive frames share {100 * shared:.2g} % of their deviation "
                "from the mean: the scene moves or bleaches. The noise is "
                "overestimated."
            ]
        return []


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
    signal, variance = flat.mean(0), flat.var(0, ddof=1)
    centre, mean, _ = binned_means(signal, variance, np.ones_like(signal), bins)
    return centre, mean


def range_warning(
    fitted_range: tuple[float, float],
    low: float,
    high: float,
    share: float | None = None,
) -> str | None:
    """Say that an image leaves the signals that a noise model was made from.

    Parameters
    ----------
    fitted_range : tuple of float
        Of the noise model, raw units.
    low, high : float
        Signals of the image, raw units.
    share : float, optional
        Part of its pixels that lie outside.

    Returns
    -------
    str or None
        None where the image stays inside, but for a hundredth of the range.
    """
    first, last = fitted_range
    slack = 0.01 * (last - first)
    if low >= first - slack and high <= last + slack:
        return None
    outside = "" if share is None else f" ({100 * share:.2g} % of the pixels)"
    return (
        f"The image's signal spans {low:.4g} to {high:.4g}, but the noise model was "
        f"made from {first:.4g} to {last:.4g}; outside{outside} the noise is a guess."
    )
