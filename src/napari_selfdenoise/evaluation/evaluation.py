"""Comparing a prediction with a reference, plane by plane."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.evaluation.metrics import (
    frc_resolution,
    psnr,
    scale_invariant_psnr,
    ssim,
)
from napari_selfdenoise.images import Image, PlaneIndex

Plane = NDArray[np.float32]


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
        (prediction.read_plane(p), reference.read_plane(r))
        for p, r in plane_pairs(prediction, reference)
    ]
    measures: dict[str, Callable[[Plane, Plane], float]] = {
        "psnr": lambda p, r: psnr(p, r, data_range),
        "psnr_scale_invariant": scale_invariant_psnr,
        "ssim": lambda p, r: ssim(p, r, data_range),
        "frc_resolution_px": frc_resolution,
    }
    lists = {
        name: [measure(*pair) for pair in pairs] for name, measure in measures.items()
    }
    means: dict[str, Any] = {name: float(np.mean(v)) for name, v in lists.items()}
    return means | {"images": lists}


def plane_pairs(
    prediction: Image, reference: Image
) -> list[tuple[PlaneIndex, PlaneIndex]]:
    """Planes that are compared with each other, as their indices.

    Raises
    ------
    RequestError
        If neither has a single plane and their numbers differ.
    """
    predicted, expected = list(prediction.planes()), list(reference.planes())
    if len(predicted) != len(expected) and 1 not in (len(predicted), len(expected)):
        raise RequestError(
            f"The prediction has {len(predicted)} planes and the reference "
            f"{len(expected)}.",
            "Compare as many, or name one with --frame.",
        )
    count = max(len(predicted), len(expected))
    return list(
        zip(
            predicted * (count // len(predicted)),
            expected * (count // len(expected)),
            strict=True,
        )
    )
