"""What 32-bit floats lose of values far from zero, and how nothing is lost."""

import numpy as np
import pytest

from napari_selfdenoise import Image, RequestError, denoise, recipe, train
from napari_selfdenoise.defects import corrected, rounding_notes
from napari_selfdenoise.defects.rounding import measure_rounding, subtracted

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("brief_fits")]

NOISE = np.rint(np.random.default_rng(0).normal(0, 10, (64, 64))).astype(np.int64)


def stored(offset, dtype, factor=1):
    return factor * NOISE.astype(dtype) + np.asarray(offset, dtype)


@pytest.mark.parametrize(
    ("offset", "dtype", "factor"),
    [
        (0, "i8", 1),
        (2**24 - 100, "u4", 1),
        (2**27, "i8", 2**20),  # the same in another unit
        (2**53, "u8", 2**30),  # multiples of what 32-bit floats can hold
        (3e6, "f8", 1),
        (0, "f8", 1e-9),
        (1e30, "f4", 1),  # was rounded before
        (60_000, "u2", 1),
    ],
)
def test_nothing_is_said_where_nothing_is_lost(offset, dtype, factor):
    assert rounding_notes(Image(stored(offset, dtype, factor), "YX")) == []


@pytest.mark.parametrize(
    ("offset", "dtype", "step"),
    [(2**28, "i4", 32), (2**28, "u8", 32), (-(2**28), "i8", 32), (2e8, "f8", 16)],
)
def test_what_is_lost_is_told(offset, dtype, step):
    (note,) = rounding_notes(Image(stored(offset, dtype), "YX"))
    found = measure_rounding(Image(stored(offset, dtype), "YX"))
    assert found.step == step and found.differences == pytest.approx(10, rel=0.1)
    assert f"rounded to multiples of {step}" in note
    assert f"Subtract {found.level} from the image first." in note


@pytest.mark.parametrize(
    ("offset", "dtype"),
    [(2**53, "i8"), (2**53, "u8"), (2**63, "u8"), (-(2**62), "i8"), (1e12, "f8")],
)
def test_what_is_lost_altogether_is_refused_and_can_be_had(offset, dtype):
    pixels = stored(offset, dtype)
    with pytest.raises(RequestError, match=r"values around .* Subtract -?\d"):
        rounding_notes(Image(pixels, "YX"))
    level = measure_rounding(Image(pixels, "YX")).level
    near = subtracted(pixels, level)
    assert near.dtype == np.float32
    np.testing.assert_array_equal(near - near[0, 0], NOISE - NOISE[0, 0])
    assert rounding_notes(Image(near, "YX")) == []


def test_outliers_and_missing_pixels_do_not_hide_it():
    pixels = stored(2**40, "u8")
    pixels[3, 4] = 2**64 - 1
    found = measure_rounding(Image(pixels, "YX"))
    assert found.is_too_coarse and subtracted(pixels, found.level)[3, 4] > 1e19
    holes = stored(1e12, "f8")
    holes[:, :9] = np.nan
    assert measure_rounding(Image(holes, "YX")).is_too_coarse


def test_what_was_never_recorded_does_not_hide_it():
    noise = np.random.default_rng(0).normal(0, 10, (512, 512))
    for empty in (0, np.nan):
        pixels = 1e9 + noise
        pixels[100:412, 100:412] = empty
        found = measure_rounding(Image(pixels, "YX"))
        assert found.step == 64 and found.is_too_coarse


def test_the_plane_that_loses_most_decides():
    stack = np.stack([stored(0, "i8"), stored(2**28, "i8"), stored(2**26, "i8")])
    assert measure_rounding(Image(stack, "TYX")).step == 32


def test_a_constant_image_loses_nothing():
    assert measure_rounding(Image(np.full((32, 32), 2**60), "YX")) is None
    assert measure_rounding(Image(np.full((32, 32), np.nan), "YX")) is None


FINE = np.random.default_rng(0).normal(100, 10, (64, 64))


@pytest.mark.parametrize(
    ("factor", "dtype", "power"),
    [
        (1e19, "f4", -20),
        (1e30, "f4", -31),
        (1e300, "f8", -300),
        (1e-18, "f4", 17),
        (1e-35, "f4", 34),
        (1e-39, "f4", 38),  # more than a 32-bit float can be multiplied by
        (1e-300, "f8", 299),
        (1e16, "i8", -17),
    ],
)
def test_what_is_too_large_or_too_small_is_refused(factor, dtype, power):
    image = Image((factor * FINE).astype(dtype), "YX")
    with pytest.raises(RequestError, match=rf"ultiply (the image|it) by 1e{power}\."):
        train(image, brief())
    model = train(Image(FINE.astype("f4"), "YX"), brief())
    with pytest.raises(RequestError, match="ultiply"):
        denoise(image, model, device="cpu")


@pytest.mark.parametrize("factor", [1e-13, 1e13])
def test_what_can_be_computed_with_is_not_refused(factor):
    """One extreme pixel is no reason, either."""
    pixels = factor * FINE
    pixels[5, 5] = 1e35
    image = Image(pixels.astype("f4"), "YX")
    assert rounding_notes(image) == []
    found = denoise(image, train(image, brief()), device="cpu").denoised.data
    assert np.isfinite(found).all()
    assert found.mean() == pytest.approx(100 * factor, rel=0.1)


@pytest.mark.parametrize("odd", [1e-20, 1e20])
def test_a_corner_that_was_not_recorded_is_not_judged_by_its_odd_pixels(odd):
    pixels = FINE.repeat(3, 0).repeat(3, 1).astype("f4")
    pixels += np.random.default_rng(1).normal(0, 5, pixels.shape).astype("f4")
    pixels[:100, :100] = 0
    pixels[50, 50:53] = odd
    assert rounding_notes(Image(pixels, "YX")) == []


def test_tails_that_vanish_are_not_the_usual_part():
    ramp = np.linspace(-6, 6, 256)
    window = np.exp(-np.add.outer(ramp**2, ramp**2))
    pixels = window * (100 + np.random.default_rng(0).normal(0, 10, (256, 256)))
    assert rounding_notes(Image(pixels.astype("f4"), "YX")) == []


def brief():
    small = {"steps": 2, "network.width": 4, "patch_size": 16, "device": "cpu"}
    return recipe("fast").override(small | {"flips": False})


def test_a_run_says_what_is_lost():
    image = Image(stored(2**28, "i8"), "YX")
    (note,) = rounding_notes(image)
    model = train(image, brief())
    assert note in model.provenance["finding"]
    assert note in denoise(image, model, device="cpu").notes


def test_a_run_refuses_what_is_lost_altogether():
    image = Image(stored(2**63, "u8"), "YX")
    with pytest.raises(RequestError, match="Subtract 9223372036"):
        train(image, brief())
    model = train(Image(stored(0, "i8"), "YX"), brief())
    with pytest.raises(RequestError, match="Subtract 9223372036"):
        denoise(image, model, device="cpu")


def test_a_dark_frame_does_not_hide_it():
    image = Image(stored(2**28, "i8"), "YX")
    dark = Image(np.zeros((64, 64), np.uint16), "YX", name="dark")
    assert rounding_notes(image)[0] in corrected(image, dark).notes
