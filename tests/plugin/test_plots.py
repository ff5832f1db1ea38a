"""Plots draw what they are given, in the window's colours."""

import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QColor, QWheelEvent
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.plugin.docks import plot_files
from napari_selfdenoise.plugin.docks.plots import (
    LossPlot,
    NoisePlot,
    follow_theme,
)


@pytest.fixture
def loss_plot(qtbot):
    plot = LossPlot()
    qtbot.addWidget(plot)
    plot.show()
    return plot


@pytest.fixture
def noise_plot(qtbot):
    plot = NoisePlot()
    qtbot.addWidget(plot)
    plot.show()
    return plot


def rows(plot):
    return list(csv.reader(io.StringIO(plot.to_csv())))


def background(plot):
    return plot.plot.backgroundBrush().color()


NAN, INF = np.nan, np.inf


@pytest.mark.parametrize(
    "loss",
    [[], [0.5], [NAN], [NAN, NAN], [NAN, 1], [NAN, 1, INF, 2, 3], [INF], [1, 0.5, 2]],
)
def test_loss_of_any_length(loss_plot, qtbot, loss):
    loss_plot.set_history(np.arange(len(loss)), np.array(loss, float))
    qtbot.wait(20)
    assert len(rows(loss_plot)) == len(loss) + 1
    assert np.isfinite(loss_plot.plot.viewRange()).all()


def test_one_point_is_seen(loss_plot):
    loss_plot.set_history([0], [0.5])
    assert loss_plot._curve.opts["symbol"] == "o"
    loss_plot.set_history([0, 1], [0.5, 0.4])
    assert loss_plot._curve.opts["symbol"] is None


def test_nan_is_a_gap(loss_plot, qtbot):
    loss = np.linspace(1, 0, 50)
    loss[10] = np.nan
    loss_plot.set_history(np.arange(50), loss)
    qtbot.wait(20)
    assert "loss,10.0,nan" in loss_plot.to_csv()


def test_csv_has_every_digit(noise_plot):
    signal, std = np.array([0.1, 1 / 3]), np.array([np.pi, 2.0])
    noise_plot.set_curve(signal, std)
    noise_plot.set_scatter([5.0], [6.0])
    head, *body = rows(noise_plot)
    assert head == ["series", "x", "y"]
    assert [name for name, *_ in body] == ["predicted", "predicted", "measured"]
    assert [float(x) for _, x, _ in body] == [*signal, 5.0]
    assert [float(y) for *_, y in body] == [*std, 6.0]


def test_clear_leaves_nothing(noise_plot, qtbot):
    noise_plot.set_curve([1, 2], [3, 4])
    noise_plot.set_scatter([1, np.nan], [3, np.nan])
    qtbot.wait(20)
    noise_plot.clear()
    qtbot.wait(20)
    assert rows(noise_plot) == [["series", "x", "y"]]


def test_the_legend_covers_no_curve(noise_plot, qtbot):
    noise_plot.resize(290, 170)
    noise_plot.show()
    qtbot.waitExposed(noise_plot)
    noise_plot.set_curve([0, 100, 200], [40, 50, 54])
    item = noise_plot.plot.getPlotItem()
    legend, view = (
        part.mapRectToScene(part.boundingRect())
        for part in (noise_plot._legend, item.getViewBox())
    )
    qtbot.waitUntil(lambda: not item.getViewBox().rect().isEmpty())
    assert noise_plot._legend.isVisible() and not legend.intersects(view)
    assert view.left() <= legend.left() and legend.right() <= 290


def test_curve_lies_over_the_points(noise_plot):
    assert noise_plot._curve.zValue() > noise_plot._points.zValue()
    names = [label.text for _, label in noise_plot._legend.items]
    assert names == ["model", "this image"]


def test_axes_are_named_with_units(loss_plot, noise_plot):
    for plot, texts in [
        (loss_plot, ("step", "error (training)")),
        (noise_plot, ("signal (grey values)", "noise (std)")),
    ]:
        axes = [plot.plot.getAxis(side) for side in ("bottom", "left")]
        assert tuple(axis.labelText for axis in axes) == texts
        assert plot.minimumHeight() == 160


def test_a_short_axis_keeps_the_word_that_says_most(noise_plot):
    axis = noise_plot.plot.getAxis("left")
    axis.setLabel("predicted residual (grey values)")
    found = []
    for height in (400, 130, 70, 20):
        axis.resize(40, height)
        found.append(re.sub("<[^>]*>", "", axis.labelString()))
    assert found == [
        "predicted residual (grey values)",
        "predicted residual",
        "predicted",
        "",
    ]


def test_an_empty_plot_says_what_will_come(loss_plot, noise_plot):
    for plot, draw in [
        (loss_plot, lambda: loss_plot.set_history([0, 1], [2, 1])),
        (noise_plot, lambda: noise_plot.set_scatter([5], [1])),
    ]:
        assert plot.promise.isVisible() and plot.promise.text().startswith("Here")
        draw()
        assert not plot.promise.isVisible()
        assert plot.plot.getAxis("left").isVisible()
    noise_plot.clear()
    assert noise_plot.promise.isVisible()


def test_theme_colours_everything(noise_plot):
    noise_plot.apply_theme("#ffffff", "#102030")
    assert background(noise_plot) == QColor("#ffffff")
    for side in ("left", "bottom"):
        axis = noise_plot.plot.getAxis(side)
        assert axis.pen().color() == axis.textPen().color() == QColor("#102030")
    for _, label in noise_plot._legend.items:
        assert "#102030" in label.item.toHtml()


def is_light(plot):
    return background(plot).lightness() > 200


def is_dark(plot):
    return background(plot).lightness() < 60


def test_follows_the_theme_until_it_no_longer_should(loss_plot, noise_plot):
    viewer = ViewerModel()
    viewer.theme = "light"
    stop = follow_theme(viewer, loss_plot, noise_plot)
    assert is_light(loss_plot) and is_light(noise_plot)
    viewer.theme = "dark"
    assert is_dark(loss_plot) and is_dark(noise_plot)
    viewer.theme = "light"
    stop()
    viewer.theme = "dark"
    assert is_light(loss_plot) and is_light(noise_plot)


@pytest.mark.gl
def test_follows_a_real_window(make_napari_viewer):
    viewer = make_napari_viewer()
    plot = LossPlot()
    viewer.window.add_dock_widget(plot, name="Loss")
    stop = follow_theme(viewer, plot)
    assert is_dark(plot)
    viewer.theme = "light"
    assert is_light(plot)
    stop()


def test_double_click_shows_all(loss_plot, qtbot):
    loss_plot.set_history(np.arange(100), np.linspace(1, 0, 100))
    loss_plot.plot.setXRange(10, 20, padding=0)
    viewport = loss_plot.plot.viewport()
    # Qt's mouseDClick does not release the button, and pyqtgraph waits for that.
    for press in (qtbot.mouseClick, qtbot.mouseDClick, qtbot.mouseRelease):
        press(viewport, Qt.MouseButton.LeftButton, pos=viewport.rect().center())
    qtbot.waitUntil(lambda: loss_plot.plot.viewRange()[0][1] > 90)


@pytest.mark.parametrize("ctrl", [False, True])
def test_wheel_zooms_only_with_ctrl(loss_plot, qtbot, ctrl):
    loss_plot.set_history([0, 1], [0, 1])
    qtbot.wait(20)
    before = np.ptp(loss_plot.plot.viewRange()[0])
    viewport = loss_plot.plot.viewport()
    centre = viewport.rect().center()
    modifiers = Qt.KeyboardModifier
    event = QWheelEvent(
        QPointF(centre),
        QPointF(viewport.mapToGlobal(centre)),
        QPoint(),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        modifiers.ControlModifier if ctrl else modifiers.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(viewport, event)
    assert (np.ptp(loss_plot.plot.viewRange()[0]) < before) == ctrl


def test_menu_saves_data_and_picture(loss_plot, tmp_path, monkeypatch):
    loss_plot.set_history([0, 1], [0.5, 0.25])

    def asked(*_):
        return str(tmp_path / "loss"), ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", asked)
    for action in loss_plot.actions():
        action.trigger()
    assert (tmp_path / "loss.csv").read_text() == loss_plot.to_csv()
    for suffix in ("png", "svg", "pdf"):
        assert (tmp_path / f"loss.{suffix}").stat().st_size > 0


FORMATS = {
    "png": (plot_files.save_png, b"\x89PNG"),
    "svg": (plot_files.save_svg, b"<?xml"),
    "pdf": (plot_files.save_pdf, b"%PDF"),
}


@pytest.mark.parametrize("suffix", FORMATS)
def test_pictures_and_drawings_are_written(noise_plot, tmp_path, suffix):
    save, head = FORMATS[suffix]
    path = tmp_path / f"noise.{suffix}"
    noise_plot.set_curve([0, 100, 200], [40, 50, 54])
    save(noise_plot.plot, path)
    curved = path.read_bytes()
    assert curved.startswith(head)
    if suffix == "svg":
        assert b"signal (grey values)" in curved and b"<path" in curved
    noise_plot.set_curve([0, 100, 200], [40, 90, 54])
    save(noise_plot.plot, path)  # in the place of the one before
    assert path.read_bytes() != curved and path.stat().st_size > 2000
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_cannot_be_written_leaves_no_file(noise_plot, tmp_path, suffix):
    save, _ = FORMATS[suffix]
    taken = tmp_path / f"noise.{suffix}"
    taken.mkdir()  # a folder where the file should be
    noise_plot.set_curve([0, 1], [1, 2])
    with pytest.raises(DenoisingError, match="could not be written"):
        save(noise_plot.plot, taken)
    assert list(tmp_path.iterdir()) == [taken]
    with pytest.raises(RequestError, match="is not there"):
        save(noise_plot.plot, tmp_path / "gone" / "noise")
    read_only = Path("/proc")  # even for those who may write everywhere
    if read_only.is_dir():
        with pytest.raises(DenoisingError, match="could not be written"):
            save(noise_plot.plot, read_only / f"noise.{suffix}")
