"""Two exposures of one scene: what does not go together, and how it is matched."""

import re

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.ndimage import shift as shifted

from napari_selfdenoise import Image, RequestError
from napari_selfdenoise.pairing import (
    fit_pair,
    match_noise_free,
    match_pair,
    measure_shift,
)

GAIN, READ = 2.0, 3.0


@pytest.fixture(scope="module")
def scene():
    """Spots of many sizes on a dim background, (Y, X), grey values."""
    rng = np.random.default_rng(0)
    points = np.zeros((192, 192))
    points[tuple(rng.integers(0, 192, (2, 150)))] = rng.uniform(500, 3000, 150)
    return 40 + gaussian_filter(points, 1.5) + gaussian_filter(points, 6)


def exposure(scene, seed):
    rng = np.random.default_rng(seed)
    noisy = GAIN * rng.poisson(np.maximum(scene, 0) / GAIN)
    return (noisy + rng.normal(0, READ, scene.shape)).astype(np.float32)


def image(pixels, axes="YX", **more):
    return Image(np.asarray(pixels, np.float32), axes, **more)


def test_two_exposures_go_together_as_they_are(scene):
    second = image(exposure(scene, 2))
    found = match_pair(image(exposure(scene, 1)), second)
    assert found.notes == ()
    assert found.image is second


@pytest.mark.parametrize("change", [lambda x: x, lambda x: 2 * x + 5])
def test_a_copy_is_refused(scene, change):
    """Its noise is that of the image, also in other units."""
    noisy = exposure(scene, 1)
    with pytest.raises(RequestError, match=r"same picture|share noise"):
        match_pair(image(noisy), image(change(noisy)))


def test_exposures_that_were_averaged_with_each_other_are_refused(scene):
    first, second = exposure(scene, 1), exposure(scene, 2)
    with pytest.raises(RequestError, match="share noise"):
        match_pair(image(first), image(0.5 * first + 0.5 * second))


def test_a_few_common_pixels_of_the_camera_are_no_shared_noise(scene):
    pair = [exposure(scene, seed) for seed in (1, 2)]
    for noisy in pair:
        noisy[5::40, 7::40] = 4000  # hot
    assert match_pair(*map(image, pair)).notes == ()


@pytest.mark.parametrize("by", [(3, 0), (-2, 2), (0, 12)])
def test_a_shifted_pair_is_refused_with_the_shift(scene, by):
    moved = image(exposure(np.roll(scene, by, (0, 1)), 2))
    with pytest.raises(RequestError, match="shifted") as refused:
        match_pair(image(exposure(scene, 1)), moved)
    found = [float(x) for x in re.findall(r"[+-]\d+\.\d", str(refused.value))]
    np.testing.assert_allclose(found, np.negative(by), atol=0.15)


def test_a_small_shift_is_a_note(scene):
    moved = image(exposure(shifted(scene, (0.8, 0), order=3, mode="nearest"), 2))
    (note,) = match_pair(image(exposure(scene, 1)), moved).notes
    assert "shifted by (-0.8" in note or "shifted by (-0.7" in note


def test_nothing_is_registered_where_there_is_no_structure():
    flat = np.full((128, 128), 100.0)
    pair = [exposure(flat, seed) for seed in (1, 2)]
    assert measure_shift([tuple(pair)]).length == 0
    assert match_pair(*map(image, pair)).notes == ()


def test_another_scene_is_refused(scene):
    with pytest.raises(RequestError, match="another scene"):
        match_pair(image(exposure(scene, 1)), image(exposure(scene[::-1, ::-1], 2)))


@pytest.mark.parametrize("match", [match_pair, match_noise_free])
def test_a_bleached_image_is_matched_in_brightness(scene, match):
    second = 0.8 * scene + 3
    if match is match_pair:
        second = exposure(second, 2)
    found = match(image(exposure(scene, 1)), image(second))
    assert "not as bright" in found.notes[0]
    means = [gaussian_filter(x, 8) for x in (found.image.data, scene)]
    np.testing.assert_allclose(*means, rtol=0.04)


def test_either_of_two_exposures_can_be_matched_to_the_other():
    rng = np.random.default_rng(0)
    signal = rng.uniform(10, 100, 400)
    one, other = (f * signal + rng.normal(0, 5, 400) for f in (1.0, 0.7))
    ahead, back = fit_pair(one, other), fit_pair(other, one)
    assert ahead.gain == pytest.approx(1 / back.gain)
    assert ahead.gain == pytest.approx(1 / 0.7, rel=0.05)


def test_channels_are_matched_each_by_itself(scene):
    first = np.stack([exposure(scene, 1), exposure(scene, 2)])
    second = np.stack([exposure(scene, 3), exposure(0.6 * scene, 4)])
    found = match_pair(image(first, "CYX"), image(second, "CYX"))
    (note,) = found.notes
    assert "channel 2" in note
    ratio = found.image.data.mean((1, 2)) / scene.mean()
    np.testing.assert_allclose(ratio, 1, rtol=0.02)


def test_a_noise_free_image_that_is_noisy_is_a_note(scene):
    (note,) = match_noise_free(
        image(exposure(scene, 1)), image(exposure(scene, 2))
    ).notes
    assert "noisy itself" in note
    assert match_noise_free(image(exposure(scene, 1)), image(scene)).notes == ()


def test_the_noisy_image_is_no_noise_free_image(scene):
    noisy = image(exposure(scene, 1))
    with pytest.raises(RequestError, match="same picture"):
        match_noise_free(noisy, noisy)


def test_other_shapes_and_axes_are_refused(scene):
    one = image(exposure(scene, 1))
    with pytest.raises(RequestError, match="same axes and sizes"):
        match_pair(one, image(exposure(scene, 2)[:, 1:]))
    with pytest.raises(RequestError, match="same axes and sizes"):
        match_pair(
            image(np.stack([scene] * 2), "TYX"), image(np.stack([scene] * 2), "ZYX")
        )


@pytest.mark.parametrize("bad", [np.nan, 0.0])
def test_what_was_not_recorded_does_not_count(scene, bad):
    first, second = exposure(scene, 1), exposure(scene, 2)
    second[:, :60] = bad
    assert match_pair(image(first), image(second)).notes == ()
