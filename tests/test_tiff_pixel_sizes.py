"""Pixel sizes that only the maker of a microscope wrote into a TIFF."""

import struct
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

from napari_selfdenoise.images import read_image
from napari_selfdenoise.images.tiff_pixel_sizes import vendor_steps

PLANE = np.random.default_rng(0).integers(0, 99, (7, 8)).astype(np.uint16)
ASCII, BYTE, DOUBLE = 2, 1, 12

FEI = "[Scan]\r\nPixelWidth=1.5e-009\r\nPixelHeight=2e-009\r\n"
SEM = "AP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 9.3 nm\r\n"
TITAN = (
    "<Metadata><BinaryResult><PixelSize>"
    '<X unit="m">2.5e-10</X><Y unit="m">5e-10</Y>'
    "</PixelSize></BinaryResult></Metadata>"
)
SCANIMAGE = (
    "SI.hRoiManager.imagingFovUm = [-8 -7;8 -7;8 7;-8 7]\n"
    "SI.hRoiManager.scanFrameRate = 10\n"
    "SI.hStackManager.numSlices = 1"
)


def text(code, value):
    return (code, ASCII, 0, value, True)


@pytest.mark.parametrize(
    ("tags", "size_um"),
    [
        ([text(34682, FEI)], (2e-3, 1.5e-3)),
        ([text(34118, SEM)], (9.3e-3, 9.3e-3)),
        ([text(34683, TITAN)], (5e-4, 2.5e-4)),
        (
            [
                text(65003, "nm"),
                (65009, DOUBLE, 1, 0.4, True),
                (65010, DOUBLE, 1, 0.5, True),
            ],
            (5e-4, 4e-4),
        ),
    ],
    ids=["FEI", "Zeiss SEM", "FEI Titan", "Gatan"],
)
def test_electron_microscopes_write_tags_of_their_own(tmp_path, tags, size_um):
    dpi = {"resolution": (96, 96), "resolutionunit": "INCH"}  # a printer's, as usual
    tifffile.imwrite(tmp_path / "a.tif", PLANE, extratags=tags, metadata=None, **dpi)
    found = read_image(tmp_path / "a.tif")
    assert found.pixel_size_um == pytest.approx(size_um)
    assert np.array_equal(found.data, PLANE)


def test_scanimage_writes_the_corners_of_its_field(tmp_path):
    frames = np.stack([PLANE] * 3)
    path = tmp_path / "a.tif"
    options = {"photometric": "minisblack", "metadata": None}
    tifffile.imwrite(path, frames, software=SCANIMAGE, **options)
    found = read_image(path, axes="TYX")
    assert found.pixel_size == pytest.approx((0.1, 2.0, 2.0))
    assert found.units == ("s", "µm", "µm")


def test_olympus_sis_points_to_its_pixel_size(tmp_path):
    path = tmp_path / "a.tif"
    tag = (33560, BYTE, 68, bytes(68), True)
    tifffile.imwrite(path, PLANE, extratags=[tag], metadata=None)
    with tifffile.TiffFile(path) as tif:
        place = tif.pages.first.tags[33560].valueoffset
    block = struct.pack("<10xhdd8xd2x34s32s", -6, 0.25, 0.5, 60.0, b"", b"")
    end = path.stat().st_size
    header = struct.pack(
        "<4s6xhhhhh6x32sH", b"SIS0", 0, 12, 1, 0, 120, b"cells", 1
    ) + struct.pack("<hhI", 1, 1, end)
    with path.open("r+b") as file:
        file.seek(place)
        file.write(header)
        file.seek(end)
        file.write(block)
    assert read_image(path).pixel_size_um == pytest.approx((0.5, 0.25))


@pytest.mark.parametrize(
    ("name", "folder"), [("a.tif_meta.xml", "x"), ("_meta.xml", "cells_Files")]
)
def test_axiovision_writes_an_xml_file_next_to_it(tmp_path, name, folder):
    (tmp_path / folder).mkdir()
    path = tmp_path / folder / "a.tif"
    tifffile.imwrite(path, PLANE, metadata=None)
    values = [(769, "0.2"), (770, "76"), (772, "300"), (773, "77"), (775, "0")]
    tags = "".join(
        f"<V{n}>{value}</V{n}><I{n}>{code}</I{n}><A{n}>0</A{n}>"
        for n, (code, value) in enumerate(values)
    )
    xml = f"<ROOT><Tags><Count>{len(values)}</Count>{tags}</Tags></ROOT>"
    path.with_name(name).write_text(xml)
    assert read_image(path).pixel_size_um == pytest.approx((0.3, 0.2))


def test_the_xml_file_of_another_image_does_not_count(tmp_path):
    tifffile.imwrite(tmp_path / "b.tif", PLANE, metadata=None)
    tags = "<V0>0.2</V0><I0>769</I0>"
    for name in ("a.tif_meta.xml", "_meta.xml"):
        (tmp_path / name).write_text(f"<ROOT><Tags>{tags}</Tags></ROOT>")
    assert read_image(tmp_path / "b.tif").pixel_size_um is None


def steps_of(tmp_path, **found):
    page = SimpleNamespace(software="", tags=tifffile.TiffTags())
    tif = SimpleNamespace(pages=SimpleNamespace(first=page), **found)
    return vendor_steps(tif, tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("name", "found", "steps"),
    [
        (
            "lsm",
            {
                "VoxelSizeX": 1e-7,
                "VoxelSizeY": 2e-7,
                "VoxelSizeZ": 0.0,
                "TimeIntervall": 1.5,
            },
            {"X": (0.1, "µm"), "Y": (0.2, "µm"), "T": (1.5, "s")},
        ),
        (
            "stk",
            {
                "SpatialCalibration": 1,
                "XCalibration": 0.1,
                "YCalibration": 0.2,
                "CalibrationUnits": "um",
                "ZDistance": np.array([0.5, 0.5, 0.5]),
                "TimeCreated": np.array([1000, 3000, 5000]),
            },
            {"X": (0.1, "µm"), "Y": (0.2, "µm"), "Z": (0.5, "µm"), "T": (2.0, "s")},
        ),
        ("stk", {"SpatialCalibration": 0, "XCalibration": 1.0}, {}),
        (
            "metaseries",
            {
                "PlaneInfo": {
                    "spatial-calibration-state": True,
                    "spatial-calibration-x": 0.1,
                    "spatial-calibration-y": 0.2,
                    "spatial-calibration-units": "um",
                }
            },
            {"X": (0.1, "µm"), "Y": (0.2, "µm")},
        ),
        (
            "micromanager",
            {"Summary": {"PixelSize_um": 0.1, "z-step_um": 0.3, "Interval_ms": 500}},
            {"X": (0.1, "µm"), "Y": (0.1, "µm"), "Z": (0.3, "µm"), "T": (0.5, "s")},
        ),
        (
            "fluoview",
            {
                "Dimensions": [
                    ("X", 8, 0.0, 0.1, "um"),
                    ("Y", 7, 0.0, 0.2, "um"),
                    ("Time", 3, 0.0, 2.0, "s"),
                    ("Ch", 2, 0.0, 1.0, "Ch"),
                ]
            },
            {"X": (0.1, "µm"), "Y": (0.2, "µm"), "T": (2.0, "s")},
        ),
        (
            "tvips",
            {"PixelSizeX": 0.5, "PixelSizeY": 0.5},
            {"X": (0.5, "nm"), "Y": (0.5, "nm")},
        ),
        ("sem", {"": (1, 2, 3)}, {}),
        ("fei", {"Beam": {"HV": 5000}}, {}),
        ("lsm", {"VoxelSizeX": "broken"}, {}),
        ("micromanager", {"Display": {}}, {}),
    ],
)
def test_what_tifffile_finds_of_a_maker_has_units(tmp_path, name, found, steps):
    known = steps_of(tmp_path, **{f"{name}_metadata": found})
    assert known.keys() == steps.keys()
    for axis, (size, unit) in steps.items():
        assert known[axis] == (pytest.approx(size), unit)


def test_imagej_and_ome_count_more_than_a_maker(tmp_path):
    options = {"imagej": True, "resolution": (5.0, 5.0), "metadata": {"unit": "um"}}
    tifffile.imwrite(tmp_path / "a.tif", PLANE, extratags=[text(34682, FEI)], **options)
    assert read_image(tmp_path / "a.tif").pixel_size_um == pytest.approx((0.2, 0.2))
