"""All that can be measured of a result: residual, verdict and figures, in one run."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.evaluation.evaluation import evaluate, plane_pairs
from napari_selfdenoise.evaluation.figures import Figure, figures_of
from napari_selfdenoise.evaluation.residual_check import ResidualCheck, check_steps
from napari_selfdenoise.evaluation.residuals import residual_steps
from napari_selfdenoise.images import Image
from napari_selfdenoise.long_work import STOP

Result = TypeVar("Result")

_PERCENTILE = 99.8
"""Share of the residuals that a picture shows without cutting them off, in %."""

_SAMPLE = 2**20
"""Pixels from which that is taken."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What was measured of a result.

    Parameters
    ----------
    residual : Image
        Noisy less denoised image; NaN where a pixel was left out.
    reach : float
        Residuals from -reach to reach are to be shown, raw units; above zero.
    check : ResidualCheck
        The verdict on the residual.
    figures : tuple of Figure
        Those against the reference first.
    notes : tuple of str
        Why something was not measured, in sentences.
    """

    residual: Image
    reach: float
    check: ResidualCheck
    figures: tuple[Figure, ...]
    notes: tuple[str, ...] = ()


def evaluation_steps(
    noisy: Image, denoised: Image, reference: Image | None = None
) -> Generator[float, Any, Evaluation | None]:
    """Measure what a denoising has removed, and how close it came to a reference.

    Parameters
    ----------
    noisy, denoised : Image
        With equally many planes of one size.
    reference : Image, optional
        As for `evaluate`; where it does not fit, a note says so.

    Yields
    ------
    float
        Share that is done.

    Returns
    -------
    Evaluation or None
        None after STOP.

    Raises
    ------
    RequestError
        If the images do not fit, or nothing was removed.
    """
    try:
        residual = yield from _part(residual_steps(noisy, denoised), 0.0, 0.3)
        check = yield from _part(check_steps(noisy, denoised), 0.3, 0.4)
        found, notes = yield from _part(_comparing(denoised, reference), 0.7, 0.3)
    except _StoppedError:
        return None
    figures = found + figures_of({"rms": check.rms, "bias": check.bias})
    return Evaluation(residual, _reach(residual), check, figures, notes)


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
) -> Generator[float, Any, tuple[tuple[Figure, ...], tuple[str, ...]]]:
    """Compare with the reference, plane by plane: means, and why there are none."""
    yield 0.0
    if reference is None:
        return (), ()
    measured: dict[str, list[float]] = {}
    try:
        pairs = plane_pairs(denoised, reference)
        for done, (ours, theirs) in enumerate(pairs, 1):
            planes = _plane(denoised, ours), _plane(reference, theirs)
            for name, value in evaluate(*planes).items():
                if isinstance(value, int | float):
                    measured.setdefault(name, []).append(value)
            yield done / len(pairs)
    except RequestError as error:
        return (), (f"Not compared with the reference: {error.message}",)
    means = {name: float(np.mean(values)) for name, values in measured.items()}
    return figures_of(means), ()


def _plane(image: Image, place: tuple[int, ...]) -> Image:
    pixels = image.read_plane(place)
    return replace(Image(pixels, "YX"), name=image.name)


def _reach(residual: Image) -> float:
    """Percentile of the sizes of residuals; 1 where there are none."""
    sizes = np.abs(np.asarray(residual.data).ravel())
    sizes = sizes[:: max(1, sizes.size // _SAMPLE)]
    known = sizes[np.isfinite(sizes)]
    reach = float(np.percentile(known, _PERCENTILE)) if known.size else 0.0
    return reach or 1.0
