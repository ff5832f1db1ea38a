"""What a user meets when something fails, and what is still there afterwards."""

import copy
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from qtpy.QtWidgets import QLabel
from superqt.utils import WorkerBase
from window_helpers import NAMES, notified, stack, steps_of

from failing_device import fails_after
from napari_selfdenoise import load_model
from napari_selfdenoise.compute import AwakeTime
from napari_selfdenoise.plugin.denoise.widget import DenoiseWidget
from napari_selfdenoise.training import checkpoint, consensus
from napari_selfdenoise.training.channel_trainer import ChannelTrainer

pytestmark = pytest.mark.gl

LOST = RuntimeError("CUDA error: unspecified launch failure\nCompile with …")
NO_ROOM = torch.OutOfMemoryError("CUDA out of memory.")


# Device and memory --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (LOST, "The device stopped working while training: CUDA error: unspecified"),
        (NO_ROOM, "The device ran out of memory while training."),
    ],
    ids=["lost", "no room"],
)
def test_a_training_whose_device_failed_goes_on_on_the_cpu(
    desk, noisy, monkeypatch, error, words
):
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)
    desk.viewer.add_image(noisy, name="cells")
    desk.hurry(steps=12)
    desk.controls.advanced.editor("batch_size").value = 1
    desk.controls.device.setCurrentIndex(0)  # automatic
    with monkeypatch.context() as patch, notified() as told:
        fails_after(patch, 7, error)
        desk.train()
    assert desk.status().startswith(words) and len(told) == 1
    assert "What it had learned by step 7 is kept" in desk.status()
    assert desk.names() == ["cells"] and desk.button("train").isEnabled()
    label = desk.widget.findChild(QLabel, "interrupted")
    desk.until(lambda: "interrupted at step 7" in label.text())
    desk.controls.choose_device("cpu")
    desk.press("go_on")
    desk.finish()
    assert desk.controls.device.currentData() == "cpu"
    assert desk.names() == ["cells", *NAMES]
    assert desk.widget.model.provenance["steps"] == 12


@pytest.mark.parametrize("error", [LOST, NO_ROOM], ids=["lost", "no room"])
def test_a_model_survives_a_prediction_whose_device_failed(
    desk, noisy, monkeypatch, tmp_path, error
):
    def failing(*_):
        raise error

    desk.viewer.add_image(noisy, name="cells")
    desk.train()
    before, model = desk.names(), desk.widget.model
    with monkeypatch.context() as patch:
        patch.setattr("napari_selfdenoise.prediction.tile_views.run", failing)
        desk.press("denoise")
        desk.finish()
    assert "while denoising a tile" in desk.status()
    assert desk.names() == before and desk.widget.model is model
    desk.widget.save_model(tmp_path / "m.safetensors")
    assert load_model(tmp_path / "m").provenance["steps"] == 12
    desk.press("denoise")
    desk.finish()
    assert desk.names() == ["cells", *NAMES]


def test_a_training_of_nothing_but_nan_is_told(desk, noisy, monkeypatch):
    update = ChannelTrainer.update

    def poisoned(self, rate):
        update(self, rate)
        for weight in self.network.parameters():
            weight.data.fill_(torch.nan)

    monkeypatch.setattr(ChannelTrainer, "update", poisoned)
    desk.viewer.add_image(noisy, name="cells")
    desk.hurry(steps=64)
    desk.train()
    assert desk.status().startswith("The training diverged")
    assert desk.names() == ["cells"] and desk.widget.model is None


# Layers -------------------------------------------------------------------------------


def test_axes_are_swapped_in_the_viewer_while_training(desk, noisy):
    """What is shown changes, not the image: previews follow, and the result fits."""
    desk.viewer.add_image(stack(noisy, 3), name="cells")
    desk.endless()
    desk.begin()
    for order in ((0, 2, 1), (1, 0, 2), (2, 1, 0)):
        desk.viewer.dims.order = order
        steps = steps_of(desk)
        desk.until(lambda steps=steps: steps_of(desk) > steps)
    desk.viewer.dims.ndisplay = 3
    desk.qtbot.wait(100)
    desk.press("stop")
    desk.finish()
    assert desk.names() == ["cells", *NAMES]
    result = desk.layer("cells denoised").data
    assert result.shape == (3, 64, 64) and np.isfinite(result).all()


def test_a_layer_that_is_turned_while_training_is_denoised_as_it_was(desk, noisy):
    layer = desk.viewer.add_image(stack(noisy, 3), name="cells")
    desk.endless()
    desk.begin()
    layer.data = layer.data.transpose(2, 1, 0)
    desk.qtbot.wait(100)
    desk.press("stop")
    desk.finish()
    assert desk.layer("cells denoised").data.shape == (3, 64, 64)
    assert "the result is of the image as it was" in desk.status()


def test_two_docks_in_one_viewer_do_not_disturb_each_other(desk, noisy):
    two = copy.copy(desk)
    two.widget = DenoiseWidget(desk.viewer)
    two.controls = two.widget.controls
    two.dock = desk.viewer.window.add_dock_widget(two.widget, name="second")
    desk.viewer.add_image(noisy, name="a")
    desk.viewer.add_image(noisy, name="b")
    for one, name in ((desk, "a"), (two, "b")):
        one.controls.pin.setChecked(True)
        one.choose(name)
        one.endless()
        one.begin()
    desk.press("stop")
    desk.finish()
    assert two.button("stop").isEnabled()
    assert "a denoised" in desk.names()
    two.press("stop")
    two.finish()
    results = [f"{name}{rest.removeprefix('cells')}" for name in "ab" for rest in NAMES]
    assert set(desk.names()) == {"a", "b", *results}
    assert desk.widget.model is not two.widget.model


# The disk -----------------------------------------------------------------------------


def test_a_full_disk_is_told_and_the_work_goes_on(
    desk, noisy, tmp_path, full_disk, monkeypatch
):
    """Model, report, plot data, picture, drawing and layer; then with room again."""
    # Nor is there room for what napari prints.
    monkeypatch.setattr("builtins.print", lambda *_, **__: None)
    desk.viewer.add_image(noisy, name="cells")
    desk.train()
    plot = desk.controls.loss_plot
    monkeypatch.setattr(plot, "_ask_path", lambda *_: tmp_path / f"plot.{kind}")
    saves = {
        "csv": plot._save_csv,
        "png": plot._save_png,
        "svg": plot._save_svg,
        "pdf": plot._save_pdf,
    }
    with full_disk(10):
        desk.widget.save_model(tmp_path / "m.safetensors")
        assert "The model could not be written" in desk.status()
        desk.widget.save_report(tmp_path / "r.html")
        desk.until(lambda: "could not be written to" in desk.status())
        WorkerBase.await_workers(20_000)
        for kind in saves:
            with notified() as told:
                saves[kind]()
            assert "could not be written" in told[0].message, kind
    assert not list(tmp_path.glob("[!c]*"))  # all but the folder of checkpoints
    for kind in saves:
        saves[kind]()
    desk.widget.save_model(tmp_path / "m.safetensors")
    assert {path.suffix for path in tmp_path.glob("plot.*")} == {f".{k}" for k in saves}
    assert (tmp_path / "m.safetensors").stat().st_size > 1000


# Time ---------------------------------------------------------------------------------


def test_a_computer_that_is_too_slow_is_told_in_time(desk, noisy, monkeypatch):
    """One minute that is worth 48 steps: said while learning, and while denoising."""
    now, said = [0.0], []
    accumulate, show = ChannelTrainer.accumulate, desk.controls.show_fraction

    def slowed(self, patches, share):
        now[0] += 1.25
        return accumulate(self, patches, share)

    def heard(text, *rest):
        said.append(text)
        show(text, *rest)

    monkeypatch.setattr(ChannelTrainer, "accumulate", slowed)
    fake = lambda: AwakeTime(lambda: now[0], lambda: 0.0)  # noqa: E731
    monkeypatch.setattr(consensus, "AwakeTime", fake)
    monkeypatch.setattr(desk.controls, "show_fraction", heard)
    desk.viewer.add_image(noisy, name="cells")
    desk.hurry(steps=None)
    desk.controls.advanced.editor("batch_size").value = 1
    desk.controls.budget.setCurrentText("1 min")
    desk.press("train")
    desk.finish()
    assert any("enough for about 48 steps, too few to learn" in text for text in said)
    assert any(text.startswith("Hardly trained: press Stop") for text in said)
    assert desk.status().startswith("Hardly trained. Too short")


# The end of the process ---------------------------------------------------------------

SCRIPT = """
import sys

import napari
import numpy as np
from qtpy.QtCore import QTimer

from napari_selfdenoise.training import checkpoint

checkpoint.EVERY_S = 0.0
viewer = napari.Viewer(show=True)
noise = np.random.default_rng(0)
viewer.add_image(noise.poisson(50, (SIDE, SIDE)).astype(np.uint16), name="cells")
_, opening = viewer.window.add_plugin_dock_widget("napari-selfdenoise", "Denoise")
begun = []


def step():
    dock = opening.dock  # it opens while the window goes on
    if dock is None:
        return
    controls = dock.controls
    if not begun:
        values = {"network.width": 8, "network.depth": 1, "patch_size": 32}
        values |= {"batch_size": 2, "steps": STEPS}
        for name, value in values.items():
            controls.advanced.editor(name).value = value
        controls.budget.setCurrentText("until I stop")
        if controls.train.isEnabled():
            begun.append(True)
            controls.train.click()
    elif WAITS:
        print("closing", flush=True)
        timer.stop()
        viewer.close()


timer = QTimer()
timer.timeout.connect(step)
timer.start(50)
napari.run()
print("ended", flush=True)
"""

LEARNS = "len(controls.loss_plot.series()['loss'][0]) > 1"
DENOISES = "dock.model is not None and dock._run is not None"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("side", "steps", "waits"),
    [(64, 10**6, LEARNS), (512, 2, DENOISES)],
    ids=["training", "predicting"],
)
def test_napari_ends_at_once_and_leaves_nothing_half_written(
    tmp_path, checkpoints, side, steps, waits
):
    script = SCRIPT.replace("SIDE", str(side)).replace("STEPS", str(steps))
    (tmp_path / "temporary").mkdir()
    own = {"NAPARI_CONFIG": tmp_path / "napari.yaml", "TMPDIR": tmp_path / "temporary"}
    done = subprocess.run(
        [sys.executable, "-c", script.replace("WAITS", waits)],
        env=os.environ | {name: str(path) for name, path in own.items()},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["closing", "ended"], done.stderr
    assert "Traceback" not in done.stderr and "QThread" not in done.stderr
    assert not list(checkpoints.rglob("*.part"))
    kept = [path.name for path in checkpoints.rglob("training.checkpoint")]
    assert len(kept) == (waits == LEARNS)  # what can go on, and nothing else
    assert not list(Path(own["TMPDIR"]).glob("selfdenoise*"))
