"""What is chosen, and what is dropped where."""

import numpy as np
import pytest
import tifffile
from napari.settings import get_settings
from qtpy.QtWidgets import QCheckBox

from napari_selfdenoise.config import RECIPES
from napari_selfdenoise.parts.noise_models import PoissonGaussianNoise

pytestmark = pytest.mark.gl


def select(desk, name):
    desk.viewer.layers.selection.active = desk.layer(name)


def chosen(desk):
    return desk.controls.layer.currentText()


# Layers ------------------------------------------------------------------------------


def test_the_choice_follows_the_selection_unless_pinned(desk, noisy):
    for name in ("one", "two", "three"):
        desk.viewer.add_image(noisy, name=name)
        assert chosen(desk) == name
    select(desk, "one")
    assert chosen(desk) == "one"
    desk.viewer.add_labels(np.zeros((64, 64), int), name="labels")
    assert chosen(desk) == "one"  # no image
    pin = desk.widget.findChild(QCheckBox, "pin")
    pin.click()
    select(desk, "two")
    desk.viewer.add_image(noisy, name="bead")
    assert chosen(desk) == "one"
    pin.click()
    assert chosen(desk) == "bead"


def test_the_choice_follows_to_no_result(desk, noisy):
    desk.viewer.add_image(noisy, name="cells")
    desk.train()
    assert desk.viewer.layers.selection.active == desk.layer("cells denoised")
    select(desk, "cells noise std")
    assert chosen(desk) == "cells"


def test_selecting_another_layer_takes_an_old_complaint_back(desk, noisy):
    desk.viewer.add_image(noisy, name="cells")
    desk.viewer.add_image(noisy[:8, :8], name="small")
    desk.widget.train()  # the button is off
    desk.finish()
    assert "at least" in desk.status()
    select(desk, "cells")
    assert desk.status() == ""


# Noise models ------------------------------------------------------------------------


def test_no_recipe_drops_a_noise_model_from_a_file(desk, noise_file):
    desk.drop(noise_file)
    for name in RECIPES:
        desk.controls.recipe.setCurrentIndex(list(RECIPES).index(name))
        chosen = desk.controls.part("noise_model").value
        assert chosen.kind == "file" and chosen.file == noise_file, name
    desk.choices("noise_model").value = PoissonGaussianNoise()
    for name in ("n2v", "ollion"):
        desk.controls.recipe.setCurrentIndex(list(RECIPES).index(name))
    assert desk.controls.part("noise_model").value == RECIPES["ollion"].noise_model


def test_a_broken_noise_model_is_told_at_the_drop(desk, noise_file):
    before = desk.controls.part("noise_model").value
    noise_file.write_text('{"format": "other"}')
    desk.drop(noise_file)
    assert "camera.noise.json is not a noise model" in desk.status()
    assert desk.controls.part("noise_model").value == before


# The canvas --------------------------------------------------------------------------


def test_a_noise_model_is_dropped_on_the_canvas(desk, noise_file):
    desk.drop(noise_file, on=desk.viewer.window._qt_viewer)
    assert desk.controls.part("noise_model").value.file == noise_file
    assert "camera.noise.json" in desk.status()
    assert not desk.names()


def test_a_model_is_dropped_on_the_canvas(open_desk, noisy, tmp_path):
    first = open_desk()
    first.viewer.add_image(noisy, name="cells")
    first.train()
    first.widget.save_model(tmp_path / "m.safetensors")
    first.viewer.close()
    desk = open_desk()
    desk.dock.hide()
    desk.drop(tmp_path / "m.safetensors", on=desk.viewer.window._qt_viewer)
    desk.until(lambda: desk.widget.model is not None)
    assert not desk.dock.isHidden() and not desk.names()


def test_a_tiff_dropped_on_the_canvas_keeps_its_axes(desk, noisy, tmp_path):
    get_settings().plugins.extension2reader = {"*.tif": "napari-selfdenoise"}
    path = tmp_path / "dyes.tif"
    about = {"unit": "um", "axes": "CYX"}
    dyes = np.stack([noisy] * 3)
    tifffile.imwrite(path, dyes, imagej=True, resolution=(4, 4), metadata=about)
    desk.drop(path, on=desk.viewer.window._qt_viewer)
    desk.drop(path)
    desk.until(lambda: len(desk.names()) == 2)
    canvas, dock = desk.viewer.layers
    assert canvas.axis_labels == dock.axis_labels == ("c", "y", "x")
    np.testing.assert_array_equal(canvas.scale, dock.scale)
    assert canvas.units == dock.units and canvas.name == "dyes"
    np.testing.assert_array_equal(canvas.data, dyes)
    select(desk, "dyes")
    assert desk.controls.axes.text().startswith("3 channels")


def test_other_positions_of_a_file_dropped_on_the_canvas_can_be_chosen(
    desk, noisy, tmp_path
):
    get_settings().plugins.extension2reader = {"*.tif": "napari-selfdenoise"}
    path = tmp_path / "wells.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        for number in range(2):
            named = {"axes": "YX", "Name": f"well {number}"}
            writer.write(noisy + number, metadata=named, photometric="minisblack")
    desk.drop(path, on=desk.viewer.window._qt_viewer)
    assert desk.names() == ["wells well 0"]
    series = desk.controls.series.combo
    assert [series.itemText(n) for n in range(2)] == ["well 0", "well 1"]


def test_a_microscopes_own_file_is_dropped(desk, noisy, tmp_path):
    mrcfile = pytest.importorskip("mrcfile")
    with mrcfile.new(tmp_path / "cells.mrc") as file:
        file.set_data(np.stack([noisy] * 3))
        file.voxel_size = 10  # in ångström
    desk.drop(tmp_path / "cells.mrc", on=desk.viewer.window._qt_viewer)
    desk.drop(tmp_path / "cells.mrc")
    desk.until(lambda: len(desk.names()) == 2)
    assert desk.layer("cells").data.shape == (3, 64, 64)
    assert "10 Å pixels" in desk.controls.axes.text()


def test_a_noise_model_goes_to_the_dock_in_front(open_desk, noise_file):
    desk = open_desk(show=True)
    _, plots = desk.viewer.window.add_plugin_dock_widget(
        "napari-selfdenoise", "Noise model"
    )
    desk.until(lambda: not plots.visibleRegion().isEmpty())
    desk.drop(noise_file, on=desk.viewer.window._qt_viewer)
    desk.until(lambda: plots.fitted is not None)
    assert desk.controls.part("noise_model").value.kind != "file"


def test_the_status_does_not_speak_of_another_image(desk, noisy):
    desk.viewer.add_image(noisy, name="cells")
    desk.controls.say("Hardly trained. 50 outlier pixels were left out.")
    other = desk.viewer.add_image(noisy, name="more cells")
    assert desk.controls.layer.currentData() is other
    assert desk.status() == ""
