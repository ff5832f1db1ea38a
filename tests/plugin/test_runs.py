"""Training and denoising: buttons, progress, curves and previews."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from napari.utils import progress as napari_progress
from qtpy.QtWidgets import QCheckBox, QLabel, QPushButton
from window_helpers import budget, colours_around, colours_of, error, notified, stack

from napari_selfdenoise.plugin.denoise import forecast
from napari_selfdenoise.plugin.docks import activity
from napari_selfdenoise.plugin.viewer.layers import METADATA_KEY

pytestmark = pytest.mark.gl


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

    def watch(*how):
        show(*how)
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
        found = yield from probe(*args, **options)
        return replace(found, masked_plane_s=found.plane_s)  # on machines of any speed

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
    # Fast is chosen already.
    assert told.text().endswith("Give it more time.")


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


def test_plots_have_the_colours_of_the_dock_around_them(desk):
    found = set()
    for theme in ("light", "dark"):
        desk.viewer.theme = theme
        around = colours_around(desk.controls.widget())
        for plot in (desk.controls.loss_plot, desk.controls.noise_plot):
            assert colours_of(plot) == around
        found.add(around)
    assert len(found) == 2


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
