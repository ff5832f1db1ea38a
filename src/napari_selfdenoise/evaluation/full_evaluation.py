"""All that can be measured of a result: residual, verdict and figures, in one run."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.evaluation.evaluation import compare_steps
from napari_selfdenoise.evaluation.figures import Evaluation
from napari_selfdenoise.evaluation.residual_check import ResidualCheck, check_steps
from napari_selfdenoise.evaluation.residuals import residual_steps
from napari_selfdenoise.evaluation.without_reference import examine_steps
from napari_selfdenoise.images import Image
from napari_selfdenoise.long_work import STOP
from napari_selfdenoise.parts.noise_models import NoiseCurve

Result = TypeVar("Result")

_PERCENTILE = 99.8
"""Share of the residuals that a picture shows without cutting them off, in %."""

_SAMPLE = 2**20
"""Pixels from which that is taken."""


@dataclass(frozen=True, eq=False)
class FullEvaluation:
    """What was measured of a result.

    Parameters
    ----------
    residual : Image
        Noisy less denoised image; NaN where a pixel was left out.
    reach : float
        Residuals from -reach to reach are to be shown, raw units; above zero.
    check : ResidualCheck
        The verdict on the residual.
    measured : Evaluation
        All figures, and notes on what was not measured.
    """

    residual: Image
    reach: float
    check: ResidualCheck
    measured: Evaluation


def evaluation_steps(
    noisy: Image,
    denoised: Image,
    reference: Image | None = None,
    curves: Sequence[NoiseCurve] | None = None,
) -> Generator[float, Any, FullEvaluation | None]:
    """Measure what a denoising has removed, and how close it came to a reference.

    Parameters
    ----------
    noisy, denoised : Image
        With equally many planes of one size.
    reference : Image, optional
        As for `compare_steps`; where it does not fit, a note says so.
    curves : sequence of NoiseCurve, optional
        Of the noise of each channel, raw units, for `examine_steps`.

    Yields
    ------
    float
        Share that is done.

    Returns
    -------
    FullEvaluation or None
        None after STOP.

    Raises
    ------
    RequestError
        If the images do not fit, or nothing was removed.
    """
    try:
        residual = yield from _part(residual_steps(noisy, denoised), 0.0, 0.2)
        check = yield from _part(check_steps(noisy, denoised), 0.2, 0.3)
        examined = yield from _part(examine_steps(noisy, denoised, curves), 0.5, 0.2)
        compared = yield from _part(_comparing(denoised, reference), 0.7, 0.3)
    except _StoppedError:
        return None
    measured = Evaluation.joined([examined, compared])
    return FullEvaluation(residual, _reach(residual), check, measured)


class _StoppedError(Exception):
    """STOP was sent."""


def _part(
    steps: Generator[float, Any, Result], start: float, share: float
) -> Generator[float, Any, Result]:
    """Run a part of the work, whose share of the whole begins at `start`.

    Raises
    ------
    _StoppedError
        After STOP.
    """
    try:
        while True:
            if (yield start + share * next(steps)) is STOP:
                steps.close()
                raise _StoppedError
    except StopIteration as end:
        result: Result = end.value
        return result


def _comparing(
    denoised: Image, reference: Image | None
) -> Generator[float, Any, Evaluation]:
    """Compare with the reference; where it does not fit, a note says why."""
    if reference is None:
        return Evaluation(())
    try:
        return (yield from compare_steps(denoised, reference))
    except RequestError as error:
        note = f"Not compared with the reference: {error.message}"
        return Evaluation((), (note,))


def _reach(residual: Image) -> float:
    """Percentile of the sizes of residuals; 1 where there are none."""
    sizes = np.abs(np.asarray(residual.data).ravel())
    sizes = sizes[:: max(1, sizes.size // _SAMPLE)]
    known = sizes[np.isfinite(sizes)]
    reach = float(np.percentile(known, _PERCENTILE)) if known.size else 0.0
    return reach or 1.0
