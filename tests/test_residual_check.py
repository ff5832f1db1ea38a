import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_selfdenoise import Image, RequestError
from napari_selfdenoise.evaluation import (
    autocorrelation,
    check_residual,
    residual_image,
    residual_planes,
)
from napari_selfdenoise.images import poisson_gaussian_stack
from napari_selfdenoise.parts.noise_models import NoiseCurve

SIZE = 192


def cells(size=SIZE, seed=3):
    return poisson_gaussian_stack(1, size, seed=seed)[1].data.reshape(size, size)


def noise(signal, seed=0, blur=0.0):
    """Noise of variance 12 (s - 100) + 150, or of that shared by neighbours."""
    white = np.random.default_rng(seed).normal(size=signal.shape)
    shared = gaussian_filter(white, blur) if blur else white
    return shared / shared.std() * np.sqrt(12 * (signal - 100) + 150)


def check(noisy, denoised, curves=None):
    return check_residual(Image(noisy, "YX"), Image(denoised, "YX"), curves)


def disk(size=SIZE):
    """A bright disk on a dark ground: edges between flat regions."""
    y, x = np.indices((size, size)) - size / 2
    return 100.0 + 300 * (np.hypot(y, x) < size / 4)


def test_the_residual_of_the_true_signal_is_white_noise():
    signal = cells()
    found = check(signal + noise(signal), signal)
    assert found.structure_left is False
    assert found.correlation.white
    assert found.verdict == "No structure is left in the residual."
    assert found.histogram.std == pytest.approx(1, abs=0.02)
    assert abs(found.histogram.skewness) < 0.1
    assert found.rms == pytest.approx(noise(signal).std(), rel=0.02)


def test_white_noise_gives_no_false_alarm():
    """One in a hundred at most; of flat images and of cells, Gaussian and not."""
    alarms = 0
    for seed in range(60):
        signal = (
            cells(64 + 16 * (seed % 3), seed) if seed % 2 else np.full((80, 80), 1e3)
        )
        drawn = np.random.default_rng(seed).exponential(size=signal.shape) - 1
        added = noise(signal, seed) if seed % 4 else 20 * drawn
        found = check(signal + added, signal)
        alarms += found.structure_left is not False or not found.correlation.white
    assert alarms == 0


@pytest.mark.parametrize("denoise", ["blurred signal", "blurred image"])
def test_edges_that_were_blurred_are_found_and_named(denoise):
    signal = disk()
    noisy = signal + noise(signal)
    result = gaussian_filter(signal if denoise == "blurred signal" else noisy, 2)
    found = check(noisy, result)
    assert found.structure_left
    assert "in all directions at edges" in found.verdict
    assert min(found.structure.edges.certain().values()) > 0.1


def test_edges_along_one_axis_are_named_by_it():
    signal = 100.0 + 200 * (np.indices((SIZE, SIZE))[0] // 24 % 2)
    signal[:, SIZE // 3 :] = 100  # stripes of all columns are offsets of rows
    # The error changes its sign across an edge, and stays along it.
    error = 12.0 * np.sign(np.diff(signal, axis=0, prepend=100.0))
    error = 2 * (error - np.roll(error, -1, axis=0))
    found = check(signal + noise(signal) + error, signal)
    assert "along x at edges" in found.verdict


def test_texture_that_was_removed_is_found_without_edges():
    signal = np.full((256, 256), 300.0)
    texture = gaussian_filter(np.random.default_rng(1).normal(size=signal.shape), 1.5)
    texture[:, :128] = 0
    found = check(signal + noise(signal) + 150 * texture, signal)
    assert found.structure_left
    assert found.structure.edges is None
    assert "in some places more than in others" in found.verdict


@pytest.mark.parametrize(
    ("blur", "words"), [(0.7, "in all directions (0.5"), ((0, 1), "along x (0.7")]
)
def test_noise_that_neighbours_share_is_no_structure(blur, words):
    signal = disk()
    found = check(signal + noise(signal, blur=blur), signal)
    assert found.structure_left is False
    assert f"The noise itself is correlated {words}" in found.verdict
    assert not found.correlation.white


@pytest.mark.parametrize("seed", range(4))
def test_rows_that_are_too_bright_are_no_structure(seed):
    signal = disk()
    rows = np.random.default_rng(seed).normal(size=(SIZE, 1))
    found = check(signal + noise(signal) + 25 * rows, signal)
    assert found.structure_left is False
    assert "The noise itself is correlated" in found.verdict


def test_without_flat_regions_it_is_not_claimed_what_likeness_means():
    signal = cells(128)
    found = check(signal + noise(signal, blur=0.7), signal)
    assert found.structure.flat is None
    assert found.structure_left is None
    assert found.verdict.startswith("It cannot be judged whether structure is left")


@pytest.mark.parametrize("kept", [0.1, 0.3, 0.6])
def test_a_result_that_keeps_raw_pixels_left_no_structure(kept):
    signal = cells()
    noisy = signal + noise(signal)
    assert check(noisy, (1 - kept) * signal + kept * noisy).structure_left is False


def test_noise_that_was_blurred_and_kept_is_named():
    flat = np.full((SIZE, SIZE), 300.0)
    noisy = flat + noise(flat)
    found = check(noisy, gaussian_filter(noisy, 1))
    assert found.structure_left is False
    assert "some noise is left in the denoised image" in found.verdict


def test_a_result_of_another_scale_is_not_judged():
    signal = cells()
    noisy = signal + noise(signal)
    found = check(noisy, signal / 1000)
    assert found.rescaled
    assert "has another scale" in found.verdict
    assert not check(noisy, signal - 30).rescaled
    assert check(noisy, signal - 30).bias == pytest.approx(30, abs=2)


def test_a_residual_is_compared_with_the_noise_model():
    signal = cells()
    noisy = signal + noise(signal)
    curve = NoiseCurve.line(12, 150 - 1200, 100, float(signal.max()))
    assert check(noisy, signal, [curve]).histogram.std == pytest.approx(1, abs=0.02)
    weak = check(noisy, signal, [curve.scaled(0.5)])
    assert weak.histogram.std > 1.5
    assert "stronger than the noise model says" in weak.verdict
    assert "stronger" not in check(noisy, signal).verdict


def test_what_was_not_recorded_or_cut_off_is_left_out():
    signal = cells()
    noisy = signal + noise(signal)
    noisy[:, :20] = 0
    noisy[50, 50:60] = np.nan
    noisy[80, 80] = 60_000
    found = check(noisy, np.where(noisy == 0, 0, signal))
    assert found.left_out == 20 * SIZE + 11
    assert found.structure_left is False
    assert "of the pixels were left out" in found.verdict
    (plane,) = residual_planes(Image(noisy, "YX"), Image(signal, "YX"))
    assert not plane.good[:, :20].any()


def test_pixels_that_the_camera_cut_off_do_not_count():
    signal = cells() - 100.0
    noisy = np.clip(signal + noise(signal + 100), 0, 600)
    found = check(noisy, signal)
    (plane,) = residual_planes(Image(noisy, "YX"), Image(signal, "YX"))
    assert not plane.good[(noisy == 0) | (noisy == 600)].any()
    assert abs(found.bias) < 1
    assert found.structure_left is not True


def test_the_residual_layer_has_the_axes_of_the_image():
    signal = np.stack([cells(64), cells(64, 1)])
    noisy = signal + noise(signal)
    size = (1.0, 0.1, 0.2)
    image = Image(noisy.transpose(0, 2, 1), "TXY", size, ("s", "µm", "µm"), "day 1")
    found = residual_image(image, Image(signal, "TYX"))
    assert (found.axes, found.pixel_size, found.name) == ("TXY", size, "day 1 residual")
    np.testing.assert_allclose(
        found.data, (noisy - signal).transpose(0, 2, 1), atol=1e-2
    )


@pytest.mark.parametrize("size", [1, 3, 16, 40])
def test_what_is_too_small_is_not_judged(size):
    signal = np.full((size, 16), 300.0)
    found = check(signal + noise(signal), signal)
    assert found.structure_left is None
    assert "too small" in found.verdict


def test_blank_planes_are_not_measured():
    signal = np.stack([cells(64)] * 3)
    noisy = signal + noise(signal)
    noisy[1] = signal[1] = 0
    found = check_residual(Image(noisy, "TYX"), Image(signal, "TYX"))
    assert (found.planes, found.of) == (2, 3)


def test_images_that_do_not_fit_or_are_equal_are_refused():
    signal = cells(64)
    with pytest.raises(RequestError, match="1 planes of 64 × 64"):
        check(signal, signal[:32])
    for same in (signal, np.full((64, 64), np.nan)):
        with pytest.raises(RequestError, match="Nothing was removed"):
            check(same, same)


def test_the_correlation_of_a_known_process():
    """Of white noise and its neighbour, half each: one half, one pixel away."""
    white = np.random.default_rng(0).normal(size=(300, 301))
    found = autocorrelation([white[:, 1:] + white[:, :-1]])
    assert found.rho["x"][0] == pytest.approx(0.5, abs=0.01)
    assert found.error["x"][0] == pytest.approx(1 / np.sqrt(300 * 299))
    assert found.significant() == {"x": (found.rho["x"][0], 1)}
    assert autocorrelation([white[1:] - white[:-1]]).significant(-1).keys() == {"y"}
    diagonal = autocorrelation([white[1:, 1:] + white[:-1, :-1]])
    assert diagonal.significant().keys() == {"the falling diagonal"}
