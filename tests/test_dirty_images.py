"""What may be wrong with an image must not change the rest of the result."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_selfdenoise import Image, denoise, recipe, train

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("brief_fits")]

SIDE = 96


def clean_image(kind):
    """Signal and observation, (Y, X) or (T, Y, X)."""
    rng = np.random.default_rng(3)
    shape = (3, SIDE, SIDE) if kind == "movie" else (SIDE, SIDE)
    blobs = gaussian_filter(rng.normal(size=shape), (0,) * (len(shape) - 2) + (4, 4))
    signal = 100 + 60 * np.tanh(blobs / blobs.std())
    if kind == "photons":
        return signal, 4.0 * rng.poisson(signal / 4)
    return signal, signal + rng.normal(0, 8, shape)


def brief(seed=0, **changes):
    small = {"steps": 50, "network.width": 8, "patch_size": 32, "device": "cpu"}
    small |= {"flips": False, "seed": seed}
    return recipe("fast").override({**small, **changes})


def result(pixels, **changes):
    axes = "TYX"[-pixels.ndim :]
    image = Image(pixels, axes)
    return denoise(image, train(image, brief(**changes)), device="cpu").denoised.data


def rms(difference):
    return float(np.sqrt(np.nanmean(np.asarray(difference, float) ** 2)))


@pytest.fixture(scope="module")
def clean_results(brief_fits):
    """Of each clean image: pixels, the result, and how much two seeds differ."""
    found = {}
    for kind in ("camera", "photons", "movie"):
        _, pixels = clean_image(kind)
        one, other = (result(pixels, seed=seed) for seed in (0, 1))
        found[kind] = pixels, one, rms(one - other)
    return found


def with_outliers(pixels, count, height):
    rng = np.random.default_rng(count)
    dirty, hit = pixels.copy(), rng.choice(pixels.size, count, replace=False)
    dirty.flat[hit] = height
    return dirty, np.isin(np.arange(pixels.size), hit).reshape(pixels.shape)


def blanked(pixels, place):
    dirty, hit = pixels.copy(), np.zeros(pixels.shape, bool)
    dirty[place], hit[place] = 0, True
    return dirty, hit


@pytest.mark.parametrize(
    ("kind", "count", "height"),
    [
        ("camera", 1, 1e38),
        ("camera", 300, -2e4),
        ("photons", 30, 65535),
        ("photons", 300, 3000),
        ("movie", 1000, 1e5),
    ],
)
def test_outliers_change_nothing_but_themselves(clean_results, kind, count, height):
    pixels, expected, between_seeds = clean_results[kind]
    dirty, hit = with_outliers(pixels, count, height)
    found = result(dirty)
    assert rms((found - expected)[~hit]) < between_seeds
    # Their surroundings take their place.
    assert rms((found - expected)[hit]) < 4 * between_seeds


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        ("camera", np.s_[30:50, 20:60]),
        ("camera", np.s_[:, :20]),
        ("photons", np.s_[60:, 60:]),
        ("movie", np.s_[1]),
    ],
)
def test_what_was_not_recorded_changes_nothing_else(clean_results, kind, place):
    pixels, expected, between_seeds = clean_results[kind]
    dirty, hit = blanked(pixels, place)
    found = result(dirty)
    assert (found[hit] == 0).all()
    near = np.zeros_like(hit)
    if pixels.ndim == 2:  # beside it, there is less to tell the signal from
        near = gaussian_filter(hit.astype(float), 2) > 1e-3
    assert rms((found - expected)[~hit & ~near]) < between_seeds


def test_nan_stays_nan(clean_results):
    pixels, expected, between_seeds = clean_results["camera"]
    dirty = pixels.copy()
    dirty[:, 70:] = np.nan
    found = result(dirty)
    assert np.array_equal(np.isnan(found), np.isnan(dirty))
    assert rms((found - expected)[:, :62]) < between_seeds


def test_another_unit_gives_the_same_image():
    _, pixels = clean_image("camera")
    tiny, small = (2.0**power * pixels.astype(np.float32) for power in (-40, -20))
    np.testing.assert_allclose(result(tiny), 2.0**-20 * result(small), rtol=1e-3)


@pytest.mark.parametrize(
    ("factor", "offset", "dtype"),
    [(1e-9, 0, "f4"), (1, 3e6, "f4"), (1, -300, "f4"), (1e6, 0, "f4"), (1e-2, 0, "f2")],
)
def test_numbers_of_any_size_give_the_same_image(clean_results, factor, offset, dtype):
    pixels, expected, between_seeds = clean_results["camera"]
    found = result((factor * pixels + offset).astype(dtype))
    assert rms((found.astype(float) - offset) / factor - expected) < 1.5 * between_seeds


@pytest.mark.parametrize(
    "changes",
    [
        {"noise_model": "poisson_gaussian"},
        {"noise_model": "gaussian_mixture", "objective": "likelihood"},
        {"masking": "line"},
        {"masking": "bins"},
    ],
    ids=str,
)
def test_dirt_harms_no_method(changes):
    signal, pixels = clean_image("camera")
    dirty, hit = with_outliers(pixels, 40, 5e4)
    dirty[:, :9], hit[:, :9] = np.nan, True
    before, after = result(pixels, **changes), result(dirty, **changes)
    errors = (rms((found - signal)[~hit]) for found in (before, after))
    clean, spoiled = errors
    assert spoiled < 1.2 * clean  # two seeds differ by more


def test_one_empty_channel_stops_no_other():
    _, one = clean_image("camera")
    image = Image(np.stack([one, np.zeros_like(one), one[::-1]]), "CYX")
    model = train(image, brief(steps=20))
    found = denoise(image, model, device="cpu").denoised.data
    assert "Channel 2 of 3 stays as it is" in model.provenance["finding"]
    assert (found[1] == 0).all()
    assert all(rms(found[n] - image.data[n]) > 1 for n in (0, 2))


def test_what_was_left_out_is_said():
    _, pixels = clean_image("camera")
    dirty, _ = with_outliers(pixels, 10, 6e4)
    dirty[:8] = 0
    image = Image(dirty, "YX")
    model = train(image, brief(steps=2))
    for sentence in (model.provenance["finding"], denoise(image, model).notes[0]):
        assert "outlier pixels" in sentence
        assert f"{8 * SIDE} pixels (8.3 %) were never recorded" in sentence
