"""Trainings that were interrupted are offered by the next Denoise dock."""

import os

import numpy as np
import pytest
from filelock import FileLock
from qtpy.QtWidgets import QLabel

from napari_selfdenoise import DenoisingError, Image, write_image
from napari_selfdenoise.training import KeptTraining, checkpoint, interrupted

pytestmark = pytest.mark.gl


@pytest.fixture(autouse=True)
def every_step(monkeypatch):
    """A checkpoint comes after each step."""
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)


@pytest.fixture
def interrupt(desk, monkeypatch):
    """Train so many steps, and lose all that is not on disk."""

    def run(step):
        write = checkpoint.CheckpointWriter.write

        def write_and_fail(self, done, state):
            write(self, done, state)
            if done >= step:
                raise DenoisingError("Lost.")

        with monkeypatch.context() as patch:
            patch.setattr(checkpoint.CheckpointWriter, "write", write_and_fail)
            desk.train()

    return run


def offered(desk):
    label = desk.widget.findChild(QLabel, "interrupted")
    return label.text() if not desk.controls.interrupted.isHidden() else ""


def go_on(desk):
    desk.until(lambda: offered(desk))
    desk.press("go_on")
    desk.until(lambda: not desk.button("stop").isEnabled())


def steps(desk):
    return desk.widget.model.provenance["steps"]


def test_a_training_goes_on_as_it_was(desk, noisy, interrupt, checkpoints):
    desk.viewer.add_image(noisy, name="cells")
    desk.hurry(steps=20)
    desk.pick(masking="grid")
    interrupt(12)
    desk.until(lambda: offered(desk))
    assert offered(desk).startswith(
        "A training of 'cells' was interrupted at step 12, "
    )

    desk.pick(masking="random")
    desk.hurry(steps=5)
    go_on(desk)
    assert "cells denoised" in desk.names()
    assert desk.choices("masking").value.kind == "grid"
    assert steps(desk) == 20
    desk.until(lambda: not list(checkpoints.iterdir()))
    assert not offered(desk)


def test_its_image_is_opened_from_its_file(desk, noisy, interrupt, tmp_path):
    """Under the name that it had, with axes and pixel size as they were set."""
    path = tmp_path / "field.tif"
    write_image(Image(np.stack([noisy, noisy]), "QYX"), path)
    desk.drop(path)
    desk.until(lambda: desk.viewer.layers)
    (layer,) = desk.viewer.layers
    layer.name, layer.axis_labels = "movie", ("t", "y", "x")
    interrupt(3)
    desk.viewer.layers.clear()
    go_on(desk)
    assert "movie denoised" in desk.names()
    assert desk.layer("movie").axis_labels == ("t", "y", "x")
    assert steps(desk) == 12


def test_an_image_that_is_not_there_is_asked_for(desk, noisy, interrupt):
    desk.viewer.add_image(noisy, name="cells")
    interrupt(3)
    desk.viewer.layers.clear()
    desk.viewer.add_image(noisy[:32], name="cells")
    go_on(desk)
    assert "needs the layer 'cells' (64 × 64). Open it," in desk.status()
    desk.viewer.layers.clear()
    desk.viewer.add_image(noisy[::-1], name="cells")
    go_on(desk)
    assert "learned from other images" in desk.status()
    desk.layer("cells").data = noisy
    go_on(desk)
    assert steps(desk) == 12


def test_what_else_was_chosen_is_chosen_again(desk, noisy, interrupt):
    """The model that it began with, and a dark frame."""
    desk.viewer.add_image(np.full_like(noisy, 3), name="dark")
    desk.viewer.add_image(noisy, name="cells")
    desk.train()
    desk.controls.resume.click()
    dark = desk.controls.corrections.combos["dark"]
    dark.setCurrentText("dark")
    interrupt(3)
    desk.controls.resume.click()
    dark.setCurrentIndex(0)
    desk.layer("dark").name = "hidden"
    go_on(desk)
    assert "needs the layer 'dark' as well" in desk.status()
    desk.layer("hidden").name = "dark"
    go_on(desk)
    assert desk.controls.resume.isChecked() and dark.currentText() == "dark"
    (before,) = desk.widget.model.provenance["continues"]
    assert before["steps"] == 12


def test_a_training_on_several_layers_goes_on_with_all(desk, noisy, interrupt):
    """Those that are there are selected again, in the order of the training."""
    for name in "cab":
        desk.viewer.add_image(np.roll(noisy, ord(name), 0), name=name)
    desk.viewer.layers.selection = {desk.layer("b"), desk.layer("a")}
    desk.choose("b")
    desk.controls.layers.choose("selected")
    interrupt(3)
    desk.controls.layers.choose("this")
    desk.viewer.layers.selection = {desk.layer("c")}
    desk.until(lambda: "A training of 'b' and 1 other image was" in offered(desk))
    go_on(desk)
    assert desk.widget.model.provenance["images"] == ["b", "a"]
    assert {"a denoised", "b denoised"} < set(desk.names())
    assert desk.controls.layers.combo.currentText() == "the 2 selected"
    assert steps(desk) == 12


def test_one_after_the_other_is_offered(desk, noisy, interrupt, checkpoints):
    """Not those that go on in another window; those of long ago are removed."""
    for name in ("old", "first", "second", "elsewhere"):
        desk.viewer.layers.clear()
        desk.viewer.add_image(noisy, name=name)
        interrupt(3)
    (old,) = checkpoints.glob("old-*")
    os.utime(KeptTraining(old).checkpoint, (1.7e9, 1.7e9))
    (elsewhere,) = checkpoints.glob("elsewhere-*")
    kept = [KeptTraining(one) for one in checkpoints.iterdir()]
    # Who was interrupted last may hold its folder for a moment more.
    desk.until(lambda: all(one.is_free() for one in kept))
    with FileLock(elsewhere / "lock"):
        desk.widget._interruptions.look()
        for name in ("second", "first"):
            desk.until(lambda name=name: f"training of '{name}' was" in offered(desk))
            desk.press("discard")
        desk.until(lambda: list(checkpoints.iterdir()) == [elsewhere])
        assert not offered(desk)


@pytest.mark.parametrize("end", ["cancel", "stop"])
def test_what_the_user_ends_is_not_offered(desk, noisy, checkpoints, end):
    desk.viewer.add_image(noisy, name="cells")
    desk.endless()
    desk.begin()
    desk.press(end)
    desk.finish()
    desk.until(lambda: not list(checkpoints.iterdir()))
    assert interrupted.last_interrupted() is None


def test_a_dock_that_was_closed_loses_nothing(open_desk, noisy):
    desk = open_desk()
    desk.viewer.add_image(noisy, name="cells")
    desk.endless()
    desk.begin()
    desk.viewer.window.remove_dock_widget(desk.dock)
    desk.until(lambda: interrupted.last_interrupted() is not None)


def test_without_a_folder_a_training_says_so(desk, noisy, checkpoints):
    checkpoints.write_text("no folder")
    desk.viewer.add_image(noisy, name="cells")
    desk.train()
    assert "cells denoised" in desk.names()
    assert "No checkpoint could be written" in desk.status()
