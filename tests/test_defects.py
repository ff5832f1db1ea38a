import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_selfdenoise import Image
from napari_selfdenoise.defects import (
    CleanImage,
    DefectCount,
    cleaning,
    describe_defects,
    nothing_to_learn,
)


def scene(side=128, seed=0, gain=4.0, photons=40.0, read=5.0):
    """Blurred structure as a camera records it, raw units, offset 100."""
    rng = np.random.default_rng(seed)
    signal = gaussian_filter(rng.random((side, side)) > 0.97, 1.5, output=float)
    light = rng.poisson(photons * signal / signal.max() + 2)
    return 100 + gain * light + rng.normal(0, read, (side, side))


def cleaned(pixels, **options):
    return CleanImage(Image(np.asarray(pixels), "YX", **options)).read(())


SIDE = 128


@pytest.mark.parametrize("count", [1, 30, 300, 1000])
@pytest.mark.parametrize("height", [2000, 65535, 1e30, 1e300, -1e4, -1e300])
def test_outliers_are_found_and_nothing_else(count, height):
    rng = np.random.default_rng(count)
    pixels, hit = scene(), np.zeros((SIDE, SIDE), bool)
    hit.flat[rng.choice(SIDE**2, count, replace=False)] = True
    clean = cleaned(np.where(hit, height, pixels))
    assert (~clean.good & ~hit).sum() <= 2
    missed = hit & clean.good
    assert missed.sum() <= 0.01 * count
    assert np.isfinite(clean.pixels).all()
    # What takes their place is what the surroundings show.
    error = (clean.pixels - pixels)[clean.outliers]
    assert np.sqrt(np.mean(error**2)) < 3 * pixels.std()


@pytest.mark.parametrize("length", [2, 3, 5, 12])
def test_lines_of_outliers_are_found(length):
    pixels = scene()
    pixels[50, 40 : 40 + length] = 9000
    assert cleaned(pixels).outliers[50, 40 : 40 + length].all()


@pytest.mark.parametrize("width", [0.7, 0.8, 1.0, 1.5])
def test_spots_that_optics_blurred_are_no_outliers(width):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE]
    light = np.zeros((SIDE, SIDE))
    for _ in range(60):
        at_y, at_x = rng.uniform(4, SIDE - 4, 2)
        distance = (y - at_y) ** 2 + (x - at_x) ** 2
        light += rng.uniform(5, 300) * np.exp(-distance / (2 * width**2))
    pixels = 100 + 4 * rng.poisson(light + 1) + rng.normal(0, 3, light.shape)
    assert cleaned(pixels).outliers.sum() <= 1


@pytest.mark.parametrize("rate", [0.01, 0.15, 1.0])
def test_single_photons_are_no_outliers(rate):
    photons = np.random.default_rng(0).poisson(rate, (256, 256)).astype(np.uint8)
    assert cleaned(photons).spotless


@pytest.mark.parametrize("value", [0.0, 1e4, np.nan, -np.inf])
@pytest.mark.parametrize(
    "place",
    [
        np.s_[:, :12],
        np.s_[:1],
        np.s_[40:45, 60:64],
        np.s_[20:90, 30:110],
        np.s_[:50, 70:],
    ],
)
def test_padding_is_found_to_the_pixel(value, place):
    pixels = scene()
    padded = np.zeros(pixels.shape, bool)
    padded[place] = True
    dirty = np.where(padded, value, pixels)
    assert np.array_equal(cleaned(dirty).missing, padded)


@pytest.mark.parametrize("rate", [0.002, 0.02, 0.15])
def test_a_background_with_few_photons_is_no_padding(rate):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:256, :256]
    cell = 3 * np.exp(-((y - 120) ** 2 + (x - 90) ** 2) / 800)
    assert not cleaned(rng.poisson(cell + rate)).missing.any()


def test_a_background_that_was_cut_off_is_no_padding():
    assert not cleaned(np.maximum(scene() - 106, 0).round()).missing.any()


def test_saturated_structure_is_no_padding():
    bright = gaussian_filter(np.pad(np.ones((30, 30)), 49), 3)
    pixels = scene() + 900 * bright
    assert not cleaned(np.minimum(pixels, 700).round()).missing.any()


def test_a_mask_says_what_was_recorded():
    mask = np.ones((SIDE, SIDE))
    mask[:, 100:] = 0
    assert np.array_equal(cleaned(scene(), mask=mask).missing, mask == 0)


@pytest.mark.parametrize("value", [0.0, 7.0, np.nan, np.inf])
def test_planes_of_one_value_are_blank(value):
    image = CleanImage(Image(np.full((2, 32, 32), value), "TYX"))
    assert image.is_blank((0,))
    assert image.read((1,)).missing.all()
    assert image.blank_planes() == 2


def gaps(share, seed=0):
    return np.random.default_rng(seed).random((SIDE, SIDE)) < share


@pytest.mark.parametrize("share", [0.5, 0.7, 0.95])
def test_planes_full_of_gaps_are_left_out(share):
    pixels = np.where(gaps(share), np.nan, scene())
    image = CleanImage(Image(np.stack([pixels, scene()]), "TYX"))
    assert image.is_blank((0,)) and not image.is_blank((1,))
    masked = CleanImage(Image(scene(), "YX", mask=~gaps(share)))
    assert masked.is_blank(())


def test_regions_full_of_gaps_are_left_out_and_the_rest_is_not():
    gone = gaps(0.8)
    gone[:, : SIDE // 2] = False
    missing = cleaned(np.where(gone, np.nan, scene())).missing
    assert not missing[:, : SIDE // 2 - 2].any()
    assert missing[:, SIDE // 2 + 12 :].all()


@pytest.mark.parametrize(("side", "left_out"), [(7, True), (12, False), (20, False)])
def test_a_small_region_must_have_enough_pixels(side, left_out):
    mask = np.zeros((SIDE, SIDE), bool)
    mask[40 : 40 + side, 60 : 60 + side] = True
    assert CleanImage(Image(scene(), "YX", mask=mask)).is_blank(()) == left_out


@pytest.mark.parametrize("kind", ["mask", "nan", "zero"])
def test_a_small_region_of_a_large_plane_is_found(monkeypatch, kind):
    monkeypatch.setattr(cleaning, "WHOLE_PIXELS", 0)
    monkeypatch.setattr(cleaning, "_SAMPLE_SIDE", 64)
    mask = np.zeros((1000, 1000), bool)
    mask[700:850, 405:555] = True
    pixels = scene(1000).astype(np.float32)
    if kind != "mask":
        pixels[~mask] = np.nan if kind == "nan" else 0
    image = Image(pixels, "YX", mask=mask if kind == "mask" else None)
    clean = CleanImage(image)
    assert not clean.is_blank(())
    inside = clean.read((), slice(710, 840), slice(415, 545))
    assert inside.good.mean() > 0.99


def test_wide_borders_lines_and_few_gaps_are_no_reason():
    few, border, lines, regions = (np.zeros((SIDE, SIDE), bool) for _ in range(4))
    few[gaps(0.35)], lines[1::2], regions[:] = True, True, True
    border[:, SIDE // 8 :] = True
    regions[3:11, 50:58] = regions[90:106, 20:26] = False
    for gone in (few, border, lines, regions):
        image = CleanImage(Image(np.where(gone, np.nan, scene()), "YX"))
        assert not image.is_blank(())


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (np.full((2, 32, 32), 7), "All pixels are 7:"),
        (np.full((2, 32, 32), np.nan), "No pixel holds a number:"),
        (np.stack([np.full((32, 32), n) for n in (7, 8)]), "such as 7, fill the image"),
        (np.repeat([[0, 9]], 16, 1) * np.ones((2, 32, 1)), "such as 0, fill the image"),
        (
            np.where(gaps(0.6), np.nan, scene())[None],
            "recorded next to each other:",
        ),
    ],
)
def test_why_nothing_can_be_learned(pixels, said):
    image = Image(pixels, "TYX")
    clean = CleanImage(image)
    assert all(clean.is_blank(plane) for plane in image.planes())
    assert said in str(nothing_to_learn(image))


def test_saturated_planes_are_blank():
    pixels = np.full((64, 64), 65535, np.uint16)
    pixels[:2] = scene(64)[:2]
    assert CleanImage(Image(pixels, "YX")).is_blank(())


@pytest.mark.parametrize("factor", [1e-9, 1.0, 1e6])
@pytest.mark.parametrize("offset", [0.0, -300.0, 3e6])
def test_the_unit_does_not_matter(factor, offset):
    pixels = scene()
    pixels[20, 30], pixels[:, :9] = 4000, 0
    before = cleaned(pixels)
    after = cleaned(factor * (pixels + offset))
    assert np.array_equal(before.outliers, after.outliers)
    assert np.array_equal(before.missing, after.missing)


def test_good_pixels_are_left_alone():
    pixels = scene().astype(np.float32)
    dirty = pixels.copy()
    dirty[10, 10], dirty[60:, 60:] = 1e6, np.nan
    clean = cleaned(dirty)
    assert np.array_equal(clean.pixels[clean.good], pixels[clean.good])


def test_what_fills_a_hole_copies_no_pixel():
    # Else a masked pixel's own noise could be read beside the hole.
    noise = np.random.default_rng(0).normal(0, 1, (SIDE, SIDE))
    noise[:, 64:] = np.nan
    filled = cleaned(noise).pixels
    copied = np.polyfit(filled[:, 63], filled[:, 64], 1)[0]
    assert abs(copied) < 0.1
    assert filled[:, 64:].std() < 0.2


def test_a_part_of_a_large_plane_is_cleaned_as_the_whole(monkeypatch):
    pixels = scene(400)
    rng = np.random.default_rng(0)
    pixels.flat[rng.choice(pixels.size, 200)] = 9000
    pixels[:30], pixels[100:130, 200:240] = 0, np.nan
    whole = cleaned(pixels)
    monkeypatch.setattr(cleaning, "WHOLE_PIXELS", 0)
    image = CleanImage(Image(pixels, "YX"))
    for top, left in np.ndindex(4, 4):
        rows, columns = (slice(100 * n, 100 * n + 100) for n in (top, left))
        part, expected = image.read((), rows, columns), whole.part(rows, columns)
        assert np.array_equal(part.missing, expected.missing)
        assert (part.outliers != expected.outliers).sum() <= 1


def test_what_was_found_is_said_with_its_number():
    count = DefectCount(pixels=10_000, outliers=25, missing=1, planes=6, blank=2)
    text = describe_defects(count)
    assert "25 outlier pixels (0.25 %)" in text
    assert "1 pixel (0.01 %) was never recorded" in text
    assert "2 of 6 planes were blank" in text
    assert "keeps them" in describe_defects(count, "keep")
    assert describe_defects(DefectCount(pixels=100, planes=1)) == ""


def photomultiplied(side, seed, photons=5.0):
    """Blobs on darkness, each photon multiplied by luck; rounded, (Y, X)."""
    rng = np.random.default_rng(seed)
    light = np.zeros((side, side))
    for _ in range(max(1, side**2 // 2000)):
        light[tuple(rng.integers(0, side, 2))] = 1
    light = gaussian_filter(light, 4)
    return rng.gamma(rng.poisson(photons * light / light.max()), 30.0).round()


@pytest.mark.parametrize("seed", range(5))
def test_of_an_inverted_image_no_signal_is_lost(seed):
    """Noise that grows as values fall is noise as well."""
    pixels = photomultiplied(96, seed)
    assert not cleaned(pixels).outliers.any()
    assert not cleaned(4095 - pixels).outliers.any()
    pixels[7, 9] = 60_000
    for turned in (pixels, -pixels):
        assert np.argwhere(cleaned(turned).outliers).tolist() == [[7, 9]]


@pytest.mark.parametrize("seed", range(20))
def test_of_a_small_dark_image_the_signal_stays(seed):
    """Too few pixels tell how strong the noise of bright ones is."""
    assert not cleaned(photomultiplied(20, seed)).outliers.any()


def test_an_outlier_of_a_small_image_is_found():
    pixels = scene(24)
    pixels[12, 12] = 60_000
    assert np.argwhere(cleaned(pixels).outliers).tolist() == [[12, 12]]


def test_an_image_too_small_to_judge_is_said_to_be():
    """Structure stays, and who has hot pixels there learns that they stay, too."""
    pixels = photomultiplied(20, 0)
    pixels[::4, ::4] = 60_000
    plane = cleaned(pixels)
    assert plane.doubtful and not plane.outliers.any()
    assert "too small to distinguish" in describe_defects(DefectCount.of([plane], 0))
    assert not cleaned(photomultiplied(96, 0)).doubtful


def test_a_part_of_the_last_region_is_as_where_it_is_read_by_itself(monkeypatch):
    monkeypatch.setattr(cleaning, "WHOLE_PIXELS", 0)
    rng = np.random.default_rng(0)
    pixels = rng.poisson(100, (2, 160, 200)).astype(np.uint16)
    pixels[:, 70, 90] = 60000  # hot
    image = Image(pixels, "TYX")
    kept, alone = CleanImage(image), CleanImage(image)
    kept.read((0,), slice(30, 130), slice(40, 170))
    inner = (0,), slice(60, 110), slice(50, 160)
    for found, known in zip(kept.read(*inner), alone.read(*inner), strict=True):
        assert np.array_equal(found, known)
    other = (1,), slice(60, 110), slice(50, 160)
    assert np.array_equal(kept.read(*other).pixels, alone.read(*other).pixels)
