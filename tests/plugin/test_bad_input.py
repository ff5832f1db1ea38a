"""Images that cannot be denoised, and ways out."""

import threading
import time

import numpy as np
import pytest
from qtpy.QtWidgets import QLabel
from window_helpers import NAMES, notified, stack

from napari_selfdenoise import Image
from napari_selfdenoise.defects import Findings
from napari_selfdenoise.errors import DenoisingError
from napari_selfdenoise.plugin.denoise import fixes, work
from napari_selfdenoise.plugin.viewer import layers
from napari_selfdenoise.plugin.viewer.layers import axes_of

pytestmark = pytest.mark.gl


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

    monkeypatch.setattr(fixes, "examine_steps", endless)
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

    monkeypatch.setattr(work, "train_steps", fail)
    desk.viewer.add_image(noisy, name="cells")
    with notified() as told:
        desk.press("train")
        desk.finish()
    assert str(error) in desk.status()
    assert len(told) == 1
    assert desk.names() == ["cells"] and desk.button("train").isEnabled()
