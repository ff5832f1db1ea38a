"""What is not denoised yet shows the raw image."""

import dask.array as da
import numpy as np
import pytest

from napari_selfdenoise import STOP, Image
from napari_selfdenoise.images import Coverage, FieldOfView, Tile
from napari_selfdenoise.prediction import Unfinished, over_raw
from napari_selfdenoise.training import Preview

pytestmark = pytest.mark.slow

RAW = np.arange(4 * 6 * 8, dtype=np.uint16).reshape(4, 6, 8)


def unfinished(data=RAW, axes="TYX"):
    return Unfinished(Image(data, axes), np.zeros(data.shape, np.float32))


def filled(result):
    result.fill()
    return result


@pytest.fixture(params=["in memory", "lazy"])
def result(request):
    lazy = request.param == "lazy"
    return filled(unfinished(da.from_array(RAW, chunks=(1, 6, 8)) if lazy else RAW))


def test_all_is_raw_at_first(result):
    shown = result.shown
    np.testing.assert_array_equal(np.asarray(shown), RAW)
    assert shown.dtype == np.float32 and shown.shape == RAW.shape
    for index in (0, (1, slice(2, 4)), (slice(None), 3, slice(1, 7, 2)), (..., 5)):
        np.testing.assert_array_equal(shown[index], RAW[index])


def test_tiles_overwrite_it(result):
    result[..., 2, 1:3, :4] = np.full((2, 4), -1)
    result[1, :, :] = np.full((6, 8), -2)
    expected = RAW.astype(np.float32)
    expected[2, 1:3, :4], expected[1] = -1, -2
    np.testing.assert_array_equal(np.asarray(result.shown), expected)
    np.testing.assert_array_equal(result.shown[1:3, 2], expected[1:3, 2])


def test_a_preview_is_taken_back_where_no_tile_came(result):
    result.write_raw((3,))
    result.preview(Preview(FieldOfView((3,), 1, 5, 2, 6), np.full((4, 4), -1.0)))
    assert (result.shown[3] == -1).sum() == 16
    done = Coverage(result.image)
    result[3, :2, :] = np.full((2, 8), -2)
    done.add(Tile((3,), 0, 2, 0, 8))
    result.take_back_previews(done)
    np.testing.assert_array_equal(result.shown[3, 2:], RAW[3, 2:])
    assert (result.shown[3, :2] == -2).all()


def test_a_lazy_image_is_read_where_it_is_looked_at():
    read = []

    def plane(block, block_info=None):
        read.append(block_info[0]["chunk-location"][0])
        return block

    film = da.from_array(RAW, chunks=(1, 6, 8))
    film = film.map_blocks(plane, dtype=film.dtype, meta=np.zeros((0, 0, 0), "u2"))
    result = filled(unfinished(film))
    assert not read and result.shown is result
    np.testing.assert_array_equal(result.shown[2], RAW[2])
    assert set(read) == {2}


def test_columns_may_come_before_rows():
    result = filled(unfinished(RAW, "XTY"))
    result.preview(Preview(FieldOfView((5,), 0, 8, 0, 2), np.full((8, 2), -1.0)))
    assert (result.shown[:2, 5, :] == -1).all()
    result.take_back_previews(Coverage(result.image))
    np.testing.assert_array_equal(result.shown, RAW)


def test_raw_pixels_are_there_before_a_preview_comes():
    lazy = unfinished(da.from_array(RAW, chunks=(1, 6, 8)))
    heard = []

    def training():
        while True:
            heard.append((yield lazy.array[1].sum()))
            if heard[-1] is STOP:
                return "model"

    steps = over_raw(lazy, training(), writes=False)
    assert next(steps) is None
    assert next(steps) == 0
    assert steps.send(FieldOfView((1,), 0, 2, 0, 2)) == RAW[1].sum()
    with pytest.raises(StopIteration) as end:
        steps.send(STOP)
    assert end.value.value == "model" and len(heard) == 2


@pytest.mark.parametrize("writes", [True, False])
def test_the_raw_image_is_there_whenever_a_run_ends(writes):
    result = unfinished()

    def nothing():
        return "model"
        yield

    steps = over_raw(result, nothing(), writes)
    assert next(steps) is None
    with pytest.raises(StopIteration) as end:
        next(steps)
    assert end.value.value == "model"
    np.testing.assert_array_equal(result.shown, RAW)


def test_what_a_prediction_writes_is_not_covered_by_raw_pixels():
    result = unfinished()

    def prediction():
        result[0, 0:6, 0:8] = np.full((6, 8), -1.0)
        yield "tile"

    assert list(over_raw(result, prediction())) == [None, "tile"]
    assert (result.shown[0] == -1).all()
    np.testing.assert_array_equal(result.shown[1:], RAW[1:])
