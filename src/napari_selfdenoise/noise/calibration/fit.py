"""Noise models from pairs of signal and observation."""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtr

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import Normalization
from napari_selfdenoise.long_work import run_to_end
from napari_selfdenoise.noise.calibration.line import fit_poisson_gaussian
from napari_selfdenoise.noise.calibration.pairs import (
    FEW_PAIRS,
    Pairs,
    balance,
    grey_step,
    least_std,
    std_floor,
)
from napari_selfdenoise.noise.calibration.variance_match import with_measured_variance
from napari_selfdenoise.parts.noise_models import (
    FittedNoise,
    NoiseCurve,
    NoiseModel,
    NoiseUnits,
    PoissonGaussianNoise,
    raw_curve,
)

Array = NDArray[np.float64]

_YIELD_S = 0.5
_STEPS = 2000


Fit = Generator[float, object, FittedNoise | None]
"""Yields the share that is done; ends with None once anything is sent to it."""


def fit_steps(
    config: NoiseModel,
    signal: Array,
    observation: Array,
    *,
    seed: int = 0,
    own_variance: Array | None = None,
    variance_pairs: tuple[Array, Array] | None = None,
    clip: tuple[float, float] = (0.0, 100.0),
    step: float | None = None,
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
        prediction: residuals hold it as well as the noise, and are shrunk accordingly.
        Without, a bootstrap overestimates the noise.
    variance_pairs : tuple of ndarray, optional
        Signals and observations that the variance is measured on, (n,) each, raw
        units, where the signal of the pairs is itself noisy (`pairs_of_halves`).
    clip : tuple of float
        Percentiles of the signal outside which pairs are left out; (0.5, 99.5) for
        bootstraps, as in Prakash et al. 2020.
    step : float, optional
        Step between the grey values that were recorded, 0 for none; that of the
        observations if not given.
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
    own = np.zeros(1) if own_variance is None else np.asarray(own_variance, float)
    chosen = Pairs.of(signal, observation, own, clip, np.random.default_rng(seed))
    if (yield 0.0) is not None:
        return None
    pairs, held_out = chosen.split()
    norm = Normalization.measure(pairs.observation.astype(np.float32))
    low, high = float(pairs.signal.min()), float(pairs.signal.max())
    step = grey_step(pairs.observation) if step is None else step
    exact = Pairs(*variance_pairs) if variance_pairs else pairs
    floor, line = std_floor(pairs, norm, step), _balanced_line(exact)
    if isinstance(config, PoissonGaussianNoise):
        least = least_std(pairs, floor, norm)
        curve: NoiseCurve | None = NoiseCurve.line(*line, low, high, least)
    else:
        fit = _fit_module(config, pairs, exact, norm, floor, seed)
        curve = yield from _interruptible(fit)
    if curve is None or (yield 1.0) is not None:
        return None
    return FittedNoise(
        config.kind,
        config,
        curve,
        (low, high),
        curve.poisson_gaussian or line,
        bits_per_pixel(curve, held_out.signal, held_out.observation, step),
        {"pairs": len(pairs.signal), "seed": seed, **(provenance or {})},
        _fit_warnings(pairs),
    )


def fit_noise(
    config: NoiseModel, signal: Array, observation: Array, **options: Any
) -> FittedNoise:
    """Run `fit_steps` to its end; see there."""
    fitted = run_to_end(fit_steps(config, signal, observation, **options))
    assert fitted is not None  # nobody stopped it
    return fitted


def _require_fittable(config: NoiseModel) -> None:
    if config.is_given or not config.is_modelled:
        raise RequestError(
            f'The noise model "{config.model_config.get("title")}" cannot be fitted.',
            "Choose histogram, gaussian_mixture or poisson_gaussian.",
        )


def _balanced_line(pairs: Pairs) -> tuple[float, float]:
    """Line of the variance through dark and bright pairs alike."""
    weight = balance(pairs.signal)
    return fit_poisson_gaussian(*pairs, weight=weight, cuts=(0.0, 1.0))


def _fit_module(
    config: NoiseModel,
    pairs: Pairs,
    exact: Pairs,
    norm: Normalization,
    floor: float,
    seed: int,
) -> Generator[float, None, NoiseCurve]:
    """Fit the module of a noise model; returns its curve, with the exact variance."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = config.build(NoiseUnits(norm.offset, norm.scale, floor))
    assert module is not None
    signal, observation = (
        torch.from_numpy(((v - norm.offset) / norm.scale).astype(np.float32))
        for v in pairs
    )
    generator = torch.Generator().manual_seed(seed)
    steps = module.fit(signal, observation, None, generator, steps=_STEPS)
    for number, _ in enumerate(steps, 1):
        yield number / _STEPS
    low, high = float(signal.min()), float(signal.max())
    curve = raw_curve(module.eval(), low, high, norm.offset, norm.scale)
    if not config.any_variance:
        return curve
    return with_measured_variance(curve, *exact, (floor * norm.scale) ** 2)


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


def _fit_warnings(pairs: Pairs) -> list[str]:
    if len(pairs.signal) >= FEW_PAIRS:
        return []
    return [
        f"The noise curve is uncertain: it rests on {len(pairs.signal)} pixels only. "
        "Use more or larger frames."
    ]


def bits_per_pixel(
    curve: NoiseCurve, signal: Array, observation: Array, step: float | None = None
) -> float:
    """Mean of -log2 of the probability of observations given the signal.

    Whole numbers have a probability, that of all values which are rounded to them;
    other values have a density, over raw units. Lower is better.

    Parameters
    ----------
    curve : NoiseCurve
        In raw units.
    signal, observation : ndarray
        Pairs, (n,), raw units.
    step : float, optional
        Step between grey values, 0 for none; that of the observations if not given.
    """
    return float(bits_of_pairs(curve, signal, observation, step).mean())


def bits_of_pairs(
    curve: NoiseCurve, signal: Array, observation: Array, step: float | None = None
) -> Array:
    """-log2 of the probability of each observation given its signal, (n,).

    Parameters and units as for `bits_per_pixel`, which is the mean.
    """
    step = grey_step(observation) if step is None else step
    chunks = np.array_split(np.arange(len(signal)), max(1, len(signal) // 8192))
    bits = np.empty(len(signal))
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
        bits[chunk] = -np.log2(np.maximum(probability, 1e-30))
    return bits


def range_warning(
    fitted_range: tuple[float, float],
    low: float,
    high: float,
    share: float | None = None,
) -> str | None:
    """Warning that an image has signals that a noise model was not made from.

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
    where = "some signals" if share is None else f"{100 * share:.2g} % of the pixels"
    return (
        f"The noise is a guess for {where}: the image's signal spans {low:.4g} to "
        f"{high:.4g}, but the noise model was made from {first:.4g} to {last:.4g}."
    )
