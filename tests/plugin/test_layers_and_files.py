"""A file becomes a layer, that becomes a file: nothing is lost on the way."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from napari.layers import Image as ImageLayer
from window_helpers import notified

from napari_selfdenoise.images import (
    Acquisition,
    Image,
    Look,
    in_order_of,
    read_image,
    write_image,
)
from napari_selfdenoise.images.channels import tables_of_colours
from napari_selfdenoise.plugin.docks.series import read_layer
from napari_selfdenoise.plugin.viewer.layers import (
    FILE_KEY,
    appearance,
    image_from_layer,
    known_of,
)
from napari_selfdenoise.plugin.writers import write_calibrated, write_whole_numbers

LENGTHS = {"T": 2, "Z": 3, "C": 2, "Y": 5, "X": 4, "I": 3}
STEPS = {"T": (2.5, "s"), "Z": (0.3, "µm"), "Y": (0.11, "µm"), "X": (0.108, "µm")}
ORDERS = [
    "".join(order)
    for n in range(4)
    for outer in itertools.combinations("TZCI", n)
    for order in itertools.permutations((*outer, *"YX"))
]
RANGES = ((10.0, 90.0), (5.0, 300.0))


def recorded(axes, dtype=np.uint16):
    """An image of which all is known."""
    shape = [LENGTHS[axis] for axis in axes]
    data = np.random.default_rng(0).integers(0, 120, shape).astype(dtype)
    sizes, units = zip(*(STEPS.get(a, (1.0, "pixel")) for a in axes), strict=True)
    image = Image(data, axes, sizes, units, "cells")
    if "C" not in axes:
        return image
    tables = tables_of_colours([(0, 0, 255), (0, 255, 0)])
    look = Look(tables=tables, mode="composite", ranges=RANGES)
    return replace(image, channel_names=("DAPI", "GFP"), look=look)


def result_of(layer):
    """A layer as a run makes it: floats in the place and look of the source."""
    image = image_from_layer(layer)
    known = {"metadata": {FILE_KEY: known_of(image)}}
    values = np.asarray(layer.data, np.float32) + np.float32(0.25)
    return ImageLayer(values, **(appearance(layer) | known), name="denoised")


def saved(layer, path, write=write_calibrated):
    """The image in the file that napari's File menu writes; and what napari says."""
    data, options, _ = layer.as_layer_data_tuple()
    with notified() as told:
        (place,) = write(str(path), data, options)
    return read_image(place), " ".join(one.message for one in told)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cells.tif", "cells.ome.tif", "cells.ome.zarr"])
def test_every_order_of_axes_survives_the_window(tmp_path, name):
    step = 90 if "zarr" in name else 30
    for axes in ORDERS[::step]:
        image = read_image(write_image(recorded(axes), tmp_path / name))
        data, options = read_layer(tmp_path / name)
        layer = result_of(ImageLayer(data, **options))
        whole, _ = saved(layer, tmp_path / "whole.tif", write_whole_numbers)
        single, _ = saved(layer, tmp_path / "single.ome.tif")
        for found, dtype, shift in ((whole, "u2", 0), (single, "f4", 0.25)):
            assert sorted(found.axes) == sorted(axes)
            found = in_order_of(found, image)
            np.testing.assert_array_equal(found.data, image.data + shift)
            assert found.dtype == dtype
            assert found.pixel_size == pytest.approx(image.pixel_size)
            assert found.units == image.units
            assert found.channel_names == image.channel_names
            tables = found.look.tables if found.look else ()
            assert np.array_equal(tables, image.look.tables if "C" in axes else ())


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "u4", "i8", "u1"])
def test_values_are_rounded_to_the_type_of_the_source(tmp_path, dtype):
    kept = np.dtype(dtype if dtype != "i8" else "i4")
    limits = np.iinfo(kept)
    values = np.full((4, 5), 7.6, np.float64)
    values[0, 0], values[1, 1] = limits.min - 3.0, limits.max + 3.0
    known = {FILE_KEY: {"dtype": dtype}}
    layer = ImageLayer(values, metadata=known, scale=(0.1, 0.1), units=("µm", "µm"))
    found, told = saved(layer, tmp_path / "out.tif", write_whole_numbers)
    assert found.dtype == kept and found.data[2, 2] == 8
    assert (found.data[0, 0], found.data[1, 1]) == (limits.min, limits.max)
    assert "2 pixels (10 %) were clipped: 1 below" in told
    assert found.pixel_size == pytest.approx((0.1, 0.1))


def test_the_window_shows_the_range_of_the_file_and_keeps_those_of_channels(tmp_path):
    grey = replace(recorded("TYX"), look=Look(ranges=RANGES[:1]))
    write_image(grey, tmp_path / "grey.tif")
    data, options = read_layer(tmp_path / "grey.tif")
    layer = ImageLayer(data, **options)
    assert tuple(layer.contrast_limits) == RANGES[0]
    layer.contrast_limits = (20, 60)
    assert saved(layer, tmp_path / "out.tif")[0].look.ranges == ((20, 60),)
    write_image(recorded("CYX"), tmp_path / "dyes.tif")
    data, options = read_layer(tmp_path / "dyes.tif")
    dyes, _ = saved(result_of(ImageLayer(data, **options)), tmp_path / "out.tif")
    assert dyes.look.ranges == RANGES


def test_the_window_keeps_when_and_where_planes_were_recorded(tmp_path):
    times = np.arange(6.0).reshape(2, 3)
    about = Acquisition("TZ", {"DeltaT": times}, {"DeltaT": "s"}, text="60×")
    image = replace(recorded("TZYX"), acquisition=about)
    write_image(image, tmp_path / "cells.ome.tif")
    data, options = read_layer(tmp_path / "cells.ome.tif")
    layer = result_of(ImageLayer(data, **options))
    found, _ = saved(layer, tmp_path / "out.ome.tif")
    np.testing.assert_array_equal(found.acquisition.values["DeltaT"], times)
    assert found.acquisition.text == "60×"
