import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.evaluation import (
    frc_resolution,
    psnr,
    scale_invariant_psnr,
    ssim,
)
from napari_selfdenoise.evaluation.metrics import fourier_ring_correlation


@pytest.fixture
def reference():
    return np.random.default_rng(0).random((32, 40))


def test_psnr_of_a_known_error():
    assert psnr(np.full((4, 4), 10.0), np.zeros((4, 4)), 100) == pytest.approx(20)


def test_psnr_takes_the_range_of_the_reference(reference):
    expected = psnr(reference + 0.1, reference, np.ptp(reference))
    assert psnr(reference + 0.1, reference) == pytest.approx(expected)


def test_psnr_of_equal_images_is_infinite(reference):
    assert psnr(reference, reference) == np.inf


def test_unsigned_integers_do_not_wrap():
    low, high = np.array([[0, 10]], np.uint8), np.array([[20, 0]], np.uint8)
    assert psnr(low, high) == psnr(low.astype(float), high.astype(float))


def test_scale_invariant_psnr_ignores_gain_and_offset(reference):
    noisy = reference + np.random.default_rng(1).normal(0, 0.1, reference.shape)
    expected = scale_invariant_psnr(noisy, reference)
    assert scale_invariant_psnr(3 * noisy - 7, reference) == pytest.approx(expected)
    assert expected >= psnr(noisy, reference)


def test_a_constant_prediction_is_fitted_by_the_mean(reference):
    mean = np.full(reference.shape, reference.mean())
    expected = psnr(mean, reference)
    assert scale_invariant_psnr(mean * 0 + 5, reference) == pytest.approx(expected)


def test_ssim_of_a_stack_is_the_mean_of_its_planes(reference):
    noisy = reference + np.random.default_rng(1).normal(0, 0.1, reference.shape)
    assert ssim(reference, reference) == pytest.approx(1)
    stack = ssim(np.stack([noisy, reference]), np.stack([reference, reference]))
    assert stack == pytest.approx((ssim(noisy, reference) + 1) / 2)


def test_frc_of_identical_images_is_one_everywhere(reference):
    frequency, correlation = fourier_ring_correlation(reference, reference)
    assert correlation == pytest.approx(1)
    assert frequency[0] == pytest.approx(1 / 32)
    assert frequency[-1] == pytest.approx(0.5)
    assert frc_resolution(reference, reference) == 2


def test_frc_of_independent_noise_is_about_zero():
    a, b = np.random.default_rng(0).normal(size=(2, 256, 256))
    _, correlation = fourier_ring_correlation(a, b)
    assert abs(correlation[20:].mean()) < 0.02


def test_frc_resolution_is_where_the_shared_detail_ends():
    rng = np.random.default_rng(0)
    shared = gaussian_filter(rng.normal(size=(256, 256)), 3)
    noise = 0.002 * rng.normal(size=(2, 256, 256))
    # power of the blurred signal over that of the noise is 1/6 where FRC is 1/7
    frequency = np.sqrt(np.log(6 / 0.002**2)) / (2 * np.pi * 3)
    found = frc_resolution(shared + noise[0], shared + noise[1])
    assert found == pytest.approx(1 / frequency, rel=0.05)


@pytest.mark.parametrize("measure", [psnr, scale_invariant_psnr, ssim, frc_resolution])
def test_what_cannot_be_compared_is_refused(measure, reference):
    with pytest.raises(RequestError, match="shapes"):
        measure(reference, reference[1:])
    with pytest.raises(RequestError, match="constant"):
        measure(reference, np.ones(reference.shape))
    with pytest.raises(RequestError, match="finite"):
        measure(reference * np.nan, reference)


def test_ssim_needs_planes_as_large_as_its_window():
    with pytest.raises(RequestError, match="11 × 11"):
        ssim(np.eye(10), np.eye(10))
