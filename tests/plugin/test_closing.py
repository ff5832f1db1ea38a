"""What the user does during a run, and how it ends."""

import gc
import threading

import numpy as np
import pytest
from qtpy.QtWidgets import QPushButton, QWidget
from superqt.utils import WorkerBase
from window_helpers import NAMES, stack, steps_of

from napari_selfdenoise.plugin.denoise import widget as denoise_widget

pytestmark = pytest.mark.gl


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


def test_source_calibrated_and_moved_while_training(desk, noisy):
    """Results lie on the image where it is by then, and have its pixel size."""
    layer = desk.viewer.add_image(noisy, name="cells")
    desk.endless()
    desk.begin()
    layer.scale, layer.units = (0.1, 0.2), ("um", "um")
    layer.translate, layer.axis_labels = (5, 7), ("y", "x")
    desk.qtbot.wait(300)
    desk.press("stop")
    desk.finish()
    for name in ("cells denoised", "cells noise std"):
        result = desk.layer(name)
        np.testing.assert_array_equal(result.scale, (0.1, 0.2))
        np.testing.assert_array_equal(result.translate, (5, 7))
        assert result.units == layer.units and result.axis_labels == ("y", "x")
    drawn = desk.layer("cells noise distribution").extent.world
    np.testing.assert_allclose(drawn, layer.extent.world, atol=0.3)


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
