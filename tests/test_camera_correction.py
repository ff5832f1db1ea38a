"""Dark frame, flat field and mask: the image as an even camera would have shown it."""

import dask.array
import numpy as np
import pytest

from napari_selfdenoise import Image, RequestError
from napari_selfdenoise.defects import Corrections, corrected
from napari_selfdenoise.defects.camera_correction import masked
from napari_selfdenoise.images import as_line_scan

LUCK = np.random.default_rng(0)
LIGHT = LUCK.uniform(50, 200, (5, 20, 30))
DARK = LUCK.uniform(90, 110, (20, 30))
GAIN = LUCK.uniform(0.5, 1.5, (20, 30))
RAW = LIGHT * GAIN + DARK


def image(data, axes="YX", **options):
    return Image(np.asarray(data, np.float32), axes, **options)


def test_light_comes_back_over_the_median_of_the_dark_frame():
    found = corrected(image(RAW, "TYX"), image(DARK), image(GAIN))
    expected = LIGHT * GAIN.mean() + np.median(DARK)
    np.testing.assert_allclose(found.data, expected, rtol=1e-5)
    assert found.axes == "TYX"
    assert found.data.dtype == np.float32


def test_a_flat_field_of_the_same_camera_has_its_offset_too():
    flat = 3000 * GAIN + DARK
    found = corrected(image(RAW, "TYX"), image(DARK), image(flat))
    expected = LIGHT * GAIN.mean() + np.median(DARK)
    np.testing.assert_allclose(found.data, expected, rtol=1e-4)


def test_each_can_be_given_alone():
    dark = corrected(image(RAW, "TYX"), dark=image(DARK))
    np.testing.assert_allclose(dark.data, RAW - DARK + np.median(DARK), rtol=1e-5)
    flat = corrected(image(RAW, "TYX"), flat=image(GAIN))
    np.testing.assert_allclose(flat.data, RAW / (GAIN / GAIN.mean()), rtol=1e-5)


def test_of_a_stack_the_mean_is_used():
    noise = LUCK.normal(0, 5, (8, 20, 30))
    noise -= noise.mean(axis=0)
    found = corrected(image(RAW, "TYX"), dark=image(DARK + noise, "ZYX"))
    np.testing.assert_allclose(found.data, RAW - DARK + np.median(DARK), rtol=1e-5)


def test_hot_pixels_of_a_dark_frame_move_no_other_pixel():
    hot = DARK.copy()
    hot[3, 4] = hot[7, 8] = 65535
    found = corrected(image(RAW, "TYX"), dark=image(hot)).data
    expected = RAW - DARK + np.median(DARK)
    cool = hot == DARK
    np.testing.assert_allclose(found[:, cool], expected[:, cool], rtol=1e-3)


def test_a_dark_frame_without_a_number_loses_that_pixel_alone():
    dark = DARK.copy()
    dark[3, 4] = np.nan
    found = corrected(image(RAW, "TYX"), dark=image(dark))
    assert np.isnan(found.data).sum() == len(RAW)
    assert np.isnan(found.data[:, 3, 4]).all()
    assert "One pixel is missing in the image: the dark frame" in found.notes[-1]


def test_a_mask_that_leaves_no_pixel_is_refused():
    with pytest.raises(RequestError, match="it leaves no pixel"):
        masked(image(DARK), image(np.zeros_like(DARK)))


@pytest.mark.parametrize("axes", ["CTYX", "TCYX", "YXCT", "XTCY"])
def test_each_channel_has_its_own_dark_frame(axes):
    darks = np.stack([DARK, 2 * DARK, DARK + 7])
    light = np.stack([LIGHT, LIGHT + 1, LIGHT + 2])
    order = ["CTYX".index(a) for a in axes]
    raw = (light + darks[:, None]).transpose(order)
    found = corrected(image(raw, axes), dark=image(darks, "CYX"))
    expected = light + np.median(darks, axis=(1, 2))[:, None, None, None]
    np.testing.assert_allclose(found.data, expected.transpose(order), rtol=1e-5)


def test_lazy_images_stay_lazy():
    lazy = image(RAW, "TYX").with_data(dask.array.from_array(RAW.astype(np.uint16)))
    found = corrected(lazy, image(DARK), image(GAIN))
    assert isinstance(found.data, dask.array.Array)
    whole = corrected(image(RAW.astype(np.uint16), "TYX"), image(DARK), image(GAIN))
    np.testing.assert_array_equal(found.data.compute(), whole.data)
    assert (found.read_plane((3,)) == whole.data[3]).all()


def test_the_image_itself_is_not_changed():
    raw = image(RAW, "TYX")
    corrected(raw, image(DARK), image(GAIN))
    np.testing.assert_array_equal(raw.data, RAW.astype(np.float32))


@pytest.mark.parametrize("value", [0, -1, np.nan])
def test_pixels_without_light_in_the_flat_field_are_missing_and_counted(value):
    flat = GAIN.copy()
    flat[3, 4:7] = value
    found = corrected(image(RAW, "TYX"), image(DARK), image(flat, name="lamp"))
    assert np.isnan(found.data[:, 3, 4:7]).all()
    assert np.isnan(found.data).sum() == 15
    mean = GAIN[flat > 0].mean()
    seen = np.isfinite(found.data[0])
    np.testing.assert_allclose(
        found.data[:, seen], (LIGHT * mean + np.median(DARK))[:, seen], rtol=1e-5
    )
    assert found.notes[-1].startswith(
        "3 pixels are missing in the image: the flat field"
    )
    assert "lamp" in found.notes[-2]


def test_a_flat_field_without_light_is_refused():
    with pytest.raises(RequestError, match="no light at all"):
        corrected(image(RAW, "TYX"), flat=image(0 * GAIN))


@pytest.mark.parametrize("what", ["dark", "flat"])
def test_another_size_is_refused_with_both_sizes(what):
    given = {what: image(np.ones((10, 30)), name="other")}
    with pytest.raises(RequestError, match=r"'other' has 10 × 30 pixels.*20 × 30"):
        corrected(image(RAW, "TYX"), **given)
    with pytest.raises(RequestError, match="'other' has 10 × 30"):
        Corrections(**given).require_fits(image(RAW, "TYX"))


MASK = LUCK.integers(0, 2, (20, 30))


@pytest.mark.parametrize(
    ("axes", "mask", "mask_axes"),
    [
        ("TYX", MASK, "YX"),
        ("TYX", MASK[None], "IYX"),
        ("TCYX", np.stack([MASK] * 5), "TYX"),
        ("CTYX", np.stack([MASK] * 5), "TYX"),
        ("TXY", MASK, "YX"),
    ],
)
def test_a_mask_is_repeated_along_axes_that_it_does_not_have(axes, mask, mask_axes):
    lengths = {"T": 5, "C": 2, "Y": 20, "X": 30}
    raw = image(np.zeros([lengths[a] for a in axes]), axes)
    found = masked(raw, Image(mask, mask_axes))
    for plane in found.planes():
        assert (found.read_mask(plane) == MASK.astype(bool)).all()


def test_a_mask_of_a_line_scan_is_time_by_position():
    scan = as_line_scan(image(np.zeros((20, 1, 30)), "TYX"))
    assert (masked(scan, Image(MASK, "YX")).read_mask((0,)) == MASK).all()


@pytest.mark.parametrize(
    ("shape", "axes"), [((20, 31), "YX"), ((4, 20, 30), "TYX"), ((5, 20, 30), "ZYX")]
)
def test_a_mask_of_another_shape_is_refused(shape, axes):
    mask = Image(np.ones(shape), axes, name="hole")
    with pytest.raises(RequestError, match="The mask 'hole' is"):
        masked(image(np.zeros((5, 2, 20, 30)), "TCYX"), mask)


def test_corrections_are_applied_in_order_and_named():
    made = Corrections(
        image(DARK, name="closed"), image(GAIN, name="lamp"), Image(MASK, "YX")
    )
    found = made.apply(image(RAW, "TYX"))
    assert made and not Corrections()
    assert made.names() == {"dark": "closed", "flat": "lamp", "mask": "image"}
    assert (found.read_mask((0,)) == MASK).all()
    plain = corrected(image(RAW, "TYX"), made.dark, made.flat)
    np.testing.assert_array_equal(found.data, plain.data)
    raw = image(RAW, "TYX")
    assert Corrections().apply(raw) is raw
