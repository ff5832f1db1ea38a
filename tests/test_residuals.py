import numpy as np
import pytest
import torch

from napari_selfdenoise.images import Normalization
from napari_selfdenoise.noise import MaskedPixels, Residuals, binned, smoothness


def hidden(signal, difference):
    values = [
        torch.from_numpy(v) for v in (signal, signal + difference, 0 * signal + 1)
    ]
    return MaskedPixels(*values)


def test_flat_surroundings_weigh_more():
    signal = torch.zeros(1, 1, 32, 32)
    signal[..., 16:] = torch.randn(1, 1, 32, 16, generator=torch.Generator())
    weight = smoothness(signal)
    assert weight.shape == signal.shape
    assert (weight > 0).all()
    assert weight[..., 2:12].min() > 5 * weight[..., 20:].max()


def test_a_constant_prediction_weighs_the_same_everywhere():
    weight = smoothness(torch.full((1, 1, 16, 16), 2.0))
    assert weight.isfinite().all()
    assert weight.min() > 0.5 * weight.max()


def test_bins_hold_equally_many_pixels_and_rise():
    rng = np.random.default_rng(0)
    signal = rng.exponential(1, 6400)
    centre, square = binned(signal, 0 * signal + 3, np.ones(6400), bins=16)
    assert len(centre) == 16
    assert (np.diff(centre) > 0).all()
    np.testing.assert_allclose(square, 9)
    assert centre[0] == pytest.approx(np.sort(signal)[:400].mean())


def test_few_pixels_make_few_bins():
    centre, _ = binned(np.arange(130.0), np.ones(130), np.ones(130))
    assert len(centre) == 2


def test_a_pixel_of_weight_zero_does_not_count():
    square = binned(np.zeros(2), np.array([1.0, 50.0]), np.array([1.0, 0.0]))[1]
    np.testing.assert_allclose(square, [1])


def test_scatter_is_the_noise_without_the_predictions_own_error():
    rng, n = np.random.default_rng(0), 400_000
    signal = rng.uniform(-1, 2, n)
    own = 0.25 * rng.normal(size=(2, n))
    noise = (0.5 + 0.1 * signal) * rng.normal(size=n)
    norm = Normalization(100, 4)
    residuals = Residuals.of(
        [hidden(signal, noise + own[0])], [hidden(signal, own[1])], norm
    )
    centre, std = residuals.scatter()
    true = 4 * (0.5 + 0.1 * (centre - 100) / 4)
    np.testing.assert_allclose(std, true, rtol=0.03)


def test_scatter_without_a_probe_is_the_plain_residual():
    rng = np.random.default_rng(0)
    signal = rng.uniform(0, 1, 100_000)
    part = hidden(signal, 2 * rng.normal(size=100_000))
    residuals = Residuals.of([part], [], Normalization(0, 1))
    np.testing.assert_allclose(residuals.scatter()[1], 2, rtol=0.06)
    assert (residuals.own_variance(signal[:5]) == 0).all()
