"""The Evaluate dock: residual, figures, runs, profile, before and after."""

import importlib

import numpy as np
import pytest
from napari.layers import Shapes
from qtpy.QtWidgets import QApplication

from napari_selfdenoise.plugin.docks.run_record import (
    FinishedRun,
    RunRecord,
    record_of,
)
from napari_selfdenoise.plugin.evaluate.comparing import TITLE
from napari_selfdenoise.plugin.evaluate.run_table import RunTable, to_csv

pytestmark = pytest.mark.gl

importlib.import_module("napari_selfdenoise.plugin.evaluate.widget")

SCALE = (0.108, 0.108)


def smooth(noisy):
    """The light that the noisy image was made of."""
    y, x = np.mgrid[:64, :64]
    return (60 + 50 * np.sin(x / 7) * np.cos(y / 9)).astype(np.float32)


@pytest.fixture
def bench(open_desk, noisy, qtbot):
    """A viewer with a noisy image and its light in µm, and the dock."""
    desk = open_desk()
    viewer = desk.viewer
    look = {"scale": SCALE, "units": ("um", "um")}
    viewer.add_image(noisy, name="cells", **look)
    viewer.add_image(smooth(noisy), name="light", contrast_limits=(10, 110), **look)
    _, desk.evaluate = viewer.window.add_plugin_dock_widget(
        "napari-selfdenoise", "Evaluate"
    )
    pick(desk, noisy="cells", result="light")
    return desk


def pick(desk, **names):
    for box, name in names.items():
        getattr(desk.evaluate.controls, box).setCurrentText(name)


def evaluated(desk):
    """The controls, once Evaluate was pressed and the worker is done."""
    controls = desk.evaluate.controls
    controls.evaluate.click()
    desk.until(lambda: desk.evaluate._run is None)
    return controls


def figures(controls):
    table = controls.figures
    return {
        table.item(row, 0).text(): table.item(row, 1).text()
        for row in range(table.rowCount())
    }


def tips(controls):
    table = controls.figures
    return [table.item(row, 1).toolTip() for row in range(table.rowCount())]


def state(viewer):
    """What a comparison must leave as it was."""
    return [
        (la.name, la.visible, la.opacity, tuple(la.contrast_limits), la.data.sum())
        for la in viewer.layers
    ], viewer.layers.selection.active


def test_the_residual_is_a_layer_in_the_place_of_the_image(bench, noisy):
    controls = evaluated(bench)
    residual = bench.layer("cells residual")
    assert np.allclose(residual.scale, SCALE)
    assert residual.units == bench.layer("cells").units
    low, high = residual.contrast_limits
    assert low == -high < 0
    expected = noisy.astype(float) - smooth(noisy)
    assert np.nanmax(np.abs(residual.data - expected)) < 1e-3
    assert "residual" in controls.verdict.text()
    found = figures(controls)
    assert found["Held-out bits"] == "–" and "PSNR" not in found
    assert any("needs the model" in tip for tip in tips(controls))
    assert controls.histogram.series()["residual"][1].sum() == pytest.approx(100)
    assert set(controls.correlation.series()) >= {"x", "y"}
    pick(bench, reference="light")
    pick(bench, result="cells residual")  # another scale, but of the same size
    assert "Scale-invariant PSNR" in figures(evaluated(bench))
    assert bench.names().count("cells residual") == 1


def test_what_does_not_fit_is_a_sentence(bench):
    others = {
        "narrow": (np.zeros((64, 60), np.float32), "has the shape"),
        "colours": (np.zeros((64, 64, 3), np.uint8), "RGB"),
        "stack": (np.zeros((4, 64, 64), np.float32), "has the shape"),
    }
    for name, (data, _) in others.items():
        bench.viewer.add_image(data, name=name)
    before, controls = bench.names(), bench.evaluate.controls
    expected = {name: words for name, (_, words) in others.items()}
    for name, words in (expected | {"cells": "one layer"}).items():
        pick(bench, result=name)
        controls.evaluate.click()
        assert words in controls.status.text()
        controls.say("")
        controls.swipe.click()
        assert words in controls.status.text() and not controls.swipe.isChecked()
    assert bench.names() == before


def test_a_stack_with_channels_has_its_residual(bench, noisy):
    data = np.stack([[noisy, noisy + 3]] * 2)
    light = np.stack([[smooth(noisy), smooth(noisy) + 3]] * 2)
    labels = {"axis_labels": ("t", "c", "y", "x")}
    bench.viewer.add_image(data, name="many", **labels)
    bench.viewer.add_image(light, name="many light", **labels)
    pick(bench, noisy="many", result="many light")
    evaluated(bench)
    assert bench.layer("many residual").data.shape == (2, 2, 64, 64)


def test_a_layer_that_is_removed_meanwhile_gets_no_residual(bench):
    controls = bench.evaluate.controls
    controls.evaluate.click()
    bench.viewer.layers.remove("cells")
    bench.until(lambda: bench.evaluate._run is None)
    assert "gone" in controls.status.text()
    assert bench.names() == ["light"]
    assert controls.verdict.text()


def test_the_line_shows_both_and_leaves_the_layers_as_they_were(bench, noisy):
    before, controls = state(bench.viewer), bench.evaluate.controls
    controls.swipe.click()
    both = bench.layer(TITLE)
    assert np.allclose(both.scale, SCALE)
    assert tuple(both.contrast_limits) == (10, 110)
    controls.swipe_position.setValue(250)
    QApplication.processEvents()
    shown = both.data[:, :]
    assert (shown[:, :12] == noisy[:, :12]).all()
    assert (shown[:, 16:] == smooth(noisy)[:, 16:]).all()
    assert TITLE not in [
        controls.noisy.itemText(n) for n in range(controls.noisy.count())
    ]
    controls.swipe.click()
    assert state(bench.viewer) == before
    controls.swipe.click()
    bench.viewer.layers.remove("light")
    bench.until(lambda: bench.names() == ["cells"])
    assert not controls.swipe.isChecked()


def test_the_line_is_dragged_on_the_image(bench):
    bench.evaluate.controls.swipe.click()
    both, swipe = bench.layer(TITLE), bench.evaluate._swipe

    def at(column, kind):
        position = (0.108 * 30, 0.108 * column)
        return type("Event", (), {"position": position, "type": kind, "handled": 0})()

    swipe._on_move(None, at(31.5, "mouse_move"))
    camera = getattr(bench.viewer, "scene", bench.viewer).camera
    assert not camera.mouse_pan
    press = at(31.5, "mouse_press")
    drag = swipe._on_drag(None, press)
    next(drag)
    press.type, press.position = "mouse_move", (3.0, 0.108 * 9.5)
    next(drag)
    assert both.data.place == 10
    assert bench.evaluate.controls.swipe_position.value() == round(1000 * 10 / 64)
    swipe._on_move(None, at(50, "mouse_move"))
    assert camera.mouse_pan
    assert not list(swipe._on_drag(None, at(50, "mouse_press")))


def test_what_to_choose_is_told_until_it_is_chosen(open_desk, noisy):
    desk = open_desk()
    desk.viewer.add_image(noisy, name="cells")
    _, dock = desk.viewer.window.add_plugin_dock_widget(
        "napari-selfdenoise", "Evaluate"
    )
    controls = dock.controls
    assert not controls.evaluate.isEnabled() and not controls.about.isHidden()
    assert controls.result.placeholderText() == "none chosen"
    desk.viewer.add_image(smooth(noisy), name="light")
    controls.result.setCurrentText("light")
    assert controls.evaluate.isEnabled() and controls.about.isHidden()


def test_what_was_denoised_is_offered_though_a_reference_is_selected(open_desk, noisy):
    """A newcomer opens the reference last, and then the dock."""
    desk = open_desk()
    cells = desk.viewer.add_image(noisy, name="cells")
    denoised = desk.viewer.add_image(smooth(noisy), name="cells denoised")
    mark = {"source_id": str(cells.unique_id), "layer": "denoised", "run": 1}
    denoised.metadata["selfdenoise"] = mark
    desk.viewer.add_image(smooth(noisy), name="truth")
    _, dock = desk.viewer.window.add_plugin_dock_widget(
        "napari-selfdenoise", "Evaluate"
    )
    assert dock.controls.noisy.currentText() == "cells"
    assert dock.controls.result.currentText() == "cells denoised"
    assert dock.controls.evaluate.isEnabled()


def test_a_key_shows_the_noisy_image_while_it_is_held(bench):
    bench.layer("cells").visible = False
    before, blink = state(bench.viewer), bench.evaluate._blink
    assert blink.bound
    held = blink._while_held(bench.viewer)
    next(held)
    assert bench.layer("cells").visible and not bench.layer("light").visible
    assert not list(held)
    assert state(bench.viewer) == before


def test_intensities_along_a_line_are_in_one_plot(bench, noisy):
    pick(bench, reference="light")
    bench.evaluate.draw_profile()
    line = next(la for la in bench.viewer.layers if isinstance(la, Shapes))
    assert line.mode == "add_line"
    line.add_lines(np.array([[10 * 0.108, 0.0], [10 * 0.108, 20 * 0.108]]))
    plot = bench.evaluate.controls.profile_plot
    bench.until(lambda: plot.series())
    drawn = plot.series()
    assert set(drawn) == {"noisy", "result", "reference"}
    distance, values = drawn["noisy"]
    assert distance[-1] == pytest.approx(20 * 0.108)
    assert values == pytest.approx(noisy[10, :21].astype(float))
    assert "µm" in plot.plot.getAxis("bottom").label.toPlainText()


def a_run(number, **more):
    known = {
        "run": number,
        "source_id": "1",
        "image": "=cells",
        "recipe": "Fast",
        "masking": "Grid",
        "noise_model": "None",
        "seconds": 10.0 * number,
        "steps": 5,
        "config": {},
    }
    return FinishedRun(**known | more)


def test_the_table_of_runs_is_sorted_and_saved(qtbot, tmp_path):
    record = RunRecord()
    table = RunTable(record)
    qtbot.addWidget(table)
    assert not table.save_csv.isEnabled() and "No run" in table.about.text()
    record.add(a_run(1, figures={"PSNR": (9.5, "dB")}))
    record.add(a_run(10, figures={"PSNR": (30.25, "dB")}))
    record.add(a_run(2))
    header = [table.table.horizontalHeaderItem(n).text() for n in range(8)]
    assert header[0] == "Run" and header[-1] == "PSNR (dB)"
    table.table.sortItems(5)  # by time, as numbers
    assert [table.table.item(row, 0).text() for row in range(3)] == ["1", "3", "2"]
    table.save(tmp_path / "runs")
    lines = (tmp_path / "runs.csv").read_text().splitlines()
    assert lines[1] == "1,'=cells,Fast,Grid,None,10.0,5,9.5"
    assert lines[2].endswith(",20.0,5,")
    table.save(tmp_path / "nowhere" / "runs.csv")
    assert "is not there" in table.about.text()
    assert to_csv([]).startswith("Run,Image")


def test_a_run_is_a_row_whose_settings_come_back(bench, tmp_path):
    bench.choose("cells")
    bench.pick(masking="grid")
    bench.train()
    (run,) = record_of(bench.viewer).runs
    assert (run.image, run.steps) == ("cells", 12) and run.seconds > 0
    controls = bench.evaluate.controls
    assert controls.result.currentText() == "cells denoised"  # chosen by itself
    evaluated(bench)
    bench.evaluate.show_runs()
    table = bench.evaluate.runs.table
    names = [table.horizontalHeaderItem(n).text() for n in range(table.columnCount())]
    assert {"Residual over noise", "Held-out bits (bits per pixel)"} <= set(names)
    # The report, and why there is none.
    page = tmp_path / "run"
    bench.widget.save_report(page)
    bench.until(lambda: "Saved" in bench.status())
    text = page.with_suffix(".html").read_text(encoding="utf-8")
    assert text.count("<figure>") == 3 and "What was removed" in text
    bench.widget.save_report(tmp_path / "nowhere" / "run.html")
    bench.until(lambda: "is not there" in bench.status())
    # Other settings, no layers: the row stays, and brings the old ones back.
    before = bench.controls.config()
    bench.choose_recipe("pn2v")
    bench.viewer.layers.clear()
    changed = bench.controls.config()
    assert changed != before
    table.cellDoubleClicked.emit(0, 0)
    back = bench.controls.config()
    assert back.model_dump() == before.model_dump()
    bench.widget.save_report(tmp_path / "later.html")
    bench.until(lambda: (tmp_path / "later.html").exists())
    assert "<figure>" not in (tmp_path / "later.html").read_text(encoding="utf-8")
