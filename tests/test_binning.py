import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_selfdenoise import Image, RequestError, TrainedModel, denoise, recipe, train
from napari_selfdenoise.images import (
    sliding_means,
    to_bins,
    to_pixels,
    variance_of_bins,
)
from napari_selfdenoise.noise.correlation import measure_correlation
from napari_selfdenoise.prediction import predict as prediction

pytestmark = pytest.mark.slow

sizes = pytest.mark.parametrize("size", [2, 3, 4])

SIGMA = 0.7
STD = 20.0


def blurred_noise(seed=0, shape=(256, 256)):
    noise = np.random.default_rng(seed).standard_normal(shape)
    noise = gaussian_filter(noise, SIGMA, mode="wrap")
    return STD * noise / noise.std()


def blobs(shape=(256, 256)):
    canvas = np.random.default_rng(1).random(shape) < 0.001
    return 100 + 4000 * gaussian_filter(canvas.astype(float), 3, mode="wrap")


def teach(image, **changes):
    """A short training, with the automatic masking where none is given."""
    settings = {
        "steps": 150,
        "network.width": 8,
        "patch_size": 48,
        "flips": False,
        "device": "cpu",
        "precision": "float32",
        "estimator": "single_pass",
    }
    return train(image, recipe("fast").override(settings | changes))


@pytest.fixture(scope="module")
def noisy() -> Image:
    return Image((blobs() + blurred_noise()).astype(np.float32), "YX")


@pytest.fixture(scope="module")
def model(noisy) -> TrainedModel:
    return teach(noisy)


@sizes
def test_bins_are_means_of_squares_at_all_positions(size):
    plane = np.random.default_rng(0).random((24, 36), np.float32)
    means = sliding_means(plane, size)
    assert means.shape == (25 - size, 37 - size)
    bins = to_bins(torch.from_numpy(plane)[None, None], size)
    assert bins.shape == (size**2, 1, 24 // size, 36 // size)
    for number, (y, x) in enumerate(np.ndindex(size, size)):
        expected = means[y::size, x::size]
        rows, columns = expected.shape
        found = bins[number, 0, :rows, :columns].numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-5)
        square = plane[y : y + size, x : x + size]
        assert found[0, 0] == pytest.approx(square.mean(), rel=1e-5)


@sizes
def test_a_pixel_is_the_average_of_all_squares_that_it_lies_in(size):
    image = torch.zeros(1, 2, 24, 36)
    image[0, 1, 12, 17] = 1  # the second output of a network
    corners = to_bins(image[:, 1:], size)
    spread = to_pixels(torch.cat([corners * 0, corners], dim=1), size)
    assert not spread[0, 0].any()
    triangle = (size - np.abs(np.arange(1 - size, size))) / size**2
    expected = np.zeros((24, 36))
    around = slice(13 - size, 12 + size), slice(18 - size, 17 + size)
    expected[around] = np.outer(triangle, triangle)
    np.testing.assert_allclose(spread[0, 1].numpy(), expected, atol=1e-7)


@sizes
def test_the_noise_of_bins_follows_from_that_of_pixels(size):
    single = np.zeros((17, 17))
    single[8, 8] = 1
    assert variance_of_bins(single, size) == pytest.approx(1 / size**2)
    rho = measure_correlation([blurred_noise(shape=(1024, 1024))]).rho
    means = sliding_means(blurred_noise(1, (1024, 1024)), size)[::size, ::size]
    curved = np.diff(np.diff(means, axis=0), axis=1) / 2
    assert variance_of_bins(rho, size) == pytest.approx(curved.var() / STD**2, rel=0.05)


def test_shared_noise_is_removed_better_than_with_pixels(noisy, model):
    def error(trained):
        found = denoise(noisy, trained, device="cpu").denoised.data
        return float(np.mean((found - blobs()) ** 2))

    assert model.config.masking.kind == "bins"
    assert "bins of 3 x 3 px are masked" in model.provenance["finding"]
    binned = error(model)
    assert binned < 0.1 * STD**2
    assert binned < 0.2 * error(teach(noisy, masking="random"))


def test_bins_learn_faster_than_blocks_on_average(noisy, model):
    """One seed decides nothing: blocks of 9 x 9 px differ by a tenth between seeds."""

    def error(trained):
        found = denoise(noisy, trained, device="cpu").denoised.data
        return float(np.mean((found - blobs()) ** 2))

    seeds = {"seed": 1}, {"seed": 2}
    bins = [model, *(teach(noisy, **seed) for seed in seeds)]
    shape = {"masking": "shape", "masking.footprint": "9x9"}
    blocks = [teach(noisy, **shape, **seed) for seed in ({"seed": 0}, *seeds)]
    assert sum(map(error, bins)) < sum(map(error, blocks))


def test_the_noise_curve_is_that_of_pixels(noisy, model):
    std = denoise(noisy, model, device="cpu").noise_std.data
    assert np.median(std) == pytest.approx(STD, rel=0.1)


def test_the_tiles_do_not_show(noisy, model, monkeypatch):
    results = []
    for side in (40, 1000):
        monkeypatch.setattr(prediction, "tile_side", lambda *_, side=side: side)
        results.append(denoise(noisy, model, device="cpu").denoised.data)
    np.testing.assert_allclose(*results, atol=1e-3 * STD)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"psf": "gaussian"}, "lose the detail"),
        ({"estimator": "blind_mean"}, "cannot be masked alone"),
        ({"signal": "gaussian", "estimator": "posterior_mean"}, "count twice"),
        ({"noise_model": "file"}, "not for bins"),
    ],
)
def test_what_bins_cannot_do_is_said(changes, reason):
    with pytest.raises(RequestError, match=reason):
        recipe("fast").override({"masking": "bins"} | changes)


def test_images_too_small_for_bins_are_refused():
    image = Image(blurred_noise(shape=(60, 60)).astype(np.float32), "YX")
    with pytest.raises(RequestError, match="128 × 128"):
        teach(image, masking="bins", **{"masking.size": 8})


def test_a_model_of_bins_is_not_continued_with_pixels(noisy, model):
    changed = model.config.override({"masking": "random"})
    with pytest.raises(RequestError, match=r"bins of 3 × 3 px.*single pixels"):
        train(noisy, changed, start=model)
    again = model.config.override({"masking": "auto", "steps": 2})
    assert train(noisy, again, start=model).config.masking == model.config.masking
