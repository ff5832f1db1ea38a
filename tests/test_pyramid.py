"""Coarser levels of an image show what is written to it, and nothing is copied."""

import numpy as np
import pytest

from napari_selfdenoise.images import levels


class Lazy:
    """Slices like an array, and knows how many pixels were read at once."""

    def __init__(self, data):
        self.data, self.most = data, 0
        self.shape, self.ndim, self.dtype = data.shape, data.ndim, data.dtype

    def __getitem__(self, index):
        self.most = max(self.most, self.data[index].size)
        return self.data[index]


@pytest.fixture
def image():
    return np.arange(2 * 3000 * 5).reshape(2, 3000, 5)


def test_each_level_has_every_other_pixel_of_the_one_before(image):
    full, half, quarter = levels(image, "TYX")
    assert full is image
    assert np.shares_memory(half, image) and np.shares_memory(quarter, image)
    image[1, 4] = -1
    for level, step in ((half, 2), (quarter, 4)):
        np.testing.assert_array_equal(level, image[:, ::step, ::step])


def test_axes_may_have_any_order_and_others_in_front(image):
    _, half, _ = levels(image[None], "XYT")
    assert half.shape == (1, 1, 1500, 5)


@pytest.mark.parametrize(
    "index", [1, (0, slice(3, 9)), (1, slice(None), slice(1, 2)), (0, 749, 1), ...]
)
def test_what_is_lazy_is_read_where_it_is_looked_at(image, index):
    lazy = Lazy(image)
    level = levels(lazy, "TYX")[2]
    expected = image[:, ::4, ::4]
    assert level.shape == expected.shape
    np.testing.assert_array_equal(level[index], expected[index])
    assert lazy.most == expected[index].size
