"""Panels below the image, and texts that are longer than there is room for."""

import numpy as np
import pytest
from qtpy.QtWidgets import QComboBox, QMainWindow

from napari_selfdenoise.evaluation import Figure
from napari_selfdenoise.evaluation.figures import STEIN_ERROR
from napari_selfdenoise.noise.calibration import Compared, Comparison
from napari_selfdenoise.parts.noise_models import load_noise_model
from napari_selfdenoise.plugin.denoise.diagnosis_table import DiagnosisTable
from napari_selfdenoise.plugin.docks.places import BelowImage, dock_of, place_below
from napari_selfdenoise.plugin.docks.run_record import record_of
from napari_selfdenoise.plugin.evaluate.figure_table import FigureTable
from napari_selfdenoise.plugin.evaluate.plots import ProfilePlot
from napari_selfdenoise.plugin.evaluate.run_table import RunTable
from napari_selfdenoise.plugin.forms.eliding import Eliding, shown_text
from napari_selfdenoise.plugin.noise_model.comparing import Comparing
from napari_selfdenoise.plugin.noise_model.inspection_panel import InspectionPanel

pytestmark = pytest.mark.gl

LOW_WINDOW = 1100, 700
TITLES = ("Diagnosis", "Runs", "Noise inspection")


def panels(viewer):
    return DiagnosisTable(), RunTable(record_of(viewer)), InspectionPanel()


def tabs(panel):
    """Titles of the docks that a panel shares its place with, its own included."""
    dock = dock_of(panel)
    others = panel.window().tabifiedDockWidgets(dock)
    return {one.windowTitle() for one in (dock, *others)}


def test_panels_below_the_image_are_tabs_and_leave_a_low_window_low(
    make_napari_viewer, qtbot
):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(*LOW_WINDOW)
    viewer.add_image(np.zeros((32, 32)))
    for panel, title in zip(panels(viewer), TITLES, strict=True):
        place_below(viewer, panel, title)
        qtbot.wait(50)
        assert not panel.visibleRegion().isEmpty(), title  # in front
    assert tabs(panel) == set(TITLES)
    window = panel.window()
    assert window.width() == LOW_WINDOW[0]
    assert window.height() < LOW_WINDOW[1] + 25


@pytest.mark.parametrize("gone", ["floats", "removed", "closed", "deleted"])
def test_a_panel_is_no_tab_of_one_that_is_gone(make_napari_viewer, qtbot, gone):
    viewer = make_napari_viewer(show=True)
    first, second = BelowImage(), BelowImage()
    dock = place_below(viewer, first, "first")
    qtbot.wait(50)
    if gone == "floats":
        dock.setFloating(True)
    elif gone == "closed":
        dock.destroyOnClose()
    else:
        viewer.window.remove_dock_widget(dock)
    if gone == "deleted":
        qtbot.wait(50)
    place_below(viewer, second, "second")
    qtbot.wait(50)
    assert isinstance(second.window(), QMainWindow) and not second.isHidden()
    assert tabs(second) == {"second"}
    third = BelowImage()
    place_below(viewer, third, "third")
    assert tabs(third) == {"second", "third"}


def test_the_name_of_an_axis_is_shortened_before_it_is_cut(qtbot):
    plot = ProfilePlot()
    qtbot.addWidget(plot)
    plot.plot.setLabels(left="residual (grey values)")
    axis = plot.plot.getAxis("left")
    axis.label.setVisible(True)
    for height, name in ((400, "residual (grey values)"), (90, "residual"), (20, "")):
        axis.resize(40, height)
        axis.resizeEvent()
        assert axis.label.toPlainText().strip() == name
    plot.apply_theme("#ffffff", "#123456")
    axis.resize(40, 400)
    assert "#123456" in axis.labelString()


def test_a_long_choice_ends_in_dots_and_is_whole_as_a_tooltip(qtbot):
    combo = QComboBox()
    qtbot.addWidget(combo)
    Eliding(combo)
    combo.addItems(["fish", "average of 50 frames of the same field of view"])
    combo.setFixedWidth(160)
    combo.show()
    assert shown_text(combo) == "fish"
    combo.setCurrentIndex(1)
    assert shown_text(combo).startswith("average") and shown_text(combo).endswith("…")
    assert not combo.grab().isNull()


@pytest.mark.parametrize("width", [262, 500])
def test_figures_wrap_and_are_never_cut(qtbot, width):
    table = FigureTable()
    qtbot.addWidget(table)
    table.resize(width, 100)
    table.show()
    table.show_figures([Figure(STEIN_ERROR, 1234.5, "A reason.", error=0.123)])
    item = table.item(0, 1)
    assert item.text() in item.toolTip() and "A reason." in item.toolTip()
    assert table.columnWidth(0) + table.columnWidth(1) <= table.viewport().width()
    needed = table.fontMetrics().horizontalAdvance(item.text())
    lines = 1 if table.columnWidth(1) > needed else 2
    assert table.rowHeight(0) >= lines * table.fontMetrics().height()


def test_the_comparison_of_kinds_is_as_wide_as_a_dock(qtbot, noise_file):
    fitted = load_noise_model(noise_file)
    best = Compared(fitted, 7.1, 0.0, 0.0, 0.0, 2)
    other = Compared(fitted, 7.2, 0.1, 0.01, 9e6, 90)
    comparing = Comparing()
    qtbot.addWidget(comparing)
    comparing.resize(262, 400)
    comparing.show()
    comparing.show_comparison(Comparison((best, other), best, None, 100))
    table = comparing.table
    used = sum(table.columnWidth(column) for column in range(4))
    assert used <= table.viewport().width()
    assert table.columnWidth(0) > 50
    assert not table.horizontalScrollBar().isVisible()
    assert table.item(1, 2).text().split("\n") == ["0.1000", "± 0.0100"]
