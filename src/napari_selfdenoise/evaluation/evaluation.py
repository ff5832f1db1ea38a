"""Comparing a prediction with a reference, plane by plane."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.evaluation.figures import (
    FRC,
    MICRO_SSIM,
    PSNR,
    SCALE_INVARIANT_PSNR,
    SSIM,
    Evaluation,
    Figure,
    Quantity,
    mean_of,
)
from napari_selfdenoise.evaluation.metrics import (
    frc_resolution,
    psnr,
    roughness,
    scale_invariant_psnr,
    ssim,
)
from napari_selfdenoise.evaluation.micro_ssim import micro_ssim
from napari_selfdenoise.images import Image, PlaneIndex
from napari_selfdenoise.long_work import STOP, Command

Plane = NDArray[np.float32]
Measure = Callable[[Plane, Plane], float]

_MOST_FOR_MICRO_SSIM = 16
"""Planes that are held at once: background and scale are fitted to all of them."""


def evaluate(
    prediction: Image, reference: Image, data_range: float | None = None
) -> dict[str, Any]:
    """Measure how close a prediction is to a reference.

    Parameters
    ----------
    prediction, reference : Image
        With the same number of planes, or one of them with a single plane, which is
        then compared with each plane of the other.
    data_range : float, optional
        Range of the signal; that of each reference plane if not given.

    Returns
    -------
    dict
        "psnr" and "psnr_scale_invariant" in dB, "ssim", and "frc_resolution_px":
        means over the planes. Under "images", the same as lists.

    Raises
    ------
    RequestError
        If the sizes differ, values are not finite or a reference is constant.
    """
    pairs = [
        _read(prediction, reference, pair) for pair in _pairs(prediction, reference)
    ]
    lists = {
        quantity.key: [measure(*pair) for pair in pairs]
        for quantity, measure in _measures(data_range).items()
    }
    means: dict[str, Any] = {name: float(np.mean(v)) for name, v in lists.items()}
    return means | {"images": lists}


def compare_steps(
    prediction: Image, reference: Image, data_range: float | None = None
) -> Generator[float, Command | None, Evaluation]:
    """Measure all figures of a prediction that a reference gives.

    As `evaluate`, but a figure that cannot be computed says why, and planes that hold
    values that are not finite are left out, such as those that a stopped prediction
    did not reach.

    Parameters
    ----------
    prediction, reference : Image
        As for `evaluate`.
    data_range : float, optional
        Range of the signal; that of each reference plane if not given.

    Yields
    ------
    float
        Share that is done. Send `STOP` to end with the planes so far.

    Returns
    -------
    Evaluation
        PSNR, scale-invariant PSNR, SSIM, MicroSSIM and FRC resolution.

    Raises
    ------
    RequestError
        If the number of planes or their sizes differ.
    """
    pairs = _pairs(prediction, reference)
    found = _Comparison(data_range)
    for number, pair in enumerate(pairs):
        found.add(*_read(prediction, reference, pair))
        if (yield 0.9 * (number + 1) / len(pairs)) is STOP:
            break
    return found.evaluation(len(pairs))


class _Comparison:
    """Figures of the planes that were compared so far."""

    def __init__(self, data_range: float | None) -> None:
        self.measures = _measures(data_range)
        self.values: dict[Quantity, list[float]] = {q: [] for q in self.measures}
        self.reasons: dict[Quantity, str] = {}
        self.kept: list[tuple[Plane, Plane]] = []
        self.count = self.left_out = self.noisier = 0

    def add(self, predicted: Plane, expected: Plane) -> None:
        """Measure a pair of planes (Y, X)."""
        self.count += 1
        if not (np.isfinite(predicted).all() and np.isfinite(expected).all()):
            self.left_out += 1
            return
        self.noisier += roughness(expected) > 1.5 * roughness(predicted)
        if len(self.kept) < _MOST_FOR_MICRO_SSIM:
            self.kept.append((predicted, expected))
        for quantity, measure in self.measures.items():
            try:
                self.values[quantity].append(measure(predicted, expected))
            except RequestError as error:
                self.reasons[quantity] = str(error)

    def evaluation(self, planes: int) -> Evaluation:
        """Means over the planes."""
        figures = [self._figure(quantity) for quantity in self.measures]
        figures.insert(3, self._micro_ssim())
        return Evaluation(tuple(figures), tuple(self._notes(planes)))

    def _figure(self, quantity: Quantity) -> Figure:
        values = self.values[quantity]
        if not values:
            return Figure.missing(quantity, self.reasons.get(quantity, _NOT_FINITE))
        reason = self.reasons.get(quantity, "")
        if quantity is PSNR and np.isinf(values).any():
            reason = "The prediction is equal to the reference."
        return mean_of(quantity, values, reason)

    def _micro_ssim(self) -> Figure:
        if not self.kept:
            return Figure.missing(MICRO_SSIM, _NOT_FINITE)
        try:
            return mean_of(MICRO_SSIM, micro_ssim(*zip(*self.kept, strict=True)))
        except RequestError as error:
            return Figure.missing(MICRO_SSIM, error)

    def _notes(self, planes: int) -> list[str]:
        notes = []
        if self.left_out:
            notes.append(
                f"{self.left_out} of {planes} planes were left out: they hold values "
                "that are not finite."
            )
        if self.count < planes:
            notes.append(f"{self.count} of {planes} planes were compared.")
        if self.noisier > (self.count - self.left_out) / 2:
            notes.append(
                "The reference is noisier than the prediction, which limits all "
                "figures. So it is with an average of few frames; or the two are "
                "swapped."
            )
        return notes


_NOT_FINITE = "The images hold values that are not finite."


def _measures(data_range: float | None) -> dict[Quantity, Measure]:
    return {
        PSNR: lambda p, r: psnr(p, r, data_range),
        SCALE_INVARIANT_PSNR: scale_invariant_psnr,
        SSIM: lambda p, r: ssim(p, r, data_range),
        FRC: frc_resolution,
    }


def _pairs(prediction: Image, reference: Image) -> list[tuple[PlaneIndex, PlaneIndex]]:
    predicted, expected = list(prediction.planes()), list(reference.planes())
    if len(predicted) != len(expected) and 1 not in (len(predicted), len(expected)):
        raise RequestError(
            f"The prediction has {len(predicted)} planes and the reference "
            f"{len(expected)}.",
            "Compare as many, or name one with --frame.",
        )
    if prediction.plane_shape != reference.plane_shape:
        raise RequestError(
            "The planes of the images have the shapes "
            f"{prediction.plane_shape} and {reference.plane_shape}.",
            "Compare images of one shape.",
        )
    count = max(len(predicted), len(expected))
    return list(
        zip(
            predicted * (count // len(predicted)),
            expected * (count // len(expected)),
            strict=True,
        )
    )


def _read(
    prediction: Image, reference: Image, pair: Sequence[PlaneIndex]
) -> tuple[Plane, Plane]:
    return prediction.read_plane(pair[0]), reference.read_plane(pair[1])
