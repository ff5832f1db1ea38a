"""Files of microscopes, and others that are no TIFF: pixels, axes, sizes, names."""

import gc
import json
import os
import shutil
import struct
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr

from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.images import (
    FORMATS,
    Image,
    ImageWriter,
    Look,
    axis_letters,
    formats,
    in_order_of,
    parse_pixel_size,
    read_image,
    require_denoisable,
    series,
    series_names,
    write_image,
    write_ome_zarr,
)
from napari_selfdenoise.images.channels import tables_of_colours
from napari_selfdenoise.images.formats import czi, mrc, ome_zarr

mrcfile = pytest.importorskip("mrcfile")
oiffile = pytest.importorskip("oiffile")
liffile = pytest.importorskip("liffile")

RNG = np.random.default_rng(0)


def pixels(*shape, dtype=np.uint16):
    return RNG.integers(1, 200, shape).astype(dtype)


# Which reader, and whether it is there ------------------------------------------------


FILES = [pytest.param(one, id=one.name) for one in FORMATS if one.name != "OME-Zarr"]


@pytest.mark.parametrize("one", [one for one in FILES if one.values[0].library])
def test_a_library_that_is_missing_is_named_with_what_installs_it(
    tmp_path, monkeypatch, one
):
    monkeypatch.setitem(sys.modules, one.library, None)
    path = tmp_path / f"cells{one.suffixes[0].upper()}"
    path.write_bytes(b"any")
    with pytest.raises(RequestError) as error:
        read_image(path)
    assert f"{one.name} files need the library {one.library}" in str(error.value)
    assert 'pip install "napari-selfdenoise[formats]"' in error.value.hint


@pytest.mark.parametrize("one", FILES)
def test_what_is_no_such_file_is_refused_in_a_sentence(tmp_path, one):
    if one.library:
        pytest.importorskip(one.library)
    path = tmp_path / f"cells{one.suffixes[0]}"
    path.write_bytes(b"no image at all" * 100)
    with pytest.raises(
        RequestError, match=rf"cells\S+ could not be read as {one.name}"
    ):
        read_image(path)


def test_a_folder_that_is_no_zarr_is_refused(tmp_path):
    with pytest.raises(RequestError, match="is a folder; an image file is needed"):
        read_image(tmp_path)


# MRC and PNG --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.mrc", "a.REC", "a.mrc.gz"])
def test_a_volume_in_mrc_keeps_its_voxels(tmp_path, name):
    data = pixels(3, 7, 8, dtype=np.int16)
    with mrcfile.new(
        tmp_path / name, compression="gzip" if name.endswith("gz") else None
    ) as file:
        file.set_data(data)
        file.voxel_size = (2.0, 2.5, 5.0)  # X, Y, Z
    found = read_image(tmp_path / name)
    assert found.axes == "ZYX"
    assert found.pixel_size == pytest.approx((5.0, 2.5, 2.0))
    assert found.units == ("Å",) * 3
    assert found.pixel_size_um == pytest.approx((2.5e-4, 2e-4))
    assert np.array_equal(found.data, data)


def test_a_large_mrc_stays_on_disk(tmp_path, monkeypatch):
    data = pixels(3, 7, 8, dtype=np.int16)
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(data)
    monkeypatch.setattr(mrc, "LAZY_BYTES", 10)
    found = read_image(tmp_path / "a.mrc")
    assert not found.in_memory
    assert np.array_equal(found.read_stored((2,)), data[2])


def test_a_stack_of_micrographs_is_no_volume(tmp_path):
    data = pixels(4, 7, 8, dtype=np.float32)
    with mrcfile.new(tmp_path / "a.mrcs") as file:
        file.set_data(data)
        file.set_image_stack()
    found = read_image(tmp_path / "a.mrcs")
    assert found.axes == "IYX"
    assert found.units == ("pixel",) * 3  # a voxel size of 0 is none
    assert read_image(tmp_path / "a.mrcs", axes="TYX").axes == "TYX"
    assert read_image(tmp_path / "a.mrcs", frame=2).shape == (7, 8)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_grey_png_is_read(tmp_path, dtype):
    data = pixels(7, 8, dtype=dtype)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(data))
    found = read_image(tmp_path / "a.png")
    assert (found.axes, found.name, found.dtype) == ("YX", "a", dtype)
    assert np.array_equal(found.data, data)


def test_a_png_whose_colours_are_equal_is_grey(tmp_path):
    grey = pixels(7, 8, dtype=np.uint8)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(np.dstack([grey] * 3)))
    found = read_image(tmp_path / "a.png")
    assert np.array_equal(found.data, grey)
    assert "grey" in found.notes[0]


def test_a_png_of_colours_is_refused_as_other_rgb_images_are(tmp_path):
    (tmp_path / "a.png").write_bytes(
        imagecodecs.png_encode(pixels(7, 8, 3, dtype=np.uint8))
    )
    with pytest.raises(RequestError, match="RGB"):
        require_denoisable(read_image(tmp_path / "a.png"))
    assert read_image(tmp_path / "a.png", axes="YXC").axes == "CYX"


# HDF5 ---------------------------------------------------------------------------------


@pytest.fixture
def hdf5(tmp_path):
    """An empty HDF5 file."""
    with pytest.importorskip("h5py").File(tmp_path / "a.h5", "w") as file:
        yield file


def test_arrays_of_an_hdf5_file_are_its_images(tmp_path, hdf5):
    volume, movie = pixels(3, 7, 8), pixels(7, 8, 5, dtype=">f4")
    hdf5["camera 1/volume"] = volume
    hdf5["camera 1/volume"].attrs["element_size_um"] = [0.3, 0.1, 0.1]
    hdf5["camera 1/times"] = np.arange(5)
    hdf5["movie"] = movie
    for place, label in enumerate(("y", "x", "t")):
        hdf5["movie"].dims[place].label = label
    hdf5["z"] = np.array(["text"], dtype="S")
    hdf5.close()
    path = tmp_path / "a.h5"
    assert series_names(path) == ["camera 1/volume", "movie"]
    found = read_image(path)
    assert (found.axes, found.dtype) == ("ZYX", np.uint16)
    assert np.array_equal(found.data, volume) and "movie" in found.notes[0]
    assert found.pixel_size == pytest.approx((0.3, 0.1, 0.1))
    assert found.units == ("µm",) * 3
    second = read_image(path, series=1)
    assert (second.axes, second.dtype) == ("TYX", np.float32)
    assert np.array_equal(second.data, np.moveaxis(movie, 2, 0))


def test_ilastik_names_the_axes_of_its_arrays(tmp_path, hdf5):
    hdf5["exported_data"] = pixels(2, 3, 7, 8)
    tags = [{"key": key, "typeFlags": 2, "resolution": 0} for key in "tcyx"]
    hdf5["exported_data"].attrs["axistags"] = json.dumps({"axes": tags})
    hdf5.close()
    assert read_image(tmp_path / "a.h5").axes == "TCYX"


def test_a_large_array_of_hdf5_stays_on_disk(tmp_path, hdf5, monkeypatch):
    data = pixels(3, 7, 8)
    hdf5["movie"] = data
    hdf5.close()
    monkeypatch.setattr(formats.hdf5, "LAZY_BYTES", 10)
    found = read_image(tmp_path / "a.h5", axes="TYX")
    assert not found.in_memory
    assert np.array_equal(found.read_stored((2,)), data[2])
    turned = found.data.transpose(2, 0, 1)
    del found
    gc.collect()
    assert np.array_equal(np.asarray(turned), data.transpose(2, 0, 1))


def test_an_hdf5_file_without_an_image_is_refused(tmp_path, hdf5):
    hdf5["times"] = np.arange(5)
    hdf5.close()
    with pytest.raises(RequestError, match="it holds no array of two axes or more"):
        read_image(tmp_path / "a.h5")


# OIF ----------------------------------------------------------------------------------

SETTINGS = """[ProfileSaveInfo]
Name="settings"
Version="1.0"
[Axis 0 Parameters Common]
AxisCode="X"
StartPosition=0.0
EndPosition=0.8
MaxSize=8
UnitName="um"
[Axis 1 Parameters Common]
AxisCode="Y"
StartPosition=0.0
EndPosition=1.4
MaxSize=7
UnitName="um"
[Axis 2 Parameters Common]
AxisCode="C"
MaxSize=2
[Axis 3 Parameters Common]
AxisCode="Z"
StartPosition=1500.0
EndPosition=500.0
MaxSize=3
UnitName="nm"
[Axis 4 Parameters Common]
AxisCode="T"
MaxSize=1
UnitName="ms"
[Axis 5 Parameters Common]
AxisCode="A"
MaxSize=0
[Axis 6 Parameters Common]
AxisCode="L"
MaxSize=0
[Axis 7 Parameters Common]
AxisCode="P"
MaxSize=0
[Axis Parameter Common]
AxisOrder="XYCZ"
[Reference Image Parameter]
ValidBitCounts=12
[GUI Channel 1 Parameters]
DyeName="EGFP"
[GUI Channel 2 Parameters]
DyeName="DAPI"
"""


def test_olympus_settings_give_axes_sizes_and_dyes(tmp_path):
    data = pixels(2, 3, 7, 8)
    path = tmp_path / "a.oif"
    path.write_bytes(SETTINGS.replace("\n", "\r\n").encode("utf-16"))
    folder = tmp_path / "a.oif.files"
    folder.mkdir()
    for c, z in np.ndindex(2, 3):
        tifffile.imwrite(folder / f"s_C{c + 1:03}Z{z + 1:03}.tif", data[c, z])
    found = read_image(path)
    # By its version, oiffile gives planes in the order of files, or of the settings.
    assert found.axes in ("CZYX", "ZCYX")
    pixels_found = np.moveaxis(found.data, found.axes.index("C"), 0)
    assert np.array_equal(pixels_found, data)
    steps = zip(found.pixel_size, found.units, strict=True)
    assert dict(zip(found.axes, steps, strict=True)) == {
        "C": (1.0, "pixel"),
        "Z": (pytest.approx(0.5), "µm"),
        "Y": (pytest.approx(0.2), "µm"),
        "X": (pytest.approx(0.1), "µm"),
    }
    assert found.channel_names == ("EGFP", "DAPI")


# LIF ----------------------------------------------------------------------------------


def lif_dimension(number, count, length, unit, step):
    return (
        f'<DimensionDescription DimID="{number}" NumberOfElements="{count}" '
        f'Origin="0" Length="{length}" Unit="{unit}" BitInc="0" BytesInc="{step}" />'
    )


def lif_image(name, dimensions, size, block):
    channel = (
        '<ChannelDescription DataType="0" ChannelTag="0" Resolution="8" '
        'NameOfMeasuredQuantity="" Min="0" Max="255" Unit="" LUTName="Green" '
        'IsLUTInverted="0" BytesInc="0" BitInc="0" />'
    )
    return (
        f'<Element Name="{name}"><Data><Image><ImageDescription><Channels>{channel}'
        f"</Channels><Dimensions>{''.join(dimensions)}</Dimensions></ImageDescription>"
        f'</Image></Data><Memory Size="{size}" MemoryBlockID="{block}" /></Element>'
    )


def lif_block(text, *numbers):
    return (
        b"*"
        + b"".join(numbers)
        + b"*" * bool(numbers)
        + struct.pack("<I", len(text))
        + text.encode("utf-16-le")
    )


def write_lif(path, images):
    """A file of Leica's format 2: XML, and a block of memory for each image."""
    elements, memory = "", b""
    for number, (name, dimensions, data) in enumerate(images):
        block = f"MemBlock_{number}"
        elements += lif_image(name, dimensions, data.nbytes, block)
        text = lif_block(block, struct.pack("<Q", data.nbytes))
        memory += struct.pack("<II", 0x70, len(text)) + text + data.tobytes()
    xml = (
        '<LMSDataContainerHeader Version="2"><Element Name="project"><Children>'
        f"{elements}</Children></Element></LMSDataContainerHeader>"
    )
    header = lif_block(xml)
    path.write_bytes(struct.pack("<II", 0x70, len(header)) + header + memory)


X = lif_dimension(1, 8, 7e-7, "m", 1)
Y = lif_dimension(2, 7, 12e-7, "m", 8)


def test_the_images_of_a_leica_file_are_chosen_by_number(tmp_path):
    movie, depth = pixels(3, 7, 8, dtype=np.uint8), pixels(5, 8, dtype=np.uint8)
    time = lif_dimension(4, 3, 4.0, "s", 56)
    section = lif_dimension(3, 5, 2e-6, "m", 8)
    write_lif(
        tmp_path / "a.lif",
        [("movie", [X, Y, time], movie), ("xz", [X, section], depth)],
    )
    assert series_names(tmp_path / "a.lif") == ["movie", "xz"]
    first = read_image(tmp_path / "a.lif")
    assert "2 images (0: movie, 1: xz)" in first.notes[0]
    assert np.array_equal(first.data, movie)
    assert (first.axes, first.units) == ("TYX", ("s", "µm", "µm"))
    assert first.pixel_size == pytest.approx((2.0, 0.2, 0.1))
    assert first.channel_names == ("Green",)
    assert first.look.tables[0][:, -1].tolist() == [0, 255, 0]
    second = read_image(tmp_path / "a.lif", series=1)
    assert np.array_equal(second.data, depth)
    assert second.axes == "YX"  # rows are depth, with a step of their own
    assert second.pixel_size == pytest.approx((0.5, 0.1))
    assert "depth" in second.notes[0]
    with pytest.raises(RequestError, match="There is no series 2"):
        read_image(tmp_path / "a.lif", series=2)


def test_lines_scanned_again_and_again_are_time_by_position(tmp_path):
    lines = pixels(6, 8, dtype=np.uint8)
    time = lif_dimension(4, 6, 10.0, "s", 8)
    write_lif(tmp_path / "a.lif", [("xt", [X, time], lines)])
    found = read_image(tmp_path / "a.lif")
    assert found.plane_shape == (6, 8)
    assert "line scan: 6 time points × 8 positions" in found.describe()


# CZI, which nothing can write ---------------------------------------------------------

CZI_XML = """<ImageDocument><Metadata><Information><Image><Dimensions><Channels>
<Channel Id="Channel:0" Name="DAPI" /><Channel Id="Channel:1"><Fluor>EGFP</Fluor>
<Color>#FF00FF5B</Color></Channel></Channels><T><Positions><Interval><Increment>2.5</Increment></Interval>
</Positions></T></Dimensions></Image></Information><Scaling><Items>
<Distance Id="X"><Value>1.08E-07</Value></Distance>
<Distance Id="Y"><Value>1.1E-07</Value></Distance>
<Distance Id="Z"><Value>0</Value></Distance>
</Items></Scaling></Metadata></ImageDocument>"""


def test_zeiss_xml_gives_sizes_and_names():
    root = ElementTree.fromstring(CZI_XML)
    steps = czi.pixel_sizes(root)
    assert steps["X"] == (pytest.approx(0.108), "µm")
    assert steps["Y"] == (pytest.approx(0.11), "µm")
    assert steps["T"] == (2.5, "s")
    assert "Z" not in steps
    assert czi.channel_names(root) == ("DAPI", "EGFP")
    assert czi.channel_colours(root) == ((255, 255, 255), (0, 255, 91))


def test_tiles_of_a_scene_are_put_in_their_places():
    scene = pixels(2, 6, 9)

    def tile(c, y, x, height, width, number):
        data = scene[c, y : y + height, x : x + width].reshape(1, 1, height, width, 1)
        return SimpleNamespace(
            axes="SCYX0",
            start=(4, c, 100 + y, 200 + x, 0),
            shape=data.shape,
            dtype="<u2",
            mosaic_index=number,
            data_segment=lambda: SimpleNamespace(data=lambda: data),
        )

    tiles = [tile(c, 0, x, 6, 5, n) for c in range(2) for n, x in enumerate((0, 4))]
    found, axes = czi.put_together(tiles)
    assert axes == ("C", "Y", "X")
    assert np.array_equal(found, scene)


# Files of real microscopes ------------------------------------------------------------

VENDOR = Path(os.environ.get("SELFDENOISE_DATA", "")) / "vendor"
real = pytest.mark.skipif(
    not (os.environ.get("SELFDENOISE_DATA") and VENDOR.is_dir()),
    reason="SELFDENOISE_DATA names no folder with vendor/",
)


@real
@pytest.mark.data
def test_a_real_nd2():
    pytest.importorskip("nd2")
    found = read_image(VENDOR / "cluster.nd2")
    assert (found.axes, found.shape) == ("TZCYX", (3, 10, 2, 31, 38))
    assert found.pixel_size_um == pytest.approx((0.1678, 0.1678), abs=1e-4)
    assert found.pixel_size[1] == 0.5
    # The file gives no interval: it is measured, as is the place of each plane.
    assert (found.pixel_size[0], found.units[0]) == (
        pytest.approx(10.65, abs=0.01),
        "s",
    )
    assert found.acquisition.axes == "TZ"
    assert found.acquisition.values["PositionZ"][1, 2] == pytest.approx(3912.34, abs=9)
    assert found.channel_names == ("5-FAM/pH 9.0", "FM 4-64/2% CHAPS")
    assert found.look.tables[1][:, -1].tolist() == [254, 1, 0]


@real
@pytest.mark.data
def test_a_real_czi():
    pytest.importorskip("czifile")
    found = read_image(VENDOR / "s_1_t_1_c_1_z_1.czi")
    assert (found.axes, found.shape, found.dtype) == ("YX", (325, 475), np.uint16)
    assert found.pixel_size_um == pytest.approx((1.0833, 1.0833), abs=1e-4)
    assert found.channel_names == ("Bright",)
    assert np.ptp(found.data) > 100


@real
@pytest.mark.data
def test_a_real_lif():
    path = VENDOR / "testdata_2channel_xz.lif"
    assert series_names(path) == ["xzt", "xzy", "xz"]
    found = read_image(path, series=2)
    assert (found.axes, found.shape) == ("CYX", (2, 512, 512))
    assert found.pixel_size_um == pytest.approx((0.1027, 0.1027), abs=1e-4)


# Axes and pixel sizes as they are typed -----------------------------------------------


def test_common_labels_of_axes_are_understood():
    assert axis_letters(["frame", "slice", "Channel", "row", "col"]) == "TZCYX"
    assert axis_letters(["scene", "time", "y", "x"]) == "PTYX"
    assert axis_letters(["t", "frame", "y", "x"]) == "TIYX"  # each letter once
    assert axis_letters(["whatever", "i", "y", "x"]) == "QIYX"


def test_axes_can_be_given_as_words(tmp_path):
    write_image(Image(pixels(3, 7, 8), "ZYX"), tmp_path / "a.tif")
    assert read_image(tmp_path / "a.tif", axes="frame,row,col").axes == "TYX"
    assert read_image(tmp_path / "a.tif", axes="tyx").axes == "TYX"


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("0.1", {"Y": (0.1, "µm"), "X": (0.1, "µm")}),
        ("65 nm", {"Y": (65, "nm"), "X": (65, "nm")}),
        ("0.2,0.1um", {"Y": (0.2, "µm"), "X": (0.1, "µm")}),
        ("T=500ms,Z=1e-1", {"T": (500, "ms"), "Z": (0.1, "µm")}),
        ("0.1,t=2", {"Y": (0.1, "µm"), "X": (0.1, "µm"), "T": (2, "s")}),
    ],
)
def test_pixel_sizes_are_typed_in_micrometres_or_with_a_unit(text, steps):
    assert parse_pixel_size(text) == steps


@pytest.mark.parametrize(
    "text", ["", "x", "0", "-1", "nan", "1,2,3,4", "Y=", "0.1 0.2"]
)
def test_what_is_no_pixel_size_is_refused(text):
    with pytest.raises(RequestError, match="is no pixel size"):
        parse_pixel_size(text)


def test_a_pixel_size_that_is_given_replaces_that_of_the_file(tmp_path):
    image = Image(pixels(3, 7, 8), "ZYX", (2.0, 0.5, 0.5), ("µm",) * 3)
    write_image(image, tmp_path / "a.tif")
    found = read_image(tmp_path / "a.tif", pixel_size="65nm")
    assert found.pixel_size == pytest.approx((2.0, 65, 65))
    assert found.units == ("µm", "nm", "nm")
    with pytest.raises(RequestError, match="There is no axis T for a pixel size"):
        read_image(tmp_path / "a.tif", pixel_size="T=2")


# OME-Zarr -----------------------------------------------------------------------------

LENGTHS = {"T": 2, "Z": 3, "C": 4, "Y": 7, "X": 8, "I": 5}
SIZES = {"T": 2.5, "Z": 0.3, "C": 1.0, "Y": 0.11, "X": 0.108, "I": 1.0}
UNITS = {"T": "s", "Z": "µm", "C": "pixel", "Y": "µm", "X": "nm", "I": "pixel"}
ORDERS = [
    *("YX", "XY", "TYX", "ZXY", "CTYX", "ZCYX", "YXC", "TZCYX", "CZTXY", "XCYZT"),
    *("IYX", "IZYX"),
]


def stack(axes, dtype=np.uint16):
    data = pixels(*(LENGTHS[a] for a in axes), dtype=dtype)
    sizes, units = (tuple(map(table.get, axes)) for table in (SIZES, UNITS))
    names = ("a", "b", "c", "d") if "C" in axes else ("one",)
    return Image(data, axes, sizes, units, channel_names=names)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("axes", ORDERS)
def test_ome_zarr_keeps_pixels_axes_sizes_units_and_names(tmp_path, axes, version):
    image = stack(axes)
    path = write_ome_zarr(image, tmp_path / "a.ome.zarr", version=version)
    found = read_image(path)
    expected = sorted(axes, key="ITCZYX".index)
    assert found.axes == "".join(expected)
    order = [axes.index(axis) for axis in expected]
    assert np.array_equal(found.data, image.data.transpose(order))
    assert found.pixel_size == pytest.approx([image.pixel_size[i] for i in order])
    assert found.units == tuple(image.units[i] for i in order)
    assert found.channel_names == image.channel_names
    assert (found.dtype, found.name) == (np.uint16, "a")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_what_is_written_is_valid_ome_zarr(tmp_path, version):
    yaozarrs = pytest.importorskip("yaozarrs")
    for axes in ("YX", "CYX", "TCZYX"):
        path = write_ome_zarr(stack(axes), tmp_path / f"{axes}.zarr", version=version)
        yaozarrs.validate_zarr_store(path)


def test_copies_of_half_the_size_lie_on_the_image(tmp_path):
    """Each pixel of a copy is the mean of those below, at the centre of them."""
    data = np.add.outer(np.arange(600.0), np.arange(520.0)).astype(np.float32)
    image = Image(data, "YX", (0.5, 0.25), ("µm", "µm"))
    group = zarr.open_group(str(write_ome_zarr(image, tmp_path / "a.zarr")), mode="r")
    levels = group.attrs["ome"]["multiscales"][0]["datasets"]
    assert [group[level["path"]].shape for level in levels] == [
        (600, 520),
        (300, 260),
        (150, 130),
    ]
    for level in levels[1:]:
        scale, shift = level["coordinateTransformations"]
        y, x = (
            np.array(scale["scale"]) * (10, 20) + np.array(shift["translation"])
        ) / (0.5, 0.25)  # in pixels of the image
        assert group[level["path"]][10, 20] == pytest.approx(y + x)


@pytest.mark.parametrize("version", [2, 3])
def test_a_plate_lists_its_wells_and_fields(tmp_path, version):
    plate = zarr.open_group(str(tmp_path / "p.zarr"), mode="w", zarr_format=version)
    images = {}
    wells = [{"path": "A/1"}, {"path": "B/2"}]
    put_about(plate, {"plate": {"wells": wells}}, version)
    for well, fields in (("A/1", "01"), ("B/2", "0")):
        put_about(
            plate.require_group(well),
            {"well": {"images": [{"path": field} for field in fields]}},
            version,
        )
        for field in fields:
            images[f"{well}/{field}"] = image = Image(pixels(7, 8), "YX")
            write_ome_zarr(
                image, tmp_path / "x.zarr", version="0.5" if version == 3 else "0.4"
            )
            shutil.move(tmp_path / "x.zarr", tmp_path / "p.zarr" / well / field)
    assert series_names(tmp_path / "p.zarr") == list(images)
    for number, (name, image) in enumerate(images.items()):
        found = read_image(tmp_path / "p.zarr", series=number)
        assert np.array_equal(found.data, image.data), name
    assert "3 images (0: A/1/0" in read_image(tmp_path / "p.zarr").notes[0]
    field = read_image(tmp_path / "p.zarr" / "B" / "2" / "0")
    assert np.array_equal(field.data, images["B/2/0"].data)
    assert series_names(tmp_path / "p.zarr" / "A" / "1") == ["0", "1"]


def put_about(group, about, version):
    group.attrs.update({"ome": {"version": "0.5", **about}} if version == 3 else about)


def test_the_images_of_a_collection_are_in_the_order_of_their_numbers(
    tmp_path, monkeypatch
):
    """As bioformats2raw writes them: 0, 1, … 10."""
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=3)
    put_about(group, {"bioformats2raw.layout": 3}, 3)
    for number in range(11):
        image = Image(np.full((7, 8), number, np.uint8), "YX")
        write_ome_zarr(image, tmp_path / "a.zarr" / f"{number}.zarr")
        (tmp_path / "a.zarr" / f"{number}.zarr").rename(
            tmp_path / "a.zarr" / str(number)
        )
    assert series_names(tmp_path / "a.zarr") == [str(n) for n in range(11)]
    monkeypatch.setattr(series, "_MOST_NAMES", 2)
    note = read_image(tmp_path / "a.zarr").notes[0]
    assert "11 images (0: 0, 1: 1, …, 10: 10)" in note
    assert read_image(tmp_path / "a.zarr", series=10).data.max() == 10


def test_an_array_without_ome_metadata_is_read(tmp_path):
    data = pixels(3, 7, 8)
    array = zarr.create_array(
        str(tmp_path / "a.zarr"),
        data=data,
        zarr_format=3,
        dimension_names=["time", "y", "x"],
    )
    assert array.shape == (3, 7, 8)
    found = read_image(tmp_path / "a.zarr")
    assert found.axes == "TYX"
    assert np.array_equal(found.data, data)


def test_large_zarr_stays_on_disk(tmp_path, monkeypatch):
    image = stack("TZCYX")
    path = write_ome_zarr(image, tmp_path / "a.zarr")
    monkeypatch.setattr(ome_zarr, "LAZY_BYTES", 10)
    found = read_image(path)
    assert not found.in_memory
    plane = (1, 2, 0)  # T, C, Z
    assert np.array_equal(found.read_stored(plane), image.data[1, 0, 2])


def test_a_zarr_replaces_a_zarr_alone(tmp_path):
    first, second = Image(pixels(7, 8), "YX"), Image(pixels(5, 6), "YX")
    path = tmp_path / "a.ome.zarr"
    write_image(first, path)
    assert np.array_equal(read_image(write_image(second, path)).data, second.data)
    with pytest.raises(RequestError, match="is there already"):
        write_image(first, path, overwrite=False)
    (tmp_path / "data.zarr").mkdir()
    (tmp_path / "data.zarr" / "thesis.txt").write_text("years")
    with pytest.raises(RequestError, match="is no zarr"):
        write_image(first, tmp_path / "data.zarr")
    assert {p.name for p in tmp_path.iterdir()} == {"a.ome.zarr", "data.zarr"}


def test_a_zarr_that_was_not_finished_does_not_stay(tmp_path):
    class Broken:
        shape, dtype, ndim = (3, 7, 8), np.dtype(np.uint8), 3

        def __getitem__(self, index):
            raise OSError("the disk is gone")

    with pytest.raises(DenoisingError, match=r"a\.zarr could not be written"):
        write_image(Image(Broken(), "TYX"), tmp_path / "a.zarr")
    assert not list(tmp_path.iterdir())


def test_six_axes_need_ome_tiff(tmp_path):
    image = Image(np.zeros((2,) * 6, np.uint8), "ITCZYX")
    with pytest.raises(RequestError, match="at most 5 axes"):
        write_image(image, tmp_path / "a.zarr")


@pytest.mark.parametrize("axes", ["YX", "CTYX", "XCYZT"])
def test_a_zarr_can_be_filled_bit_by_bit(tmp_path, axes):
    image = stack(axes)
    with ImageWriter(tmp_path / "a.ome.zarr", image) as writer:
        assert writer.data.shape == image.shape
        for plane in image.planes():
            writer.data[image.slices(plane)] = image.data[image.slices(plane)]
        assert not (tmp_path / "a.ome.zarr").exists()
    found = read_image(tmp_path / "a.ome.zarr")
    order = [axes.index(axis) for axis in found.axes]
    assert found.dtype == np.float32
    assert np.array_equal(found.data, image.data.transpose(order))


def test_an_image_takes_the_order_of_another():
    """A TIFF is TZCYX; what it is compared with may lie otherwise."""
    image, other = stack("CZYX"), stack("ZCYX")
    found = in_order_of(image, other)
    assert (found.axes, found.shape) == (other.axes, other.shape)
    assert found.pixel_size == other.pixel_size
    assert np.array_equal(found.data[1, 2], image.data[2, 1])
    assert in_order_of(image, stack("TYX")) is image


def test_colours_of_channels_are_read_and_written(tmp_path):
    """As they are shown: in the file, in the result, and back."""
    image = replace(
        stack("CYX"),
        look=Look(
            tables=tables_of_colours([(0, 255, 0), (255, 0, 0), (9, 8, 7), (1, 1, 1)])
        ),
    )
    found = read_image(write_ome_zarr(image, tmp_path / "a.zarr"))
    for table, stored in zip(found.look.tables, image.look.tables, strict=True):
        assert np.array_equal(table, stored)
    assert found.look.mode == "composite"
    grey = read_image(write_ome_zarr(stack("CYX"), tmp_path / "b.zarr", version="0.4"))
    assert grey.look.tables[0][:, -1].tolist() == [0, 255, 0]  # so that they differ
    assert read_image(write_ome_zarr(stack("YX"), tmp_path / "c.zarr")).look is None


@pytest.mark.parametrize("axes", ["YX", "CYX", "TZCYX"])
def test_ome_tiff_is_what_ome_understands(tmp_path, axes):
    ome_types = pytest.importorskip("ome_types")
    path = write_image(stack(axes), tmp_path / "a.ome.tif")
    with tifffile.TiffFile(path) as tif:
        found = ome_types.from_xml(tif.ome_metadata).images[0].pixels
    assert (found.size_x, found.size_y) == (8, 7)
    assert (found.physical_size_x, found.physical_size_x_unit.value) == (0.108, "nm")
    assert (found.physical_size_y, found.physical_size_y_unit.value) == (0.11, "µm")
    if "C" in axes:
        assert [channel.name for channel in found.channels] == ["a", "b", "c", "d"]
    if "T" in axes:
        assert (found.time_increment, found.physical_size_z) == (2.5, 0.3)


RECORDED = [
    *("vendor/cluster.nd2", "vendor/s_1_t_1_c_1_z_1.czi"),
    *("vendor/testdata_2channel_xz.lif", "stacks/bbbc022_multichannel.tif"),
    *("stacks/eb3_timelapse.tif", "stacks/pollen_3d.tif"),
]


@real
@pytest.mark.data
@pytest.mark.parametrize("ending", [".tif", ".ome.tif", ".ome.zarr"])
@pytest.mark.parametrize("name", RECORDED)
def test_what_a_microscope_recorded_survives_every_format(tmp_path, name, ending):
    image = read_image(VENDOR.parent / name)
    found = read_image(write_image(image, tmp_path / f"a{ending}"))
    image = in_order_of(image, found)
    assert found.axes == image.axes
    assert np.array_equal(found.data, image.data)
    assert found.dtype == image.dtype
    for place, unit in enumerate(image.units):
        if unit != "pixel":
            assert found.pixel_size[place] == pytest.approx(image.pixel_size[place])
            assert found.units[place] == unit
    if "C" in image.axes:
        assert found.channel_names == image.channel_names
