import imagecodecs
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_selfdenoise import Image, recipe
from napari_selfdenoise.defects import CleanImage, went_through_jpeg
from napari_selfdenoise.training.resolve import resolve_masking


def noisy(side=200, std=8.0):
    rng = np.random.default_rng(0)
    smooth = gaussian_filter(rng.normal(size=(side, side)), 5)
    pixels = 100 + 40 * smooth / smooth.std() + rng.normal(0, std, smooth.shape)
    return np.clip(pixels, 0, 255).round().astype(np.uint8)


def compressed(pixels, quality):
    return imagecodecs.jpeg8_decode(imagecodecs.jpeg8_encode(pixels, level=quality))


@pytest.mark.parametrize("quality", [40, 75, 85])
@pytest.mark.parametrize("start", [(0, 0), (3, 5)])
def test_jpeg_is_recognised_in_cut_outs_too(quality, start):
    y, x = start
    found = compressed(noisy(), quality)[y:, x:].astype(np.float32)
    assert went_through_jpeg([found])


def test_jpeg_is_recognised_beside_outliers_and_padding():
    found = compressed(noisy(), 85).astype(np.float32)
    found[::40, ::30] += 0.3  # what takes the place of outliers
    found[:24] = np.nan
    assert went_through_jpeg([found])


@pytest.mark.parametrize("std", [0.5, 2.0, 8.0, 30.0])
def test_what_was_never_compressed_is_not(std):
    assert not went_through_jpeg([noisy(std=std).astype(np.float32)])
    blurred = gaussian_filter(noisy(std=std).astype(np.float32), 0.8)
    assert not went_through_jpeg([blurred.round()])


def test_bins_are_masked_where_jpeg_spread_the_noise():
    pixels = compressed(noisy(), 85).astype(np.float32)
    image = CleanImage(Image(pixels, "YX"))
    config, finding = resolve_masking(recipe("fast"), [image], [[pixels]])
    assert config.masking.kind == "bins"
    assert "JPEG" in finding or "share noise" in finding
