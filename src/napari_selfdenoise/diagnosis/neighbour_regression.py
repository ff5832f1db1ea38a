"""How well pixels are predicted from their neighbours, once that is learned.

Where structure repeats, such as the lattice of a crystal, what repeats can be learned,
and a filter that learns nothing says little of what a network gains. The neighbours of
a pixel, less their mean, are projected in random directions and rectified, and ridge
regression maps them to the pixel, which itself stays masked. That is a network of which
the last layer alone is learned, in closed form: in a fraction of a second, and always
alike. It is judged on pixels that it did not learn from.

After Rahimi and Recht 2008 (random features) and Krull et al. 2019 (masked pixel).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve

Array = NDArray[np.float64]
Single = NDArray[np.float32]
Places = NDArray[np.intp]

_FAR = 7
"""Distance in px up to which neighbours count, along each axis."""

_FEATURES = 256
_LEARNED, _JUDGED = 16000, 8000
"""Pixels that are learned from, and others that predictions are judged on, at most."""

_LEAST_PIXELS = 4096
"""Good pixels, at least: of fewer, what is judged is chance."""

_MEAN_NEAR, _FEATURE_NEAR, _LINEAR_NEAR = 3.0, 3.5, 6.0
"""Distances in px at which a neighbour weighs 1/e: in the mean, in random directions,
and by itself."""

_RIDGE = 0.01
_LEAST_OFF = 1.02
"""Mean squared distance of predictions from pixels, over the noise variance, at least:
that variance is not known better."""

_SIDE = 2 * _FAR + 1
_HIDDEN = _SIDE**2 // 2
_AWAY = np.delete(
    np.hypot(*np.mgrid[-_FAR : _FAR + 1, -_FAR : _FAR + 1]).ravel(), _HIDDEN
)
"""Distances of the neighbours in px, (224,)."""


def regression_error(
    observed: Array,
    good: NDArray[np.bool_],
    filtered: Array,
    kept: float,
    variance: float,
) -> float | None:
    """Mean squared error of a learned prediction, where that of a filter is larger.

    Of both the same is subtracted, the noise variance, so that how well it is known
    does not decide between them. The error of a prediction falls as one over the number
    of pixels that it learned from; what is given is its limit for many.

    Parameters
    ----------
    observed : ndarray
        Observation, (Y, X), raw units; noise of neighbours is independent.
    good : ndarray
        False where a pixel is bad, (Y, X).
    filtered : ndarray
        Result of the filter, (Y, X), raw units.
    kept : float
        Mean share of a pixel's own value in that result.
    variance : float
        Mean variance of the noise, raw units squared, above 0.

    Returns
    -------
    float or None
        Raw units squared; None where the filter is better, or there are few pixels.

    References
    ----------
    Rahimi and Recht 2008 (random features). Krull et al. 2019 (masked pixel).
    """
    places = np.random.default_rng(0).permutation(np.flatnonzero(good))
    if len(places) < _LEAST_PIXELS:
        return None
    judged = min(_JUDGED, len(places) // 3)
    places = places[: judged + _LEARNED]
    half, whole = _distances(observed, places, judged, math.sqrt(variance))
    left = ((filtered - observed) ** 2 / variance).ravel()
    everywhere = float(left[good.ravel()].mean())
    # Judged pixels have more or less noise by chance, which the filter leaves as well.
    chance = float(left[places[:judged]].mean()) - everywhere
    if _with_own(whole - chance) >= everywhere - 1 + 2 * kept:
        return None
    return variance * _with_own(2 * whole - half - chance)


def _distances(
    observed: Array, places: Places, judged: int, std: float
) -> tuple[float, float]:
    """Mean squared distance of predictions from pixels, over the noise variance.

    Of the first places, when half of the others were learned from, and all of them.
    """
    level = (observed - np.median(observed)) / std
    near, mean = _neighbours(_single(level), places)
    features, target = _features(near - mean[:, None]), level.ravel()[places] - mean
    number = features.shape[1]
    square, product, found = np.zeros((number, number)), np.zeros(number), []
    middle = (judged + len(places)) // 2
    for part in (slice(judged, middle), slice(middle, len(places))):
        known = features[part]
        square += known.T @ known
        product += known.T @ _single(target[part])
        ridge = _RIDGE * (part.stop - judged) * np.eye(number)
        weights = solve(square + ridge, product, assume_a="pos")
        off = features[:judged] @ _single(weights) - target[:judged]
        found.append(float(np.mean(off**2)))
    return found[0], found[1]


def _with_own(off: float) -> float:
    """Error of predictions when some of the pixel itself is mixed in, over the noise.

    They are so far off the pixels, over the noise as well.
    """
    return 1 - 1 / max(off, _LEAST_OFF)


def _neighbours(observed: Single, places: Places) -> tuple[Single, Single]:
    """Neighbours of pixels, (n, 224), and their weighted mean, (n,)."""
    around = np.lib.stride_tricks.sliding_window_view(
        np.pad(observed, _FAR, mode="reflect"), (_SIDE, _SIDE)
    )
    found = around[np.unravel_index(places, observed.shape)]
    near = np.delete(found.reshape(len(places), -1), _HIDDEN, axis=1)
    weight = np.exp(-_AWAY / _MEAN_NEAR)
    return near, near @ _single(weight / weight.sum())


def _features(near: Single) -> Single:
    """What predictions are a sum of, (n, features), from neighbours in noise stds."""
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((len(_AWAY), _FEATURES))
    directions *= np.exp(-_AWAY / _FEATURE_NEAR)[:, None]
    along = near @ _single(directions)
    along /= np.maximum(along.std(0), np.float32(1e-6))
    rectified = np.maximum(along + _single(rng.uniform(-1, 1, _FEATURES)), 0)
    alone = near * _single(np.exp(-_AWAY / _LINEAR_NEAR))
    return np.concatenate([alone, rectified, np.ones_like(near[:, :1])], axis=1)


def _single(values: NDArray[Any]) -> Single:
    return values.astype(np.float32)
