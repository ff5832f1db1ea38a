"""Denoise one image by variance stabilisation and BM3D, in BM3D's environment.

    python run_bm3d.py INPUT.npy OUTPUT.npy [--setting default|tuned] [--threads 2]

The noise's variance, slope * signal + intercept, is measured on the image itself and
made one by the generalised Anscombe transform; BM3D denoises; the closed form of the
exact unbiased inverse leads back (Mäkitalo and Foi, IEEE Trans. Image Process. 2011 and
2013). What default and tuned mean is said in README.md beside this file. The package
bm3d may be used for non-commercial purposes only.
"""

from __future__ import annotations

from importlib import metadata

import harness
import numpy as np

GROUPS = 20
"""Groups of equally many blocks that the noise is measured in, from dark to bright."""
BLOCK = 16
"""Pixels along the side of a block whose brightness and roughness are measured."""
PERIOD = 32
"""Pixels along the side of the blocks that the noise's spectrum is measured on."""
SLOWEST = 3
"""Waves per block below which the spectrum is taken from its neighbours."""
QUARTILE = 0.25
WHITE = 2.0
"""Noise of less variance than this many times that of fine detail passes for white."""
KERNEL = np.outer([1, -2, 1], [1, -2, 1]) / 6
"""Second differences along both axes; leaves white noise's variance as it is."""
LOW, HIGH = 0.15, 0.85
"""Range that BM3D sees: its thresholds are made for images between 0 and 1."""


def main() -> None:
    """Run and report."""
    parser = harness.parse(
        __doc__, methods=("vst-bm3d",), settings=("default", "tuned")
    )
    run = harness.Run(parser.parse_args(), peer="bm3d")
    with run.importing():
        import bm3d  # noqa: F401
    image = run.start().astype(np.float64)
    result = _denoise(image, run)
    if run.options.trajectory is not None:
        with run.paused():
            run.add_point(result)
    run.finish(result, metadata.version("bm3d"))


def _denoise(image: np.ndarray, run: harness.Run) -> np.ndarray:
    slope, intercept = estimate_noise(image)
    stabilised = anscombe(image, slope, intercept)
    tuned = run.options.setting == "tuned"
    spectrum = noise_spectrum(stabilised) if tuned else None
    run.trained()
    denoised = _bm3d(stabilised, spectrum, run.options.threads)
    return inverse_anscombe(denoised, slope, intercept)


def estimate_noise(image: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of the noise's variance over the signal.

    Second differences along both axes take the signal out (Immerkaer, 1996). Their mean
    square over a block is one measurement, since at few photons the noise is far from
    normal; the median over blocks of like brightness passes over edges.
    """
    from scipy.ndimage import convolve

    bright = _block_means(image)
    rough = _block_means(convolve(image, KERNEL, mode="mirror") ** 2)
    groups = np.array_split(np.argsort(bright), min(GROUPS, bright.size))
    means = np.array([bright[group].mean() for group in groups])
    variances = np.array([np.median(rough[group]) for group in groups])
    variances = np.maximum(variances, 1e-6 * image.var())
    slope, intercept = np.polyfit(means, variances, 1, w=1 / variances)
    slope = max(float(slope), 1e-3 * float(variances.mean() / np.ptp(image)))
    return slope, float(intercept)


def _block_means(image: np.ndarray) -> np.ndarray:
    """Means of the whole blocks of an image (Y, X), in one row."""
    rows, columns = (size // BLOCK for size in image.shape)
    whole = image[: rows * BLOCK, : columns * BLOCK]
    return whole.reshape(rows, BLOCK, columns, BLOCK).mean(axis=(1, 3)).ravel()


def anscombe(image: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    """Image with noise of variance one, from variance slope * signal + intercept."""
    counts = image / slope + intercept / slope**2
    return 2 * np.sqrt(np.maximum(counts + 3 / 8, 0))


def inverse_anscombe(
    stabilised: np.ndarray, slope: float, intercept: float
) -> np.ndarray:
    """Signal whose observations' transform has this mean, not the algebraic inverse."""
    root = np.maximum(stabilised, 2 * np.sqrt(3 / 8))
    counts = root**2 / 4 - 1 / 8 - 11 / 8 / root**2
    counts = counts + np.sqrt(3 / 2) * (1 / (4 * root) + 5 / (8 * root**3))
    return slope * counts - intercept / slope


def noise_spectrum(stabilised: np.ndarray) -> np.ndarray | None:
    """Power of the noise at each frequency (PERIOD, PERIOD); none for white noise.

    Each block is put in units of its own fine detail; then the lower quartile over the
    blocks, since signal is weak in some of them at any frequency, over that of the
    exponential distribution that the power of noise has. What the whole has in fine
    detail is what the transform made one.
    """
    from numpy.lib.stride_tricks import sliding_window_view

    step = PERIOD // 2
    blocks = sliding_window_view(stabilised, (PERIOD, PERIOD))[::step, ::step]
    blocks = blocks - blocks.mean(axis=(-2, -1), keepdims=True)
    power = np.abs(np.fft.fft2(blocks)) ** 2 / PERIOD**2
    power = power / _fine_detail(power)
    spectrum = np.quantile(power, QUARTILE, axis=(0, 1)) / -np.log(1 - QUARTILE)
    spectrum = _without_slow_waves(spectrum)
    spectrum = spectrum / _fine_detail(spectrum)
    return spectrum if spectrum.mean() > WHITE else None


def _fine_detail(power: np.ndarray) -> np.ndarray:
    """Variance that the kernel of second differences leaves of spectra (..., Y, X)."""
    transfer = np.zeros((PERIOD, PERIOD))
    transfer[:3, :3] = KERNEL
    gain = np.abs(np.fft.fft2(transfer)) ** 2
    return (gain * power).mean(axis=(-2, -1), keepdims=True)


def _without_slow_waves(spectrum: np.ndarray) -> np.ndarray:
    """Where waves are slow signal hides the noise: the nearest ring stands for them."""
    waves = np.fft.fftfreq(PERIOD, 1 / PERIOD)
    radius = np.hypot(*np.meshgrid(waves, waves))
    ring = (radius >= SLOWEST) & (radius < SLOWEST + 1)
    return np.where(radius < SLOWEST, spectrum[ring].mean(), spectrum)


def _bm3d(
    stabilised: np.ndarray, spectrum: np.ndarray | None, threads: int
) -> np.ndarray:
    """BM3D on white noise of variance one, or on noise of this spectrum."""
    import bm3d

    lowest, extent = stabilised.min(), np.ptp(stabilised) or 1.0
    scale = (HIGH - LOW) / extent
    profile = bm3d.BM3DProfile()
    profile.num_threads = threads
    noise = scale if spectrum is None else _resized(spectrum, stabilised.shape, scale)
    denoised = bm3d.bm3d((stabilised - lowest) * scale + LOW, noise, profile)
    return (denoised - LOW) / scale + lowest


def _resized(spectrum: np.ndarray, shape: tuple[int, ...], scale: float) -> np.ndarray:
    """The spectrum at the frequencies of an image (Y, X), in BM3D's units."""
    covariance = np.fft.fftshift(np.fft.ifft2(spectrum).real)
    whole = np.zeros(shape)
    whole[:PERIOD, :PERIOD] = covariance
    whole = np.roll(whole, (-(PERIOD // 2), -(PERIOD // 2)), axis=(0, 1))
    power = np.maximum(np.fft.fft2(whole).real, 1e-3 * covariance.max())
    return scale**2 * power * whole.size


if __name__ == "__main__":
    main()
