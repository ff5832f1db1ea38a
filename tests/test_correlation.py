"""What shares noise is told from what is independent, and from structure."""

import time

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_selfdenoise import Image, recipe
from napari_selfdenoise.defects import CleanImage
from napari_selfdenoise.noise.correlation import (
    REACH,
    describe,
    left_over,
    measure_correlation,
    recommended_masking,
)
from napari_selfdenoise.parts.masking import BinMask, LineMask, RandomMask, ShapeMask
from napari_selfdenoise.training.resolve import resolve_masking


def white(seed=0, shape=(256, 256)):
    return np.random.default_rng(seed).normal(size=shape)


def shared_along_x(seed=0, shape=(256, 256), rho=0.6):
    """Noise of variance 1 whose correlation falls as rho to the power of the lag."""
    noise = white(seed, shape)
    for x in range(1, shape[1]):
        noise[:, x] = rho * noise[:, x - 1] + np.sqrt(1 - rho**2) * noise[:, x]
    return noise


def blurred(seed=0, sigma=0.7, shape=(256, 256)):
    noise = gaussian_filter(white(seed, shape), sigma)
    return noise / noise.std()


def structure(sigma, seed=7, shape=(256, 256)):
    """Spots on a dark ground, as a microscope blurs them; up to 1."""
    spots = np.random.default_rng(seed).random(shape) < 0.003
    image = gaussian_filter(spots.astype(float), sigma)
    return image / image.max()


def masking(*planes, **options):
    return recommended_masking(measure_correlation(planes, **options))


@pytest.mark.parametrize("seed", range(20))
def test_independent_noise_is_independent(seed):
    found = measure_correlation([100 + white(seed)])
    assert (found.extent_y, found.extent_x) == (0, 0)
    near = found.rho[REACH - 3 : REACH + 4, REACH - 3 : REACH + 4].ravel()
    off_centre = np.delete(near, near.size // 2)
    assert np.abs(off_centre).max() < 6 * found.standard_error
    assert np.abs(off_centre.mean()) < found.standard_error  # detrending is made up for


def test_the_standard_error_is_that_of_chance():
    found = [measure_correlation([white(seed)]) for seed in range(20)]
    values = np.concatenate(
        [np.r_[f.along("y")[1:5], f.along("x")[1:5]] for f in found]
    )
    assert values.std() == pytest.approx(found[0].standard_error, rel=0.25)


def test_noise_along_rows_asks_for_lines_along_x():
    found = measure_correlation([shared_along_x()])
    np.testing.assert_allclose(found.along("x")[1:4], [0.6, 0.36, 0.22], atol=0.06)
    np.testing.assert_allclose(found.along("y")[1:4], 0, atol=0.05)
    choice = recommended_masking(found)
    assert isinstance(choice, LineMask)
    assert choice.axis == "x"
    assert 4 <= choice.extent <= 6


def test_noise_along_columns_asks_for_lines_along_y():
    choice = masking(shared_along_x().T)
    assert isinstance(choice, LineMask)
    assert choice.axis == "y"


@pytest.mark.parametrize("seed", range(3))
def test_blurred_noise_asks_for_bins(seed):
    found = measure_correlation([blurred(seed)])
    expected = np.exp(-np.array([1, 4]) / (4 * 0.7**2))  # of a Gaussian blur
    np.testing.assert_allclose(found.along("y")[1:3], expected, atol=0.06)
    assert (found.extent_y, found.extent_x) == (2, 2)
    assert recommended_masking(found) == BinMask(size=3)
    assert recommended_masking(found, bins=False) == ShapeMask(footprint="9x9")


def test_repeated_pixels_ask_for_bins_as_large():
    repeated = np.kron(white(shape=(128, 128)), np.ones((2, 2)))
    assert masking(repeated) == BinMask(size=2)


@pytest.mark.parametrize("sigma", [0.65, 0.7, 0.9, 1.1])
def test_bins_that_are_recommended_hardly_share_noise(sigma):
    noise = blurred(sigma=sigma)
    size = masking(noise).size
    side = 256 // size * size
    bins = noise[:side, :side].reshape(side // size, size, -1, size).mean((1, 3))
    across = np.corrcoef(bins[:, 1:].ravel(), bins[:, :-1].ravel())[0, 1]
    assert 0.1 < across < 0.25


@pytest.mark.parametrize("noise", [5, 20, 100])
@pytest.mark.parametrize("sigma", [1, 1.5, 2, 3])
def test_structure_is_not_taken_for_noise(sigma, noise):
    signal = 400 * structure(sigma)
    poisson = np.sqrt(0.1 + signal / 400) * white()
    assert masking(signal + noise * poisson) == RandomMask()


def test_structure_everywhere_is_not_taken_for_noise():
    texture = blurred(seed=1, sigma=1.5)
    assert masking(texture + 0.6 * white()) == RandomMask()
    fibres = gaussian_filter(white(1), (12, 1))
    assert masking(fibres / fibres.std() + 0.3 * white()) == RandomMask()


def test_noise_is_found_beside_structure():
    signal = 10 * structure(2)
    assert isinstance(masking(signal + blurred()), BinMask)
    assert isinstance(masking(signal + shared_along_x()), LineMask)


def test_the_variance_may_follow_the_signal():
    signal = 1 + 10 * structure(6)
    assert masking(np.sqrt(signal) * white() + signal) == RandomMask()
    assert isinstance(masking(np.sqrt(signal) * blurred() + signal), BinMask)


@pytest.mark.parametrize("level", [0.02, 0.3, 2])
def test_counted_photons_are_independent(level):
    photons = np.random.default_rng(0).poisson(level * (0.5 + structure(3)))
    assert masking(photons.astype(np.uint16)) == RandomMask()


@pytest.mark.parametrize("side", [64, 128])
def test_small_images_of_independent_noise_are_independent(side):
    for seed in range(20):
        assert masking(white(seed, (side, side))) == RandomMask()


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((64, 64), np.uint8),
        np.full((64, 64), 65535, np.uint16),
        np.full((64, 64), np.nan),
        white(shape=(10, 10)),
        white(shape=(300, 20)),
        np.zeros((0, 0)),
    ],
)
def test_where_nothing_can_be_measured_single_pixels_are_hidden(image):
    found = measure_correlation([image])
    assert found.pixels == 0
    assert recommended_masking(found) == RandomMask()
    assert "Too few" in describe(found)


def test_clipped_parts_are_left_out():
    image = shared_along_x()
    image[:128] = image.min()
    image[128:160] = np.round(white(shape=(32, 256))) + 1000  # saturated in part
    image[128:160] = np.minimum(image[128:160], 1000)
    found = measure_correlation([image])
    assert found.along("x")[1] == pytest.approx(0.6, abs=0.08)


def test_differences_between_frames_see_noise_under_any_structure():
    texture = 5 * blurred(seed=9, sigma=1)
    frames = [texture + white(seed) for seed in range(3)]
    assert measure_correlation(frames).along("x")[1] > 0.5
    found = measure_correlation(frames, frames=True)
    assert found.frames
    assert found.along("x")[1] == pytest.approx(0, abs=0.02)
    frames = [texture + shared_along_x(seed) for seed in range(3)]
    assert isinstance(masking(*frames, frames=True), LineMask)


def test_moving_frames_are_measured_one_by_one():
    spots = 50 * structure(2, shape=(256, 400))
    frames = [spots[:, 20 * t :][:, :256] + white(t) for t in range(4)]
    found = measure_correlation(frames, frames=True)
    assert recommended_masking(found) == RandomMask()


def test_frames_of_unequal_size_are_measured_one_by_one():
    found = measure_correlation([white(), white(1, (64, 96))], frames=True)
    assert not found.frames


def test_the_image_does_not_change_and_the_unit_does_not_matter():
    image = shared_along_x().astype(np.float32)
    before = image.copy()
    found = measure_correlation([image])
    np.testing.assert_array_equal(image, before)
    scaled = measure_correlation([1000 + 50 * image.astype(float)])
    np.testing.assert_allclose(found.rho, scaled.rho, atol=1e-4)


def test_large_images_are_sampled():
    image = np.broadcast_to(white(shape=(1, 4096)), (4096, 4096))  # no memory
    begin = time.perf_counter()
    found = measure_correlation([image, image])
    assert time.perf_counter() - begin < 2
    assert found.pixels < 2**20


def test_sentences():
    alone = describe(measure_correlation([white()]))
    assert alone.startswith(
        "Noise differs between neighbouring pixels, so single pixels"
    )
    assert "fine detail is kept. Correlation at 1 px: 0.0" in alone
    lines = describe(measure_correlation([shared_along_x()]))
    assert lines.startswith("Neighbouring pixels share noise, so lines of ")
    assert "at 1 px" in lines
    assert "along x are masked" in lines and lines.endswith("px along x.")
    found = measure_correlation([blurred()])
    assert "bins of 3 x 3 px are masked" in describe(found)
    blocks = recommended_masking(found, bins=False)
    assert "blocks of 9 x 9 px are masked" in describe(found, blocks)
    texture = blurred(seed=1, sigma=2) + 0.3 * white()
    assert "structure" in describe(measure_correlation([texture]))
    assert "even further" in describe(measure_correlation([shared_along_x(rho=0.9)]))


def copied(observation, weight=0.25):
    """A prediction that takes the noise of a pixel from its neighbours."""
    sides = [np.roll(observation, step, axis) for step in (1, -1) for axis in (0, 1)]
    return weight * sum(sides)


def test_noise_that_neighbours_gave_away_is_noticed():
    noisy = 10 * structure(2) + blurred()
    left = left_over([noisy], [copied(noisy, 0.35)], RandomMask())
    assert left.share > 0.15
    assert left.wider == ShapeMask(footprint="5x5")
    assert "5 x 5" in str(left)


def test_the_footprint_grows_along_the_axis_of_the_noise():
    noisy = shared_along_x()
    spoiled = (np.roll(noisy, 2, 1) + np.roll(noisy, -2, 1)) / 2
    left = left_over([noisy], [spoiled], LineMask(axis="x", extent=1))
    assert isinstance(left.wider, LineMask)
    assert left.wider.axis == "x"
    assert left.wider.extent >= 4
    again = left_over([noisy], [spoiled], LineMask(axis="x", extent=6))
    assert again.wider == LineMask(axis="x", extent=7)
    most = left_over([noisy], [spoiled], LineMask(axis="x", extent=REACH))
    assert most.wider is None


@pytest.mark.parametrize("sigma", [1, 2])
def test_a_good_prediction_has_nothing_left(sigma):
    signal = 10 * structure(2)
    for noise in (white(), blurred(), shared_along_x()):
        smooth = signal + 0.3 * gaussian_filter(noise, sigma)
        assert left_over([signal + noise], [smooth], RandomMask()).wider is None


def test_what_a_pixel_gives_to_itself_is_not_left_over():
    signal, noise = 10 * structure(2), white()
    posterior = signal + 0.6 * noise  # at much signal, a pixel knows itself best
    left = left_over([signal + noise], [posterior], RandomMask())
    assert left.share < 0.05


def test_independent_noise_that_was_learned_is_no_reason_for_footprints():
    noise = white()
    left = left_over([noise], [white(1)], RandomMask())
    assert left.share > 0.5
    assert left.wider is None
    assert "do not share" in str(left)
    clean = left_over([noise], [0 * noise], RandomMask())
    assert str(clean) == "No noise that neighbours share is left in the result."


def test_frames_too_small_to_measure_say_nothing():
    found = measure_correlation([np.ones((12, 12)) for _ in range(3)], frames=True)
    assert found.pixels == found.extent_y == found.extent_x == 0


def test_what_is_said_is_what_is_hidden():
    pixels = blurred()
    config, said = resolve_masking(
        recipe("fast"), [CleanImage(Image(pixels, "YX"))], [[pixels.astype(np.float32)]]
    )
    assert config.masking == recommended_masking(measure_correlation([pixels]))
    assert f"bins of {config.masking.size} x {config.masking.size} px" in said


@pytest.mark.parametrize(
    "changes",
    [
        {"psf": "gaussian"},
        {"estimator": "blind_mean"},
        {"signal": "gaussian", "estimator": "posterior_mean"},
        {"signal": "gaussian", "noise_model.estimation": "per_image"},
    ],
)
def test_blocks_are_hidden_where_bins_make_no_sense(changes):
    pixels = blurred()
    planes = [[pixels.astype(np.float32)]]
    if "noise_model.estimation" in changes:
        changes |= {"noise_model": "poisson_gaussian"}
    asked = recipe("fast").override(changes)
    config, said = resolve_masking(asked, [CleanImage(Image(pixels, "YX"))], planes)
    assert config.masking == ShapeMask(footprint="9x9")
    assert "blocks of 9 x 9 px" in said


@pytest.mark.parametrize(("side", "depth"), [(100, 2), (140, 5)])
def test_blocks_are_hidden_where_bins_would_leave_too_few_pixels(side, depth):
    """No image that is large enough before its noise is measured is too small then."""
    pixels = blurred()[:side, :side]
    planes = [[pixels.astype(np.float32)]]
    asked = recipe("fast").override({"network.depth": depth})
    config, _ = resolve_masking(asked, [CleanImage(Image(pixels, "YX"))], planes)
    assert isinstance(config.masking, ShapeMask)


def test_bins_grow_where_noise_is_left():
    noisy = shared_along_x()
    spoiled = (np.roll(noisy, 2, 1) + np.roll(noisy, -2, 1)) / 2
    assert left_over([noisy], [spoiled], BinMask(size=3)).wider == BinMask(size=4)
    assert left_over([noisy], [spoiled], BinMask(size=8)).wider is None


def test_an_echo_is_not_the_correlation_of_blurred_noise():
    """Blur ends within 4 px; what comes again 6 px away may be structure."""
    noise = blurred(1)
    assert measure_correlation([100 + noise]).extent_y > 0
    found = measure_correlation([100 + noise + np.roll(noise, 6, axis=0)])
    assert (found.extent_y, found.extent_x) == (0, 0)


@pytest.mark.parametrize(("rho", "extent"), [(0.9, REACH), (0.97, 0)])
def test_lines_that_do_not_fade_are_no_shared_noise(rho, extent):
    """Over 8 px, 0.9 per pixel falls to 0.43, and 0.97 to 0.78: no mask is so long."""
    noise = shared_along_x(3, rho=rho)
    assert measure_correlation([100 + noise]).extent_x == extent
