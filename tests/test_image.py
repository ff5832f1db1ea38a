import numpy as np
import pytest

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import (
    IN_VIEW,
    STACK,
    Image,
    chosen_planes,
    likely_axis,
    parse_pixel_size,
    pixel_size_text,
    require_denoisable,
    with_pixel_size,
)


@pytest.mark.parametrize(
    ("shape", "axes", "pixel_size", "units", "phrase"),
    [
        ((64, 48), "YX", (), (), "one image of 64 × 48 px"),
        ((1, 64, 48), "ZYX", (), (), "1 plane of 64 × 48 images"),
        (
            (2, 3, 64, 48),
            "TCYX",
            (1, 1, 0.1, 0.1),
            ("s", "pixel", "µm", "micron"),
            "2 time points of 3 channels of 64 × 48 images, 0.1 µm pixels",
        ),
        (
            (5, 64, 48),
            "QYX",
            (1, 0.2, 0.1),
            ("pixel", "um", "um"),
            "5 images of 64 × 48 px, 0.2 × 0.1 µm pixels; one axis has no name",
        ),
    ],
)
def test_describe_says_what_an_image_is(shape, axes, pixel_size, units, phrase):
    image = Image(np.zeros(shape), axes, pixel_size, units)
    assert image.describe() == phrase


def test_planes_cover_every_pixel_once():
    image = Image(np.zeros((2, 5, 3, 4)), "CYXZ")
    for plane in image.planes():
        image.data[image.slices(plane)] += 1
    assert (image.data == 1).all()


def test_planes_of_one_channel_belong_to_it():
    image = Image(np.zeros((2, 3, 4, 5)), "TCYX")
    planes = list(image.planes(channel=2))
    assert planes == [(0, 2), (1, 2)]
    assert {image.channel_of(plane) for plane in planes} == {2}


def test_a_plane_has_rows_first_whatever_the_order():
    pixels = np.arange(24).reshape(4, 6)
    turned = Image(pixels.T, "XY")
    assert turned.plane_shape == (4, 6)
    assert (turned.read_plane(()) == pixels).all()
    corner = turned.read_plane((), slice(1, 3), slice(0, 2))
    assert (corner == pixels[1:3, 0:2]).all()


def test_a_frame_is_an_entry_of_the_first_stack_axis():
    pixels = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    image = Image(pixels, "CZYX", (1, 0.5, 0.1, 0.1), ("pixel", "µm", "µm", "µm"))
    frame = image.frame(1)
    assert frame.axes == "CYX"
    assert frame.pixel_size == (1, 0.1, 0.1)
    assert (frame.data == pixels[:, 1]).all()


@pytest.mark.parametrize(("axes", "index"), [("ZYX", 3), ("ZYX", -1)])
def test_a_frame_beyond_the_stack_is_refused(axes, index):
    with pytest.raises(RequestError, match="Choose 0 to 2"):
        Image(np.zeros((3, 4, 5)), axes).frame(index)


def test_a_single_image_has_no_frames():
    with pytest.raises(RequestError, match="one image of 4 × 5 px"):
        Image(np.zeros((4, 5)), "YX").frame(0)


@pytest.mark.parametrize("axes", ["YX", "TZX", "TTYX", "?YX"])
def test_axes_that_do_not_fit_are_refused(axes):
    with pytest.raises(RequestError):
        Image(np.zeros((2, 3, 4)), axes)


@pytest.mark.parametrize(
    ("data", "axes", "word"),
    [
        (np.zeros((4, 5, 3), np.uint8), "YXS", "RGB"),
        (np.zeros((0, 4, 5)), "TYX", "length zero"),
        (np.zeros((4, 5), bool), "YX", "mask"),
        (np.zeros((4, 5), complex), "YX", "complex"),
    ],
)
def test_what_is_no_measurement_is_refused(data, axes, word):
    with pytest.raises(RequestError, match=word):
        require_denoisable(Image(data, axes))


@pytest.mark.parametrize(
    ("dtype", "notes"), [("u1", 0), ("u2", 0), ("f4", 0), ("i2", 1), ("f8", 0)]
)
def test_unusual_types_are_noted(dtype, notes):
    assert len(require_denoisable(Image(np.zeros((4, 5), dtype), "YX"))) == notes


def test_a_mask_of_one_plane_holds_for_all_of_them_and_follows_frames() -> None:
    mask = np.arange(6).reshape(2, 3) % 2
    image = Image(np.zeros((4, 2, 3)), "TYX", mask=mask)
    assert np.array_equal(image.read_mask((3,)), mask == 1)
    assert np.array_equal(image.frame(1).read_mask(()), mask == 1)
    turned = Image(np.zeros((3, 2)), "XY", mask=mask.T)
    assert np.array_equal(turned.read_mask(()), mask == 1)
    assert Image(np.zeros((2, 3)), "YX").read_mask(()) is None


def test_a_mask_of_another_shape_is_refused_with_both_shapes() -> None:
    with pytest.raises(RequestError, match=r"\(5, 5\).*\(2, 3\)"):
        Image(np.zeros((2, 3)), "YX", mask=np.ones((5, 5)))


@pytest.mark.parametrize(
    ("sizes", "units"),
    [
        ((1.0, 0.5, 0.1, 0.1), ("pixel", "µm", "µm", "µm")),
        ((2.5, 1.0, 65.0, 70.0), ("s", "pixel", "nm", "nm")),
        ((1.0, 1.0, 1.0, 1.0), ("pixel",) * 4),
    ],
)
def test_a_pixel_size_is_read_as_it_is_shown(sizes, units):
    image = Image(np.zeros((2, 3, 4, 5)), "TZYX", sizes, units)
    text = pixel_size_text(image)
    unknown = Image(image.data, "TZYX")
    again = with_pixel_size(unknown, parse_pixel_size(text)) if text else unknown
    assert (again.pixel_size, again.units) == (sizes, units)


@pytest.mark.parametrize(
    ("length", "axes", "letter"),
    [(3, "IYX", "C"), (40, "IYX", "T"), (40, "TIYX", "Z"), (3, "CIYX", "T")],
)
def test_what_an_axis_without_a_name_may_be(length, axes, letter):
    assert likely_axis(length, axes) == letter


def test_chosen_planes_of_a_stack():
    image = Image(np.zeros((4, 3, 2, 8, 8)), "TZCYX")
    shown = (2, 1, 0)
    assert chosen_planes(image, IN_VIEW, shown) == [(2, 1, 0), (2, 1, 1)]
    stack = [(2, z, c) for z in range(3) for c in range(2)]
    assert chosen_planes(image, STACK, shown) == stack
    frames = {plane[0] for plane in chosen_planes(image, "frames 1 to 2", shown)}
    assert frames == {1, 2}
    assert len(chosen_planes(image, "3", shown)) == 6
    for wrong in ("2-9", "3 to 1", "some"):
        with pytest.raises(RequestError):
            chosen_planes(image, wrong, shown)
