"""Large stacks and images are learned from before all of them is read."""

import dask.array as da
import numpy as np
import pytest

from napari_selfdenoise import Image, TrainingConfig, train_steps
from napari_selfdenoise.defects import CleanImage
from napari_selfdenoise.long_work import run_to_end
from napari_selfdenoise.parts.networks import UNet
from napari_selfdenoise.training import plane_reader, training_data
from napari_selfdenoise.training.plane_reader import PlaneReader

SIDE = 64


@pytest.fixture
def few_at_first(monkeypatch):
    """A training begins once three planes are read."""
    monkeypatch.setattr(training_data, "FIRST_PIXELS", 3 * SIDE**2)


class Watched:
    """Numbers of the planes that were read."""

    def __init__(self, planes):
        self.planes, self.read = planes, []
        self.array = da.map_blocks(
            self._block, dtype=np.uint16, chunks=((1,) * len(planes), SIDE, SIDE)
        )

    def _block(self, block_info=None):
        number = block_info[None]["chunk-location"][0]
        self.read.append(number)
        return self.planes[number : number + 1]


def film(frames=20, seed=0):
    rng = np.random.default_rng(seed)
    return rng.poisson(50, (frames, SIDE, SIDE)).astype(np.uint16)


def config(steps):
    return TrainingConfig(
        network=UNet(width=4, depth=1),
        patch_size=32,
        batch_size=1,
        budget_s=None,
        steps=steps,
        line_offsets="keep",
        device="cpu",
    )


def read_after(steps, planes=None):
    watched = Watched(film() if planes is None else planes)
    model = run_to_end(train_steps(Image(watched.array, "TYX"), config(steps)))
    return set(watched.read), model


def test_few_steps_read_few_planes(few_at_first):
    planes = film(40)
    few, _ = read_after(2, planes)
    all_of_them, _ = read_after(40, planes)
    assert len(few) < 20  # eight of them to look for offsets of lines
    assert all_of_them == set(range(40))


def test_what_was_found_counts_planes_that_were_read_later(few_at_first):
    planes = film()
    planes[::4] = 7
    planes[1::4, 10, 10] = 5000
    _, model = read_after(60, planes)
    finding = model.provenance["finding"]
    assert "5 of 20 planes were blank" in finding
    assert "5 outlier pixels" in finding


def test_one_seed_gives_one_model_though_planes_are_added(few_at_first):
    image = Image(film(), "TYX")
    first, second = (run_to_end(train_steps(image, config(30))) for _ in range(2))
    for one, other in zip(
        first.channels[0].network.parameters(),
        second.channels[0].network.parameters(),
        strict=True,
    ):
        assert np.array_equal(one.detach(), other.detach())


def test_reading_takes_none_of_the_time_that_is_to_be_learned_for(few_at_first):
    image = Image(film(), "TYX")
    steps = train_steps(image, config(None).override({"budget_s": 1.0}))
    last = [progress for progress in steps if progress.step][-1]
    assert last.elapsed_s >= 1.0


def test_parts_of_a_large_plane_cover_it_once(monkeypatch):
    monkeypatch.setattr(plane_reader, "WHOLE_PIXELS", 0)
    monkeypatch.setattr(plane_reader, "_PART_SIDE", 24)
    pixels = np.random.default_rng(0).normal(50, 5, (70, 90)).astype(np.float32)
    clean = CleanImage(Image(pixels, "YX"), subtract=False)
    parts = PlaneReader([clean], 0, np.random.default_rng(0), in_parts=True).read()
    assert len(parts) > 4
    found = np.concatenate([part.clean.pixels.ravel() for part in parts])
    assert np.array_equal(np.sort(found), np.sort(pixels.ravel()))
    assert all(y % 8 == 0 and x % 8 == 0 for y, x in (part.corner for part in parts))


def test_of_a_large_plane_parts_all_over_it_are_read_first(monkeypatch):
    monkeypatch.setattr(plane_reader, "WHOLE_PIXELS", 0)
    monkeypatch.setattr(plane_reader, "_PART_SIDE", 16)
    pixels = np.random.default_rng(0).poisson(50, (256, 256)).astype(np.uint16)
    clean = CleanImage(Image(pixels, "YX"))
    reader = PlaneReader([clean], 0, np.random.default_rng(0), in_parts=True)
    corners = np.array([part.corner for part in reader.read(32 * 256)])
    assert len(corners) == 32
    assert (corners.min(0) < 64).all() and (corners.max(0) >= 192).all()
    assert reader.pixels_left == 256**2 - 32 * 256
