"""Little memory: smaller pieces, less that is kept, and only then a sentence."""

import numpy as np
import pytest
import torch

from napari_selfdenoise import (
    DenoisingError,
    Image,
    RequestError,
    denoise,
    read_image,
    recipe,
    train,
    write_image,
)
from napari_selfdenoise.compute import parse_memory
from napari_selfdenoise.prediction import image_planes, tile_views
from napari_selfdenoise.prediction.tile_size import tile_memory
from napari_selfdenoise.training import training_data
from napari_selfdenoise.training.channel_trainer import ChannelTrainer
from napari_selfdenoise.training.training_data import TrainingData

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("brief_fits")]

SHORTAGES = [
    torch.OutOfMemoryError("CUDA out of memory."),
    RuntimeError("MPS backend out of memory"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"),
    MemoryError(),
]
each_shortage = pytest.mark.parametrize("shortage", SHORTAGES, ids=type)


def crowd_training(monkeypatch, most, shortage):
    """Give training room for so many patches at a time; returns what was tried."""
    tried, accumulate = [], ChannelTrainer.accumulate

    def crowded(self, patches, share):
        tried.append((patches, share))
        if patches > most:
            raise shortage
        return accumulate(self, patches, share)

    monkeypatch.setattr(ChannelTrainer, "accumulate", crowded)
    return tried


@pytest.fixture(scope="session")
def brief(config):
    return config.override({"steps": 3, "batch_size": 8})


@each_shortage
def test_a_crowded_device_learns_from_fewer_patches_at_a_time(
    scene, brief, monkeypatch, shortage
):
    tried = crowd_training(monkeypatch, 2, shortage)
    model = train(scene.image, brief)
    assert model.provenance["steps"] == 3
    assert tried == [(8, 1), (4, 1 / 2), *[(2, 1 / 4)] * 12]
    assert any(
        "room for 2 patches at a time" in note for note in model.provenance["warnings"]
    )


def test_a_step_that_starts_over_forgets_its_gradient(scene, brief, monkeypatch):
    """A shortage between two passes of a step leaves nothing of the first."""
    untouched, accumulate = [], ChannelTrainer.accumulate

    def crowded(self, patches, share):
        untouched.append(all(p.grad is None for p in self.network.parameters()))
        if len(untouched) in (1, 3):  # at once, and after half of the first step
            raise SHORTAGES[0]
        return accumulate(self, patches, share)

    monkeypatch.setattr(ChannelTrainer, "accumulate", crowded)
    train(scene.image, brief.override({"steps": 1}))
    # Eight patches at a time, four and four, and two for each of four passes.
    assert untouched == [True, True, False, True, False, False, False]


@each_shortage
def test_a_device_without_room_for_one_patch_is_told(
    scene, brief, monkeypatch, shortage
):
    crowd_training(monkeypatch, 0, shortage)
    with pytest.raises(DenoisingError, match="ran out of memory while training"):
        train(scene.image, brief)


def test_other_failures_are_no_shortage(scene, brief, monkeypatch):
    tried = crowd_training(monkeypatch, 0, RuntimeError("a kernel failed"))
    with pytest.raises(RuntimeError, match="a kernel failed"):
        train(scene.image, brief)
    assert len(tried) == 1


def crowd_prediction(monkeypatch, most, shortage):
    """Give prediction room for so many pixels at a time; returns what was tried."""
    tried, run = [], tile_views.run

    def crowded(network, optics, images, *rest):
        tried.append(images.numel())
        if tried[-1] > most:
            raise shortage
        return run(network, optics, images, *rest)

    monkeypatch.setattr(tile_views, "run", crowded)
    return tried


@each_shortage
def test_a_crowded_device_predicts_smaller_tiles(scene, model, monkeypatch, shortage):
    with monkeypatch.context() as patient:
        sizes = crowd_prediction(patient, np.inf, shortage)
        whole = denoise(scene.image, model, device="cpu").denoised.data
    monkeypatch.setattr(image_planes, "LEAST_TILE", 8)
    tried = crowd_prediction(monkeypatch, max(sizes) - 1, shortage)
    found = denoise(scene.image, model, device="cpu").denoised.data
    np.testing.assert_allclose(found, whole, rtol=1e-3)
    assert tried[0] == max(sizes) > tried[-1]


@each_shortage
def test_a_device_without_room_for_the_smallest_tile_is_told(
    scene, model, monkeypatch, shortage
):
    crowd_prediction(monkeypatch, 0, shortage)
    with pytest.raises(DenoisingError, match="ran out of memory while denoising"):
        denoise(scene.image, model, device="cpu")


@pytest.mark.parametrize(
    ("text", "size"),
    [("2GB", 2**31), ("500 MiB", 500 * 2**20), ("0.5g", 2**29), ("64k", 2**16)],
)
def test_amounts_of_memory_are_read_as_people_type_them(text, size):
    assert parse_memory(text) == size


@pytest.mark.parametrize(
    "text", ["", "much", "0", "0GB", "-1GB", "1e3", "1.2.3GB", "."]
)
def test_what_is_no_amount_of_memory_is_refused(text):
    with pytest.raises(RequestError, match="no amount of memory"):
        parse_memory(text)


def test_a_limit_leaves_room_for_what_is_no_tile():
    assert tile_memory(2**30) < 2**30
    assert tile_memory(2**31) > tile_memory(2**30)
    assert 2**26 < tile_memory(None) <= 2**31
    with pytest.raises(RequestError, match="not enough to denoise with"):
        tile_memory(10**8)


@pytest.mark.parametrize(("limit", "lazy"), [(None, False), (8 * 64**2, True)])
@pytest.mark.parametrize("name", ["a.ome.tif", "a.ome.zarr"])
def test_images_stay_on_disk_where_there_is_little_memory(tmp_path, name, limit, lazy):
    pixels = np.random.default_rng(0).integers(0, 99, (80, 64)).astype(np.uint16)
    path = write_image(Image(pixels, "YX"), tmp_path / name)
    image = read_image(path, max_memory=limit)
    assert image.in_memory != lazy
    assert np.array_equal(image.read_plane(()), pixels)


def test_less_memory_keeps_fewer_pixels_to_learn_from(monkeypatch):
    planes = np.random.default_rng(0).poisson(50, (16, 64, 64)).astype(np.uint16)
    config = recipe("fast").override({"patch_size": 16, "masking": "random"})
    monkeypatch.setattr(training_data, "_LEAST_PIXELS", 64 * 64)

    def kept(limit):
        read = TrainingData.read([Image(planes, "TYX")], config, None, limit)
        return read.least_pixels

    assert kept(None) == planes.size
    half = planes.size // 2
    assert kept(1000) < kept(2 * 24 * half) <= half  # 24 bytes a pixel, half of all
