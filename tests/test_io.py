import itertools
import re
import shutil

import dask.array
import numpy as np
import pytest
import tifffile

from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.images import (
    Image,
    ImageWriter,
    Look,
    as_frames,
    as_line_scan,
    axes_with_channels,
    read_image,
    require_denoisable,
    series_names,
    write_image,
)
from napari_selfdenoise.images import tiff_reading as reading
from napari_selfdenoise.images import tiff_writing as writing

LENGTHS = {"T": 2, "Z": 3, "C": 4, "Y": 7, "X": 8}
SIZES = {"T": 2.5, "Z": 0.3, "C": 1.0, "Y": 0.11, "X": 0.108}
UNITS = {"T": "s", "Z": "µm", "C": "pixel", "Y": "µm", "X": "µm"}
ORDERS = [
    "".join(outer) + inner
    for n in range(4)
    for outer in itertools.permutations("TZC", n)
    for inner in ("YX", "XY")
]


def stack(axes, dtype=np.float32):
    shape = [LENGTHS[a] for a in axes]
    data = np.random.default_rng(0).integers(0, 255, shape).astype(dtype)
    return Image(data, axes, tuple(map(SIZES.get, axes)), tuple(map(UNITS.get, axes)))


def in_file_order(image):
    return sorted(image.axes, key="TZCYX".index)


def as_in_file(image):
    order = [image.axes.index(a) for a in in_file_order(image)]
    return np.asarray(image.data).transpose(order)


def assert_kept(found, image):
    axes = in_file_order(image)
    assert found.axes == "".join(axes)
    assert np.array_equal(found.data, as_in_file(image))
    assert found.pixel_size == pytest.approx([SIZES[a] for a in axes])
    assert found.units == tuple(UNITS[a] for a in axes)


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
@pytest.mark.parametrize("axes", ORDERS)
def test_axes_and_pixel_size_survive(tmp_path, axes, name):
    image = stack(axes)
    found = read_image(write_image(image, tmp_path / name))
    assert_kept(found, image)
    assert found.name == "a"


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
@pytest.mark.parametrize("axes", ORDERS)
def test_a_file_can_be_filled_bit_by_bit(tmp_path, axes, name):
    image = stack(axes)
    with ImageWriter(tmp_path / name, image) as writer:
        assert writer.data.shape == image.shape
        assert writer.data.dtype == np.float32
        for plane in image.planes():
            writer.data[image.slices(plane)] = image.data[image.slices(plane)]
    assert_kept(read_image(tmp_path / name), image)


@pytest.mark.parametrize(
    ("dtype", "kept"),
    [
        ("u1", "u1"),
        ("u2", "u2"),
        (">u2", "u2"),
        ("f4", "f4"),
        ("i1", "i1"),
        ("i2", "i2"),
        ("i4", "i4"),
        ("u4", "u4"),
        ("i8", "f4"),
        ("?", "f4"),
    ],
)
def test_whole_numbers_are_kept_and_others_become_floats(tmp_path, dtype, kept):
    image = stack("TYX", dtype)
    found = read_image(write_image(image, tmp_path / "a.tif"))
    assert found.dtype == np.dtype(kept)
    assert np.array_equal(found.data, image.data)


def test_fiji_finds_its_hyperstack(tmp_path):
    image = stack("TZCYX")
    image.data[0, 0, 0, 0, 0] = np.nan
    with tifffile.TiffFile(write_image(image, tmp_path / "a.tif")) as tif:
        found = tif.imagej_metadata
    assert found["unit"] == "um"
    assert (found["frames"], found["slices"], found["channels"]) == (2, 3, 4)
    assert (found["spacing"], found["finterval"]) == (0.3, 2.5)
    assert found["min"] == np.nanmin(image.data)
    assert found["max"] == np.nanmax(image.data)


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
def test_an_unknown_pixel_size_stays_unknown(tmp_path, name):
    image = Image(np.zeros((3, 4, 5), np.float32), "ZYX")
    found = read_image(write_image(image, tmp_path / name))
    assert found.units == ("pixel",) * 3
    assert found.pixel_size == (1,) * 3


def test_an_unknown_distance_of_planes_is_not_written(tmp_path):
    # Bio-Formats would take its unit, "pixel", for that of rows and columns.
    units = ("pixel", "µm", "µm")
    image = Image(np.zeros((3, 8, 9), np.uint16), "ZYX", (1.0, 0.1, 0.1), units)
    path = write_image(image, tmp_path / "stack.tif")
    with tifffile.TiffFile(path) as file:
        assert not {"spacing", "zunit"} & set(file.imagej_metadata)
    again = read_image(path)
    assert (again.pixel_size, again.units) == (image.pixel_size, units)


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
def test_units_that_differ_are_kept(tmp_path, name):
    units = ("min", "µm", "nm", "Å")
    image = Image(np.ones((2, 3, 4, 5), np.float32), "TZYX", (5, 0.2, 80, 750), units)
    found = read_image(write_image(image, tmp_path / name))
    assert found.units == units
    assert found.pixel_size == pytest.approx(image.pixel_size)


@pytest.mark.parametrize(
    ("axes", "stored", "found"),
    [
        ("QYX", "TYX", "QYX"),
        ("TQYX", "TZYX", "TQYX"),
        ("IQYX", "TZYX", "IQYX"),
        ("ZCQYX", "TZCYX", "QZCYX"),
        ("CZTQYX", "TQZCYX", "TQZCYX"),
    ],
)
def test_unnamed_axes_take_a_free_letter_in_the_file_alone(
    tmp_path, axes, stored, found
):
    image = Image(np.ones(range(2, 2 + len(axes)), np.uint8), axes)
    path = write_image(image, tmp_path / "a.tif")
    with tifffile.TiffFile(path) as tif:
        assert tif.series[0].axes == stored
    assert read_image(path).axes == found
    assert read_image(path, axes=stored).axes == stored  # as the user says


def test_what_classic_tiff_cannot_hold_becomes_ome(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "CLASSIC_BYTES", 100)
    image = stack("TZYX")
    path = write_image(image, tmp_path / "a.tif")
    with tifffile.TiffFile(path) as tif:
        assert tif.is_ome
        assert tif.is_bigtiff
    assert_kept(read_image(path), image)


@pytest.mark.parametrize("unit", ["micron", "um", "µm", "\\u00B5m"])
def test_every_way_imagej_writes_micrometres(tmp_path, unit):
    text = f"ImageJ=1.53t\nimages=2\nframes=2\nhyperstack=true\nunit={unit}\n"
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for page in range(2):
            writer.write(
                np.zeros((4, 5), np.uint8),
                metadata=None,
                description=text.encode("latin-1") if page == 0 else None,
                resolution=(5, 10),
            )
    found = read_image(tmp_path / "a.tif")
    assert found.axes == "TYX"
    assert found.units == ("pixel", "µm", "µm")
    assert found.pixel_size == pytest.approx((1, 0.1, 0.2))


@pytest.mark.parametrize(
    ("resolution", "unit", "size", "name"),
    [
        (300, "INCH", 1, "pixel"),  # print resolution
        (118, "CENTIMETER", 1, "pixel"),  # 300 dpi said in centimetres
        (92592.6, "CENTIMETER", 0.108, "µm"),
        (1, "NONE", 1, "pixel"),
    ],
)
def test_print_resolution_is_no_pixel_size(tmp_path, resolution, unit, size, name):
    path = tmp_path / "a.tif"
    resolution = (resolution, resolution)
    tifffile.imwrite(path, np.eye(9), resolution=resolution, resolutionunit=unit)
    found = read_image(path)
    # A ratio of whole numbers, which versions of tifffile round differently.
    assert found.pixel_size == pytest.approx((size, size), rel=1e-5)
    assert found.units == (name, name)


def test_axes_without_a_meaning_get_different_letters(tmp_path):
    pixels = np.ones((2, 3, 4, 5), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack")
    axes = read_image(tmp_path / "a.tif").axes
    assert axes.endswith("YX")
    assert len(set(axes)) == 4


def test_rgb_stays_rgb(tmp_path):
    image = Image(np.arange(60, dtype=np.uint8).reshape(4, 5, 3), "YXS")
    found = read_image(write_image(image, tmp_path / "a.tif"))
    assert found.axes == "YXS"
    assert (found.data == image.data).all()


@pytest.mark.parametrize(
    ("shape", "dtype", "config", "axes"),
    [
        ((3, 20, 30), np.uint16, "separate", "CYX"),
        ((4, 20, 30), np.uint16, "separate", "CYX"),
        ((3, 20, 30), np.uint8, "separate", "CYX"),
        ((20, 30, 3), np.uint16, "contig", "YXC"),
        ((20, 30, 4), np.float32, "contig", "YXC"),
    ],
)
def test_frames_that_are_called_colours_are_frames(
    tmp_path, shape, dtype, config, axes
):
    planes = np.random.default_rng(0).integers(0, 255, shape).astype(dtype)
    options = {"photometric": "rgb", "planarconfig": config}
    tifffile.imwrite(tmp_path / "a.tif", planes, **options)
    found = read_image(tmp_path / "a.tif")
    frames = np.moveaxis(planes, axes.index("C"), 0)
    assert found.axes == "IYX"
    assert np.array_equal(found.data, frames)
    assert found.notes[0].endswith("calls them colours (RGB).")
    assert axes_with_channels(tmp_path / "a.tif") == axes
    require_denoisable(found)
    channels = read_image(tmp_path / "a.tif", axes=axes)
    assert channels.axes == "CYX"
    assert channels.notes == ()
    assert np.array_equal(channels.data, frames)


def test_only_frames_that_are_called_colours_have_axes_to_name(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", np.zeros((3, 20, 30)), photometric="minisblack"
    )
    (tmp_path / "bad.tif").write_bytes(b"II*\0")
    assert axes_with_channels(tmp_path / "a.tif") == ""
    assert axes_with_channels(tmp_path / "bad.tif") == ""


def test_colours_are_frames_where_the_user_says_so(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb")
    with pytest.raises(RequestError, match=r"Split RGB.*--axes YXC"):
        require_denoisable(read_image(tmp_path / "a.tif"))
    found = read_image(tmp_path / "a.tif", axes="yxt")
    assert found.axes == "TYX"
    assert np.array_equal(found.data, np.moveaxis(pixels, 2, 0))


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ("ZTYX", r"3 axes, of the lengths 5 × 20 × 30, but ZTYX names 4"),
        ("TZX", "needs the two axes Y and X"),
        ("TTX", "axes"),
    ],
)
def test_axes_that_do_not_fit_the_file_are_refused(tmp_path, axes, words):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 20, 30), np.uint16))
    assert read_image(tmp_path / "a.tif", axes="ZYX").axes == "ZYX"
    with pytest.raises(RequestError, match=words):
        read_image(tmp_path / "a.tif", axes=axes)


@pytest.mark.parametrize(
    ("shape", "axes", "found", "words"),
    [
        ((40, 1, 30), "TYX", "YIX", "line scan: 40 time points × 30 positions"),
        ((40, 1, 30), "ZYX", "YIX", "line scan: 40 planes × 30 positions"),
        (
            (40, 2, 1, 30),
            "TCYX",
            "YCIX",
            "2 channels of line scans: 40 time points × 30 positions",
        ),
    ],
)
@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
def test_a_line_scan_is_an_image_of_time_by_position(
    tmp_path, shape, axes, found, words, name
):
    lines = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
    steps = tuple(map(SIZES.get, axes)), tuple(map(UNITS.get, axes))
    stored = Image(lines, axes, *steps)
    image = read_image(write_image(stored, tmp_path / name))
    assert image.axes == found
    assert image.line_scan == axes
    assert image.describe(False) == words
    assert image.plane_shape == (40, 30)
    assert np.array_equal(
        image.read_plane((0,) * (image.ndim - 2)), lines.reshape(shape[0], -1, 30)[:, 0]
    )
    # The result has the shape and axes of the source.
    with ImageWriter(tmp_path / f"result {name}", image) as writer:
        assert writer.data.shape == shape
        writer.data[:] = lines
    again = read_image(tmp_path / f"result {name}")
    assert again.describe() == image.describe()
    assert np.array_equal(again.data, lines)
    assert again.units == image.units
    assert again.pixel_size == pytest.approx(image.pixel_size)


def test_a_scan_along_a_column_has_lines_as_rows_too():
    image = as_line_scan(Image(np.arange(12).reshape(3, 4, 1), "TYX"))
    assert (image.read_plane((0,)) == np.arange(12).reshape(3, 4)).all()
    assert as_frames(image).axes == "TYX"


def write_positions(path, count=3, **options):
    frames = np.random.default_rng(0).integers(0, 255, (count, 4, 20, 30), np.uint16)
    with tifffile.TiffWriter(path, ome=path.name.endswith(".ome.tif")) as writer:
        for number, position in enumerate(frames):
            named = {"axes": "TYX", "Name": f"well {number}"}
            named["PhysicalSizeX"] = named["PhysicalSizeY"] = 0.1 * (number + 1)
            writer.write(position, metadata=named, photometric="minisblack")
    return path, frames


@pytest.mark.parametrize("name", ["a.ome.tif", "a.tif"])
@pytest.mark.parametrize("lazy_bytes", [2**30, 100])
def test_positions_are_named_counted_and_chosen(
    tmp_path, name, lazy_bytes, monkeypatch
):
    monkeypatch.setattr(reading, "LAZY_BYTES", lazy_bytes)
    path, frames = write_positions(tmp_path / name)
    found = read_image(path)
    assert np.array_equal(found.data, frames[0])
    (note,) = found.notes
    assert "holds 3 images" in note and "2 more" in note
    assert ("0: well 0, 1: well 1" in note) == ("ome" in name)
    assert len(series_names(path)) == 3
    for number in range(3):
        chosen = read_image(path, series=number)
        assert chosen.notes == ()
        assert np.array_equal(chosen.data, frames[number])
        if "ome" in name:
            assert chosen.pixel_size[1] == pytest.approx(0.1 * (number + 1))
    with pytest.raises(RequestError, match=r"holds 3 images.*Choose 0 to 2"):
        read_image(path, series=3)


def test_previews_and_pyramid_levels_are_no_positions(tmp_path):
    path = tmp_path / "a.ome.tif"
    full = np.random.default_rng(0).integers(0, 255, (128, 96), np.uint8)
    with tifffile.TiffWriter(path, ome=True) as writer:
        for name, plane in {
            "cells": full,
            "Thumbnail": full[:50, :40],
            "half": full[::2, ::2],
            "quarter": full[::4, ::4],
            "Label image": full[:33, :44],
        }.items():
            writer.write(plane, metadata={"axes": "YX", "Name": name})
    found = read_image(path)
    assert np.array_equal(found.data, full)
    assert found.notes == ()
    assert series_names(path) == ["cells"]
    with pytest.raises(RequestError, match=r"series 1: .* holds one image"):
        read_image(path, series=1)


def test_half_the_size_alone_is_an_image_of_its_own(tmp_path):
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        for name, shape in {"labelled cells": (64, 64), "binned": (32, 32)}.items():
            named = {"axes": "YX", "Name": name}
            writer.write(np.zeros(shape, np.uint16), metadata=named)
    assert series_names(path) == ["labelled cells", "binned"]
    assert read_image(path, series=1).shape == (32, 32)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_inverting_tables_and_calibrations_are_kept(tmp_path, dtype):
    pixels = np.random.default_rng(0).integers(0, 255, (2, 3, 20, 30)).astype(dtype)
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None], 3, axis=0)
    text = {"axes": "TCYX", "mode": "composite", "LUTs": [ramp, ramp[:, ::-1], ramp]}
    text |= {"cf": 0, "c0": -32768.0, "c1": 1.0, "vunit": "gray value"}
    tifffile.imwrite(
        tmp_path / "a.tif", pixels, imagej=True, photometric="miniswhite", metadata=text
    )
    image = read_image(tmp_path / "a.tif")
    assert np.array_equal(image.data, pixels)  # as stored, neither inverted nor moved
    assert "as stored" in " ".join(image.notes)
    assert "look the same" in " ".join(image.notes)
    with tifffile.TiffFile(write_image(image, tmp_path / "b.tif")) as tif:
        kept, page = tif.imagej_metadata, tif.pages.first
        assert page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
        assert np.array_equal(tif.asarray(), pixels)
    assert (kept["mode"], kept["cf"]) == ("composite", 0)
    assert (kept["c0"], kept["c1"]) == (-32768, 1)
    # ImageJ does not calibrate floats: a unit would belong to values it does not show.
    assert kept.get("vunit") == ("gray value" if dtype == np.uint16 else None)
    assert np.array_equal(kept["LUTs"][1], ramp[:, ::-1])


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
def test_names_and_colours_of_channels_are_kept(tmp_path, name):
    pixels = np.random.default_rng(0).integers(0, 255, (2, 3, 20, 30), np.uint16)
    ramps = np.arange(256)[None] * np.eye(3, dtype=np.uint8)[..., None]
    image = Image(
        pixels,
        "TCYX",
        look=Look(tables=tuple(ramps.astype(np.uint8)), mode="composite"),
        channel_names=("DAPI", "GFP", "RFP"),
    )
    again = read_image(write_image(image, tmp_path / name))
    assert again.channel_names == ("DAPI", "GFP", "RFP")
    assert "3 channels (DAPI, GFP, RFP)" in again.describe()
    np.testing.assert_array_equal(again.look.tables, ramps)
    assert again.look.mode == "composite"
    again = read_image(write_image(again, tmp_path / f"b{name}"))
    assert again.channel_names == ("DAPI", "GFP", "RFP")


def test_labels_of_single_planes_are_no_names_of_channels(tmp_path):
    labels = [f"plane {number}" for number in range(6)]
    about = {"axes": "TCYX", "Labels": labels}
    pixels = np.zeros((2, 3, 20, 30), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", pixels, imagej=True, metadata=about)
    assert read_image(tmp_path / "a.tif").channel_names == ()


def test_channels_without_a_colour_have_no_table(tmp_path):
    names = {"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP"]}}
    pixels = np.zeros((2, 20, 30), np.uint16)
    tifffile.imwrite(tmp_path / "a.ome.tif", pixels, ome=True, metadata=names)
    image = read_image(tmp_path / "a.ome.tif")
    assert image.channel_names == ("DAPI", "GFP") and image.look is None


def test_white_is_zero_in_plain_and_ome_files(tmp_path):
    for name in ("a.tif", "a.ome.tif"):
        tifffile.imwrite(tmp_path / name, np.eye(9), photometric="miniswhite")
        image = read_image(tmp_path / name)
        assert np.array_equal(image.data, np.eye(9))
        with tifffile.TiffFile(write_image(image, tmp_path / f"b{name}")) as tif:
            assert tif.pages.first.photometric == tifffile.PHOTOMETRIC.MINISWHITE


def test_grey_samples_are_channels(tmp_path):
    pixels = np.ones((2, 4, 5), np.uint16)
    options = {"photometric": "minisblack", "planarconfig": "separate"}
    tifffile.imwrite(tmp_path / "a.tif", pixels, metadata=None, **options)
    assert read_image(tmp_path / "a.tif").axes == "CYX"


def test_one_frame_of_a_stack(tmp_path):
    image = stack("TZYX")
    found = read_image(write_image(image, tmp_path / "a.tif"), frame=1)
    assert found.axes == "ZYX"
    assert (found.data == image.data[1]).all()


def test_large_files_stay_on_disk(tmp_path, monkeypatch):
    image = stack("TZYX")
    path = write_image(image, tmp_path / "a.tif")
    monkeypatch.setattr(reading, "LAZY_BYTES", 100)
    found = read_image(path)
    assert isinstance(found.data, np.memmap)
    assert not found.data.flags.writeable
    assert_kept(found, image)


def test_large_compressed_files_are_decoded_when_asked(tmp_path, monkeypatch):
    image = stack("TZYX")
    path = tmp_path / "a.tif"
    options = {"photometric": "minisblack", "metadata": {"axes": "TZYX"}}
    tifffile.imwrite(path, image.data, compression="zlib", **options)
    monkeypatch.setattr(reading, "LAZY_BYTES", 100)
    found = read_image(path)
    assert isinstance(found.data, dask.array.Array)
    for plane in image.planes():
        assert (found.read_plane(plane) == image.read_plane(plane)).all()


def test_lazy_data_are_written_plane_by_plane(tmp_path):
    image = stack("CTYX")
    lazy = image.with_data(dask.array.from_array(image.data, chunks=(1, 1, 7, 8)))
    assert_kept(read_image(write_image(lazy, tmp_path / "a.tif")), image)


WRITERS = {
    "imagej": {"imagej": True, "metadata": {"axes": "TYX"}},
    "ome": {"ome": True, "metadata": {"axes": "TYX"}},
    "shaped": {"metadata": {"axes": "TYX"}},
    "plain": {"metadata": None},
    "zlib": {"metadata": None, "compression": "zlib"},
    "imagej_zlib": {"imagej": True, "metadata": {"axes": "TYX"}, "compression": "zlib"},
    "ome_zlib": {"ome": True, "metadata": {"axes": "TYX"}, "compression": "zlib"},
}


def cut_file(folder, part, **options):
    """Write ten frames and lose the end of the file; returns its path, and them."""
    frames = np.random.default_rng(0).integers(0, 60000, (10, 64, 64), np.uint16)
    tifffile.imwrite(folder / "a.tif", frames, photometric="minisblack", **options)
    whole = (folder / "a.tif").read_bytes()
    (folder / "cut.tif").write_bytes(whole[: int(part * len(whole))])
    return folder / "cut.tif", frames


@pytest.mark.parametrize("options", WRITERS.values(), ids=WRITERS)
def test_a_file_without_a_whole_frame_is_refused(tmp_path, options):
    path, _ = cut_file(tmp_path, 0.05, **options)
    with pytest.raises(RequestError, match=r"cut.tif is damaged"):
        read_image(path)


@pytest.mark.parametrize("part", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("options", WRITERS.values(), ids=WRITERS)
def test_whole_frames_of_a_cut_file_are_read(tmp_path, options, part, monkeypatch):
    path, frames = cut_file(tmp_path, part, **options)
    found = read_image(path)
    count = len(found.data)
    assert 10 * part - 2 < count <= 10
    assert found.shape == (count, 64, 64)
    assert np.array_equal(found.data, frames[:count])
    (note,) = found.notes
    assert f" {count} " in note and "whole" in note
    assert found.axes == ("TYX" if "imagej" in options else found.axes)
    monkeypatch.setattr(reading, "LAZY_BYTES", 100)
    lazy = read_image(path)
    assert isinstance(lazy.data, np.memmap | dask.array.Array)
    assert np.array_equal(np.asarray(lazy.data), found.data)


def test_imagej_may_promise_more_images_than_there_are(tmp_path):
    frames = np.random.default_rng(0).integers(0, 255, (12, 20, 30), np.uint8)
    text = "ImageJ=1.53t\nimages=20\nframes=20\nhyperstack=true\n"
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for number, frame in enumerate(frames):
            described = text if number == 0 else None
            writer.write(frame, metadata=None, description=described)
    found = read_image(tmp_path / "a.tif")
    assert found.axes == "TYX"
    assert np.array_equal(found.data, frames)
    assert "12 of its 20 images" in found.notes[0]
    assert found.notes[0] in require_denoisable(found)


def write_aborted_ome(path, planes):
    """Write 12 frames of which the text says that they are 20."""
    frames = np.random.default_rng(0).integers(0, 255, (20, 20, 30), np.uint8)
    tifffile.imwrite(path, frames, ome=True, metadata={"axes": "TYX"})
    with tifffile.TiffFile(path) as tif:
        text = re.sub(r"<TiffData[^>]*/>", planes, tif.ome_metadata)
    with tifffile.TiffWriter(path) as writer:
        for number, frame in enumerate(frames[:12]):
            described = text if number == 0 else None
            writer.write(frame, metadata=None, description=described)
    return frames[:12]


def test_an_ome_acquisition_that_was_broken_off(tmp_path):
    each = (f'<TiffData IFD="{n}" FirstT="{n}" PlaneCount="1"/>' for n in range(20))
    for planes in ('<TiffData IFD="0" PlaneCount="20"/>', "".join(each)):
        frames = write_aborted_ome(tmp_path / "a.ome.tif", planes)
        found = read_image(tmp_path / "a.ome.tif")
        assert found.axes == "TYX"
        assert np.array_equal(found.data, frames)
        assert "12 of its 20 images" in found.notes[0]


def test_one_of_several_files_of_an_ome_image_is_refused(tmp_path):
    planes = "".join(
        f'<TiffData IFD="{n % 12}" FirstT="{n}" PlaneCount="1">'
        f'<UUID FileName="{"a" if n < 12 else "b"}.ome.tif">urn:uuid:{n}</UUID>'
        "</TiffData>"
        for n in range(20)
    )
    write_aborted_ome(tmp_path / "a.ome.tif", planes)
    with pytest.raises(RequestError, match=r"8 of the 20 planes .* are not there"):
        read_image(tmp_path / "a.ome.tif")


@pytest.mark.parametrize(
    ("part", "axes", "count"), [(0.7, "ZCYX", 12), (0.3, "CYX", 4)]
)
def test_of_a_cut_hyperstack_whole_entries_are_read(tmp_path, part, axes, count):
    planes = np.random.default_rng(0).integers(0, 255, (2, 3, 4, 64, 64), np.uint16)
    options = {"imagej": True, "metadata": {"axes": "TZCYX"}}
    tifffile.imwrite(tmp_path / "a.tif", planes, **options)
    whole = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(whole[: int(part * len(whole))])
    found = read_image(tmp_path / "a.tif")
    assert np.array_equal(found.data, planes[0] if count == 12 else planes[0, 0])
    assert found.axes == axes
    assert f"{count} of its 24 images" in found.notes[0]


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "is empty"), (b"\x89PNG\r\n\x1a\n" + bytes(99), "not a TIFF")],
)
def test_what_is_no_tiff_is_named(tmp_path, content, words):
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(RequestError, match=words):
        read_image(tmp_path / "a.tif")


def test_an_unknown_compression_is_named(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.eye(9, dtype=np.uint8))
    with tifffile.TiffFile(path, mode="r+") as tif:
        tif.pages[0].tags["Compression"].overwrite(34661)  # JBIG
    with pytest.raises(RequestError, match="compressed"):
        read_image(path)


def test_files_that_cannot_be_opened_are_named(tmp_path, monkeypatch):
    with pytest.raises(RequestError, match="no file"):
        read_image(tmp_path / "none.tif")
    with pytest.raises(RequestError, match="is a folder"):
        read_image(tmp_path)
    path = write_image(stack("YX"), tmp_path / "a.tif")
    monkeypatch.setattr(tifffile, "TiffFile", refuse)
    with pytest.raises(RequestError, match="may not be read"):
        read_image(path)


def refuse(*_, **__):
    raise PermissionError(13, "Permission denied")


def disk_full(*_, **__):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
@pytest.mark.parametrize("failure", [refuse, disk_full, "read"])
def test_no_file_stays_after_a_failed_write(tmp_path, monkeypatch, name, failure):
    image = stack("TYX")
    if failure == "read":
        lazy = dask.array.from_array(image.data, chunks=(1, 7, 8))
        image = image.with_data(lazy.map_blocks(lambda block: block[:, 1:]))
    else:
        monkeypatch.setattr(tifffile, "imwrite", failure)
    with pytest.raises(DenoisingError, match="could not be written"):
        write_image(image, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = write_image(stack("YX"), tmp_path / "a.tif")
    with pytest.raises(ZeroDivisionError), ImageWriter(path, stack("TYX")):
        _ = 1 / 0
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]
    assert_kept(read_image(path), stack("YX"))


def test_a_file_that_does_not_fit_the_disk_is_not_begun(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with (
        pytest.raises(DenoisingError, match=r"needs .* kB, but 10 bytes are free"),
        ImageWriter(tmp_path / "a.tif", stack("TYX")),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_places_where_nothing_can_be_written(tmp_path):
    image = stack("YX")
    with pytest.raises(RequestError, match="no folder"):
        write_image(image, tmp_path / "none" / "a.tif")
    with pytest.raises(RequestError, match=r"does not end in .tif"):
        write_image(image, tmp_path / "a.png")
    (tmp_path / "a.tif").mkdir()
    with pytest.raises(RequestError, match="is a folder"):
        write_image(image, tmp_path / "a.tif")
    path = write_image(image, tmp_path / "b.tif")
    with pytest.raises(RequestError, match="there already"):
        write_image(image, path, overwrite=False)


def test_a_file_without_an_image_is_told_by_its_name(tmp_path):
    path = tmp_path / "broken.tif"
    path.write_bytes(b"II*\0\x08\0\0\0" + bytes(6))
    with pytest.raises(RequestError, match=r"broken\.tif"):
        read_image(path)
