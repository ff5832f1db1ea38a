"""The window as a person uses it."""

import gc
import re
import threading
import time
import warnings

import dask.array as da
import numpy as np
import pytest
import tifffile
from napari.utils import progress as napari_progress
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QRect, Qt
from qtpy.QtWidgets import (
    QApplication,
    QCheckBox,
    QComboBox,
    QFileDialog,
    QLabel,
    QProgressBar,
    QPushButton,
    QWidget,
)
from superqt.utils import WorkerBase

import napari_selfdenoise.training.patches as sampling
from napari_selfdenoise import Image, denoise, load_model
from napari_selfdenoise.config import RECIPES
from napari_selfdenoise.defects import Findings
from napari_selfdenoise.errors import DenoisingError
from napari_selfdenoise.plugin.denoise import fixes, forecast
from napari_selfdenoise.plugin.denoise import widget as denoise_widget
from napari_selfdenoise.plugin.docks import activity
from napari_selfdenoise.plugin.docks.plots import theme_colours
from napari_selfdenoise.plugin.viewer import layers
from napari_selfdenoise.plugin.viewer.layers import METADATA_KEY, axes_of

pytestmark = pytest.mark.gl

NAMES = ["cells denoised", "cells noise std", "cells noise distribution"]


@pytest.fixture(scope="session")
def clean():
    """What `noisy` shows, (64, 64)."""
    y, x = np.mgrid[:64, :64]
    return 60 + 50 * np.sin(x / 7) * np.cos(y / 9)


def error(image, clean):
    """Root of the mean squared error."""
    return np.sqrt(((image - clean) ** 2).mean())


def steps_of(desk):
    """Training steps that the plot of the loss knows of."""
    steps = desk.controls.loss_plot.series()["loss"][0]
    return steps[-1] if len(steps) else 0


def stack(noisy, *counts):
    """Copies of the noisy image, each a little brighter than the one before."""
    steps = np.arange(np.prod(counts), dtype=np.uint16).reshape(*counts, 1, 1)
    return noisy + 5 * steps


def budget(desk, seconds):
    desk.hurry(steps=None)
    desk.controls.budget.setCurrentText(f"{seconds} s")


def look(layer):
    return {
        "scale": tuple(layer.scale),
        "translate": tuple(layer.translate),
        "units": layer.units,
        "axis_labels": layer.axis_labels,
        "colormap": layer.colormap.name,
        "contrast_limits": layer.contrast_limits,
    }


# The story ---------------------------------------------------------------------------


def test_story(open_desk, noisy, clean, tmp_path, monkeypatch, qtbot):
    """Drop, train, stop, look, save; reload elsewhere, and get the same pixels."""
    path, saved = tmp_path / "cells.tif", tmp_path / "cells.safetensors"
    size = {"resolution": (10, 10), "metadata": {"unit": "um"}}
    tifffile.imwrite(path, noisy, imagej=True, **size)
    desk = open_desk(show=True)
    assert not desk.button("train").isEnabled()

    assert desk.drop(path)
    desk.until(lambda: desk.button("train").isEnabled())
    source = desk.layer("cells")
    assert desk.controls.axes.text().startswith(
        "One image of 64 × 64 px, 0.1 µm pixels."
    )
    source.colormap, source.contrast_limits = "magenta", (20, 130)

    desk.endless()
    desk.begin()
    qtbot.waitUntil(lambda: steps_of(desk) >= 100, timeout=60_000)
    desk.press("stop")
    desk.finish()
    assert desk.names() == ["cells", *NAMES]
    np.testing.assert_array_equal(source.data, noisy)
    assert source.data.dtype == np.uint16

    result, std, distribution = map(desk.layer, NAMES)
    assert look(source)["scale"] == (0.1, 0.1)
    assert [f"{unit:~}" for unit in source.units] == ["µm", "µm"]
    assert look(result) == look(source)
    assert result.data.dtype == np.float32
    assert result.data.shape == std.data.shape == noisy.shape
    assert result.visible and not std.visible
    for key in ("scale", "translate", "units", "axis_labels"):
        assert look(std)[key] == look(source)[key]
    assert 0 < std.data.min() <= std.data.max() <= std.contrast_limits[1] + 1e-3
    assert distribution.data.ndim == 2
    axes = distribution.metadata[METADATA_KEY]["axes"]
    signal = axes["signal"]
    assert axes["residual"][0] == -axes["residual"][1] < 0
    assert signal[0] < np.median(noisy) < signal[1]
    for layer in (result, std, distribution):
        kept = layer.metadata[METADATA_KEY]
        assert kept["source"] == "cells"
        assert kept["provenance"]["images"] == ["cells"]
        assert kept["config"]["patch_size"] == 32
    assert error(result.data, clean) < 0.75 * error(noisy, clean)

    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", lambda *_: (str(saved), "Models")
    )
    desk.press("save_model")
    assert str(saved) in desk.status()

    other = noisy[::-1, ::-1].copy()
    second = open_desk(show=True)
    second.viewer.add_image(other, name="other")
    monkeypatch.setattr(
        QFileDialog, "getOpenFileName", lambda *_: (str(saved), "Models")
    )
    second.press("load_model")
    second.finish()
    assert "fast" in second.status() and "cells" in second.status()
    second.press("denoise")
    second.finish()
    expected = denoise(Image(other, "YX"), load_model(saved), device="cpu")
    for name, image in (
        ("other denoised", expected.denoised),
        ("other noise std", expected.noise_std),
    ):
        np.testing.assert_array_equal(second.layer(name).data, image.data)


def test_same_seed_and_steps_give_the_same_pixels(desk, noisy):
    desk.viewer.add_image(noisy, name="cells")
    desk.train()
    desk.controls.keep.click()
    desk.train()
    first, again = (desk.layer(f"cells denoised{end}").data for end in ("", " [2]"))
    np.testing.assert_array_equal(first, again)


# The form ----------------------------------------------------------------------------


def test_every_control_has_its_name(desk):
    parts = ["masking", "noise_model", "psf", "estimator"]
    names = {
        QComboBox: ["layer", "recipe", *parts, "budget", "device"],
        QPushButton: ["train", "stop", "denoise", "save_model", "load_model"],
        QCheckBox: ["resume"],
        QProgressBar: ["progress"],
        QLabel: ["eta", "status", "axes"],
        QWidget: ["loss_plot", "noise_plot", "advanced"],
    }
    for kind, objects in names.items():
        for name in objects:
            assert desk.widget.findChild(kind, name) is not None, name


def test_recipe_fills_the_form(desk):
    for name, recipe in reversed(RECIPES.items()):
        desk.controls.recipe.setCurrentIndex(list(RECIPES).index(name))
        desk.controls.device.setCurrentIndex(0)
        assert desk.controls.config() == recipe, name


def test_folded_section_shows_the_chosen_parts_fields(desk):
    controls = desk.controls
    assert not controls.folded.isExpanded()
    controls.recipe.setCurrentIndex(list(RECIPES).index("ollion"))
    field = desk.widget.findChild(QWidget, "masking.spacing_min")
    assert controls.folded.isAncestorOf(field)
    assert field.text().endswith(" px") and "Unit: px" in field.toolTip()
    width = desk.widget.findChild(QWidget, "noise_model.width")
    assert controls.folded.isAncestorOf(width)
    assert width.toolTip() and width.text().endswith(" channels")
    controls.recipe.setCurrentIndex(list(RECIPES).index("n2v"))
    assert desk.widget.findChild(QWidget, "masking.fraction").isVisibleTo(controls)
    assert not width.isVisibleTo(controls)


def test_dock_is_narrow_and_nothing_is_cut(open_desk):
    desk = open_desk(show=True)
    desk.controls.method.expand(animate=False)
    desk.controls.folded.expand(animate=False)
    desk.until(lambda: desk.controls.verticalScrollBar().maximum() > 0)  # it scrolls
    for name in ("fast", "khademi", "deconoising"):
        desk.choose_recipe(name)
        desk.until(desk.is_narrow)


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("size", [(1100, 700), (1280, 800), (1600, 1000)])
def test_both_plots_are_in_sight(open_desk, noisy, size, theme):
    """In a window of any usual size, with three lines of status."""
    desk = open_desk(show=True)
    desk.viewer.theme = theme
    desk.viewer.add_image(noisy, name="cells")
    desk.viewer.window.resize(*size)
    desk.controls.say("A sentence that is as long as most. " * 3)

    def bottom():
        plot = desk.controls.noise_plot
        return plot.mapTo(desk.controls.viewport(), plot.rect().bottomLeft()).y()

    desk.until(desk.is_narrow)
    desk.until(lambda: 0 < bottom() < desk.controls.viewport().height())
    window = desk.viewer.window._qt_window
    assert (window.width(), window.height()) == size


def test_experts_settings_are_folded(open_desk, noisy):
    """What everybody needs is in sight, the rest where it is looked for."""
    desk = open_desk(show=True)
    controls = desk.controls
    for name in ("layer", "recipe", "budget", "train", "stop", "denoise", "progress"):
        desk.until(desk.widget.findChild(QWidget, name).isVisible)
    parts = ("masking", "noise_model", "psf", "estimator", "device")
    for name in parts:
        assert not desk.widget.findChild(QWidget, name).visibleRegion().rectCount(), (
            name
        )
    controls.method.expand(animate=False)
    controls.folded.expand(animate=False)
    for name in parts:
        section = controls.folded if name == "device" else controls.method
        assert section.isAncestorOf(desk.widget.findChild(QWidget, name)), name


def test_recipes_explain_themselves(desk):
    recipe = desk.controls.recipe
    titles = [recipe.itemText(index) for index in range(recipe.count())]
    assert titles[:2] == ["Fast (1 min)", "Best (10 min)"]
    for title in titles[2:]:
        assert re.fullmatch(r".+ \(\w+ 20\d\d\)", title), title
    assert [recipe.itemData(n) for n in range(recipe.count())] == list(RECIPES)


def test_a_changed_recipe_says_so(desk):
    changed = desk.widget.findChild(QLabel, "changed")
    desk.choose_recipe("n2v")
    desk.until(changed.isHidden)
    desk.controls.budget.setCurrentText("2 min")  # has a row of its own
    QApplication.processEvents()
    assert changed.isHidden()
    desk.controls.advanced.editor("patch_size").value = 48
    desk.until(lambda: not changed.isHidden())
    assert changed.text() == "changed"
    desk.controls.recipe.activated.emit(desk.controls.recipe.currentIndex())
    desk.until(changed.isHidden)


def test_status_has_three_lines_and_unfolds(open_desk):
    desk = open_desk(show=True)
    status, details = desk.controls.status, desk.widget.findChild(QWidget, "details")
    assert not details.isVisible()
    sentences = [f"This is sentence number {n} of several." for n in range(9)]
    desk.controls.say(" ".join(sentences[:6]), details=" ".join(sentences[6:]))
    desk.until(details.isVisible)
    shown = QLabel.text(status)
    assert shown.startswith(sentences[0]) and shown.endswith(".")
    of_three = status.fontMetrics().boundingRect(
        QRect(0, 0, 999, 999), Qt.TextFlag.TextWordWrap, "x\nx\nx"
    )
    three = of_three.height() + 4
    desk.until(lambda: 0 < status.height() <= three)
    assert desk.status() == " ".join(sentences)
    desk.qtbot.mouseClick(details, Qt.MouseButton.LeftButton)
    assert QLabel.text(status) == " ".join(sentences)
    desk.until(lambda: status.height() > three)
    desk.controls.say("word " * 200)  # no sentence that fits
    details.setChecked(False)
    assert QLabel.text(status).endswith("…")
    desk.controls.say("Short.")
    assert not details.isVisible() and QLabel.text(status) == "Short."


def test_keys_train_and_stop_only_on_the_dock(open_desk, noisy):
    desk = open_desk(show=True)
    desk.viewer.add_image(noisy, name="cells")
    desk.endless()
    window = desk.viewer.window._qt_window
    window.activateWindow()
    canvas = desk.viewer.window._qt_viewer.canvas.native
    canvas.setFocus()
    desk.until(canvas.hasFocus)
    control = Qt.KeyboardModifier.ControlModifier
    desk.qtbot.keyClick(canvas, Qt.Key.Key_Return, control)
    assert not desk.button("stop").isEnabled()
    desk.controls.layer.setFocus()
    desk.until(desk.controls.layer.hasFocus)
    desk.qtbot.keyClick(desk.controls.layer, Qt.Key.Key_Return, control)
    assert desk.button("stop").isEnabled()
    desk.qtbot.keyClick(desk.controls.layer, Qt.Key.Key_Escape)
    desk.finish()
    assert desk.widget.model is not None


def test_budget_that_is_none(desk, noisy):
    desk.viewer.add_image(noisy, name="cells")
    none, short = "is not a time. Type such as 45 s", "leaves no time to learn"
    for text, said in {"soon": none, "": none, "0 s": short, "-1 s": short}.items():
        desk.controls.say("")
        desk.controls.budget.setCurrentText(text)
        desk.press("train")
        assert said in desk.status(), text
        assert desk.names() == ["cells"] and desk.button("train").isEnabled()
    desk.controls.budget.setCurrentText("45 s")
    assert desk.status() == ""  # a complaint about a time that is no longer there


AXES = [
    ((12, 64, 64), {"axis_labels": tuple("tyx")}, "12 time points of 64 × 64 images"),
    ((2, 64, 64), {"axis_labels": tuple("cyx")}, "2 channels of 64 × 64 images"),
    ((3, 5, 64, 32), {"axis_labels": tuple("tzyx")}, "3 time points of 5 planes of 64"),
    ((64, 32), {"scale": (0.2, 0.1)}, "One image of 64 × 32 px."),
    (
        (64, 32),
        {"scale": (0.2, 0.1), "units": "um"},
        "One image of 64 × 32 px, 0.2 × 0.1 µm pixels.",
    ),
    ((64, 64, 3), {"rgb": True}, "This is an RGB image"),
]


def test_sentence_on_axes(desk):
    for shape, options, sentence in AXES:
        desk.viewer.layers.clear()
        desk.viewer.add_image(np.zeros(shape, np.uint8), **options)
        assert desk.controls.axes.text().startswith(sentence)


def test_sentence_on_axes_follows_the_layer(desk, noisy):
    layer = desk.viewer.add_image(stack(noisy, 4))
    assert "4 images" in desk.controls.axes.text()
    layer.axis_labels = ("z", "y", "x")
    assert "4 planes" in desk.controls.axes.text()
    layer.units, layer.scale = "nm", (1, 50, 50)
    assert "50 nm pixels" in desk.controls.axes.text()
    layer.data = noisy[None, :32]
    assert "1 plane of 32 × 64" in desk.controls.axes.text()


@pytest.mark.parametrize(
    ("labels", "axes"),
    [
        (("axis -3", "axis -2", "axis -1"), "IYX"),
        (("Time", "Y", "X"), "TYX"),
        (("channel", "t", "y", "x"), "CTYX"),
        (("x", "y"), "XY"),
        (("t", "t", "y", "x"), "TIYX"),
        (("y", "y", "x"), "IYX"),
    ],
)
def test_axes_by_their_labels(labels, axes):
    assert axes_of(labels) == axes


# The layer list ----------------------------------------------------------------------


def test_list_follows_the_viewer(desk, noisy):
    def listed():
        combo = desk.controls.layer
        return [combo.itemText(index) for index in range(combo.count())]

    viewer = desk.viewer
    first = viewer.add_image(noisy, name="first")
    viewer.add_labels(np.zeros((64, 64), int), name="labels")
    viewer.add_points(np.zeros((1, 2)), name="points")
    viewer.add_image(noisy, name="second")
    assert listed() == ["first", "second"]
    desk.choose("first")
    viewer.layers.move(3, 0)
    assert listed() == ["second", "first"]
    first.name = "renamed"
    assert listed() == ["second", "renamed"]
    assert desk.controls.layer.currentText() == "renamed"  # the choice is kept
    viewer.layers.remove(first)
    assert listed() == ["second"]
    viewer.layers.clear()
    assert listed() == [] and "no image layer" in desk.controls.axes.text()


def test_active_layer_is_the_first_choice(make_napari_viewer, noisy):
    viewer = make_napari_viewer()
    for name in ("a", "b", "c"):
        viewer.add_image(noisy, name=name)
    viewer.layers.selection.active = viewer.layers["b"]
    _, widget = viewer.window.add_plugin_dock_widget("napari-selfdenoise", "Denoise")
    assert widget.controls.layer.currentText() == "b"


# Files -------------------------------------------------------------------------------


def test_several_files_open_as_layers_and_the_last_is_chosen(desk, noisy, tmp_path):
    desk.viewer.add_image(noisy, name="there")
    paths = [tmp_path / f"{name}.tif" for name in ("one", "two", "three")]
    for path in paths:
        tifffile.imwrite(path, noisy)
    assert desk.drop(*paths)
    desk.until(lambda: len(desk.viewer.layers) == 4)
    assert set(desk.names()) == {"there", "one", "two", "three"}
    assert desk.controls.layer.currentText() == desk.names()[-1]


def test_files_may_be_dropped_anywhere_on_the_dock(desk, noisy, tmp_path):
    tifffile.imwrite(tmp_path / "cells.tif", noisy)
    for place in (
        desk.controls.budget.lineEdit(),
        desk.controls.loss_plot.plot.viewport(),
        desk.controls.advanced.editor("patch_size").native.lineEdit(),
        desk.button("train"),
    ):
        desk.viewer.layers.clear()
        assert desk.drop(tmp_path / "cells.tif", on=place)
        desk.until(lambda: desk.names() == ["cells"])


def test_stack_keeps_axes_and_pixel_size(desk, noisy, tmp_path):
    path = tmp_path / "stack.tif"
    about = {"unit": "um", "axes": "ZYX", "spacing": 0.5}
    tifffile.imwrite(
        path, stack(noisy, 3), imagej=True, resolution=(4, 4), metadata=about
    )
    desk.drop(path)
    desk.until(lambda: desk.names())
    layer = desk.layer("stack")
    assert layer.axis_labels == ("z", "y", "x")
    np.testing.assert_allclose(layer.scale, (0.5, 0.25, 0.25))
    assert [f"{unit:~}" for unit in layer.units] == ["µm"] * 3


REFUSED = {
    "notes.txt": "notes.txt is no file that can be opened here",
    "cells.czi": "cells.czi is a Zeiss file, which only other programs read. Save it",
    "cells.LIF": "cells.LIF is a Leica file",
    "cells.png": "cells.png is a picture for the screen",
    "folder.tif": "folder.tif is a folder. Drop the image files that are in it.",
}


def test_a_refused_file_is_told_why_and_what_to_do(desk, noisy, tmp_path):
    for name, sentence in REFUSED.items():
        path = tmp_path / name
        path.mkdir() if "folder" in name else path.write_text("no image")
        with notified() as told:
            assert desk.drop(path)
        assert desk.status().startswith(sentence) and len(told) == 1
    assert desk.drop(*(tmp_path / name for name in REFUSED))
    assert desk.status().startswith(f"Not opened: {', '.join(REFUSED)}.")
    assert all(sentence in desk.status() for sentence in REFUSED.values())
    assert not desk.names()
    tifffile.imwrite(tmp_path / "cells.tif", noisy)
    assert desk.drop(tmp_path / "cells.tif", tmp_path / "cells.czi")
    desk.until(lambda: desk.names() == ["cells"])
    assert "Zeiss" in desk.status()  # the other one
    desk.drop(tmp_path / "cells.tif")
    assert desk.status() == ""  # an old complaint goes
    desk.until(lambda: len(desk.names()) == 2)


@pytest.mark.parametrize("suffix", [".tif", ".safetensors"])
def test_damaged_file_is_told(desk, noisy, tmp_path, suffix):
    desk.viewer.add_image(noisy, name="cells")
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(b"II*\0 not what it says")
    assert desk.drop(path)
    desk.until(lambda: "damaged" in desk.status())
    assert "unexpected" not in desk.status()
    assert desk.names() == ["cells"] and desk.widget.model is None
    desk.train()
    assert desk.names() == ["cells", *NAMES]


def test_damaged_file_does_not_disturb_a_training(desk, noisy, tmp_path):
    (tmp_path / "damaged.tif").write_bytes(b"II*\0")
    desk.viewer.add_image(noisy, name="cells")
    desk.endless()
    desk.begin()
    with notified() as told:
        desk.drop(tmp_path / "damaged.tif")
        desk.until(lambda: told)
    assert desk.button("stop").isEnabled() and not desk.button("train").isEnabled()
    desk.press("stop")
    desk.finish()
    assert desk.widget.model is not None


def test_model_dropped_while_training_is_refused(desk, noisy, tmp_path):
    desk.viewer.add_image(noisy, name="cells")
    desk.train()
    desk.widget.save_model(tmp_path / "m.safetensors")
    desk.endless()
    desk.begin()
    with notified() as told:
        desk.drop(tmp_path / "m.safetensors")
        assert "as a run was going on" in told[0].message
    desk.press("stop")
    desk.finish()


def test_save_without_permission_is_told(desk, noisy, tmp_path, monkeypatch):
    def refuse(*_):
        raise DenoisingError("This folder cannot be written to.", "Choose another.")

    monkeypatch.setattr(denoise_widget, "save_model", refuse)
    desk.viewer.add_image(noisy, name="cells")
    desk.train()
    desk.widget.save_model(tmp_path / "model.safetensors")
    assert desk.status() == "This folder cannot be written to. Choose another."
    assert desk.button("save_model").isEnabled()


def test_cancelled_dialogs_change_nothing(desk, noisy, monkeypatch):
    for name in ("getSaveFileName", "getOpenFileName"):
        monkeypatch.setattr(QFileDialog, name, lambda *_: ("", ""))
    desk.viewer.add_image(noisy, name="cells")
    desk.train()
    before = desk.status(), desk.widget.model
    desk.press("save_model")
    desk.press("load_model")
    assert (desk.status(), desk.widget.model) == before


def test_the_dock_loads_while_the_user_looks_around(open_desk, monkeypatch):
    """What a first training would wait for; where that fails, the dock still works."""
    asked = []

    def failing():
        asked.append(threading.current_thread() is threading.main_thread())
        raise ImportError("a damaged installation")

    monkeypatch.setattr(denoise_widget, "preload", failing)
    desk = open_desk()
    desk.until(lambda: asked == [False])
    WorkerBase.await_workers(20_000)
    assert desk.button("load_model").isEnabled()
    assert not desk.status()


# Buttons -----------------------------------------------------------------------------


def test_buttons_in_each_state(desk, noisy):
    def enabled():
        names = ("train", "stop", "denoise", "save_model", "load_model")
        return {name for name in names if desk.button(name).isEnabled()}

    assert enabled() == {"load_model"}
    desk.viewer.add_image(noisy, name="cells")
    assert enabled() == {"train", "load_model"}
    desk.endless()
    desk.press("train")
    assert enabled() == {"stop"}
    desk.press("stop")
    desk.finish()
    assert enabled() == {"train", "denoise", "save_model", "load_model"}
    desk.viewer.layers.clear()
    assert enabled() == {"save_model", "load_model"}


def test_a_training_can_continue_from_the_model_in_hand(desk, noisy):
    """A step after many is not a step from nothing."""
    resume = desk.widget.findChild(QCheckBox, "resume")
    assert not resume.isEnabled()
    desk.viewer.add_image(noisy, name="cells")
    desk.hurry(steps=200)
    desk.train()
    desk.controls.keep.click()
    first = desk.layer("cells denoised").data
    assert resume.isEnabled()
    assert not resume.isChecked()

    desk.hurry(steps=1)
    for _ in range(2):  # from the model, then from nothing
        resume.click()
        desk.train()
    continued, anew = (desk.layer(f"cells denoised [{n}]") for n in (2, 3))
    assert error(continued.data, first) < 0.5 * error(anew.data, first)
    made = [layer.metadata[METADATA_KEY]["provenance"] for layer in (continued, anew)]
    (earlier,) = made[0]["continues"]
    assert (earlier["images"], earlier["steps"]) == (["cells"], 200)
    assert "continues" not in made[1]


def test_a_model_of_another_kind_is_not_continued(desk, noisy):
    """Said before Train is pressed, with two ways out."""
    desk.viewer.add_image(noisy, name="cells")
    desk.train()
    resume = desk.widget.findChild(QCheckBox, "resume")
    width = desk.controls.advanced.editor("network.width")
    reason = desk.widget.findChild(QLabel, "continue_reason")
    use, untick = (
        desk.widget.findChild(QPushButton, name) for name in ("use_settings", "untick")
    )
    train = desk.widget.findChild(QPushButton, "train")

    def refused():
        return not train.isEnabled() and "network width 4 (8 in" in reason.text()

    width.value = 4
    desk.qtbot.waitUntil(lambda: train.isEnabled() and use.parentWidget().isHidden())
    resume.click()
    desk.qtbot.waitUntil(lambda: refused() and not use.parentWidget().isHidden())
    untick.click()
    desk.qtbot.waitUntil(lambda: train.isEnabled() and reason.parentWidget().isHidden())
    assert not resume.isChecked()
    resume.click()
    desk.qtbot.waitUntil(refused)
    use.click()
    desk.qtbot.waitUntil(lambda: train.isEnabled() and reason.parentWidget().isHidden())
    assert width.value == 8 and resume.isChecked()
    desk.train()
    assert desk.widget.model.provenance["continues"]


def test_even_noise_is_said_drawn_and_kept_in_mind(desk):
    rows = np.sin(np.arange(256) / 9)[:, None]
    even = np.random.default_rng(0).normal(100 + 30 * rows, 20, (256, 256))
    desk.viewer.add_image(even.astype(np.float32), name="dim")
    desk.train()
    assert "Noise is equally strong everywhere (std" in desk.status()
    drawn = desk.controls.noise_plot.series()
    np.testing.assert_allclose(drawn["predicted"][1], 20, rtol=0.05)
    np.testing.assert_allclose(drawn["measured"][1], 20, rtol=0.15)
    desk.pick(estimator="blind_mean")
    desk.press("denoise")
    assert "use each pixel's own value" in desk.status()


def test_stop_at_once_is_a_stop(desk, noisy):
    """A Stop that comes before the first step is not lost."""
    desk.viewer.add_image(noisy, name="cells")
    desk.endless()
    for wait in (0, 1, 5):
        desk.press("train")
        desk.qtbot.wait(wait)
        desk.press("stop")
        desk.finish()
        assert desk.widget.model is not None
        assert desk.status().startswith("Hardly trained. The training was stopped")


def test_until_i_stop_shows_a_busy_bar(desk, noisy):
    bar = desk.controls.progress
    desk.viewer.add_image(noisy, name="cells")
    desk.endless()
    desk.begin()
    assert (bar.minimum(), bar.maximum()) == (0, 0)
    assert desk.controls.eta.text() == ""
    desk.press("stop")
    desk.finish()
    assert bar.maximum() > 0 and bar.value() == bar.maximum()


def test_time_left_is_shown(desk, noisy):
    desk.viewer.add_image(noisy, name="cells")
    budget(desk, 30)
    desk.begin()
    assert desk.controls.eta.text().endswith(" left")
    assert 0 < desk.controls.progress.value() < desk.controls.progress.maximum()
    desk.press("stop")
    desk.finish()


def test_the_whole_run_has_one_bar_and_one_time(desk, noisy):
    """From the first step to the last image; which one is said by its number."""
    desk.viewer.add_image(stack(noisy, 6), name="film", contrast_limits=(0, 300))
    desk.hurry(steps=120)
    bar, seen = desk.controls.progress, []
    bar.valueChanged.connect(
        lambda value: seen.append((value, desk.status(), desk.controls.eta.text()))
    )
    said = []
    show = desk.controls.show_denoising

    def watch(fraction):
        show(fraction)
        said.append(desk.status())

    desk.controls.show_denoising = watch
    desk.train()
    shares = [value for value, *_ in seen if value]
    running = shares[: shares.index(bar.maximum())]
    assert running == sorted(running)
    while_learning = [v for v, text, _ in seen if text.startswith("Learning") and v]
    assert while_learning and max(while_learning) < bar.maximum()
    assert said[0] == "Denoising image 1 of 6."
    assert {f"Denoising image {n} of 6." for n in range(1, 7)} >= set(said)
    assert len(set(said)) > 3


def test_before_train_the_window_says_how_long_it_will_take(desk, noisy, monkeypatch):
    threads = []
    probe = forecast.estimate_steps

    def watched(*args, **options):
        threads.append(threading.current_thread() is threading.main_thread())
        return probe(*args, **options)

    monkeypatch.setattr(forecast, "estimate_steps", watched)
    monkeypatch.setattr(forecast, "WAIT_MS", 10)
    told = desk.widget.findChild(QLabel, "forecast")
    assert told.isHidden()
    desk.hurry(steps=None)
    desk.controls.budget.setCurrentText("1 min")
    desk.viewer.add_image(stack(noisy, 20), name="film", contrast_limits=(0, 300))
    desk.until(lambda: told.text().startswith("About 1 min"))
    assert told.text().endswith("of denoising 20 images.")
    assert not told.isHidden() and threads == [False]
    desk.controls.budget.setCurrentText("3 min")  # the same network: nothing is tried
    desk.until(lambda: told.text().startswith("About"))
    desk.endless()
    desk.until(lambda: told.text().startswith("Learning until you stop it"))
    desk.begin()
    assert told.isHidden()
    desk.press("stop")
    desk.press("stop")
    desk.finish()
    desk.controls.advanced.editor("steps").value = 1_000_000
    desk.controls.budget.setCurrentText("10 s")
    desk.until(lambda: "1,000,000 steps" in told.text())
    assert "Try Fast" in told.text()


def test_a_training_does_not_wait_for_the_forecast(desk, noisy, monkeypatch):
    begun = []

    def endless(*_, **__):
        begun.append(True)
        while True:
            yield time.sleep(0.01)

    monkeypatch.setattr(forecast, "estimate_steps", endless)
    monkeypatch.setattr(forecast, "WAIT_MS", 0)
    desk.viewer.add_image(noisy, name="cells")
    desk.hurry(steps=12)
    desk.until(lambda: begun and desk.widget._forecast._run is not None)
    monkeypatch.setattr(forecast, "WAIT_MS", 10**8)
    desk.press("train")
    assert desk.widget._forecast._run is None  # given up
    desk.finish()
    assert desk.widget.model is not None
    assert desk.controls.forecast.isHidden()


def test_naparis_activity_shows_the_run(open_desk, noisy, monkeypatch):
    """As one, from Train to the last image; its end is told where it was long."""
    desk = open_desk(show=True)
    desk.viewer.add_image(noisy, name="cells")
    desk.hurry(steps=60)
    going_on = napari_progress._all_instances
    with notified() as told:
        desk.press("train")
        desk.until(lambda: going_on)
        (run,) = going_on
        assert run.desc.startswith("Denoise")
        desk.finish()
        assert set(going_on) <= {run}  # one for training and denoising
        desk.until(lambda: not going_on)
        assert run.n > 0 and not told
        monkeypatch.setattr(activity, "LONG_S", 0.0)
        desk.press("denoise")
        desk.finish()
        desk.until(lambda: told)
    assert "the run has ended" in told[0].message and "Done" in told[0].message
    desk.endless()
    desk.begin()
    desk.until(lambda: len(going_on) == 1)
    desk.viewer.window.remove_dock_widget(desk.widget)
    desk.until(lambda: not going_on)


def test_prediction_can_be_stopped(desk, noisy):
    desk.viewer.add_image(noisy, name="cells")
    desk.train()
    # Long enough not to be over before the stop, however late that comes.
    desk.viewer.add_image(stack(noisy, 1000), name="film", contrast_limits=(0, 5000))
    desk.choose("film")
    desk.press("denoise")
    desk.until(lambda: "film denoised" in desk.names())
    desk.press("stop")
    desk.finish()
    assert desk.status().startswith("Stopped: ")
    assert "of 1000 images are denoised" in desk.status()


# Watching ----------------------------------------------------------------------------


def test_plots_follow_theme(desk):
    for theme in ("light", "dark"):
        desk.viewer.theme = theme
        for plot in (desk.controls.loss_plot, desk.controls.noise_plot):
            colour = plot.plot.backgroundBrush().color().name()
            assert colour == theme_colours(desk.viewer)[0]


def test_curves_grow_while_training(desk, noisy):
    desk.viewer.add_image(noisy, name="cells")
    desk.endless()
    desk.begin()
    series = desk.controls.noise_plot.series
    desk.until(lambda: len(series()["predicted"][0]) and len(series()["measured"][0]))
    desk.press("stop")
    desk.finish()
    curve = desk.widget.model.noise_curves[0]
    np.testing.assert_array_equal(series()["predicted"][1], curve.std)


def test_preview_of_the_visible_field(open_desk, noisy, qtbot):
    desk = open_desk(show=True)
    layer = desk.viewer.add_image(noisy, name="cells")
    camera = getattr(desk.viewer, "scene", desk.viewer).camera
    camera.zoom *= 3
    camera.center = (20, 30)
    desk.until(lambda: np.prod(np.ptp(layer.corner_pixels, axis=0)) < noisy.size / 2)
    qtbot.wait(100)  # whatever is still to be drawn
    (top, left), (bottom, right) = layer.corner_pixels
    desk.endless()
    desk.press("train")
    desk.until(lambda: "cells denoised" in desk.names())
    rows, columns = np.nonzero(desk.layer("cells denoised").data != noisy)
    assert (rows.min(), columns.min()) == (top, left)
    assert (rows.max(), columns.max()) == (min(bottom, 63), min(right, 63))
    desk.press("stop")
    desk.finish()
    assert desk.layer("cells denoised").data.all()


def test_preview_at_the_shown_time(desk, noisy):
    scale = (30.0, 0.1, 0.1)
    desk.viewer.add_image(
        stack(noisy, 5), name="film", axis_labels=("t", "y", "x"), scale=scale
    )
    desk.viewer.dims.set_point(0, 3 * scale[0])
    desk.endless()
    desk.press("train")
    desk.until(lambda: "film denoised" in desk.names())
    changed = desk.layer("film denoised").data != desk.layer("film").data
    assert list(np.flatnonzero(changed.any(axis=(1, 2)))) == [3]
    assert tuple(desk.layer("film denoised").scale) == scale
    desk.press("stop")
    desk.finish()
    assert desk.layer("film denoised").data.all()


def test_multiscale_preview_is_in_pixels_of_the_finest_level(open_desk, noisy, qtbot):
    desk = open_desk(show=True)
    big = np.tile(noisy, (30, 30))  # finer than the screen: a coarse level is shown
    layer = desk.viewer.add_image([big, big[::2, ::2]], multiscale=True, name="cells")
    desk.until(lambda: layer.data_level == 1)
    desk.endless()
    desk.press("train")
    desk.until(lambda: "cells denoised" in desk.names())
    assert desk.layer("cells denoised").data.shape == big.shape
    rows = np.nonzero(desk.layer("cells denoised").data.any(axis=1))[0]
    assert np.ptp(rows) > 900
    desk.press("stop")
    desk.until(lambda: desk.widget.model is not None)
    desk.press("stop")
    desk.finish()


# What layers know --------------------------------------------------------------------


def test_results_lie_where_the_source_lies(desk, noisy):
    affine = np.array([[0, 1, 3], [-1, 0.2, -2], [0, 0, 1]], float)
    source = desk.viewer.add_image(
        noisy,
        name="cells",
        scale=(0.3, 0.2),
        translate=(5, -7),
        rotate=20,
        shear=[0.1],
        affine=affine,
        units=("um", "um"),
        gamma=0.7,
        blending="additive",
        interpolation2d="linear",
    )
    desk.train()
    for name in NAMES[:2]:
        layer = desk.layer(name)
        for corner in ((0, 0), (0, 63), (63, 0), (63, 63)):
            np.testing.assert_allclose(
                layer.data_to_world(corner), source.data_to_world(corner)
            )
        assert layer.units == source.units
    result = desk.layer(NAMES[0])
    assert result.gamma == 0.7 and result.blending == "additive"
    assert str(result.interpolation2d) == "linear"


@pytest.mark.parametrize(
    "options",
    [
        {"units": ("s", "um", "um"), "axis_labels": ("t", "y", "x")},
        {"units": ("pixel", "nm", "nm")},
        {},
    ],
)
def test_units_of_all_layers_agree(desk, noisy, options):
    desk.viewer.add_image(stack(noisy, 2), name="cells", **options)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        desk.train()
        desk.viewer.scale_bar.visible = True
    assert not [w for w in seen if "nits" in str(w.message)]
    assert len(desk.names()) == 4
    extent = desk.viewer.layers.extent
    assert extent.units is not None and len(extent.units) == 3


def test_channels_have_a_noise_distribution_each(desk, noisy):
    film = stack(noisy, 2, 2)
    desk.viewer.add_image(film, name="cells", axis_labels=("t", "c", "y", "x"))
    desk.train()
    assert desk.names()[1:] == [
        "cells denoised",
        "cells noise std",
        "cells noise distribution 0",
        "cells noise distribution 1",
    ]
    assert desk.layer("cells denoised").data.shape == film.shape


def test_lazy_layer_stays_lazy(desk, noisy, monkeypatch):
    read = []

    def plane(block, block_info=None):
        read.append(block_info[0]["chunk-location"][0])
        return block

    monkeypatch.setattr(sampling, "MAX_TRAINING_PIXELS", 3 * noisy.size)
    film = da.from_array(stack(noisy, 40), chunks=(1, 64, 64))
    film = film.map_blocks(plane, dtype=film.dtype, meta=np.zeros((0,) * 3, film.dtype))
    desk.viewer.add_image(film, name="film", contrast_limits=(0, 300))
    read.clear()
    desk.controls.axes.setText("")
    desk.widget._show_state()
    assert "40 images" in desk.controls.axes.text() and not read
    desk.endless()
    desk.begin()
    assert len(read) < 15  # eight of them tell whether lines have offsets of their own
    desk.press("stop")
    desk.until(lambda: desk.widget.model is not None)
    desk.finish()
    assert desk.layer("film").data is film
    assert desk.layer("film denoised").data.all()


# Bad input ---------------------------------------------------------------------------


def nan_inside(noisy):
    image = noisy.astype(np.float32)
    image[5, 6] = np.nan
    return image


BAD = {
    "All pixels are 7: there is no signal": lambda n: np.full_like(n, 7),
    "All pixels are 0: there is no signal": lambda n: np.zeros((3, 64, 64), "f4"),
    "No pixel holds a number": lambda n: np.full(n.shape, np.nan),
    "3 × 3 pixels; at least 16 × 16 are needed. Choose": lambda n: n[:3, :3],
    "1 × 256 pixels; at least 16 × 16": lambda n: n.reshape(16, 256)[:1],
    "8 × 64 pixels; at least 16 × 16": lambda n: n[:8],
}


NOT_DENOISABLE = {
    "This is an RGB image": lambda n: np.stack([n.astype(np.uint8)] * 3, -1),
    "true/false values": lambda n: n > 60,
    **BAD,
}


def in_colour(label):
    return "color" in label.styleSheet()


@pytest.mark.parametrize("sentence", NOT_DENOISABLE)
def test_what_cannot_be_denoised_is_told_in_colour_before_train(desk, noisy, sentence):
    axes, calm = desk.controls.axes, desk.controls.axes.styleSheet()
    pixels = NOT_DENOISABLE[sentence](noisy)
    layer = desk.viewer.add_image(pixels, contrast_limits=(0, 99), name="bad")
    desk.until(lambda: in_colour(axes))  # pixels are looked at in a worker
    assert sentence in axes.text()
    assert not desk.button("train").isEnabled()
    desk.viewer.layers.remove(layer)
    desk.viewer.add_image(noisy, name="cells")
    assert axes.styleSheet() == calm
    assert desk.button("train").isEnabled()
    assert desk.button("fix").isHidden()


def test_settings_decide_how_small_an_image_may_be(desk, noisy):
    axes, train = desk.controls.axes, desk.button("train")
    desk.viewer.add_image(noisy[:24], name="strip")
    assert train.isEnabled() and not in_colour(axes)
    desk.controls.advanced.editor("network.depth").value = 5
    desk.until(lambda: in_colour(axes))
    assert "24 × 64 pixels; at least 32 × 32 are needed." in axes.text()
    assert "a network of smaller depth" in axes.text() and not train.isEnabled()
    desk.controls.advanced.editor("network.depth").value = 1
    desk.until(train.isEnabled)
    desk.controls.budget.setCurrentText("soon")  # told by Train, not here
    assert axes.text().startswith("One image of 24 × 64 px") and not in_colour(axes)


def test_a_line_scan_is_large_enough_by_its_time(desk, noisy):
    desk.viewer.add_image(noisy.reshape(16, 1, 256), axis_labels=("t", "y", "x"))
    assert desk.controls.axes.text().startswith("Line scan: 16 time points × 256")
    assert desk.button("train").isEnabled() and not in_colour(desk.controls.axes)


def test_a_small_image_can_be_denoised_with_a_model(desk, noisy):
    desk.viewer.add_image(noisy, name="cells")
    desk.train()
    desk.viewer.add_image(noisy[:12, :12], name="corner")
    desk.choose("corner")
    assert in_colour(desk.controls.axes) and not desk.button("train").isEnabled()
    desk.press("denoise")
    desk.finish()
    assert np.isfinite(desk.layer("corner denoised").data).all()


def test_train_comes_back_when_an_empty_layer_is_filled(desk, noisy):
    train = desk.button("train")
    layer = desk.viewer.add_image(np.zeros_like(noisy), contrast_limits=(0, 99))
    desk.until(lambda: not train.isEnabled())
    layer.data[...] = noisy
    layer.data = layer.data
    desk.until(train.isEnabled)
    assert not in_colour(desk.controls.axes)


@pytest.mark.parametrize(
    ("name", "text", "axes"),
    [("fix", "Use the luminance", "YX"), ("fix_other", "Split channels", "CYX")],
)
def test_an_rgb_image_has_ways_out(open_desk, noisy, name, text, axes):
    desk = open_desk(show=True)
    rgb = np.stack([noisy.astype(np.uint8)] * 3, -1)
    source = desk.viewer.add_image(rgb, name="slide", scale=(0.2, 0.1), units="um")
    way = desk.button(name)
    desk.until(way.isVisible)
    assert way.text() == text
    said = 'Press "Use the luminance" or "Split channels".'
    assert said in desk.controls.axes.text()
    assert "--" not in desk.controls.axes.text()
    desk.press(name)
    desk.until(lambda: len(desk.names()) == 2)
    made = desk.controls.layer.currentData()
    assert made != source and axes_of(made.axis_labels) == axes
    assert tuple(made.scale)[-2:] == (0.2, 0.1)
    shown = np.asarray(made.data)
    np.testing.assert_allclose(shown[..., :, :].max(), noisy.max(), rtol=1e-5)
    np.testing.assert_array_equal(source.data, rgb)
    assert desk.button("train").isEnabled() and way.isHidden()
    desk.train()
    assert desk.layer(f"{made.name} denoised").data.shape == made.data.shape


def test_pixels_without_a_number_are_told_and_can_be_filled(desk, noisy):
    """They stop nobody: Train works, and the result keeps them."""
    pixels = noisy.astype(np.float32)
    pixels[5:8, 6:20] = np.nan
    desk.viewer.add_image(pixels, name="cells", contrast_limits=(0, 150))
    note = desk.widget.findChild(QLabel, "missing")
    desk.until(lambda: not note.isHidden())
    assert note.text() == "42 pixels hold no number: left out, and kept as they are."
    assert "color" not in note.styleSheet()
    assert desk.button("train").isEnabled()
    assert desk.button("fix").text() == "Fill 42 missing pixels"
    desk.press("fix")
    desk.until(lambda: "cells filled" in desk.names())
    filled = desk.layer("cells filled").data
    assert np.isfinite(filled).all()
    numbers = np.isfinite(pixels)
    np.testing.assert_array_equal(filled[numbers], pixels[numbers])
    assert desk.controls.layer.currentText() == "cells filled"
    desk.until(lambda: note.isHidden())


def test_values_far_from_zero_are_told_and_brought_near_it(desk, noisy):
    """Nothing is lost on the way, though 32-bit floats there are 2**30 apart."""
    axes, train = desk.controls.axes, desk.button("train")
    pixels = noisy.astype(np.uint64) + np.uint64(2**53)
    desk.viewer.add_image(pixels, name="far", contrast_limits=(0, 2**54))
    desk.until(lambda: in_colour(axes))
    assert "rounded to multiples of 1.07e+09 (32-bit floats)" in axes.text()
    assert "Subtract 90071992547" in axes.text() and not train.isEnabled()
    assert desk.button("fix").text() == "Subtract 9.007e+15"
    desk.press("fix")
    desk.until(lambda: len(desk.names()) == 2)
    near = desk.controls.layer.currentData()
    assert near.name.startswith("far minus 90071992547") and near.data.dtype == "f4"
    np.testing.assert_array_equal(near.data - near.data.min(), noisy - noisy.min())
    desk.until(train.isEnabled)
    assert not in_colour(axes) and desk.button("fix").isHidden()


def test_values_that_lose_a_digit_are_told_beside_train(desk, noisy):
    pixels = 20 * noisy.astype(np.int64) + 2**32
    desk.viewer.add_image(pixels, name="far", contrast_limits=(2**32, 2**32 + 999))
    note = desk.widget.findChild(QLabel, "missing")
    desk.until(lambda: not note.isHidden())
    assert "rounded to multiples of 512 (32-bit floats)" in note.text()
    assert desk.button("train").isEnabled() and not in_colour(desk.controls.axes)
    desk.train()
    assert "rounded to multiples of 512" in desk.status()


def test_the_window_does_not_wait_for_missing_pixels(desk, noisy, monkeypatch):
    """Of a large image they are counted in a worker, which another layer ends."""
    threads, ended = [], []

    def endless(image):
        threads.append(threading.current_thread() is threading.main_thread())
        try:
            while image.name == "large":
                yield time.sleep(0.01)
        finally:
            ended.append(image.name)
        return Findings()

    monkeypatch.setattr(fixes, "look_steps", endless)
    desk.viewer.add_image(noisy.astype(np.float32), name="large")
    desk.until(lambda: threads)
    desk.viewer.add_image(noisy, name="other")
    desk.choose("other")
    desk.until(lambda: sorted(ended) == ["large", "other"])
    assert threads == [False, False]


@pytest.mark.filterwarnings("ignore:invalid value encountered")
def test_bad_image_is_told_in_a_sentence(desk, noisy):
    desk.viewer.add_image(noisy, name="cells")
    for sentence, make in BAD.items():
        layer = desk.viewer.add_image(make(noisy), contrast_limits=(0, 99), name="bad")
        desk.choose("bad")
        with notified() as told:
            desk.widget.train()  # as a script does: the button may be off
            desk.finish()
        assert sentence in desk.status()
        assert [n.message for n in told] == [desk.status()]  # once, with no traceback
        assert desk.names() == ["cells", "bad"] and desk.widget.model is None
        assert desk.controls.progress.maximum() > 0  # not busy
        desk.viewer.layers.remove(layer)
    desk.train()
    assert desk.names() == ["cells", *NAMES]


def test_intensities_far_below_one_are_denoised(desk, noisy):
    desk.viewer.add_image(noisy.astype(np.float32) * 1e-10, name="cells")
    desk.train()
    assert desk.names() == ["cells", *NAMES]
    assert desk.layer("cells denoised").data.std() > 0


def test_complex_image_is_told_in_a_sentence(desk, noisy, monkeypatch):
    # napari itself cannot draw such a layer.
    def complex_image(_):
        return Image(noisy + 1j * noisy, "YX")

    monkeypatch.setattr(layers, "image_from_layer", complex_image)
    desk.viewer.add_image(noisy, name="cells")
    assert "complex numbers" in desk.controls.axes.text()
    assert not desk.button("train").isEnabled()
    desk.widget.train()
    assert "complex numbers" in desk.status()
    assert desk.names() == ["cells"]


def test_other_number_types_are_denoised(desk, noisy):
    for kind in (np.int16, np.float64):
        desk.viewer.add_image(noisy.astype(kind), name="cells")
        desk.train()
        assert desk.names() == ["cells", *NAMES]
        desk.viewer.layers.clear()


def test_model_of_other_channels_is_refused(desk, noisy):
    desk.viewer.add_image(
        stack(noisy, 2), name="two", axis_labels=("c", "y", "x"), contrast_limits=(0, 9)
    )
    desk.train()
    desk.viewer.add_image(noisy, name="cells")
    desk.choose("cells")
    before = desk.names()
    desk.press("denoise")
    assert desk.status().startswith("The model was trained on 2 channels")
    assert desk.names() == before and desk.button("denoise").isEnabled()


def test_result_without_room_is_told(desk, noisy, monkeypatch):
    def full(_):
        raise DenoisingError("There is no room for a result of 9 GiB.")

    monkeypatch.setattr("napari_selfdenoise.plugin.viewer.results.allocate", full)
    desk.viewer.add_image(noisy, name="cells")
    desk.press("train")
    assert desk.status() == "There is no room for a result of 9 GiB."
    assert desk.button("train").isEnabled()


@pytest.mark.parametrize("error", [RuntimeError("oh"), ZeroDivisionError("no")])
def test_error_in_the_generator_reaches_the_user(desk, noisy, monkeypatch, error):
    def fail(*_, **__):
        yield None
        raise error

    monkeypatch.setattr(denoise_widget, "train_steps", fail)
    desk.viewer.add_image(noisy, name="cells")
    with notified() as told:
        desk.press("train")
        desk.finish()
    assert str(error) in desk.status()
    assert len(told) == 1
    assert desk.names() == ["cells"] and desk.button("train").isEnabled()


class notified:
    """Collect what napari tells the user."""

    def __init__(self):
        self.told = []

    def __enter__(self):
        notification_manager.notification_ready.connect(self.told.append)
        return self.told

    def __exit__(self, *_):
        notification_manager.notification_ready.disconnect(self.told.append)


# Meanwhile, in the viewer ------------------------------------------------------------


@pytest.mark.parametrize("counts", [(), (3,)])
def test_source_removed_while_training(desk, noisy, counts):
    desk.viewer.add_image(stack(noisy, *counts) if counts else noisy, name="cells")
    desk.endless()
    desk.begin()
    desk.viewer.layers.remove("cells")
    desk.finish()
    assert "The layer is gone" in desk.status()
    assert desk.widget.model is not None and desk.button("save_model").isEnabled()
    assert desk.controls.progress.maximum() > 0  # not busy


def test_everything_removed_while_training(desk, noisy):
    desk.viewer.add_image(stack(noisy, 3), name="cells")
    desk.endless()
    desk.begin()
    desk.viewer.layers.clear()
    gc.collect()
    desk.finish()
    assert desk.widget.model is not None and not desk.names()


@pytest.mark.parametrize("shape", [(32, 48), (5, 64, 64)])
def test_source_data_replaced_while_training(desk, noisy, shape):
    layer = desk.viewer.add_image(stack(noisy, 3), name="cells")
    desk.endless()
    desk.begin()
    layer.data = np.ones(shape, np.uint16)
    desk.qtbot.wait(300)
    desk.press("stop")
    desk.finish()
    assert desk.layer("cells denoised").data.shape == (3, 64, 64)
    assert layer.data.shape == shape
    assert "the result is of the image as it was" in desk.status()


def test_source_data_replaced_while_denoising(desk, noisy, monkeypatch):
    begun, replaced = threading.Event(), threading.Event()

    def slow(*what, **options):
        steps = predict_tiles(*what, **options)
        message = yield next(steps)
        begun.set()
        replaced.wait(20)
        try:
            while True:
                message = yield steps.send(message)
        except StopIteration as end:
            return end.value

    predict_tiles = denoise_widget.predict_tiles
    layer = desk.viewer.add_image(noisy, name="cells")
    desk.train()
    assert "as it was" not in desk.status()
    monkeypatch.setattr(denoise_widget, "predict_tiles", slow)
    desk.press("denoise")
    desk.until(begun.is_set)
    layer.data = noisy + 1
    replaced.set()
    desk.finish()
    said = "The image was changed during the run: the result is of the image as it was."
    assert said in desk.status()


def test_preview_layer_deleted_while_training(desk, noisy):
    desk.viewer.add_image(noisy, name="cells")
    desk.endless()
    desk.press("train")
    desk.until(lambda: "cells denoised" in desk.names())
    desk.viewer.layers.remove("cells denoised")
    desk.press("stop")
    desk.finish()
    assert desk.names() == ["cells", *NAMES]


def test_layers_added_and_renamed_while_training(desk, noisy):
    layer = desk.viewer.add_image(noisy, name="cells")
    desk.endless()
    desk.begin()
    layer.name = "renamed"
    desk.viewer.add_image(noisy, name="other")
    desk.viewer.dims.ndisplay = 3
    desk.qtbot.wait(200)
    desk.press("stop")
    desk.finish()
    assert set(NAMES) < set(desk.names())


# The end -----------------------------------------------------------------------------


def ends_quietly(qtbot):
    qtbot.waitUntil(lambda: not WorkerBase._worker_set, timeout=10_000)
    qtbot.wait(50)  # whatever slots were still to be called


@pytest.mark.parametrize("show", [False, True])
def test_closing_the_dock_ends_the_worker(open_desk, noisy, qtbot, show):
    desk = open_desk(show=show)
    desk.viewer.add_image(noisy, name="cells")
    desk.endless()
    desk.begin()
    desk.dock.findChild(QPushButton, "QTitleBarCloseButton").click()
    ends_quietly(qtbot)
    before = desk.names()
    assert before == ["cells"]  # no preview stays
    desk.viewer.add_image(noisy, name="other")  # nobody listens any more
    desk.viewer.theme = "light"
    qtbot.wait(50)
    assert desk.names() == [*before, "other"]
    assert desk.controls.layer.count() == 0
    again = desk.viewer.window.add_plugin_dock_widget("napari-selfdenoise", "Denoise")
    assert again[1] is not desk.widget
    assert again[1].controls.layer.count() == len(before) + 1


@pytest.mark.parametrize("show", [False, True])
def test_closing_napari_ends_the_worker(open_desk, noisy, qtbot, show):
    desk = open_desk(show=show)
    desk.viewer.add_image(noisy, name="cells")
    desk.endless()
    desk.begin()
    desk.viewer.close()
    ends_quietly(qtbot)


def test_a_close_that_is_taken_back_disturbs_nothing(open_desk, noisy, monkeypatch):
    desk = open_desk(show=True)
    desk.viewer.add_image(noisy, name="cells")
    desk.endless()
    desk.begin()
    window = desk.viewer.window._qt_window
    with monkeypatch.context() as patch:  # "Are you sure?" - "No."
        patch.setattr(type(window), "closeEvent", lambda self, event: event.ignore())
        assert not QWidget.close(window)
    desk.qtbot.wait(100)
    steps = steps_of(desk)
    desk.until(lambda: steps_of(desk) > steps)
    desk.press("stop")
    desk.finish()
    assert desk.names() == ["cells", *NAMES]


def test_hidden_and_floating_dock_trains_on(open_desk, noisy, qtbot):
    desk = open_desk(show=True)
    desk.viewer.add_image(noisy, name="cells")
    desk.endless()
    desk.begin()
    desk.dock.setFloating(True)
    qtbot.wait(50)
    desk.dock.close()  # the eye: it hides
    desk.dock.show()
    desk.dock.setFloating(False)
    qtbot.wait(50)
    desk.press("stop")
    desk.finish()
    assert desk.names() == ["cells", *NAMES]


def test_worker_ended_by_napari_leaves_the_dock_usable(desk, noisy):
    desk.viewer.add_image(noisy, name="cells")
    desk.endless()
    desk.begin()
    WorkerBase.await_workers(20_000)
    desk.finish()
    assert "ended by napari" in desk.status()
    desk.hurry(steps=12)
    desk.train()
    assert desk.widget.model is not None


def test_two_docks_do_not_disturb_each_other(open_desk, noisy):
    one, two = open_desk(), open_desk()
    for desk, name in ((one, "a"), (two, "b")):
        desk.viewer.add_image(noisy, name=name)
        desk.endless()
        desk.begin()
    one.press("stop")
    one.finish()
    assert two.button("stop").isEnabled()
    two.press("stop")
    two.finish()
    for desk, name in ((one, "a"), (two, "b")):
        assert desk.names()[:2] == [name, f"{name} denoised"]
        assert len(desk.names()) == 4
    assert one.widget.model is not two.widget.model


# The manifest ------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "shape"), [("fish", 2), ("synthetic", 3)])
def test_samples_open(make_napari_viewer, key, shape):
    viewer = make_napari_viewer()
    truth, noisy = viewer.open_sample("napari-selfdenoise", key)
    assert noisy.data.ndim == truth.data.ndim == shape
    assert noisy.data.shape == truth.data.shape
    assert noisy.metadata["credit"]
    assert noisy.data.dtype.kind == "u"


@pytest.mark.parametrize("title", ["Denoise", "Noise model"])
def test_menu_opens_the_dock(make_napari_viewer, title):
    from napari._app_model import get_app_model

    viewer = make_napari_viewer()
    name = title.lower().replace(" ", "_")
    app, command = get_app_model(), f"napari-selfdenoise.{name}"
    offered = {
        item.command.id: item.command.title
        for item in app.menus.get_menu("napari/layers/filter")
        if hasattr(item, "command")
    }
    assert title in offered[command]
    app.commands.execute_command(command).result()
    assert [name for name in viewer.window.dock_widgets if name.startswith(title)]
