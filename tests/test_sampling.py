import dask.array as da
import numpy as np
import pytest
import torch

from napari_selfdenoise import Image, RequestError
from napari_selfdenoise.defects import CleanImage
from napari_selfdenoise.images import Normalization, as_line_scan
from napari_selfdenoise.parts.masking import LineMask, RandomMask
from napari_selfdenoise.training import plane_reader as sampling
from napari_selfdenoise.training.patches import (
    PatchSampler,
    require_room,
    resolve_patch_size,
    smallest_side,
)
from napari_selfdenoise.training.plane_reader import PlaneReader

AS_THEY_ARE = ((False, False, False),)
FLIPPED = LineMask().orientations
ALL_EIGHT = RandomMask().orientations

UNCHANGED = Normalization(0, 1)


def luck(seed=0):
    return torch.Generator().manual_seed(seed)


def numbered(*shapes):
    """Planes whose values are all different, so that a pixel tells its place."""
    starts = np.cumsum([0] + [h * w for h, w in shapes])
    return [
        np.arange(start, start + h * w, dtype=np.float32).reshape(h, w)
        for start, (h, w) in zip(starts[:-1], shapes, strict=True)
    ]


def sampler(planes, orientations=ALL_EIGHT, side=16):
    good = [np.ones(plane.shape, bool) for plane in planes]
    cpu = torch.device("cpu")
    return PatchSampler(planes, good, UNCHANGED, side, orientations, cpu)


def read(*images, channel=0, rng=None):
    """Pixels of the planes to train on."""
    clean = [CleanImage(image) for image in images]
    planes = PlaneReader(clean, channel, rng or np.random.default_rng(0)).read()
    return [one.clean.pixels for one in planes]


def turns(patch):
    """The eight orientations of a patch."""
    for turned in (patch, patch.T):
        yield from (turned, turned[::-1], turned[:, ::-1], turned[::-1, ::-1])


@pytest.mark.parametrize("orientations", [ALL_EIGHT, AS_THEY_ARE])
def test_every_patch_is_a_piece_of_a_plane_but_for_its_orientation(orientations):
    planes = numbered((16, 16), (40, 24), (17, 64))
    for patch in (
        sampler(planes, orientations).draw(200, luck()).observation[:, 0].numpy()
    ):
        plane = next(p for p in planes if p.min() <= patch.min() <= p.max())
        y, x = np.argwhere(plane == patch.min())[0]
        piece = plane[y : y + 16, x : x + 16]
        found = turns(patch) if orientations == ALL_EIGHT else [patch]
        assert any(np.array_equal(t, piece) for t in found)


@pytest.mark.parametrize(
    ("orientations", "count"), [(ALL_EIGHT, 8), (FLIPPED, 4), (AS_THEY_ARE, 1)]
)
def test_patches_come_in_the_orientations_that_are_allowed(orientations, count):
    drawn = (
        sampler(numbered((32, 40)), orientations).draw(200, luck()).observation[:, 0]
    )
    down, right = drawn[:, 1, 0] - drawn[:, 0, 0], drawn[:, 0, 1] - drawn[:, 0, 0]
    steps = set(zip(down.tolist(), right.tolist(), strict=True))
    assert len(steps) == count
    if orientations == FLIPPED:  # never transposed: rows stay rows
        assert {abs(down) for down, _ in steps} == {40}
    assert (40, 1) in steps


def test_every_pixel_is_drawn():
    drawn = sampler(numbered((18, 20))).draw(400, luck()).observation
    assert len(drawn.unique()) == 18 * 20


def test_equal_seeds_give_equal_patches():
    one = sampler(numbered((32, 40)))
    first, again, other = (one.draw(8, luck(n)).observation for n in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_large_planes_are_drawn_more_often():
    drawn = sampler(numbered((64, 64), (32, 32))).draw(4000, luck()).observation
    share = (drawn[:, 0, 0, 0] < 64 * 64).float().mean().item()
    assert share == pytest.approx(64**2 / (64**2 + 32**2), abs=0.03)


def test_patches_are_normalised():
    plane = numbered((32, 32))[0]
    good = np.ones(plane.shape, bool)
    one = PatchSampler(
        [plane], [good], Normalization(500, 256), 16, AS_THEY_ARE, torch.device("cpu")
    )
    drawn = one.draw(50, luck()).observation
    assert drawn.min() >= (0 - 500) / 256
    assert drawn.max() <= (1023 - 500) / 256


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [(0, 2, "u1"), (0, 255, "u1"), (90, 4095, "u2"), (0, 65535, "u2"), (-400, 9, "i2")],
)
def test_integer_images_survive_normalisation_to_the_bit(low, high, dtype):
    rng = np.random.default_rng(0)
    pixels = rng.integers(low, high, (64, 64), endpoint=True).astype(dtype)
    raw = torch.from_numpy(pixels.astype(np.float32))
    norm = Normalization.measure(raw.numpy())
    assert np.array_equal(norm.invert(norm.apply(raw)).numpy().astype(dtype), pixels)


@pytest.mark.parametrize("factor", [1e-12, 1e-3, 1.0, 1e4, 1e12])
def test_normalised_pixels_have_a_median_near_0_and_a_spread_near_1(factor):
    rng = np.random.default_rng(0)
    pixels = (factor * rng.gamma(2, 1, 10_000)).astype(np.float32)
    norm = Normalization.measure(pixels)
    normalised = norm.apply(torch.from_numpy(pixels))
    assert abs(normalised.median()) < 0.5
    assert 0.3 < normalised.std() < 3


def test_the_scale_is_a_power_of_two():
    norm = Normalization.measure(np.arange(1000, dtype=np.float32))
    assert np.log2(norm.scale).is_integer()
    assert norm.offset.is_integer()


def test_blank_planes_are_left_out():
    pixels = np.random.default_rng(0).random((3, 32, 32)).astype(np.float32)
    pixels[1] = 7
    planes = read(Image(pixels, "TYX"))
    assert sorted(p.min() for p in planes) == sorted(p.min() for p in pixels[::2])


def spotted():
    """A sampler of a plane of which nothing but a corner was recorded."""
    plane = numbered((64, 80))[0]
    good = np.zeros(plane.shape, bool)
    good[40:, 50:] = True
    good[44, 60] = False
    cpu = torch.device("cpu")
    return good, PatchSampler([plane], [good], UNCHANGED, 16, ALL_EIGHT, cpu)


def test_patches_are_drawn_where_there_is_something_to_learn():
    good, one = spotted()
    drawn = one.draw(400, luck())
    assert drawn.good.flatten(1).any(1).all()
    found = drawn.observation[drawn.good].unique().numpy().astype(int)
    assert np.array_equal(found, np.flatnonzero(good))


def test_nothing_is_learned_from_bad_pixels():
    _, one = spotted()
    drawn = one.draw(100, luck())
    mask = RandomMask().draw(100, 16, 16, luck())
    moved = drawn.targets(mask)
    assert moved.positions.shape == mask.positions.shape
    before, after = mask.gather(drawn.good), moved.gather(drawn.good)
    assert not before.all()
    assert after[before.any(1)].all()
    # And from nothing that is not masked.
    assert mask.gather(mask.masked).all()
    assert moved.gather(mask.masked).all()


def test_all_planes_of_the_channel_are_read():
    pixels = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    images = [Image(pixels, "TCYX"), Image(pixels[0] + 1000, "CYX")]
    planes = read(*images, channel=1)
    expected = [pixels[0, 1], pixels[1, 1], pixels[0, 1] + 1000]
    assert sorted(p.min() for p in planes) == sorted(p.min() for p in expected)


class Counting:
    """An array that counts the pixels read from it."""

    def __init__(self, data):
        self.data, self.shape, self.dtype, self.ndim = data, data.shape, data.dtype, 3
        self.read = 0

    def __getitem__(self, index):
        self.read += self.data[index].size
        return self.data[index]


def test_of_a_huge_lazy_image_only_a_part_is_read(monkeypatch):
    monkeypatch.setattr(sampling, "MAX_TRAINING_PIXELS", 3000)
    rng = np.random.default_rng(0)
    counting = Counting(rng.integers(0, 255, (20, 64, 64)).astype(np.uint8))
    lazy = da.from_array(counting, chunks=(1, 64, 64))
    planes = read(Image(lazy, "TYX"), rng=rng)
    assert 2500 < sum(plane.size for plane in planes) < 3500
    # Of 20 planes; eight tell whether lines have offsets of their own.
    assert counting.read <= 10 * 64 * 64


def test_of_a_huge_stack_random_planes_are_read(monkeypatch):
    monkeypatch.setattr(sampling, "MAX_TRAINING_PIXELS", 4 * 32 * 32)
    pixels = np.arange(20 * 32 * 32).reshape(20, 32, 32)
    planes = read(Image(pixels, "TYX"))
    numbers = [int(plane.min()) // 1024 for plane in planes]
    assert len(set(numbers)) == 4
    assert numbers != sorted(numbers)


@pytest.mark.parametrize(
    ("requested", "shape", "stride", "side"),
    [
        (96, (512, 512), 4, 96),
        (96, (64, 512), 4, 64),
        (96, (37, 53), 4, 36),
        (96, (37, 53), 8, 32),
        (30, (64, 64), 4, 28),
        (16, (16, 16), 4, 16),
        (16, (64, 64), 32, 32),
    ],
)
def test_the_patch_is_the_largest_that_fits(requested, shape, stride, side):
    image = Image(np.zeros(shape), "YX")
    found, sentence = resolve_patch_size(requested, [image], stride)
    assert found == side
    assert (sentence is None) == (found == requested)
    assert (
        sentence is None
        or f"Patches of {side} px are used instead of {requested} px" in sentence
    )


def test_the_smallest_of_several_images_decides():
    images = [Image(np.zeros(shape), "YX") for shape in [(90, 90), (40, 300)]]
    assert resolve_patch_size(96, images, 4)[0] == 40


@pytest.mark.parametrize(
    ("shape", "stride", "binning", "least", "hint"),
    [
        ((3, 3), 4, 1, 16, "Choose a larger image."),
        ((1, 256), 4, 1, 16, "Choose a larger image."),
        ((31, 90), 32, 1, 32, "Choose a network of smaller depth"),
        ((31, 90), 4, 2, 32, "Choose smaller bins"),
        ((15, 15), 32, 3, 96, "Choose a larger image."),
    ],
)
def test_what_is_too_small_is_told_with_what_would_do(
    shape, stride, binning, least, hint
):
    assert smallest_side(stride, binning) == least
    with pytest.raises(RequestError, match=rf"{least} × {least} are needed\. {hint}"):
        require_room(Image(np.zeros(shape), "YX"), stride, binning)
    require_room(Image(np.zeros((least, least)), "YX"), stride, binning)


def test_of_a_line_scan_it_is_told_how_to_take_it():
    lines = Image(np.zeros((64, 1, 48)), "TYX")
    with pytest.raises(RequestError, match="time by position is the image"):
        require_room(lines, 4)
    require_room(as_line_scan(lines), 4)


@pytest.mark.parametrize(("shape", "stride"), [((15, 100), 4), ((31, 31), 32)])
def test_an_image_smaller_than_the_smallest_patch_is_refused(shape, stride):
    with pytest.raises(RequestError, match=f"{shape[0]} × {shape[1]} pixels"):
        resolve_patch_size(96, [Image(np.zeros(shape), "YX")], stride)
