import itertools
import shutil

import dask.array
import numpy as np
import pytest
import tifffile

from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.image import Image
from napari_selfdenoise.io import ImageWriter, read_image, reading, write_image, writing

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
        ("i2", "f4"),
        ("?", "f4"),
    ],
)
def test_camera_types_are_kept_and_others_become_floats(tmp_path, dtype, kept):
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


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
def test_units_that_differ_are_kept(tmp_path, name):
    units = ("min", "µm", "nm", "Å")
    image = Image(np.ones((2, 3, 4, 5), np.float32), "TZYX", (5, 0.2, 80, 750), units)
    found = read_image(write_image(image, tmp_path / name))
    assert found.units == units
    assert found.pixel_size == pytest.approx(image.pixel_size)


@pytest.mark.parametrize(
    ("axes", "found"),
    [
        ("QYX", "TYX"),
        ("TQYX", "TZYX"),
        ("IQYX", "TZYX"),
        ("ZCQYX", "TZCYX"),
        ("CZTQYX", "TQZCYX"),
    ],
)
def test_unnamed_axes_take_a_free_letter(tmp_path, axes, found):
    image = Image(np.ones(range(2, 2 + len(axes)), np.uint8), axes)
    assert read_image(write_image(image, tmp_path / "a.tif")).axes == found


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
    assert found.pixel_size == pytest.approx((size, size))
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


@pytest.mark.parametrize("part", [0.01, 0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize(
    "options",
    [
        {"imagej": True, "metadata": {"axes": "TYX"}},
        {"ome": True, "metadata": {"axes": "TYX"}},
        {"metadata": {"axes": "TYX"}},
        {"metadata": None},
        {"metadata": None, "compression": "zlib"},
    ],
    ids=["imagej", "ome", "shaped", "plain", "zlib"],
)
def test_half_a_file_is_refused(tmp_path, options, part):
    pixels = np.random.default_rng(0).integers(0, 60000, (10, 64, 64), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", pixels, **options)
    whole = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(RequestError, match=r"cut.tif is damaged"):
        read_image(tmp_path / "cut.tif")


def test_a_large_damaged_file_is_refused_at_once(tmp_path, monkeypatch):
    path = write_image(stack("TZCYX"), tmp_path / "a.tif")
    path.write_bytes(path.read_bytes()[:2000])
    monkeypatch.setattr(reading, "LAZY_BYTES", 100)
    with pytest.raises(RequestError, match="damaged"):
        read_image(path)


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
        pytest.raises(DenoisingError, match="free"),
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
