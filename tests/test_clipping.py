import numpy as np
import pytest

from napari_selfdenoise.defects import measure_clipping

SHAPE = (128, 128)


def recorded(offset=0.0, read=6.0, low=0, high=65535, seed=0):
    """Photons of a few cells and read noise, cut to a range and rounded."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    light = 20 * np.exp(-((y - 60) ** 2 + (x - 70) ** 2) / 400)
    counts = offset + 12 * rng.poisson(light) + rng.normal(0, read, SHAPE)
    return np.clip(counts, low, high).round().astype(np.float32)


def test_values_that_are_cut_off_are_counted():
    pixels = recorded()
    found = measure_clipping([pixels])
    assert found.low == pytest.approx((pixels == 0).mean())
    assert found.high == 0
    assert "Raise the camera's offset" in str(found)


def test_the_bias_is_that_of_the_dark_regions():
    many = np.mean([recorded(seed=seed) for seed in range(20)], axis=0)
    bias = many[:20].mean()  # there is no light, and the offset is 0
    assert measure_clipping([recorded()]).bias == pytest.approx(bias, rel=0.4)


def test_an_offset_that_is_high_enough_cuts_nothing_off():
    assert str(measure_clipping([recorded(offset=100)])) == ""


def test_saturated_pixels_are_counted():
    pixels = recorded(offset=100, high=255)
    found = measure_clipping([pixels])
    assert found.high == pytest.approx((pixels == 255).mean())
    assert "saturated at 255" in str(found)


@pytest.mark.parametrize("rate", [0.05, 0.15, 1.0])
@pytest.mark.parametrize("step", [1, 17])
def test_single_photons_are_no_values_cut_off(rate, step):
    photons = step * np.random.default_rng(0).poisson(rate, SHAPE)
    found = measure_clipping([photons.astype(np.float32)])
    assert found.photons == pytest.approx(rate, rel=0.1)
    assert found.low == 0
    assert "Single photons were counted" in str(found)


def test_where_nothing_was_recorded_nothing_is_cut_off():
    pixels = recorded(offset=100)
    pixels[:, :40] = np.nan
    assert str(measure_clipping([pixels])) == ""
    assert str(measure_clipping([1e-9 * pixels])) == ""
