"""Large stacks and images are learned from before all of them is read."""

import dask.array as da
import numpy as np
import pytest
import torch

from napari_selfdenoise import Image, TrainingConfig, train_steps
from napari_selfdenoise.context.plane_pairs import Brightness, PairOfPlanes
from napari_selfdenoise.defects import CleanImage, cleaning
from napari_selfdenoise.long_work import run_to_end
from napari_selfdenoise.parts.context import NeighbouringPlanes
from napari_selfdenoise.parts.masking import LARGEST_BIN
from napari_selfdenoise.parts.networks import UNet
from napari_selfdenoise.training import (
    contexts,
    plane_reader,
    training_data,
    training_run,
)
from napari_selfdenoise.training.growth import Growth
from napari_selfdenoise.training.plane_reader import PlaneReader

SIDE = 64


@pytest.fixture
def few_at_first(monkeypatch):
    """A training begins once three planes are read."""
    monkeypatch.setattr(training_data, "FIRST_PIXELS", 3 * SIDE**2)
    monkeypatch.setattr(training_data, "_LEAST_PIXELS", 0)


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


def test_planes_that_are_read_later_are_drawn_from(few_at_first, monkeypatch):
    made = []
    monkeypatch.setattr(
        training_run, "Growth", lambda *parts: made.append(parts) or Growth(*parts)
    )
    run_to_end(train_steps(Image(film(), "TYX"), config(40)))
    trainers = made[0][1]
    sampler = trainers[0].sampler
    assert len(sampler.ends) == 20 and sampler.ends[-1] == 20 * SIDE**2
    places = torch.rand((4, 2000), generator=torch.Generator().manual_seed(0))
    plane, _, _ = sampler._corners(places)
    assert set(plane.tolist()) == set(range(20))


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
    assert len(parts) == 4  # of 32 px and more, with room for patches and bins
    found = np.concatenate([part.clean.pixels.ravel() for part in parts])
    assert np.array_equal(np.sort(found), np.sort(pixels.ravel()))
    assert all(y % 8 == 0 and x % 8 == 0 for y, x in (part.corner for part in parts))


def test_of_a_large_plane_parts_all_over_it_are_read_first(monkeypatch):
    monkeypatch.setattr(plane_reader, "WHOLE_PIXELS", 0)
    monkeypatch.setattr(plane_reader, "_PART_SIDE", 16)
    pixels = np.random.default_rng(0).poisson(50, (256, 256)).astype(np.uint16)
    clean = CleanImage(Image(pixels, "YX"))
    reader = PlaneReader([clean], 0, np.random.default_rng(0), in_parts=True)
    corners = np.array([part.corner for part in reader.read(16 * 32**2)])
    assert len(corners) == 16
    assert (corners.min(0) < 64).all() and (corners.max(0) >= 192).all()
    assert reader.pixels_left == 256**2 - 16 * 32**2


@pytest.fixture
def large_planes(monkeypatch):
    """Planes are read in parts of 64 px from 2**16 pixels on."""
    monkeypatch.setattr(plane_reader, "WHOLE_PIXELS", 2**16)
    monkeypatch.setattr(cleaning, "WHOLE_PIXELS", 2**16)
    monkeypatch.setattr(plane_reader, "_PART_SIDE", 64)


def test_parts_amid_padding_are_not_learned_from(large_planes):
    pixels = np.full((704, 896), 3, np.uint16)
    pixels[:160, :150] = np.random.default_rng(0).poisson(50, (160, 150))
    reader = PlaneReader(
        [CleanImage(Image(pixels, "YX"))], 0, np.random.default_rng(0), in_parts=True
    )
    parts = reader.read()
    assert all(top < 160 and left < 150 for top, left in (p.corner for p in parts))
    good = sum(np.count_nonzero(part.clean.good) for part in parts)
    assert good == pytest.approx(160 * 150, rel=0.02)
    assert reader.summary.count.missing == pixels.size - good
    assert reader.summary.count.planes == 1


@pytest.mark.parametrize("patch", [16, 100])
def test_parts_have_room_for_patches_of_the_largest_bins(large_planes, patch):
    pixels = np.random.default_rng(0).poisson(50, (300, 530)).astype(np.uint16)
    parts = PlaneReader(
        [CleanImage(Image(pixels, "YX"))],
        0,
        np.random.default_rng(0),
        patch_size=patch,
        in_parts=True,
    ).read()
    assert sum(part.clean.pixels.size for part in parts) == pixels.size
    least = min(min(part.clean.pixels.shape) for part in parts)
    assert least >= patch + LARGEST_BIN - 1


def test_a_stack_is_read_once_though_its_rows_have_offsets(monkeypatch):
    monkeypatch.setattr(training_data, "FIRST_PIXELS", 2**18)
    rng = np.random.default_rng(0)
    offsets = rng.normal(0, 6, (40, SIDE, 1))
    planes = (rng.normal(200, 5, (40, SIDE, SIDE)) + offsets).astype(np.float32)
    watched = []
    read = CleanImage._raw

    def counted(self, plane, *place):
        watched.append(plane)
        return read(self, plane, *place)

    monkeypatch.setattr(CleanImage, "_raw", counted)
    settings = config(1).override({"line_offsets": "subtract"})
    data = training_data.TrainingData.read([Image(planes, "TYX")], settings)
    assert data.clean[0].patterns(0).rows is not None
    assert len(watched) <= 40 + 8


def test_blank_planes_of_a_pair_leave_their_channel_as_it_is():
    rng = np.random.default_rng(0)
    one, other = rng.poisson(50, (2, 2, 128, 128)).astype(np.uint16)
    other[1] = 7
    settings = config(3).override({"line_offsets": "subtract"})
    steps = train_steps(Image(one, "CYX"), settings, pair=Image(other, "CYX"))
    finding = run_to_end(steps).provenance["finding"]
    assert "Channel 2 of 2 stays as it is" in finding


def test_planes_that_are_read_in_parts_count_once(large_planes):
    planes = np.random.default_rng(0).poisson(50, (2, 272, 272)).astype(np.uint16)
    planes[1] = 7
    model = run_to_end(train_steps(Image(planes, "ZYX"), config(40)))
    assert "1 of 2 planes was blank" in model.provenance["finding"]


def test_planes_get_their_context_while_the_training_goes_on(monkeypatch):
    monkeypatch.setattr(contexts, "_FIRST_PLANES", 3)
    monkeypatch.setattr(contexts, "FIRST_PIXELS", 0)
    made = []
    monkeypatch.setattr(
        training_run, "Growth", lambda *parts: made.append(parts) or Growth(*parts)
    )
    planes = film(12).astype(np.float32)
    near = NeighbouringPlanes(planes=1, motion=False, still_planes=0, axis="T")
    monkeypatch.setattr(PairOfPlanes, "usable", True)
    monkeypatch.setattr(PairOfPlanes, "brightness", Brightness())
    settings = config(40).model_copy(update={"context": near, "outliers": "keep"})
    image = Image(planes, "TYX")
    counts = []
    for progress in train_steps(image, settings):
        if made and progress.step:
            counts.append(len(made[0][1][0].sampler.ends))
    assert counts[0] == 3 and counts[-1] == 12
    sampler = made[0][1][0].sampler
    size = SIDE**2
    norm = made[0][1][0].normalization
    pixels = norm.invert(sampler.pixels).reshape(12, SIDE, SIDE)
    around = norm.invert(sampler._around).reshape(12, 2, SIDE, SIDE)
    for own, (before, after) in zip(pixels, around, strict=True):
        number = next(n for n in range(12) if np.allclose(own[1:], planes[n][1:]))
        expected = [number - 1, number + 1]
        expected = [n if 0 <= n < 12 else 2 * number - n for n in expected]
        for found, at in zip((before, after), expected, strict=True):
            assert np.allclose(found[1:], planes[at][1:], atol=1e-3)
    assert len(sampler._around) == 12 * 2 * size


def test_one_seed_gives_one_model_though_contexts_come_later(monkeypatch):
    monkeypatch.setattr(contexts, "_FIRST_PLANES", 3)
    monkeypatch.setattr(contexts, "FIRST_PIXELS", 0)
    settings = config(20).override({"context": "neighbours"})
    image = Image(film(10), "TYX")
    first, second = (run_to_end(train_steps(image, settings)) for _ in range(2))
    for one, other in zip(
        first.channels[0].network.parameters(),
        second.channels[0].network.parameters(),
        strict=True,
    ):
        assert np.array_equal(one.detach(), other.detach())
