"""Amounts of memory and disk space."""

import pytest

from napari_selfdenoise.images import bytes_in_words


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 bytes"),
        (99, "99 bytes"),
        (100, "0.1 kB"),
        (99_000, "99.0 kB"),
        (2_500_000, "2.5 MB"),
        (99_900_000, "99.9 MB"),
        (100_000_000, "0.1 GB"),
        (12_340_000_000, "12.3 GB"),
    ],
)
def test_no_amount_is_said_to_be_none(count, words):
    assert bytes_in_words(count) == words
