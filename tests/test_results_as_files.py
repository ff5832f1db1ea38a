"""Results of the command line know what their source knew."""

import itertools

import numpy as np
import pytest
import tifffile

from napari_selfdenoise import TrainingConfig, train
from napari_selfdenoise.images import Image, in_order_of, read_image, write_image
from napari_selfdenoise.model import save_model

LENGTHS = {"T": 2, "Z": 3, "C": 2, "Y": 20, "X": 16}
ORDERS = [
    "".join(outer) + "YX"
    for n in range(4)
    for outer in itertools.permutations("TZC", n)
]
"""Every order of axes that an OME-TIFF may have."""

ABOUT = {"PhysicalSizeX": 0.1, "PhysicalSizeY": 0.11, "PhysicalSizeZ": 0.3}
ABOUT |= {"TimeIncrement": 2.5, "TimeIncrementUnit": "s", "Description": "60×"}
SIZES = {"X": 0.1, "Y": 0.11, "Z": 0.3, "T": 2.5, "C": 1}


def light(axes, dtype=np.uint16):
    shape = [LENGTHS[axis] for axis in axes]
    return np.random.default_rng(0).poisson(100, shape).astype(dtype)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Files of models of one and of two channels, which have hardly learned."""
    config = TrainingConfig().override(
        {"steps": 2, "network.width": 4, "network.depth": 1, "patch_size": 16}
        | {"batch_size": 2, "device": "cpu", "precision": "float32", "flips": False}
    )
    folder = tmp_path_factory.mktemp("models")
    images = Image(light("YX"), "YX"), Image(light("CYX"), "CYX")
    pairs = zip(images, ("one", "two"), strict=True)
    return [save_model(train(image, config), folder / name) for image, name in pairs]


def write_ome(path, axes):
    """An OME-TIFF of which all is known, with the axes in this order."""
    planes = light(axes).size // (20 * 16)
    times = [float(n) for n in range(planes)]
    about = ABOUT | {"axes": axes, "Plane": {"DeltaT": times}}
    about["Channel"] = {"Name": ["DAPI", "GFP"] if "C" in axes else ["Cy5"]}
    tifffile.imwrite(path, light(axes), ome=True, metadata=about)


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 2])
def test_results_have_the_axes_sizes_names_and_planes_of_their_source(
    tmp_path, models, selfdenoise, channels
):
    orders = [axes for axes in ORDERS if ("C" in axes) == (channels == 2)]
    for axes in orders:
        write_ome(tmp_path / f"{axes}.ome.tif", axes)
    files = [tmp_path / f"{axes}.ome.tif" for axes in orders]
    (tmp_path / "out").mkdir()
    model = models[channels - 1]
    status, _, err = selfdenoise("predict", model, *files, tmp_path / "out")
    assert status == 0, err
    for axes, file in zip(orders, files, strict=True):
        source = read_image(file)
        assert source.axes == axes
        found = read_image(tmp_path / "out" / f"{axes} denoised.tif")
        found = in_order_of(found, source)
        assert (found.axes, found.shape) == (axes, source.shape)
        assert found.pixel_size == pytest.approx([SIZES[axis] for axis in axes])
        assert found.units == source.units and found.dtype == np.float32
        assert found.channel_names == source.channel_names
        assert found.acquisition.text == "60×"
    place = tmp_path / "last.ome.tif"
    selfdenoise("predict", model, files[-1], place)
    last, source = read_image(place).acquisition, read_image(files[-1]).acquisition
    order = [last.axes.index(axis) for axis in source.axes]
    times = last.values["DeltaT"].transpose(order)
    np.testing.assert_array_equal(times, source.values["DeltaT"])


@pytest.mark.parametrize("name", ["out.tif", "out.ome.zarr"])
@pytest.mark.parametrize("dtype", ["u1", "i2", "u4"])
def test_results_are_rounded_to_the_type_of_their_source(
    tmp_path, models, selfdenoise, dtype, name
):
    write_image(Image(light("TYX", dtype), "TYX"), tmp_path / "in.tif")
    read = ("predict", models[0], tmp_path / "in.tif")
    status, report, err = selfdenoise(*read, tmp_path / name, "--type-of-source")
    assert status == 0, err
    assert f"rounded to whole numbers ({np.dtype(dtype)})" in " ".join(
        report["warnings"]
    )
    found = read_image(tmp_path / name)
    assert found.dtype == dtype
    selfdenoise(*read, tmp_path / "float.tif")
    single = read_image(tmp_path / "float.tif")
    assert single.dtype == np.float32
    np.testing.assert_array_equal(found.data, np.rint(single.data))


def test_floats_are_not_rounded_to_the_type_of_their_source(
    tmp_path, models, selfdenoise
):
    write_image(Image(light("YX", "f4"), "YX"), tmp_path / "in.tif")
    status, report, _ = selfdenoise(
        *("predict", models[0], tmp_path / "in.tif"),
        *(tmp_path / "out.tif", "--type-of-source"),
    )
    assert status == 2 and "there is nothing to round" in report["error"]


def test_samples_that_no_file_can_hold_are_refused_before_the_training(
    tmp_path, selfdenoise
):
    write_image(Image(light("TZCYX"), "TZCYX"), tmp_path / "in.tif")
    status, report, err = selfdenoise(
        *("denoise", tmp_path / "in.tif", tmp_path / "out.ome.zarr"),
        *("--recipe", "pn2v", "--steps", 10**6, "--estimator", "posterior_samples"),
        *("--outputs", "posterior-samples"),
    )
    assert status == 2 and "OME-Zarr holds at most 5 axes" in report["error"]
    assert "tep" not in err  # no training
