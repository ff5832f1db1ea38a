"""A device that runs out of memory: smaller pieces, and only then a sentence."""

import numpy as np
import pytest
import torch

from napari_selfdenoise import DenoisingError, denoise, train
from napari_selfdenoise.prediction import predict as prediction
from napari_selfdenoise.prediction import tile_views
from napari_selfdenoise.training.channel_trainer import ChannelTrainer

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
    monkeypatch.setattr(prediction, "LEAST_TILE", 8)
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
