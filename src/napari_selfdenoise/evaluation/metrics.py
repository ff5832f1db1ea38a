"""How close a prediction is to a reference, and how fine the detail it holds."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import uniform_filter1d
from scipy.signal.windows import tukey
from skimage.metrics import structural_similarity

from napari_selfdenoise.errors import RequestError

Array = NDArray[np.float64]

FRC_THRESHOLD = 1 / 7
"""Correlation at which two images of one object agree no longer.

Rosenthal and Henderson, J. Mol. Biol. 2003; Nieuwenhuizen et al., Nat. Methods 2013.
"""

SSIM_WINDOW = 11
"""Pixels under the Gaussian window of sigma 1.5 that Wang et al. (2004) use."""


def psnr(
    prediction: ArrayLike, reference: ArrayLike, data_range: float | None = None
) -> float:
    """Peak signal-to-noise ratio in dB: 10 log10(range² / mean squared error).

    Parameters
    ----------
    prediction, reference : array
        Of one shape, any axes.
    data_range : float, optional
        Range of the signal; that of the reference if not given.

    Returns
    -------
    float
        In dB; infinite for equal images.

    Raises
    ------
    RequestError
        If the shapes differ, a value is not finite, or there is no range.
    """
    predicted, expected = _pair(prediction, reference)
    extent = _range(expected, data_range)
    error = float(np.mean((predicted - expected) ** 2))
    return float("inf") if error == 0 else float(10 * np.log10(extent**2 / error))


def scale_invariant_psnr(prediction: ArrayLike, reference: ArrayLike) -> float:
    """PSNR in dB after the best fit `a * prediction + b` to the reference.

    The measure of CARE (Weigert et al., Nat. Methods 2018) and N2V2, for predictions
    whose offset and gain are not those of the reference. The range is the reference's.

    Parameters
    ----------
    prediction, reference : array
        Of one shape, any axes.

    Raises
    ------
    RequestError
        If the shapes differ, a value is not finite, or the reference is constant.
    """
    predicted, expected = _pair(prediction, reference)
    centred = predicted - predicted.mean()
    energy = float(np.sum(centred**2))
    slope = float(np.sum(centred * expected)) / energy if energy else 0.0
    return psnr(slope * centred + expected.mean(), expected)


def ssim(
    prediction: ArrayLike, reference: ArrayLike, data_range: float | None = None
) -> float:
    """Structural similarity (Wang et al. 2004), the mean over the planes of a stack.

    Parameters
    ----------
    prediction, reference : array
        Axes (..., Y, X), of one shape.
    data_range : float, optional
        Range of the signal; that of the reference if not given.

    Raises
    ------
    RequestError
        As for `psnr`, or if a plane is smaller than the window.
    """
    predicted, expected = _pair(prediction, reference)
    extent = _range(expected, data_range)
    if expected.ndim < 2 or min(expected.shape[-2:]) < SSIM_WINDOW:
        raise RequestError(
            f"The images have the shape {expected.shape}; structural similarity needs "
            f"planes of {SSIM_WINDOW} × {SSIM_WINDOW} pixels or more."
        )
    planes = (-1, *expected.shape[-2:])
    pairs = zip(predicted.reshape(planes), expected.reshape(planes), strict=True)
    return float(np.mean([_plane_ssim(p, e, extent) for p, e in pairs]))


def fourier_ring_correlation(a: ArrayLike, b: ArrayLike) -> tuple[Array, Array]:
    """Correlate two images of one object, ring by ring in frequency.

    Each is brought to mean zero and faded out at its edges by a Tukey window.

    Parameters
    ----------
    a, b : array
        Axes (Y, X), of one shape, with independent noise.

    Returns
    -------
    frequency : array
        In cycles per pixel, up to 0.5.
    correlation : array
        From -1 to 1, one value a frequency; 0 where a ring is empty.

    Raises
    ------
    RequestError
        If the images are no planes of one shape, or one is constant.
    """
    first, second = (_spectrum(image) for image in _planes(a, b))
    ring, frequency = _rings(first.shape)
    cross = _ring_sums((first * second.conj()).real, ring, len(frequency))
    powers = [_ring_sums(np.abs(s) ** 2, ring, len(frequency)) for s in (first, second)]
    norm = np.sqrt(powers[0] * powers[1])
    correlation = np.divide(cross, norm, out=np.zeros_like(norm), where=norm > 0)
    return frequency, np.clip(correlation, -1, 1)


def frc_resolution(a: ArrayLike, b: ArrayLike) -> float:
    """Finest detail two images share: where their FRC first falls below 1/7.

    Parameters
    ----------
    a, b : array
        Axes (Y, X), of one shape, with independent noise.

    Returns
    -------
    float
        Period in pixels: 2, the least a camera can hold, if the curve stays above
        1/7; infinite if it is never above.

    Raises
    ------
    RequestError
        As for `fourier_ring_correlation`.
    """
    return crossing_period(*fourier_ring_correlation(a, b))


def crossing_period(frequency: Array, correlation: Array) -> float:
    """Period in pixels at which a ring correlation (n,) first falls below 1/7.

    Parameters
    ----------
    frequency, correlation : ndarray
        As of `fourier_ring_correlation`.

    Returns
    -------
    float
        2 if the curve stays above 1/7; infinite if it is never above.
    """
    smooth = uniform_filter1d(correlation, 5, mode="nearest")  # single rings are noisy
    below = np.flatnonzero(smooth < FRC_THRESHOLD)
    if not below.size:
        return 2.0
    if below[0] == 0:
        return float("inf")
    crossing = [below[0], below[0] - 1]  # np.interp wants the lower value first
    return float(1 / np.interp(FRC_THRESHOLD, smooth[crossing], frequency[crossing]))


def roughness(image: ArrayLike) -> float:
    """Typical difference of diagonal neighbours of a plane (Y, X): mostly its noise.

    The mixed second difference, which ramps and straight edges along the axes do not
    change; scaled to the std of white noise.
    """
    pixels = np.asarray(image, dtype=np.float64)
    if min(pixels.shape) < 2:
        return 0.0
    mixed = np.diff(np.diff(pixels, axis=0), axis=1)
    return float(np.median(np.abs(mixed))) / (2 * 0.6745)


def _pair(prediction: ArrayLike, reference: ArrayLike) -> tuple[Array, Array]:
    predicted = np.asarray(prediction, dtype=np.float64)
    expected = np.asarray(reference, dtype=np.float64)
    if predicted.shape != expected.shape:
        raise RequestError(
            f"The images have the shapes {predicted.shape} and {expected.shape}.",
            "Compare images of one shape.",
        )
    if not (expected.size and np.isfinite(predicted + expected).all()):
        raise RequestError(
            "The images hold no pixels, or values that are not finite.",
            "Compare a part of them without NaN or infinity.",
        )
    return predicted, expected


def _range(reference: Array, data_range: float | None) -> float:
    extent = float(np.ptp(reference)) if data_range is None else float(data_range)
    if not extent > 0:
        raise RequestError(
            f"The data range is {extent:g}; it must be above zero.",
            "Compare with a reference that is not constant, or give the range.",
        )
    return extent


def _plane_ssim(prediction: Array, reference: Array, data_range: float) -> float:
    return float(
        structural_similarity(
            prediction,
            reference,
            data_range=data_range,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )


def _planes(a: ArrayLike, b: ArrayLike) -> tuple[Array, Array]:
    first, second = _pair(a, b)
    if first.ndim != 2:
        raise RequestError(
            f"The images have {first.ndim} dimensions; ring correlation needs two.",
            "Choose one plane.",
        )
    if not (np.ptp(first) and np.ptp(second)):
        raise RequestError(
            "An image is constant, so it correlates with nothing.",
            "Choose images of an object.",
        )
    return first, second


def ring_powers(image: Array) -> tuple[Array, Array]:
    """Mean power of an image (Y, X) in each ring of frequencies, (n,).

    Returns
    -------
    frequency : ndarray
        In cycles per pixel, up to 0.5, (n,).
    power : ndarray
        Mean squared size of the ring's Fourier coefficients, after the window.
    """
    spectrum = _spectrum(image)
    ring, frequency = _rings(spectrum.shape)
    total = _ring_sums(np.abs(spectrum) ** 2, ring, len(frequency))
    count = _ring_sums(np.ones(spectrum.shape), ring, len(frequency))
    return frequency, total / np.maximum(count, 1)


def spectral_window(shape: tuple[int, ...]) -> Array:
    """Tukey window that fades an image out at its edges, (Y, X)."""
    return np.asarray(np.outer(*(tukey(n, 0.5) for n in shape)))


def _spectrum(image: Array) -> NDArray[np.complex128]:
    return np.fft.fft2((image - image.mean()) * spectral_window(image.shape))


def _rings(shape: tuple[int, ...]) -> tuple[NDArray[np.intp], Array]:
    """Ring number of each frequency, and the frequency of each ring but the first.

    The rings are as wide as one step along the shorter side.
    """
    width = 1 / min(shape)
    radius = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1]))
    frequency = np.arange(1, min(shape) // 2 + 1, dtype=np.float64) * width
    return np.rint(radius / width).astype(np.intp), frequency


def _ring_sums(values: Array, ring: NDArray[np.intp], count: int) -> Array:
    sums = np.bincount(ring.ravel(), values.ravel(), minlength=count + 1)
    return sums[1 : count + 1].astype(
        np.float64
    )  # ring 0 is the mean; corners lie beyond Nyquist
