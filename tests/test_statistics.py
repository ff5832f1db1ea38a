"""Bins of pixels of like signal."""

import itertools

import numpy as np
import pytest

from napari_selfdenoise.images import (
    bins_by_signal,
    means_of_bins,
    weighted_means_by_signal,
)

SIGNAL = np.random.default_rng(0).gamma(2, 50, 1000)


@pytest.mark.parametrize(
    ("most", "least", "count"), [(32, 1, 32), (32, 64, 15), (4, 64, 4), (5, 2000, 1)]
)
def test_every_pixel_is_in_one_bin_and_bins_are_in_order(most, least, count):
    bins = bins_by_signal(SIGNAL, most, least)
    assert len(bins) == count
    assert sorted(np.concatenate(bins).tolist()) == list(range(1000))
    sizes = [len(pixels) for pixels in bins]
    assert max(sizes) - min(sizes) <= 1
    edges = [(SIGNAL[pixels].min(), SIGNAL[pixels].max()) for pixels in bins]
    assert all(high <= low for (_, high), (low, _) in itertools.pairwise(edges))


def test_means_are_those_of_the_pixels_in_each_bin():
    bins = bins_by_signal(SIGNAL, 8)
    noise = 3 * SIGNAL + 7
    np.testing.assert_allclose(
        means_of_bins(bins, noise), 3 * means_of_bins(bins, SIGNAL) + 7
    )
    both = means_of_bins(bins, np.stack([SIGNAL, noise], axis=1))
    assert both.shape == (8, 2)


def test_pixels_of_no_weight_count_for_nothing():
    weight = (np.arange(1000) % 2).astype(float)
    spoiled = np.where(weight, SIGNAL, 1e9)
    (mean,), total = weighted_means_by_signal(SIGNAL, (spoiled,), weight, 10)
    assert total.sum() == 500
    assert mean.max() <= SIGNAL.max()
    assert np.average(mean, weights=total) == pytest.approx(SIGNAL[1::2].mean())
