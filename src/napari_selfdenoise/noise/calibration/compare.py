"""Which kind of noise model fits a camera best, by pixels that no fit has used.

The mean of -log2 of their probability is what a calibration can be judged by: it counts
every error of the shape in bits, and punishes a model that has learned chance (Prakash
et al. 2020 compare by it as well). BIC (Schwarz 1978) judges by the pixels that were
fitted, and charges for each number of a model.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.defects import rounding_notes
from napari_selfdenoise.images import Image
from napari_selfdenoise.long_work import run_to_end
from napari_selfdenoise.noise.calibration.fit import bits_of_pairs, fit_steps
from napari_selfdenoise.noise.calibration.frame_check import FrameCheck, check_reading
from napari_selfdenoise.noise.calibration.frames import provenance_of
from napari_selfdenoise.noise.calibration.local_motion import SIDE
from napari_selfdenoise.noise.calibration.reading import Reading, in_part, read_steps
from napari_selfdenoise.parts.noise_models import (
    FittedNoise,
    GaussianMixtureNoise,
    HistogramNoise,
    NoiseModel,
    PoissonGaussianNoise,
)

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

COMPARED: tuple[NoiseModel, ...] = (
    PoissonGaussianNoise(),
    GaussianMixtureNoise(),
    HistogramNoise(),
)
"""Noise models that are compared unless others are given."""

_HELD_OUT = 0.25
"""Share of the pixels that no model is fitted to."""

_SCORED = 2**18
"""Pairs that a model is scored by, at most."""

_SURE = 2.0
"""Standard errors by which a model must be better than a simpler one."""

_ALIKE = 1e-3
"""Bits per pixel that do not matter: as much is lost by a std that is off by 3 %."""

_READ = 0.1
"""Share of the time that reading takes, roughly."""


@dataclass(frozen=True, eq=False)
class Compared:
    """One noise model of a comparison.

    Parameters
    ----------
    fitted : FittedNoise
        Fitted to three quarters of the pixels.
    bits : float
        Mean of -log2 of the probability of held-out observations, per pixel.
    behind : float
        Bits more than the model with the fewest; 0 for that one.
    error : float
        Standard error of `behind`.
    bic : float
        Bayesian information criterion of the pixels that were fitted, less that of the
        model with the lowest.
    numbers : int
        Free numbers of the model.
    """

    fitted: FittedNoise
    bits: float
    behind: float
    error: float
    bic: float
    numbers: int

    @property
    def kind(self) -> str:
        """Of the noise model."""
        return self.fitted.kind


@dataclass(frozen=True, eq=False)
class Comparison:
    """Noise models of one camera, and which is best.

    Parameters
    ----------
    rows : tuple of Compared
        In the order that they were given.
    best : Compared
        The one with the fewest held-out bits, or a simpler one that is as good within
        two standard errors or a thousandth of a bit.
    check : FrameCheck
        What is odd about the frames.
    held_out : int
        Pairs of signal and observation that the models were scored by.
    """

    rows: tuple[Compared, ...]
    best: Compared
    check: FrameCheck
    held_out: int

    def row(self, kind: str) -> Compared:
        """Row of a kind of noise model.

        Raises
        ------
        KeyError
            If that kind was not compared.
        """
        found = [row for row in self.rows if row.kind == kind]
        if not found:
            raise KeyError(kind)
        return found[0]


def compare_steps(
    stack: Image, configs: Sequence[NoiseModel] = COMPARED, *, seed: int = 0
) -> Generator[float, object, Comparison | None]:
    """Fit several noise models to a part of the pixels; compare them by the others.

    Parameters
    ----------
    stack : Image
        Frames of a static scene, of one channel.
    configs : sequence of NoiseModel
        What to fit.
    seed : int
        Of the random choices.

    Yields
    ------
    float
        Share that is done, at least once a second. Send anything to end it.

    Returns
    -------
    Comparison
        Or None, where it was ended early.

    Raises
    ------
    RequestError
        If there are several channels, or too few frames or pixels.
    """
    reading = yield from in_part(read_steps(stack, seed=seed), 0.0, _READ)
    if reading is None:
        return None
    held_out = _held_out(reading, np.random.default_rng(seed))
    check = check_reading(reading)
    warnings = [*rounding_notes(stack), *check.warnings]
    fitted_to = reading.usable & ~held_out
    pairs, exact = reading.pairs(fitted_to), reading.variance_pairs(fitted_to)
    fits: list[FittedNoise] = []
    for number, config in enumerate(configs):
        ends = (_READ + (1 - _READ) * (number + k) / len(configs) for k in (0, 1))
        origin = provenance_of(reading.stack, None)
        step = reading.step()
        fitting = fit_steps(
            config,
            *pairs,
            variance_pairs=exact,
            seed=seed,
            step=step,
            provenance=origin,
        )
        fitted = yield from in_part(fitting, *ends)
        if fitted is None:
            return None
        fits.append(replace(fitted, warnings=[*warnings, *fitted.warnings]))
    return _compared(reading, held_out, fits, check)


def compare(
    stack: Image, configs: Sequence[NoiseModel] = COMPARED, *, seed: int = 0
) -> Comparison:
    """Run `compare_steps` to its end; see there."""
    found = run_to_end(compare_steps(stack, configs, seed=seed))
    assert found is not None  # nobody stopped it
    return found


def _held_out(reading: Reading, rng: np.random.Generator) -> Flags:
    """Pixels to score by, in whole blocks: neighbours may share noise. (n,)."""
    row, column = reading.places // reading.width, reading.places % reading.width
    block = row // SIDE * (-(-reading.width // SIDE)) + column // SIDE
    chosen = rng.random(int(block.max()) + 1) < _HELD_OUT
    held_out = np.asarray(chosen[block])
    if not 0.5 < held_out.mean() / _HELD_OUT < 2:  # too few blocks
        held_out = rng.random(len(block)) < _HELD_OUT
    return held_out


def _compared(
    reading: Reading, held_out: Flags, fits: Sequence[FittedNoise], check: FrameCheck
) -> Comparison:
    scored = _some(reading.usable & held_out, reading)
    learned = _some(reading.usable & ~held_out, reading)
    bits = [_bits_of_pixels(reading, scored, one) for one in fits]
    size = len(reading.observed) * int((reading.usable & ~held_out).sum())
    bics = [
        2 * math.log(2) * size * _bits_of_pixels(reading, learned, one).mean()
        + one.config.free_numbers * math.log(size)
        for one in fits
    ]
    first = min(bits, key=lambda one: float(one.mean()))
    rows = tuple(
        Compared(
            fitted,
            float(each.mean()),
            float((each - first).mean()),
            float((each - first).std() / math.sqrt(len(each))),
            float(bic - min(bics)),
            fitted.config.free_numbers,
        )
        for fitted, each, bic in zip(fits, bits, bics, strict=True)
    )
    as_good = [row for row in rows if row.behind <= max(_SURE * row.error, _ALIKE)]
    best = min(as_good, key=lambda row: (row.numbers, row.behind))
    return Comparison(rows, best, check, len(reading.observed) * int(scored.sum()))


def _some(pixels: Flags, reading: Reading) -> Flags:
    """As many of the pixels, evenly chosen, as are scored."""
    places = np.flatnonzero(pixels)
    most = max(1, _SCORED // len(reading.observed))
    chosen = places[:: -(-len(places) // most) or 1]
    found = np.zeros_like(pixels)
    found[chosen] = True
    return found


def _bits_of_pixels(reading: Reading, pixels: Flags, fitted: FittedNoise) -> Array:
    """Mean bits over the frames at each of the pixels, (pixels,)."""
    bits = bits_of_pairs(fitted.curve, *reading.pairs(pixels), reading.step())
    return np.asarray(bits.reshape(len(reading.observed), -1).mean(0))
