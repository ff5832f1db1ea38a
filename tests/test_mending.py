"""Ways out for images that cannot be denoised as they are."""

import dask.array as da
import numpy as np
import pytest

from napari_selfdenoise import Image
from napari_selfdenoise.defects import Findings, examine_steps, fill_steps, ways_out
from napari_selfdenoise.defects.mending import (
    channels_of,
    luminance_steps,
    missing_steps,
)


def result(steps):
    """What a generator returns, and the shares that it yields."""
    shares = []
    while True:
        try:
            shares.append(next(steps))
        except StopIteration as end:
            assert all(0 <= share < 1 for share in shares)
            return end.value


@pytest.fixture
def rgb():
    pixels = np.random.default_rng(0).integers(0, 255, (2, 16, 24, 3), np.uint8)
    size = (1.0, 0.2, 0.1, 1.0)
    units = ("pixel", "µm", "µm", "pixel")
    return Image(pixels, "TYXS", size, units, name="slide")


def test_luminance_is_what_grey_looks_like(rgb):
    grey = result(luminance_steps(rgb))
    assert (grey.axes, grey.shape) == ("TYX", (2, 16, 24))
    assert grey.pixel_size == (1.0, 0.2, 0.1) and grey.units[1] == "µm"
    expected = rgb.data @ np.float32([0.2126, 0.7152, 0.0722])
    np.testing.assert_allclose(grey.data, expected, rtol=1e-5)
    assert grey.data.dtype == np.float32


def test_equal_colours_keep_their_value(rgb):
    same = rgb.with_data(np.repeat(rgb.data[..., :1], 3, -1))
    grey = result(luminance_steps(same)).data
    np.testing.assert_allclose(grey, same.data[..., 0], rtol=1e-5)


@pytest.mark.parametrize("samples", [3, 4])
def test_colours_become_channels_without_a_copy(rgb, samples):
    data = np.concatenate([rgb.data, rgb.data[..., :1]], -1)[..., :samples]
    channels = channels_of(Image(data, "TYXS", rgb.pixel_size, rgb.units))
    assert (channels.axes, channels.shape) == ("CTYX", (3, 2, 16, 24))
    assert channels.channels == 3 and channels.pixel_size[-2:] == (0.2, 0.1)
    np.testing.assert_array_equal(channels.data[1], data[..., 1])
    assert np.shares_memory(channels.data, data)


def test_lazy_colours_stay_lazy(rgb):
    lazy = rgb.with_data(da.from_array(rgb.data, chunks=(1, 16, 24, 3)))
    assert isinstance(channels_of(lazy).data, da.Array)


def test_only_rgb_needs_another_image(rgb):
    assert list(ways_out(rgb)) == ["Use the luminance", "Split channels"]
    assert ways_out(Image(np.zeros((4, 4)), "YX")) == {}
    for way in ways_out(rgb).values():
        assert "S" not in result(way()).axes


@pytest.fixture
def holes():
    pixels = np.random.default_rng(1).normal(100, 5, (3, 64, 64)).astype(np.float32)
    pixels[1, 20:24, 30:33] = np.nan
    pixels[2, 5, 6] = np.inf
    return Image(pixels, "TYX")


def test_missing_pixels_are_counted(holes):
    assert result(missing_steps(holes)) == 13
    assert result(missing_steps(Image(np.zeros((4, 4), np.uint8), "YX"))) == 0


def test_what_teaches_nothing_is_found(holes):
    blank = np.full((2, 64, 64), 7, np.uint16)
    found = result(examine_steps(Image(blank, "TYX")))
    assert found.obstacle.startswith("All pixels are 7: there is no signal")
    blank[1] = holes.data[0]
    assert result(examine_steps(Image(blank, "TYX"))) == Findings()
    assert result(examine_steps(holes)) == Findings(missing=13)


def test_what_is_full_of_gaps_is_found(holes):
    gaps = np.random.default_rng(0).random((64, 64)) < 0.6
    found = result(examine_steps(Image(np.where(gaps, np.nan, holes.data[0]), "YX")))
    assert found.obstacle.startswith("Too few pixels were recorded next to each other")
    masked = result(examine_steps(Image(holes.data[0], "YX", mask=~gaps)))
    assert masked.obstacle == found.obstacle


def test_lazy_whole_numbers_are_not_read_before_a_training():
    def refuse(block):
        raise AssertionError

    lazy = da.zeros((4, 64, 64), np.uint16).map_blocks(refuse, meta=np.zeros(0, "u2"))
    assert result(examine_steps(Image(lazy, "TYX"))) == Findings()


def test_missing_pixels_are_filled_and_others_kept(holes):
    filled = result(fill_steps(holes)).data
    numbers = np.isfinite(holes.data)
    np.testing.assert_array_equal(filled[numbers], holes.data[numbers])
    assert np.isfinite(filled).all()
    assert np.abs(filled[~numbers] - 100).max() < 20


def test_columns_first_are_filled_in_their_place(holes):
    turned = Image(holes.data.transpose(0, 2, 1), "TXY")
    filled = result(fill_steps(turned)).data
    np.testing.assert_array_equal(
        filled.transpose(0, 2, 1), result(fill_steps(holes)).data
    )
