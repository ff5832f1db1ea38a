"""MicroSSIM, where its package is installed: it is no dependency of this program."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.errors import RequestError

Plane = NDArray[np.float32]


def micro_ssim(
    predictions: Sequence[Plane], references: Sequence[Plane]
) -> list[float]:
    """Structural similarity after background and brightness are matched.

    Background and scale are fitted to all planes at once, as the authors advise.

    Parameters
    ----------
    predictions, references : sequence of ndarray
        Planes (Y, X) of one size, finite.

    Returns
    -------
    list of float
        One for each plane; 1 for equal images.

    Raises
    ------
    RequestError
        If the package `microssim` is not installed, does not import here, or refuses
        the images.

    References
    ----------
    Ashesh, Deschamps and Jug 2024, arXiv:2408.08747.
    """
    package = _package()
    expected, predicted = (np.stack(list(p)) for p in (references, predictions))
    try:
        measure = package.MicroSSIM()
        measure.fit(expected, predicted)
        pairs = zip(expected, predicted, strict=True)
        return [float(measure.score(e, p)) for e, p in pairs]
    except (ValueError, RuntimeError, ArithmeticError, TypeError) as error:
        raise RequestError(
            f"The package microssim could not compare the images: {error}.",
            "Compare images of one scene that are not constant.",
        ) from error


def _package() -> Any:
    try:
        return importlib.import_module("microssim")
    except ImportError as error:
        raise RequestError(
            "The package microssim is not installed.",
            "Install it by `pip install microssim`; it may ask for older versions of "
            "PyTorch, SciPy and scikit-image, so try it in an environment of its own.",
        ) from error
