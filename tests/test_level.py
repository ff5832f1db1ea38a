import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_selfdenoise.noise import measure_level


def structure(side=512, seed=0):
    """Blobs, sharp edges and texture, 40 to 210; half of it flat."""
    rng = np.random.default_rng(seed)
    blobs, regions = gaussian_filter(rng.normal(size=(2, side, side)), (0, 12, 12))
    texture = gaussian_filter(rng.normal(size=(side, side)), 1)
    steps = np.round(2 * np.tanh(blobs / blobs.std()))
    busy = regions > 0
    return 125 + 40 * steps + busy * 10 * texture / texture.std()


def noisy(std, *seeds):
    return [
        structure(seed=seed) + np.random.default_rng(seed).normal(0, std, (512, 512))
        for seed in seeds
    ]


@pytest.mark.parametrize("std", [10.0, 20.0, 40.0])
def test_structure_does_not_count_as_noise(std):
    level = measure_level(noisy(std, 0, 1))
    assert level.std == pytest.approx(std, rel=0.02)
    assert level.why_not_simple() == ""
    np.testing.assert_allclose(level.by_signal, std, rtol=0.1)


def test_no_block_is_chosen_for_its_own_noise():
    rng = np.random.default_rng(0)
    levels = [measure_level([rng.normal(0, 1, (512, 512))]).std for _ in range(8)]
    assert np.mean(levels) == pytest.approx(1, abs=0.005)


def photons(mean, *seeds):
    """Counted photons, `mean` of them at a signal of 100; so many grey values each."""
    gain = 100 / mean
    luck = np.random.default_rng(0)
    return [
        gain * luck.poisson(np.maximum(structure(seed=seed), 1) / gain)
        for seed in seeds
    ]


def test_noise_that_grows_with_the_signal_is_told():
    level = measure_level(photons(100, 0, 1))
    assert "bright regions are noisier (std " in level.why_not_simple()
    assert level.by_signal[-1] > 1.5 * level.by_signal[0]
    assert level.by_signal[-1] == pytest.approx(np.sqrt(level.signal[-1]), rel=0.05)


def test_planes_of_different_noise_are_told_in_any_order():
    rng = np.random.default_rng(0)
    planes = [rng.normal(100, std, (512, 512)) for std in (20, 25, 25, 20)]
    assert "not equally strong in all planes" in measure_level(planes).why_not_simple()


def test_shared_noise_is_told():
    shared = [gaussian_filter(plane, 0.6) for plane in noisy(30, 0, 1)]
    assert "neighbours share noise" in measure_level(shared).why_not_simple()


def test_noise_of_few_photons_is_not_gaussian():
    rng = np.random.default_rng(0)
    few, many = (rng.poisson(mean, (2, 512, 512)) for mean in (4, 400))
    assert measure_level(few).why_not_simple() == "noise is not Gaussian"
    assert measure_level(many).why_not_simple() == ""


def test_clipped_noise_is_not_simple():
    assert measure_level([np.maximum(p, 60) for p in noisy(25, 0, 1)]).why_not_simple()


def test_hot_pixels_are_told():
    (plane,) = noisy(40, 0)
    plane[np.random.default_rng(0).random(plane.shape) < 2e-4] += 800
    assert (
        "single pixels differ from their neighbours"
        in measure_level([plane]).why_not_simple()
    )


def test_few_pixels_tell_how_strong_the_noise_is_but_not_whether_everywhere():
    plane = np.random.default_rng(0).normal(0, 3, (160, 160))
    level = measure_level([plane])
    assert level.std == pytest.approx(3, rel=0.1)
    assert "too few pixels" in level.why_not_simple()


@pytest.mark.parametrize("shape", [(7, 200), (40, 40)])
def test_fewer_tell_nothing(shape):
    assert measure_level([np.random.default_rng(0).normal(size=shape)]) is None


def test_an_image_without_noise_has_no_level():
    assert measure_level([np.full((256, 256), 7.0)]) is None


def cells(share, photons, seed=0, shape=(256, 256)):
    """A few bright cells on an empty background: expected photons."""
    rng = np.random.default_rng(seed)
    yy, xx = np.indices(shape)
    radius = 12 if share > 0.005 else 5
    found = np.zeros(shape)
    for _ in range(max(1, round(share * found.size / (np.pi * radius**2)))):
        y, x = rng.uniform(0, shape)
        inside = (yy - y) ** 2 + (xx - x) ** 2 < radius**2
        found = np.maximum(found, photons * rng.uniform(0.5, 1) * inside)
    return gaussian_filter(found, 1.5)


def camera(photons, gain=4, read=6, seed=1):
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, read, photons.shape)
    return np.round(100 + gain * rng.poisson(photons) + noise).astype(np.float32)


@pytest.mark.parametrize("photons", [8, 20, 60])
@pytest.mark.parametrize("share", [0.002, 0.01, 0.03, 0.1, 0.3])
def test_noise_of_few_bright_cells_is_never_taken_for_that_of_the_background(
    share, photons
):
    for seed in range(2):
        level = measure_level([camera(cells(share, photons, seed), seed=seed)])
        assert level.why_not_simple()


@pytest.mark.parametrize("shape", [(16, 4096), (4096, 16), (64, 1024)])
def test_strips_are_no_exception(shape):
    assert measure_level([camera(cells(0.03, 20, shape=shape))]).why_not_simple()


def test_spots_smaller_than_a_block_count():
    spots = np.zeros((256, 256))
    spots.ravel()[np.random.default_rng(0).integers(0, spots.size, 50)] = 800
    level = measure_level([camera(gaussian_filter(spots, 1.1))])
    assert "bright regions are noisier" in level.why_not_simple()


@pytest.mark.parametrize("seed", range(3))
def test_even_noise_of_few_bright_cells_is_even(seed):
    noise = np.random.default_rng(seed).normal(0, 6, (256, 256))
    level = measure_level([4 * cells(0.1, 20, seed) + noise])
    assert level.why_not_simple() == ""


def test_noise_that_hides_the_structure_must_be_more_even():
    # Its std grows by a seventh, which is little where structure stands out.
    photons = gaussian_filter(np.random.default_rng(0).normal(size=(512, 512)), 4)
    photons = 0.3 * np.maximum(photons / photons.std(), 0)
    assert "not equally strong" in measure_level([camera(photons)]).why_not_simple()


def test_a_spot_too_small_to_tell_its_noise_is_no_proof_of_even_noise():
    noise = np.random.default_rng(0).normal(0, 6, (256, 256))
    noise[100:107, 100:107] += 2000
    assert measure_level([noise]).why_not_simple()


@pytest.mark.parametrize(("scale", "offset"), [(1e-9, 0), (1, 3e6), (-1, 0)])
def test_verdicts_do_not_depend_on_the_unit(scale, offset):
    for plane in (noisy(20, 0)[0], camera(cells(0.03, 20))):
        there = measure_level([(scale * plane + offset).astype(np.float32)])
        here = measure_level([plane.astype(np.float32)])
        assert bool(there.why_not_simple()) == bool(here.why_not_simple())
        assert there.std == pytest.approx(abs(scale) * here.std, rel=0.05)


def test_what_was_never_recorded_does_not_count():
    (plane,) = noisy(20, 0)
    plane[:200] = np.nan
    level = measure_level([plane.astype(np.float32)])
    assert level.std == pytest.approx(20, rel=0.03)
    assert level.why_not_simple() == ""


def test_one_missing_pixel_changes_no_verdict():
    """256 x 256 px are as many blocks as it takes, and a block fewer is enough."""
    pixels = np.random.default_rng(0).normal(100, 10, (256, 256))
    whole = measure_level([pixels]).why_not_simple()
    pixels[100, 100] = np.nan
    assert measure_level([pixels]).why_not_simple() == whole
