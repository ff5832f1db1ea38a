"""A fitted curve with the variance that was measured.

The likelihood weighs all of a distribution; where a noise model cannot follow its shape
everywhere, its variance pays for it, by up to half where few photons are. The variance
can be measured by itself, so a model that may have any is given that, and keeps its
shape.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.parts.noise_models import NoiseCurve

Array = NDArray[np.float64]

_LEAST = 4096
"""Pairs of a bin, at least: its variance is then known to 2 %."""

_QUANTILES = 64
_PARTS = 32
"""Bins by number of pairs, and by range of the signal: rare signals span most of it."""

_ROUNDS = 2


def with_measured_variance(
    curve: NoiseCurve, signal: Array, observation: Array, least: float = 0.0
) -> NoiseCurve:
    """Scale a curve's residuals so that their variance is what pairs show.

    Parameters
    ----------
    curve : NoiseCurve
        In raw units.
    signal, observation : ndarray
        Pairs, (n,), raw units.
    least : float
        Variance that the curve keeps at least, raw units squared.

    Returns
    -------
    NoiseCurve
        The curve itself where there are too few pairs for several bins.
    """
    order = np.argsort(signal)
    signal, squared = signal[order], ((observation - signal) ** 2)[order]
    starts = _starts(signal)
    if len(starts) < 4:
        return curve
    number = np.diff(np.append(starts, len(signal)))
    centre, measured = (np.add.reduceat(v, starts) / number for v in (signal, squared))
    measured = np.maximum(measured, least)
    inside = (centre > curve.signal[0]) & (centre < curve.signal[-1])
    curve = curve.at(np.union1d(curve.signal, centre[inside]))
    for _ in range(_ROUNDS):
        fitted = np.add.reduceat(_variance_at(curve, signal), starts) / number
        factor = np.sqrt(measured / np.maximum(fitted, 1e-300))
        factor = np.interp(curve.signal, centre, factor)[:, None]
        curve = replace(curve, means=curve.means * factor, stds=curve.stds * factor)
    return curve


def _variance_at(curve: NoiseCurve, signal: Array) -> Array:
    return np.asarray(np.interp(signal, curve.signal, curve.std) ** 2)


def _starts(signal: Array) -> NDArray[np.intp]:
    """First index of each bin of increasing signals (n,)."""
    even = np.linspace(signal[0], signal[-1], _PARTS + 1)
    places = np.union1d(
        np.searchsorted(signal, even),
        np.linspace(0, len(signal), _QUANTILES + 1).astype(np.intp),
    )
    starts = [0]
    for place in places:
        far = place - starts[-1] >= _LEAST
        if far and len(signal) - place >= _LEAST:
            starts.append(int(place))
    return np.array(starts)
