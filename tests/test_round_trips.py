"""What goes into a file comes out of it: axes, sizes, names, colours, planes, types."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import zarr

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import (
    Acquisition,
    Image,
    Look,
    in_order_of,
    read_image,
    require_denoisable,
    write_image,
    write_ome_zarr,
)
from napari_selfdenoise.images.channels import tables_of_colours

LENGTHS = {"T": 2, "Z": 3, "C": 2, "Y": 5, "X": 4, "I": 3, "P": 2}
STEPS = {"T": (2.5, "s"), "Z": (0.3, "µm"), "Y": (0.11, "µm"), "X": (0.108, "µm")}
DYES = ("DAPI", "GFP µ")
TABLES = tables_of_colours([(0, 0, 255), (0, 255, 0)])

NAMED = [
    "".join(order)
    for n in range(4)
    for outer in itertools.combinations("TZC", n)
    for order in itertools.permutations((*outer, *"YX"))
]
"""Every order of the axes that a file may have, up to five."""

NAMELESS = [
    "".join(order)
    for n in (1, 2, 3)
    for outer in itertools.combinations("TZCIP", n)
    for order in itertools.permutations((*outer, *"YX"))
    if set("IP") & set(outer)
]

WAYS = ["a.tif", "a.ome.tif", "0.4 a.ome.zarr", "0.5 a.ome.zarr"]
"""Files; an OME-Zarr after its version."""


def stack(axes, dtype=np.uint16):
    """An image of which all is known."""
    shape = [LENGTHS[axis] for axis in axes]
    data = np.random.default_rng(0).integers(0, 120, shape).astype(dtype)
    sizes, units = zip(*(STEPS.get(a, (1.0, "pixel")) for a in axes), strict=True)
    image = Image(data, axes, sizes, units, "a")
    if "C" not in axes:
        return replace(image, channel_names=("Cy5",))
    look = Look(tables=TABLES, mode="composite")
    return replace(image, channel_names=DYES, look=look)


def stored(image, folder, way):
    """The image as it comes back from a file."""
    version, _, name = way.rpartition(" ")
    if version:
        return read_image(write_ome_zarr(image, folder / name, version=version))
    return read_image(write_image(image, folder / name))


def assert_kept(found, image):
    assert sorted(found.axes) == sorted(image.axes)
    found = in_order_of(found, image)
    assert np.array_equal(found.data, image.data)
    assert found.dtype == image.dtype
    assert found.pixel_size == pytest.approx(image.pixel_size)
    assert found.units == image.units
    assert found.channel_names == image.channel_names
    tables = found.look.tables if found.look else ()
    assert np.array_equal(tables, image.look.tables if image.look else ())


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_every_order_of_axes_comes_back(tmp_path, way):
    orders = {"0.4": NAMED[::9], "0.5": NAMED[4::9]}  # each is many files
    for axes in orders.get(way[:3], NAMED):
        assert_kept(stored(stack(axes), tmp_path, way), stack(axes))


@pytest.mark.parametrize("way", WAYS)
def test_axes_without_a_name_come_back(tmp_path, way):
    some = np.random.default_rng(0).choice(NAMELESS, 6, replace=False)
    for axes in ["IYX", "YXI", "IPYX", "CIPYX", *map(str, some)]:
        assert_kept(stored(stack(axes), tmp_path, way), stack(axes))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", ["u1", ">u2", "i1", "i2", "i4", "u4", "f4"])
def test_types_of_pixels_come_back(tmp_path, dtype, way):
    image = stack("TCYX", dtype)
    native = image.with_data(image.data.astype(image.dtype.newbyteorder("=")))
    assert_kept(stored(image, tmp_path, way), native)


RANGES = ((10.0, 90.0), (5.0, 300.0))


@pytest.mark.parametrize("way", [way for way in WAYS if "ome.tif" not in way])
@pytest.mark.parametrize("dtype", ["u2", "i2", "f4"])
def test_the_range_that_each_channel_is_shown_with_comes_back(tmp_path, dtype, way):
    image = stack("ZCYX", dtype)
    image = replace(image, look=replace(image.look, ranges=RANGES))
    assert stored(image, tmp_path, way).look.ranges == RANGES
    one = replace(stack("YX", dtype), look=Look(ranges=RANGES[1:]))
    assert stored(one, tmp_path, way).look.ranges == RANGES[1:]


def planes_of(axes):
    """When and where each plane of T and Z was recorded; one is not known."""
    image = stack(axes)
    shape = (LENGTHS["T"], LENGTHS["Z"])
    times = np.arange(6.0).reshape(shape)
    times[0, 1] = np.nan
    values = {"DeltaT": times, "PositionX": np.full(shape, 1500.5)}
    units = {"DeltaT": "ms", "PositionX": "µm"}
    about = Acquisition("TZ", values, units, "2026-11-27T10:00:00", "of <cells> & µm")
    return replace(image, acquisition=about)


@pytest.mark.parametrize("axes", ["TZYX", "ZCXTY", "TZCYX"])
def test_when_and_where_planes_were_recorded_comes_back(tmp_path, axes):
    image = planes_of(axes)
    found = stored(image, tmp_path, "a.ome.tif").acquisition
    for key, value in image.acquisition.values.items():
        column = found.values[key]
        column = column[..., 0] if "C" in axes else column  # the same in both channels
        np.testing.assert_array_equal(column, value)
    assert found.units == image.acquisition.units
    assert (found.date, found.text) == ("2026-11-27T10:00:00", "of <cells> & µm")
    one = read_image(tmp_path / "a.ome.tif", frame=1).acquisition
    assert np.ravel(one.values["DeltaT"])[0] == 3  # the second time, the first plane


def test_ome_understands_planes_and_axes_without_a_name(tmp_path):
    ome_types = pytest.importorskip("ome_types")
    path = write_image(planes_of("TZCYX").stack_of(2), tmp_path / "a.ome.tif")
    with tifffile.TiffFile(path) as tif:
        found = ome_types.from_xml(tif.ome_metadata).images[0].pixels
    planes = [plane for plane in found.planes if plane.delta_t is not None]
    assert len(found.planes) == 24 and len(planes) == 20  # one time is not known
    assert planes[0].delta_t_unit.value == "ms" and planes[0].position_x == 1500.5


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_zarr_with_axes_without_a_name_and_ranges_is_valid(tmp_path, version):
    yaozarrs = pytest.importorskip("yaozarrs")
    image = replace(stack("IZYX"), look=Look(ranges=RANGES[:1]))
    path = write_ome_zarr(image, tmp_path / "a.ome.zarr", version=version)
    yaozarrs.validate_zarr_store(path)


def test_samples_have_the_place_of_their_image(tmp_path):
    image = planes_of("TZYX").stack_of(2)
    found = stored(image, tmp_path, "a.ome.tif")
    times = found.acquisition.values["DeltaT"]
    order = [found.acquisition.axes.index(axis) for axis in "ITZ"]
    np.testing.assert_array_equal(
        times.transpose(order), [image.acquisition.values["DeltaT"]] * 2
    )


def test_places_of_other_planes_are_left_out(tmp_path):
    image = planes_of("TZYX")
    shorter = replace(image, data=image.data[:1])
    assert "DeltaT" not in stored(shorter, tmp_path, "a.ome.tif").acquisition.values


def test_imagej_keeps_labels_and_what_was_written_of_the_image(tmp_path):
    labels = [f"plane {n}" for n in range(6)]
    about = {"axes": "TZYX", "Labels": labels, "Info": "Objective = 60×\nGain = 2"}
    about |= {"unit": "um", "xorigin": 12.5, "fps": 7.0, "min": 3.0, "max": 70.0}
    pixels = stack("TZYX").data
    tifffile.imwrite(tmp_path / "in.tif", pixels, imagej=True, metadata=about)
    image = read_image(tmp_path / "in.tif")
    assert image.look.ranges == ((3, 70),)
    result = image.with_data(image.data.astype(np.float32))
    with tifffile.TiffFile(write_image(result, tmp_path / "out.tif")) as tif:
        found = tif.imagej_metadata
    for key, value in about.items():
        assert key == "axes" or found[key] == value
    last = read_image(tmp_path / "in.tif", frame=1).frame(2).acquisition
    assert last.values["Label"] == "plane 5"


# Files that say what is not so -------------------------------------------------------


@pytest.mark.parametrize("axes", ["IQYX", "TQZCIYX", "IQRUVYX", "TZCIQRYX"])
def test_more_axes_than_five_come_back_from_a_tiff(tmp_path, axes):
    shape = dict(zip(axes, (2, 3, 2, 2, 3, 2, 2), strict=False)) | {"Y": 5, "X": 4}
    pixels = np.arange(np.prod([*shape.values()]), dtype=np.uint16)
    image = Image(pixels.reshape(*shape.values()), axes)
    found = read_image(write_image(image, tmp_path / "a.tif"))
    found = in_order_of(found, image)
    assert found.axes == axes and np.array_equal(found.data, image.data)


PLANES = {
    "place": '<Plane TheC="0" TheZ="x" TheT="0" PositionX="1"/>',
    "number": '<Plane TheC="0" TheZ="0" TheT="0" PositionX="abc" DeltaT="NaN"/>',
    "outside": '<Plane TheC="9" TheZ="0" TheT="0" PositionX="1"/>',
}


@pytest.mark.parametrize("planes", PLANES.values(), ids=PLANES)
def test_wrong_places_of_planes_count_for_nothing(tmp_path, planes):
    write_image(stack("CYX"), tmp_path / "a.ome.tif")
    text = tifffile.tiffcomment(tmp_path / "a.ome.tif")
    wrong = text.replace("</Pixels>", f"{planes}</Pixels>")
    tifffile.tiffcomment(tmp_path / "a.ome.tif", wrong.encode())
    found = read_image(tmp_path / "a.ome.tif")
    assert found.acquisition is None
    assert_kept(found, stack("CYX"))


def test_wrong_ranges_and_letters_count_for_nothing(tmp_path):
    about = {
        "min": float("nan"),
        "max": 5.0,
        "Ranges": (1.0, 2.0, 3.0),
        "Labels": ["a"],
    }
    about |= {"axes": "CYX", "selfdenoise_axes": "C:Z,T:I,x:y:z"}
    pixels = stack("CYX").data
    tifffile.imwrite(tmp_path / "a.tif", pixels, imagej=True, metadata=about)
    found = read_image(tmp_path / "a.tif")
    assert (found.axes, found.acquisition) == ("CYX", None)
    assert found.look.ranges in ((), ((1, 2),))
    path = write_ome_zarr(stack("CYX"), tmp_path / "a.zarr")
    group = zarr.open_group(str(path), mode="r+")
    ome = dict(group.attrs["ome"])
    ome["omero"] = {
        "channels": [{"window": None}, {"window": {"start": "a", "end": 2}}]
    }
    group.attrs.update({"ome": ome, "selfdenoise_axes": "C:I"})
    assert read_image(path).axes == "CYX"


@pytest.mark.parametrize(
    ("shape", "words"),
    [((0, 4, 5), "length zero"), ((4,), "two axes"), ((2,) * 10, "too many axes")],
)
def test_a_zarr_that_is_no_image_is_refused_in_a_sentence(tmp_path, shape, words):
    zarr.create_array(str(tmp_path / "a.zarr"), shape=shape, dtype="u2")
    with pytest.raises(RequestError, match=words):
        require_denoisable(read_image(tmp_path / "a.zarr"))
