import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_selfdenoise import Image
from napari_selfdenoise.defects import CleanImage, cleaning
from napari_selfdenoise.defects.fixed_patterns import measure_patterns

SIDE = 160


def scene(side=SIDE, seed=0, noise=8.0):
    rng = np.random.default_rng(seed)
    smooth, fine = (gaussian_filter(rng.normal(size=(side, side)), s) for s in (6, 1.2))
    signal = 200 + 40 * np.tanh(smooth / smooth.std()) + 5 * fine / fine.std()
    return signal + rng.normal(0, noise, signal.shape)


def offsets(count=SIDE, std=5.0, seed=1):
    return np.random.default_rng(seed).normal(0, std, count)


def test_offsets_of_columns_are_measured():
    added = offsets()
    dirty = scene() + added
    found = measure_patterns([dirty])
    assert not found.rows
    assert found.columns.std == pytest.approx(added.std(), rel=0.25)
    assert np.std(found.columns.of_columns(dirty) - added) < 0.4 * added.std()


def test_columns_have_the_same_offsets_in_all_frames():
    added = offsets(std=2.0)
    frames = [scene(seed=seed) + added for seed in range(6)]
    found = measure_patterns(frames)
    assert np.std(found.columns.of_columns(*frames) - added) < 0.5 * added.std()


def test_rows_have_offsets_of_their_own_in_each_frame():
    frames = [scene(seed=s) + offsets(seed=s)[:, None] for s in range(3)]
    found = measure_patterns(frames)
    assert found.rows and found.columns is None
    image = CleanImage(Image(np.stack(frames), "TYX"))
    for number in range(3):
        left = image.read_plane((number,)) - scene(seed=number)
        assert left.mean(1).std() < 0.55 * offsets(seed=number).std()


def test_rows_and_columns_may_both_have_offsets():
    found = measure_patterns([scene() + offsets() + offsets(seed=2)[:, None]])
    assert found.rows and found.columns is not None


@pytest.mark.parametrize("seed", range(8))
def test_where_there_are_none_none_are_found(seed):
    assert not measure_patterns([scene(seed=seed)]).found
    noise = np.random.default_rng(seed).normal(0, 1, (200, 90))
    assert not measure_patterns([noise]).found


@pytest.mark.parametrize("width", [1.0, 2.0, 6.0])
def test_structure_along_lines_is_no_offset(width):
    stripes = gaussian_filter(np.random.default_rng(0).normal(size=SIDE), width)
    assert not measure_patterns([scene() + 15 * stripes / stripes.std()]).found


@pytest.mark.parametrize("period", [2.5, 3.0, 3.5, 4.0, 5.0])
def test_fine_stripes_are_no_offsets(period):
    stripes = 12 * np.sin(2 * np.pi * np.arange(SIDE) / period)
    assert not measure_patterns([scene() + stripes]).found


def test_odd_and_even_lines_may_differ():
    interlaced = 4.0 * (-1) ** np.arange(SIDE)
    found = measure_patterns([scene() + interlaced[:, None]])
    assert found.rows is not None


def test_the_unit_does_not_matter():
    dirty = scene() + offsets()
    one = measure_patterns([dirty])
    other = measure_patterns([1e-9 * (dirty + 3e6)])
    assert other.columns.std == pytest.approx(1e-9 * one.columns.std, rel=1e-3)


def test_outliers_and_missing_pixels_do_not_matter():
    added = offsets()
    dirty = scene() + added
    dirty[:40], dirty[60, ::7] = np.nan, 1e5
    found = measure_patterns([dirty])
    assert np.std(found.columns.of_columns(dirty) - added) < 0.45 * added.std()


def test_offsets_are_subtracted_unless_they_are_to_be_kept():
    dirty, added = scene() + offsets(), offsets()
    image = Image(dirty, "YX")
    left = CleanImage(image).read_plane(()) - scene()
    assert left.mean(0).std() < 0.4 * added.std()
    kept = CleanImage(image, subtract=False).read_plane(())
    assert np.array_equal(kept, dirty.astype(np.float32))


def test_a_part_of_a_large_plane_loses_the_same_offsets(monkeypatch):
    dirty = scene(256) + offsets(256)
    whole = CleanImage(Image(dirty, "YX")).read_plane(())
    monkeypatch.setattr(cleaning, "WHOLE_PIXELS", 0)
    image = CleanImage(Image(dirty, "YX"))
    part = image.read_plane((), slice(50, 90), slice(30, 200))
    assert part == pytest.approx(whole[50:90, 30:200], abs=1e-3)
