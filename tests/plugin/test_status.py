"""What the status says of files and images: what stays to be read, and what goes."""

import pytest
import tifffile
from napari.utils.notifications import notification_manager
from qtpy.QtWidgets import QLabel

pytestmark = pytest.mark.gl


@pytest.fixture
def told():
    """What napari tells the user meanwhile."""
    messages = []

    def hear(notification):
        messages.append(notification.message)

    notification_manager.notification_ready.connect(hear)
    yield messages
    notification_manager.notification_ready.disconnect(hear)


@pytest.fixture
def model_file(desk, noisy, tmp_path):
    """A model of cells, which are in the viewer."""
    desk.viewer.add_image(noisy, name="cells")
    desk.train()
    desk.widget.save_model(tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


def says(desk, *words):
    return all(word in desk.status() for word in words)


def is_coloured(desk):
    return "color" in desk.controls.status.styleSheet()


def shown(desk):
    """What is read without a click."""
    return QLabel.text(desk.controls.status).replace("\n", " ")


# Files -------------------------------------------------------------------------------


def test_refusals_stay_beside_what_opened(desk, noisy, noise_file, tmp_path, told):
    names = ["a.tif", "broken.tif", "c.tif", "notes.docx", "more.docx", "cells.dv"]
    for name in names:
        (tmp_path / name).write_text("no image")
    for name in ("a.tif", "c.tif"):
        tifffile.imwrite(tmp_path / name, noisy)
    desk.drop(*(tmp_path / name for name in names), noise_file)
    desk.until(lambda: len(desk.names()) == 2 and "broken.tif" in desk.status())
    assert shown(desk).startswith(
        "Not opened: notes.docx, more.docx, cells.dv, broken.tif. "
        f"Opened: {', '.join(desk.names())}."
    )
    assert says(desk, "notes.docx is no file", "Nor can more.docx be opened.")
    assert says(desk, "cells.dv is a DeltaVision file", "broken.tif is not a TIFF file")
    assert says(desk, "uses the noise model camera") and is_coloured(desk)
    assert len(told) == 2  # the others in one
    desk.viewer.layers.selection.active = desk.layer(desk.names()[0])
    assert desk.status() == ""


def test_a_refusal_stays_beside_a_model(desk, model_file, noisy, tmp_path):
    (tmp_path / "bad.safetensors").write_text("no model")
    tifffile.imwrite(tmp_path / "more.tif", noisy)
    desk.drop(tmp_path / "notes.docx", model_file)
    desk.until(lambda: "Loaded a model" in desk.status())
    assert shown(desk).startswith("Not opened: notes.docx. Loaded a model")
    assert "notes.docx is no file that can be opened here" in desk.status()
    desk.drop(tmp_path / "bad.safetensors", tmp_path / "more.tif")
    desk.until(lambda: "Opened: more." in desk.status())
    desk.until(lambda: "bad.safetensors is not a model" in desk.status())
    assert "notes.docx" not in desk.status()  # that was another drop


def test_what_a_drop_during_a_run_says_stays(
    desk, model_file, noise_file, tmp_path, told
):
    desk.endless()
    desk.begin()
    desk.drop(model_file, noise_file)
    refusal = "m.safetensors was not loaded, as a run was going on."
    used = "The next training uses the noise model camera.noise.json."
    assert refusal in told[0] and told[1] == used
    step = len(desk.controls.loss_plot.series()["loss"][0])
    desk.until(lambda: len(desk.controls.loss_plot.series()["loss"][0]) > step)
    short = f"Not opened: m.safetensors. {used}"
    assert shown(desk).startswith("Learning, until you stop it.")
    assert short in shown(desk) and not is_coloured(desk)
    desk.press("stop")
    desk.finish()
    assert short in shown(desk) and "Learning" not in shown(desk)
    assert refusal in desk.status()
    desk.hurry(steps=12)
    desk.train()
    assert "Done" in desk.status() and refusal not in desk.status()


# Images ------------------------------------------------------------------------------


def test_what_is_said_of_images_goes_with_them(desk, noisy, noise_file):
    desk.viewer.add_image(noisy, name="cells")
    desk.train()
    assert "Done" in desk.status()
    desk.viewer.layers.clear()
    assert desk.status() == ""
    desk.drop(noise_file)
    desk.viewer.add_image(noisy, name="cells")
    desk.drop(noise_file)
    desk.viewer.layers.clear()
    assert "camera.noise.json" in desk.status()


def test_what_is_said_of_an_image_goes_when_another_takes_its_place(desk, noisy):
    desk.viewer.add_image(noisy, name="cells")
    desk.viewer.add_image(noisy[:8, :8], name="small")
    desk.widget.train()  # the button is off
    desk.finish()
    assert "at least" in desk.status()
    desk.viewer.layers.remove("small")
    assert desk.controls.layer.currentText() == "cells"
    assert desk.status() == ""
