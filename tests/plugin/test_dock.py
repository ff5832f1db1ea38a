"""The dock as a person uses it."""

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import QRect, Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QLabel,
    QProgressBar,
    QPushButton,
    QWidget,
)
from window_helpers import NAMES, error, stack, steps_of

from napari_selfdenoise import Image, denoise, load_model
from napari_selfdenoise.plugin.viewer.layers import METADATA_KEY, axes_of

pytestmark = pytest.mark.gl


@pytest.fixture(scope="session")
def clean():
    """What `noisy` shows, (64, 64)."""
    y, x = np.mgrid[:64, :64]
    return 60 + 50 * np.sin(x / 7) * np.cos(y / 9)


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
    assert [str(unit) for unit in source.units] == ["micrometer"] * 2
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


# The dock -----------------------------------------------------------------------------


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
    assert QLabel.text(status).replace("\n", " ") == " ".join(sentences)
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
        (("frame", "slice", "row", "col"), "TZYX"),
        (("position", "axis -3", "y", "x"), "PIYX"),
        (("s", "Y", "X"), "IYX"),
        (("y", "y", "x"), "IYX"),
    ],
)
def test_axes_by_their_labels(labels, axes):
    assert axes_of(labels) == axes


# The manifest ------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "shape"), [("fish", 2), ("synthetic", 3)])
def test_samples_open(make_napari_viewer, key, shape):
    viewer = make_napari_viewer()
    truth, noisy = viewer.open_sample("napari-selfdenoise", key)
    assert noisy.data.ndim == truth.data.ndim == shape
    assert noisy.data.shape == truth.data.shape
    assert noisy.metadata["credit"]
    assert noisy.data.dtype.kind == "u"


def test_the_menu_of_plugins_has_the_docks_below_the_plugin(make_napari_viewer):
    """As README and pages say: Plugins > Self-Denoise > Denoise (Self-Denoise)."""
    window = make_napari_viewer().window._qt_window

    def below(menu, title):
        (found,) = (
            a.menu() for a in menu.actions() if a.text().replace("&", "") == title
        )
        return found

    plugins = below(window.menuBar(), "Plugins")
    plugins.aboutToShow.emit()
    ours = below(plugins, "Self-Denoise")
    titles = [action.text() for action in ours.actions()]
    for dock in ("Denoise", "Noise model", "Evaluate"):
        assert f"{dock} (Self-Denoise)" in titles


@pytest.mark.parametrize("title", ["Denoise", "Noise model"])
def test_menu_opens_the_dock(make_napari_viewer, title):
    from napari._app_model import get_app_model

    viewer = make_napari_viewer()
    app = get_app_model()
    # What the command is called differs between versions of napari.
    (command,) = (
        item.command.id
        for item in app.menus.get_menu("napari/layers/filter")
        if hasattr(item, "command") and item.command.title.startswith(title)
    )
    app.commands.execute_command(command).result()
    assert [name for name in viewer.window.dock_widgets if name.startswith(title)]
