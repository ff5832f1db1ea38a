"""Files of microscopes, and others that are no TIFF: pixels, axes, sizes, names."""

import os
import struct
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import imagecodecs
import numpy as np
import pytest
import tifffile

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import (
    FORMATS,
    Image,
    axis_letters,
    parse_pixel_size,
    read_image,
    require_denoisable,
    series_names,
    write_image,
)
from napari_selfdenoise.images.formats import czi

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
    ) as mrc:
        mrc.set_data(data)
        mrc.voxel_size = (2.0, 2.5, 5.0)  # X, Y, Z
    found = read_image(tmp_path / name)
    assert found.axes == "ZYX"
    assert found.pixel_size == pytest.approx((5.0, 2.5, 2.0))
    assert found.units == ("Å",) * 3
    assert found.pixel_size_um == pytest.approx((2.5e-4, 2e-4))
    assert np.array_equal(found.data, data)


def test_a_stack_of_micrographs_is_no_volume(tmp_path):
    data = pixels(4, 7, 8, dtype=np.float32)
    with mrcfile.new(tmp_path / "a.mrcs") as mrc:
        mrc.set_data(data)
        mrc.set_image_stack()
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
    assert found.axes == "CZYX"
    assert np.array_equal(found.data, data)
    assert found.pixel_size == pytest.approx((1.0, 0.5, 0.2, 0.1))
    assert found.units == ("pixel", "µm", "µm", "µm")
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
</Channel></Channels><T><Positions><Interval><Increment>2.5</Increment></Interval>
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
    assert found.channel_names == ("5-FAM/pH 9.0", "FM 4-64/2% CHAPS")


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
