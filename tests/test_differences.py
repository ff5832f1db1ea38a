import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_selfdenoise.images import Normalization
from napari_selfdenoise.noise import (
    PROBE,
    Differences,
    MaskedPixels,
    Residuals,
    binned,
    block_numbers,
    squared_noise,
)

SIDE = 400
ONE = Normalization(0, 1)


def scene():
    """Waves, noise whose variance is 2 + signal / 20, and fresh luck."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE]
    signal = 60 + 40 * np.sin(x / 9) * np.cos(y / 11)
    std = np.sqrt(2 + signal / 20)
    return signal, std, rng.normal(size=(2, SIDE, SIDE))


def smear(image, hidden):
    """A denoiser that errs: blurs what is visible, and so loses structure."""
    seen = np.where(hidden, 0.0, image)
    weight = gaussian_filter((~hidden).astype(float), 2.0)
    return gaussian_filter(seen, 2.0) / weight


def found(signal, std, luck):
    """Differences in all blocks, and predictions of all hidden pixels."""
    noisy, ramp = signal + std * luck[0], torch.arange(SIDE)
    numbers, prediction, parts = block_numbers(ramp, ramp), np.zeros_like(noisy), []
    for hidden in (numbers == number for number in range(4)):
        where = hidden.numpy()
        images = (
            smear(noisy, where),
            noisy,
            smear(noisy + PROBE * std * luck[1], where),
        )
        tensors = [torch.from_numpy(image)[None, None] for image in images]
        parts.append(Differences.of(*tensors, hidden))
        prediction[where] = images[0][where]
    return parts, prediction, noisy


def rooted(pairs):
    return pairs[0], np.sqrt(pairs[1])


@pytest.mark.parametrize("size", [(8, 8), (9, 11), (10, 7), (5, 6)])
def test_blocks_are_whole_and_apart(size):
    numbers = block_numbers(*(torch.arange(n) + 3 for n in size))
    ramp = torch.arange(size[0] * size[1]).double().view(1, 1, *size)
    for hidden in (numbers == number for number in range(4)):
        apart = Differences.of(ramp, ramp, ramp, hidden)
        places = apart.signal - (size[1] + 1) / 2  # the upper left pixel of each
        assert len(places)
        for place in places.long().tolist():
            y, x = divmod(place, size[1])
            assert hidden[y : y + 2, x : x + 2].all()
            assert hidden[max(0, y - 1) : y + 3, max(0, x - 1) : x + 3].sum() == 4


def test_the_noise_is_found_behind_a_prediction_that_errs():
    parts, prediction, noisy = found(*scene())
    plain = binned(prediction.ravel(), (noisy - prediction).ravel(), bins=8)
    centre, variance = binned(*rooted(squared_noise(parts, ONE)), bins=8)
    np.testing.assert_allclose(variance, 2 + centre / 20, rtol=0.06)
    assert (plain[1] / (2 + plain[0] / 20) > 1.2).any()


def test_skewed_noise_is_not_sorted_by_its_own_luck():
    rng = np.random.default_rng(1)
    noise = 3 * rng.poisson(0.4, (SIDE, SIDE)) - 1.2
    flat, std = np.full((SIDE, SIDE), 5.0), np.full((SIDE, SIDE), noise.std())
    parts, *_ = found(flat, std, np.stack([noise / std, rng.normal(size=flat.shape)]))
    _, variance = binned(*rooted(squared_noise(parts, ONE)), bins=8)
    np.testing.assert_allclose(variance, noise.var(), rtol=0.06)


def test_units_are_those_of_the_image():
    parts, *_ = found(*scene())
    raw, squared = squared_noise(parts, ONE)
    scaled, larger = squared_noise(parts, Normalization(100, 4))
    np.testing.assert_allclose(scaled, 4 * raw + 100)
    np.testing.assert_allclose(larger, 16 * squared)


def test_few_blocks_say_nothing():
    few = torch.rand(1, 1, 8, 8, generator=torch.Generator())
    hidden = block_numbers(torch.arange(8), torch.arange(8)) == 0
    signal, squared = squared_noise([Differences.of(few, few, few, hidden)], ONE)
    assert len(signal) == len(squared) == 0
    assert len(squared_noise([], ONE)[0]) == 0


def test_residuals_go_by_the_differences():
    parts, prediction, noisy = found(*scene())
    values = (torch.from_numpy(v).ravel() for v in (prediction, noisy, 0 * noisy + 1))
    residuals = Residuals.of([MaskedPixels(*values)], [], ONE, parts)
    centre, std = residuals.scatter()
    np.testing.assert_allclose(std**2, 2 + centre / 20, rtol=0.1)


@pytest.mark.parametrize(("own", "noise"), [(0.5, 0.5), (0.9, 0.25)])
def test_at_least_a_quarter_of_a_contrast_is_noise(own, noise):
    """However much the prediction itself moves: its reaction is known roughly."""
    contrasts = torch.ones(1024, 3)
    signal = torch.linspace(0, 1, 1024)
    moved = own * PROBE**2 * contrasts  # as noise of `PROBE` stds moves it
    parts = [Differences(signal, contrasts, moved, 0 * signal)]
    _, squared = squared_noise(parts, Normalization(0.0, 1.0))
    np.testing.assert_allclose(squared, noise, rtol=1e-5)
