"""A learned prediction judges what a network gains where structure repeats."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from napari_selfdenoise import Image
from napari_selfdenoise.diagnosis import diagnose
from napari_selfdenoise.diagnosis.neighbour_regression import regression_error

# The room exports a function of this name.
forecast_gain = importlib.import_module("napari_selfdenoise.diagnosis.forecast_gain")

SIDE, STD = 128, 10.0


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(3).normal(0, STD, (SIDE, SIDE))


@pytest.fixture(scope="module")
def lattice():
    return _spots(0.0)


def _spots(jitter):
    """Spots 13 px apart on turned rows; each is moved by so many px, (Y, X)."""
    y, x = np.mgrid[:SIDE, :SIDE]
    signal = np.full((SIDE, SIDE), 20.0)
    rng = np.random.default_rng(1)
    for row in range(-1, 12):
        for column in range(-1, 12):
            off = rng.uniform(-1, 1, 2) * jitter
            top = 13 * row + 3 * column + off[0]
            left = 13 * column - 3 * row + off[1] + 13
            away = (y - top) ** 2 + (x - left) ** 2
            signal += 80 * np.exp(-away / (2 * 2.5**2))
    return signal


def _error(signal, noise, filtered, kept, scale=1.0):
    return regression_error(
        scale * (signal + noise),
        np.ones(signal.shape, bool),
        scale * filtered,
        kept,
        (scale * STD) ** 2,
    )


def test_of_an_even_signal_almost_all_noise_is_predicted_away(noise):
    even = np.full(noise.shape, 50.0)
    error = _error(even, noise, even + noise, 1.0)
    assert error is not None
    assert 0 < error < 0.08 * STD**2


def test_no_prediction_is_better_than_the_signal(lattice, noise):
    assert _error(lattice, noise, lattice, 0.0) is None


def test_a_lattice_is_learned(lattice, noise):
    """A filter that keeps two fifths of the noise's variance is worse."""
    kept = 0.4**0.5
    error = _error(lattice, noise, lattice + kept * noise, kept)
    assert error is not None
    assert error < 0.2 * STD**2


def test_the_error_goes_with_the_units(lattice, noise):
    kept = 0.4**0.5
    one, other = (
        _error(lattice, noise, lattice + kept * noise, kept, scale)
        for scale in (1.0, 1e-3)
    )
    assert other == pytest.approx(1e-6 * one, rel=1e-3)


def test_of_few_pixels_nothing_is_learned(lattice, noise):
    good = np.zeros(lattice.shape, bool)
    good[:20] = True
    assert regression_error(lattice + noise, good, lattice, 0.0, STD**2) is None


def test_bad_pixels_do_not_count(lattice, noise):
    kept = 0.4**0.5
    good = np.ones(lattice.shape, bool)
    good[::16, ::16] = False
    observed, filtered = lattice + noise, lattice + kept * noise
    spoilt = np.where(good, filtered, 1e6)
    one = regression_error(observed, good, filtered, kept, STD**2)
    assert regression_error(observed, good, spoilt, kept, STD**2) == one


def test_more_is_forecast_of_a_lattice_than_a_filter_shows(lattice, noise, monkeypatch):
    image = Image((lattice + noise).astype(np.float32), "YX")
    learned = diagnose(image).forecast
    monkeypatch.setattr(forecast_gain, "regression_error", lambda *_: None)
    filtered = diagnose(image).forecast
    assert learned.gain_db > filtered.gain_db + 1.5
    assert learned.noise_std == filtered.noise_std == pytest.approx(STD, rel=0.03)
