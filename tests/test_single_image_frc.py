import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_selfdenoise import Image, NoiseCurve, RequestError
from napari_selfdenoise.evaluation import (
    frc_resolution,
    measured_curve,
    noise_std_of,
    resolution_steps,
    single_image_frc,
)
from napari_selfdenoise.images import poisson_gaussian_stack
from napari_selfdenoise.long_work import run_to_end

SIZE = 192


def blobs(width=2.0, seed=0):
    """Structure whose finest detail is set by a width in px; a mean of 500."""
    rng = np.random.default_rng(seed)
    signal = gaussian_filter(rng.normal(size=(SIZE, SIZE)), width, mode="wrap")
    return 500 + 100 * signal / signal.std()


def noisy(signal, std, seed=0):
    return signal + std * np.random.default_rng(seed).normal(size=signal.shape)


@pytest.mark.parametrize(("width", "std"), [(1.0, 30), (2.0, 30), (2.0, 90)])
def test_one_image_gives_the_resolution_of_two(width, std):
    signal = blobs(width)
    pair = noisy(signal, std, 1), noisy(signal, std, 2)
    found = single_image_frc(pair[0], std).resolution_px
    assert found == pytest.approx(frc_resolution(*pair), rel=0.1)


def test_noise_that_follows_the_signal_counts_where_it_is():
    light = 2000 * np.exp(-((np.indices((SIZE, SIZE)) - SIZE / 2) ** 2).sum(0) / 2000)
    signal = 5 + light * (1 + 0.3 * (blobs(1.5) - 500) / 100).clip(0)
    pair = [np.random.default_rng(s).poisson(signal).astype(float) for s in (1, 2)]
    found = single_image_frc(pair[0], np.sqrt(signal)).resolution_px
    assert found == pytest.approx(frc_resolution(*pair), rel=0.1)


def test_more_noise_hides_finer_detail():
    periods = [
        single_image_frc(noisy(blobs(), std), std).resolution_px
        for std in (10, 40, 160)
    ]
    assert periods == sorted(periods)
    assert periods[0] < 0.85 * periods[2]


def test_noise_alone_shares_nothing():
    flat = noisy(np.full((SIZE, SIZE), 500.0), 30)
    assert single_image_frc(flat, 30).resolution_px > 30


def test_noise_is_measured_where_no_curve_is_given():
    image, clean = poisson_gaussian_stack(1, 256)
    plane = image.data.reshape(256, 256).astype(np.float32)
    truth = plane - clean.data.reshape(256, 256)
    std = noise_std_of(plane)
    assert np.sqrt(np.mean(std**2)) == pytest.approx(truth.std(), rel=0.1)
    curve = NoiseCurve.gaussian(np.array([0.0, 9e4]), np.array([7.0, 7.0]))
    np.testing.assert_allclose(noise_std_of(plane, curve), 7)


def test_noise_that_neighbours_share_is_refused():
    flat = np.full((SIZE, SIZE), 500.0)
    white = np.random.default_rng(0).normal(size=flat.shape)
    blurred = (flat + 60 * gaussian_filter(white, 0.8)).astype(np.float32)
    with pytest.raises(RequestError, match="share noise"):
        measured_curve([blurred])
    found = run_to_end(resolution_steps(Image(blurred, "YX")))
    assert found.value is None
    assert "share noise" in found.reason


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.full((SIZE, SIZE), 7.0), "constant"),
        (np.full((SIZE, SIZE), np.nan), "not finite"),
        (np.ones((20, 20)), "64 × 64"),
        (np.ones((3, SIZE, SIZE)), "a plane"),
    ],
)
def test_what_holds_no_detail_is_refused(image, words):
    with pytest.raises(RequestError, match=words):
        single_image_frc(image, 1.0)


def test_planes_are_measured_one_by_one_and_blank_ones_not():
    planes = np.stack([noisy(blobs(), 30, s) for s in range(3)])
    planes[1] = 0
    found = run_to_end(resolution_steps(Image(planes.astype(np.float32), "TYX")))
    assert len(found.by_plane) == 2
    assert found.value == pytest.approx(np.mean(found.by_plane))


def test_noise_that_is_known_of_the_background_alone_is_not_guessed():
    """Too few blocks of a small image of bright cells are flat."""
    image, _ = poisson_gaussian_stack(1, 128, seed=2)
    plane = image.data.reshape(128, 128).astype(np.float32)
    with pytest.raises(RequestError, match="noise at different signals"):
        measured_curve([plane])


def test_the_noise_of_a_photon_counter_is_measured_where_it_counts():
    """Where nearly no photon comes there is no noise: no reason to give up."""
    y, x = np.mgrid[:256, :256] / 40
    light = 0.05 + 30 * np.clip(np.sin(x) * np.sin(y) - 0.2, 0, None)
    counts = np.random.default_rng(0).poisson(light).astype(np.float32)
    curve = measured_curve([counts])
    assert curve.std_at(np.float32(16)) == pytest.approx(4, rel=0.1)
