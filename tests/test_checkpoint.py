"""Trainings that are interrupted go on to the result that they would have had."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from napari_selfdenoise import (
    DenoisingError,
    Image,
    RequestError,
    load_model,
    read_image,
    recipe,
    train,
    train_steps,
    write_image,
)
from napari_selfdenoise.cli import denoising
from napari_selfdenoise.training import checkpoint as checkpoints
from napari_selfdenoise.training import training_data
from napari_selfdenoise.training.checkpoint import (
    checkpoint_path,
    read_checkpoint,
)
from napari_selfdenoise.training.packing import packed, unpacked

SIDE = 64


def noisy(*shape, seed=0):
    rng = np.random.default_rng(seed)
    wave = 60 + 30 * np.sin(np.arange(SIDE) / 5)
    return rng.poisson(np.broadcast_to(wave, (*shape, SIDE, SIDE))).astype(np.uint16)


@pytest.fixture
def every_step(monkeypatch):
    """A checkpoint comes after each step."""
    monkeypatch.setattr(checkpoints, "EVERY_S", 0.0)


def quick(steps, name="fast", **changes):
    small = {"network.width": 4, "network.depth": 1, "patch_size": 32}
    small |= {"steps": steps, "flips": False, "device": "cpu", "batch_size": 2}
    config = recipe(name)
    if config.network.kind != "unet":
        small = {name: v for name, v in small.items() if name != "network.depth"}
    return config.override(small | changes)


class Killed(Exception):
    """The process ends here."""


def interrupted(image, config, path, step, **how):
    """Train until so many steps have a checkpoint, then leave it at that."""
    plain = checkpoints.CheckpointWriter.write

    def write(self, done, state):
        plain(self, done, state)
        if done >= step:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints.CheckpointWriter, "write", write)
        with pytest.raises(Killed):
            train(image, config, checkpoint=path, **how)


def same(one, other):
    """Whether two models are equal to the bit."""
    for a, b in zip(one.channels, other.channels, strict=True):
        if a.is_empty or b.is_empty:
            assert a.is_empty and b.is_empty
            continue
        for name in ("network", "noise"):
            parts = getattr(a, name), getattr(b, name)
            if parts[0] is None:
                continue
            for x, y in zip(*(p.state_dict().values() for p in parts), strict=True):
                assert torch.equal(x, y)
        assert np.array_equal(a.noise_curve.std, b.noise_curve.std)
    assert one.config == other.config


@pytest.mark.usefixtures("every_step", "brief_fit")
@pytest.mark.parametrize("step", [1, 9, 20])
@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("fast", {}),
        ("fast", {"masking": "bins"}),
        ("fast", {"objective": "sure"}),
        ("ppn2v", {}),
        ("ppn2v", {"noise_model": "histogram"}),
        ("ollion", {}),
    ],
    ids=["fast", "bins", "sure", "bootstrap", "histogram", "ollion"],
)
def test_it_goes_on_to_the_same_result_to_the_bit(tmp_path, name, changes, step):
    image, config = Image(noisy(), "YX"), quick(20, name, **changes)
    path = tmp_path / "a.checkpoint"
    interrupted(image, config, path, step)
    assert read_checkpoint(path).step == step
    whole = train(image, config)
    same(train(image, config, checkpoint=path, resume=True), whole)


@pytest.mark.usefixtures("every_step", "brief_fit")
def test_channels_and_those_that_are_empty_go_on(tmp_path):
    pixels = noisy(3)
    pixels[1] = 0
    image, config = Image(pixels, "CYX"), quick(12, channels="joint")
    interrupted(image, config, tmp_path / "a", 7)
    found = train(image, config, checkpoint=tmp_path / "a", resume=True)
    same(found, train(image, config))


@pytest.mark.usefixtures("every_step", "brief_fit")
@pytest.mark.parametrize("context", ["none", "neighbours"])
def test_what_was_read_between_the_steps_is_read_again(tmp_path, monkeypatch, context):
    monkeypatch.setattr(training_data, "FIRST_PIXELS", 3 * SIDE**2)
    monkeypatch.setattr(training_data, "_LEAST_PIXELS", 0)
    image, config = Image(noisy(12), "TYX"), quick(24, context=context)
    interrupted(image, config, tmp_path / "a", 10)
    found = train(image, config, checkpoint=tmp_path / "a", resume=True)
    same(found, train(image, config))


@pytest.mark.usefixtures("every_step", "brief_fit")
def test_it_can_be_interrupted_again_and_again(tmp_path):
    image, config, path = Image(noisy(), "YX"), quick(20), tmp_path / "a"
    interrupted(image, config, path, 4)
    interrupted(image, config, path, 11, resume=True)
    same(train(image, config, checkpoint=path, resume=True), train(image, config))


@pytest.mark.usefixtures("every_step", "brief_fit")
def test_of_a_time_budget_the_rest_is_left(tmp_path):
    image, path = Image(noisy(), "YX"), tmp_path / "a"
    config = quick(None, budget_s=3600.0)
    interrupted(image, config, path, 3)
    steps = train_steps(image, config, checkpoint=path, resume=True)
    kept = read_checkpoint(path).state["trained_s"]
    progress = next(p for p in steps if p.step > 3)
    assert 3600 - progress.remaining_s >= kept
    steps.close()


@pytest.mark.usefixtures("every_step", "brief_fit")
def test_a_training_that_went_on_from_a_model_goes_on(tmp_path):
    image, config = Image(noisy(), "YX"), quick(12)
    start = train(image, config)
    interrupted(image, config, tmp_path / "a", 5, start=start)
    how = {"checkpoint": tmp_path / "a", "resume": True}
    same(train(image, config, start=start, **how), train(image, config, start=start))
    with pytest.raises(RequestError, match="the model that it goes on from"):
        train(image, config, **how)


@pytest.mark.usefixtures("every_step", "brief_fit")
def test_other_images_and_settings_are_refused(tmp_path):
    image, config, path = Image(noisy(), "YX"), quick(12), tmp_path / "a"
    interrupted(image, config, path, 3)
    with pytest.raises(RequestError, match=r"here differ: steps"):
        train(image, quick(13), checkpoint=path, resume=True)
    other = Image(noisy(seed=5), "YX")
    with pytest.raises(RequestError, match="learned from other images"):
        train(other, config, checkpoint=path, resume=True)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda p: p.write_bytes(b""),
        lambda p: p.write_bytes(p.read_bytes()[:-100]),
        lambda p: p.write_text("no checkpoint"),
        lambda p: save_file({"0": torch.zeros(1)}, p),
        lambda p: p.unlink(),
    ],
)
@pytest.mark.usefixtures("every_step")
def test_what_is_no_checkpoint_is_named(tmp_path, spoil):
    image, config, path = Image(noisy(), "YX"), quick(4), tmp_path / "a.checkpoint"
    interrupted(image, config, path, 1)
    spoil(path)
    with pytest.raises(RequestError, match=r"a\.checkpoint"):
        train(image, config, checkpoint=path, resume=True)


def test_a_checkpoint_that_lacks_something_is_named(tmp_path):
    image, config, path = Image(noisy(), "YX"), quick(4), tmp_path / "a.checkpoint"
    state = {"advances": 0, "precision": "float32", "trainers": {0: {}}}
    checkpoints.write_checkpoint(path, checkpoints.Checkpoint(config, False, 1, state))
    with pytest.raises(RequestError, match=r"a\.checkpoint"):
        train(image, config, checkpoint=path, resume=True)


@pytest.mark.usefixtures("every_step", "brief_fit")
def test_a_full_disk_does_not_end_a_training(tmp_path, monkeypatch):
    def full(*_):
        raise DenoisingError("The disk is full.", "Free some space.")

    monkeypatch.setattr(checkpoints, "write_checkpoint", full)
    model = train(Image(noisy(), "YX"), quick(6), checkpoint=tmp_path / "a")
    assert model.provenance["steps"] == 6
    warnings = " ".join(model.provenance["warnings"])
    assert "No checkpoint could be written. The disk is full." in warnings


def test_values_come_back_as_they_were():
    value = {
        3: [1, 2.5, None, True, "text"],
        "pair": (torch.arange(3), {"deep": np.ones((2, 2))}),
    }
    tensors = {}
    content = json.loads(json.dumps(packed(value, tensors)))
    found = unpacked(content, tensors)
    assert found[3] == value[3]
    assert isinstance(found["pair"], tuple)
    assert torch.equal(found["pair"][0], value["pair"][0])
    assert np.array_equal(found["pair"][1]["deep"], np.ones((2, 2)))
    with pytest.raises(TypeError, match="object"):
        packed(object(), {})


def test_a_checkpoint_lies_beside_its_model(tmp_path):
    for name in ("cells", "cells.safetensors"):
        assert checkpoint_path(tmp_path / name) == tmp_path / "cells.checkpoint"


# In a process that is killed ---------------------------------------------------------

SCRIPT = """
import sys
from napari_selfdenoise.training import checkpoint, training_loop
checkpoint.EVERY_S = 0.0
training_loop.THOROUGH = training_loop.BRIEF = training_loop.Effort(1e8, 10)
from napari_selfdenoise.cli import main
main(sys.argv[1:])
"""


@pytest.mark.slow
@pytest.mark.usefixtures("brief_fit")
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_process_leaves_what_the_next_one_goes_on_from(tmp_path):
    write_image(Image(noisy(), "YX"), tmp_path / "noisy.tif")
    flags = [
        *("--steps", "120", "--network.width", "4", "--patch-size", "32"),
        *("--batch-size", "2", "--device", "cpu", "--no-flips"),
    ]
    how = {"cwd": tmp_path, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    command = [sys.executable, "-c", SCRIPT, "train", "noisy.tif", "--model", "m"]
    process = subprocess.Popen([*command, *flags], **how)
    path, deadline = tmp_path / "m.checkpoint", time.monotonic() + 120
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    step = read_checkpoint(path).step
    assert 0 < step < 120
    assert not (tmp_path / "m.safetensors").exists()
    subprocess.run([*command, *flags, "--resume"], check=True, **how)
    assert not path.exists()
    config = load_model(tmp_path / "m").config
    same(load_model(tmp_path / "m"), train(Image(noisy(), "YX"), config))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with noisy.tif, to work in."""
    monkeypatch.chdir(tmp_path)
    write_image(Image(noisy(), "YX"), "noisy.tif")


FLAGS = (
    *("--steps", "12", "--network.width", "4", "--patch-size", "32"),
    *("--batch-size", "2", "--device", "cpu", "--no-flips", "--network.depth", "1"),
)


@pytest.mark.usefixtures("here", "every_step", "brief_fit")
@pytest.mark.parametrize("many", [False, True], ids=["one file", "a folder"])
def test_denoise_goes_on_with_its_training(selfdenoise, tmp_path, many):
    place = (".", "out") if many else ("noisy.tif", "out.tif")
    image = read_image("noisy.tif")
    interrupted(image, quick(12), tmp_path / "m.checkpoint", 5)
    how = "denoise", *place, *FLAGS, "--save-model", "m", "--resume"
    status, report, _ = selfdenoise(*how)
    assert (status, report["steps"]) == (0, 12)
    assert not (tmp_path / "m.checkpoint").exists()
    same(load_model("m"), train(image, quick(12)))


@pytest.mark.usefixtures("here", "every_step", "brief_fit")
def test_denoise_goes_on_with_its_model(selfdenoise, tmp_path, monkeypatch):
    how = "denoise", "noisy.tif", "out.tif", *FLAGS, "--save-model", "m"
    assert selfdenoise(*how)[0] == 0
    first = read_image("out.tif").data
    (tmp_path / "out.tif").unlink()

    def train_again(*_, **__):
        raise AssertionError

    monkeypatch.setattr(denoising, "train_with_progress", train_again)
    status, report, _ = selfdenoise(*how, "--resume")
    assert (status, report["steps"]) == (0, 12)
    np.testing.assert_array_equal(read_image("out.tif").data, first)


@pytest.mark.usefixtures("here")
def test_to_go_on_a_run_is_to_be_named(selfdenoise):
    status, report, _ = selfdenoise("denoise", "noisy.tif", "out.tif", "--resume")
    assert status == 2
    assert "which run was interrupted" in report["error"]


@pytest.mark.usefixtures("here", "brief_fit")
def test_without_anything_left_a_training_begins(selfdenoise):
    how = "denoise", "noisy.tif", "out.tif", *FLAGS, "--save-model", "m", "--resume"
    status, report, _ = selfdenoise(*how)
    assert (status, report["steps"]) == (0, 12)


def test_moments_of_another_shape_are_damage(tmp_path, every_step):
    image, config, path = Image(noisy(), "YX"), quick(6), tmp_path / "a.checkpoint"
    steps = train_steps(image, config, checkpoint=path)
    while not path.exists():
        next(steps)
    steps.close()
    kept = read_checkpoint(path)
    trainer = kept.state["trainers"][0]
    first = next(iter(trainer["optimizer"]["state"].values()))
    first["step"] = torch.zeros(2)
    checkpoints.write_checkpoint(path, kept)
    with pytest.raises(RequestError, match="damaged"):
        train(image, config, checkpoint=path, resume=True)


@pytest.mark.parametrize("name", ["", ".", "/"])
def test_a_model_without_a_name_has_no_checkpoint(name):
    with pytest.raises(RequestError, match="names no model file"):
        checkpoint_path(name)
