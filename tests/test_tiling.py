import numpy as np
import pytest

from napari_selfdenoise.images import Image, Tile, read_padded, tile_grid

SHAPES = [(64, 64), (37, 53), (1, 50), (50, 1), (3, 3)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("tile", "stride"), [(16, 4), (30, 8), (500, 4)])
def test_tiles_cover_every_pixel_once_and_start_on_the_stride(shape, tile, stride):
    count = np.zeros(shape, int)
    for piece in tile_grid((), shape, tile, stride):
        count[piece.rows, piece.columns] += 1
        assert piece.top % stride == piece.left % stride == 0
    assert (count == 1).all()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("reach", "stride"), [(11, 2), (24, 4), (59, 8)])
def test_a_padded_tile_holds_its_pixels_and_mirrors_the_image(shape, reach, stride):
    pixels = np.random.default_rng(0).random(shape).astype(np.float32)
    # Beyond its borders the image is mirrored, as often as it takes.
    far = 8 * max(reach, *shape)
    world = np.pad(pixels, far, mode="reflect")
    for tile in tile_grid((), shape, 16, stride):
        padded, inner = read_padded(Image(pixels, "YX"), tile, reach, stride)
        assert padded.shape[0] % stride == padded.shape[1] % stride == 0
        assert np.array_equal(padded[inner], pixels[tile.rows, tile.columns])
        seen = padded[
            inner[0].start - reach : inner[0].stop + reach,
            inner[1].start - reach : inner[1].stop + reach,
        ]
        expected = world[
            far + tile.top - reach : far + tile.bottom + reach,
            far + tile.left - reach : far + tile.right + reach,
        ]
        assert np.array_equal(seen, expected)


def test_only_the_tile_and_its_margin_are_read():
    pixels = np.zeros((1000, 1000), np.float32)
    tile = Tile((), 512, 528, 512, 528)
    padded, _ = read_padded(Image(pixels, "YX"), tile, 24, 4)
    assert padded.shape == (64, 64)
