"""Several layers: one training on all of them, and results of each."""

import threading

import numpy as np
import pytest
from window_helpers import error

from napari_selfdenoise.errors import DenoisingError
from napari_selfdenoise.plugin.denoise import widget as denoise_widget
from napari_selfdenoise.plugin.denoise.outcome import outcome_of_several

pytestmark = pytest.mark.gl


def choices(desk):
    combo = desk.controls.layers.combo
    return [combo.itemText(place) for place in range(combo.count())]


def choose(desk, text):
    combo = desk.controls.layers.combo
    combo.activated.emit(choices(desk).index(text))
    assert combo.currentText() == text


@pytest.fixture
def cells(desk, noisy):
    """Three layers that are alike, the first one chosen."""
    for number, name in enumerate("abc"):
        desk.viewer.add_image(np.roll(noisy, 9 * number, 0), name=name)
    desk.viewer.layers.selection.active = desk.layer("a")
    return desk


def denoised(desk):
    return [name for name in desk.names() if name.endswith("denoised")]


@pytest.fixture
def before_tile(monkeypatch):
    """Call something before each tile, in the worker, with the layer's name."""
    plain, hooks = denoise_widget.predict_tiles, []

    def tiles(image, *args, **options):
        for hook in hooks:
            hook(image.name)
        return plain(image, *args, **options)

    monkeypatch.setattr(denoise_widget, "predict_tiles", tiles)
    return hooks.append


def test_layers_are_offered_where_there_are_several_alike(desk, noisy):
    row = desk.controls.layers
    desk.viewer.add_image(noisy, name="a")
    desk.viewer.add_image(noisy.astype(np.float32), name="other type")
    desk.viewer.add_image(np.stack([noisy] * 2), name="stack", axis_labels=tuple("zyx"))
    desk.viewer.layers.selection.active = desk.layer("a")
    assert row.isHidden() and len(row.value()) == 1

    desk.viewer.add_image(noisy[:40], name="b")
    desk.viewer.layers.selection.active = desk.layer("a")
    assert not row.isHidden()
    assert choices(desk) == ["this one", "all 2 alike"]
    desk.viewer.layers.selection = {desk.layer(n) for n in ("a", "b", "stack")}
    assert choices(desk) == ["this one", "2 of 3 selected", "all 2 alike"]
    desk.viewer.layers.selection = {desk.layer("a"), desk.layer("b")}
    choose(desk, "the 2 selected")
    desk.viewer.add_image(noisy, name="c")
    assert desk.controls.layers.combo.currentText() == "this one"
    assert choices(desk) == ["this one", "all 3 alike"]


def test_one_training_and_results_of_each(cells):
    """What was selected stays selected, so that the next press is for the same."""
    desk = cells
    desk.viewer.layers.selection = {desk.layer("a"), desk.layer("c")}
    choose(desk, "the 2 selected")
    desk.train()
    assert denoised(desk) == ["a denoised", "c denoised"]
    assert desk.names().index("a denoised") == desk.names().index("a") + 1
    assert desk.widget.model.provenance["images"] == ["a", "c"]
    assert desk.viewer.layers.selection == {desk.layer("a"), desk.layer("c")}
    assert "Done: all 2 layers are denoised." in desk.status()
    assert desk.controls.layers.combo.currentText() == "the 2 selected"
    for name in "ac":
        raw = desk.layer(name).data
        assert error(desk.layer(f"{name} denoised").data, raw) > 0

    choose(desk, "all 3 alike")
    desk.press("denoise")
    desk.finish()
    assert sorted(denoised(desk)) == ["a denoised", "b denoised", "c denoised"]


def test_one_that_fails_does_not_stop_the_others(cells, before_tile):
    desk = cells
    desk.train()

    def fail(name):
        if name == "b":
            raise DenoisingError("The file is gone.")

    before_tile(fail)
    choose(desk, "all 3 alike")
    desk.press("denoise")
    desk.finish()
    assert denoised(desk) == ["a denoised", "c denoised"]
    assert "Done: 2 of 3 layers are denoised. Not 'b': The file is gone." in (
        desk.status()
    )


def test_progress_names_the_layer_and_runs_over_all(cells, before_tile):
    desk, seen, go = cells, [], threading.Event()
    desk.train()
    before_tile(lambda name: name == "b" and go.wait(20))
    choose(desk, "all 3 alike")
    desk.press("denoise")
    desk.controls.progress.valueChanged.connect(seen.append)
    desk.until(lambda: "Denoising 'a': layer 1 of 3." in desk.status())
    assert desk.widget._activity._goes_on
    go.set()
    desk.finish()
    shown = [value for value in seen if value]  # 0 between two layers is not painted
    assert shown == sorted(shown)


def test_layers_that_go_or_are_renamed_break_nothing(cells, before_tile):
    desk, go = cells, threading.Event()
    desk.train()
    before_tile(lambda name: name == "a" and go.wait(20))
    choose(desk, "all 3 alike")
    desk.press("denoise")
    desk.viewer.layers.remove("b")
    desk.layer("c").name = "d"
    go.set()
    desk.finish()
    assert denoised(desk) == ["a denoised", "d denoised"]
    assert "Not 'b': The layer was removed." in desk.status()


@pytest.mark.parametrize("gone", ["a", "b"])
def test_a_layer_that_goes_while_learned_from_is_left_out(cells, gone):
    desk = cells
    desk.endless()
    choose(desk, "all 3 alike")
    desk.begin()
    desk.viewer.layers.remove(gone)
    desk.qtbot.wait(50)
    desk.press("stop")
    desk.finish()
    rest = sorted({"a", "b", "c"} - {gone})
    assert denoised(desk) == [f"{name} denoised" for name in rest]
    assert f"Not '{gone}': The layer was removed." in desk.status()


def test_stop_keeps_what_is_denoised(cells, before_tile):
    desk, there, go = cells, threading.Event(), threading.Event()
    desk.train()

    def hold(name):
        if name == "b":
            there.set()
            go.wait(20)

    before_tile(hold)
    choose(desk, "all 3 alike")
    desk.press("denoise")
    desk.until(there.is_set)
    desk.press("stop")
    go.set()
    desk.finish()
    assert "Stopped: 1 of 3 layers is denoised" in desk.status()
    assert "a denoised" in denoised(desk) and "c denoised" not in denoised(desk)


def test_cancel_brings_back_what_was_there(cells, before_tile):
    desk, there, go = cells, threading.Event(), threading.Event()
    choose(desk, "all 3 alike")
    desk.train()
    before = [desk.layer(name) for name in desk.names()]

    def hold(name):
        if name == "b":
            there.set()
            go.wait(20)

    before_tile(hold)
    desk.press("denoise")
    desk.until(there.is_set)
    assert desk.layer("a denoised") not in before
    desk.press("cancel")
    go.set()
    desk.finish()
    assert list(desk.viewer.layers) == before


def test_a_second_layer_goes_with_one_image(cells):
    desk = cells
    pair = desk.controls.pairing.layer
    pair.setCurrentText("c")
    pair.activated.emit(pair.currentIndex())
    assert choices(desk) == ["this one", "all 2 alike"]
    choose(desk, "all 2 alike")
    desk.press("train")
    assert "goes with one image, not with several" in desk.status()


@pytest.mark.parametrize(
    ("denoised", "partly", "failed", "words"),
    [
        (3, "", [], 'Done: all 3 layers are denoised. See "denoised" above each.'),
        (2, "", [("c", "No.")], "Done: 2 of 3 layers are denoised.\nNot 'c': No."),
        (1, "b", [], "Stopped: 1 of 3 layers is denoised, 'b' in part. Press"),
        (0, "", [("a", "No.")], "Stopped: 0 of 3 layers are denoised. Press"),
    ],
)
def test_the_end_is_said_in_words(denoised, partly, failed, words):
    assert outcome_of_several(denoised, 3, partly, failed).startswith(words)
