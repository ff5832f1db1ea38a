"""Noise models are looked at below the image, as a person does it."""

from types import SimpleNamespace

import numpy as np
import pyqtgraph as pg
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QPushButton

from conftest import PLUGIN
from napari_selfdenoise.noise.inspection import measure_pairs, with_measurement
from napari_selfdenoise.parts.noise_models import (
    FittedNoise,
    NoiseCurve,
    PoissonGaussianNoise,
    save_noise_model,
)
from napari_selfdenoise.plugin.noise_model.inspecting import TITLE
from napari_selfdenoise.plugin.viewer.origin import Origin

pytestmark = pytest.mark.gl

GAIN, DARK, READ = 2.0, 100.0, 25.0


def fitted(gain, measured=True):
    line = gain, READ - gain * DARK
    curve = NoiseCurve.line(*line, DARK, 700)
    kind = "poisson_gaussian"
    noise = FittedNoise(kind, PoissonGaussianNoise(), curve, (DARK, 700), line, 5.0)
    if not measured:
        return noise
    rng = np.random.default_rng(0)
    signal = rng.uniform(DARK, 600, 20_000)
    residual = rng.normal(0, np.sqrt(gain * (signal - DARK) + READ))
    return with_measurement(noise, measure_pairs(signal, residual))


class InspectionDesk:
    """A viewer with the Noise model dock, which has a noise model in hand."""

    def __init__(self, qtbot, viewer):
        self.qtbot, self.viewer = qtbot, viewer
        _, self.widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Noise model")
        self.widget._take(fitted(GAIN), None)

    @property
    def panel(self):
        return self.widget.inspector.panel

    def inspect(self):
        self.widget.findChild(QPushButton, "inspect").click()
        self.settle()

    def add(self, path):
        self.widget.inspector.add_file(path)
        self.settle()

    def settle(self):
        inspector = self.widget.inspector
        self.qtbot.waitUntil(lambda: not inspector.busy, timeout=60_000)


@pytest.fixture
def desk(make_napari_viewer, qtbot):
    desk = InspectionDesk(qtbot, make_napari_viewer(show=True))
    desk.inspect()
    return desk


def peak(desk, name="noise model"):
    """Observation at which a density is highest."""
    x, y = desk.panel.density.series()[name]
    return x[np.argmax(y)]


def test_the_model_in_hand_is_shown_with_what_was_measured(desk):
    """Dashed from where the dots end."""
    assert TITLE in desk.viewer.window.dock_widgets
    series = desk.panel.std.series()
    dots, solid, dashed = (
        series[f"poisson gaussian{end}"] for end in (", measured", "", ", not measured")
    )
    drawn = solid[0][np.isfinite(solid[1])]
    assert (drawn.min(), drawn.max()) == (dots[0].min(), dots[0].max())
    beyond = dashed[0][np.isfinite(dashed[1])]
    assert beyond.max() > 700 and drawn.max() in beyond
    styles = {
        item.opts["pen"].style()
        for item in desk.panel.std.plot.listDataItems()
        if item.opts["pen"] is not None
    }
    assert Qt.PenStyle.DashLine in styles and Qt.PenStyle.SolidLine in styles
    desk.inspect()  # once more: the same model is not listed twice
    assert desk.panel.models.count() == 1
    assert desk.panel.predicted.series() and desk.panel.measured.series()
    rows = desk.panel.measured.to_csv().splitlines()
    assert rows[0] == "signal,residual,density" and len(rows) > 1000


def test_two_models_overlaid_and_a_line_that_is_dragged(desk, tmp_path):
    path = save_noise_model(fitted(4 * GAIN, measured=False), tmp_path / "bright")
    desk.add(path)
    names = [desk.panel.models.item(n).text() for n in range(2)]
    assert names == ["poisson gaussian", "bright"]
    series = desk.panel.std.series()
    at = np.searchsorted(series["bright"][0], 500)
    other = np.interp(series["bright"][0][at], *series["poisson gaussian"])
    assert series["bright"][1][at] == pytest.approx(2 * other, rel=0.05)
    assert "bright, measured" not in series  # a file without a measurement
    # The maps are those of the selected model, which was added last.
    assert desk.panel.predicted.series() and not desk.panel.measured.series()
    assert desk.panel.measured.promise.isVisibleTo(desk.panel.measured)
    for signal in (300.0, 550.0):
        desk.panel.std.marker.setValue(signal)
        for name in names:
            assert peak(desk, name) == pytest.approx(signal, abs=1)
        assert desk.panel.caption.text().startswith(f"signal {signal:g}:")
    widths = [np.ptp(desk.panel.density.series()[name][0]) for name in names]
    assert widths[1] == pytest.approx(2 * widths[0], rel=0.05)
    desk.panel.std.marker.setValue(650.0)
    assert "std 33.5 (not measured here)" in desk.panel.caption.text()
    assert "poisson gaussian, measured" not in desk.panel.density.series()
    desk.panel.models.item(0).setCheckState(Qt.CheckState.Unchecked)
    desk.settle()
    assert not any("poisson" in name for name in desk.panel.std.series())
    desk.panel.findChild(QPushButton, "remove_inspected").click()
    desk.settle()
    assert desk.panel.models.count() == 1 and not desk.panel.std.series()


def test_a_band_follows_logarithmic_axes(desk):
    """It lies about the line, and does not reach for what numbers are as exponents."""
    for box in (desk.panel.log_x, desk.panel.log_y):
        box.setChecked(True)
    items = desk.panel.std.plot.getPlotItem().items
    (band,) = (item for item in items if isinstance(item, pg.FillBetweenItem))
    bounds = band.path().boundingRect()
    assert np.log10(50) < bounds.left() and bounds.right() < np.log10(1000)
    assert bounds.bottom() < np.log10(100)
    (steps,) = (
        item
        for item in desk.panel.density.plot.listDataItems()
        if item.opts["stepMode"]
    )
    assert steps.opts["fillLevel"] is None
    desk.panel.log_y.setChecked(False)
    assert steps.opts["fillLevel"] == 0


def test_axes_units_and_the_signal_under_the_mouse(desk):
    desk.panel.log_x.setChecked(True)
    assert desk.panel.std.signal() == pytest.approx(350, abs=10)
    desk.panel.std.marker.setValue(np.log10(500.0))
    assert peak(desk, "poisson gaussian") == pytest.approx(500, abs=1)
    desk.panel.units.setCurrentIndex(1)
    desk.settle()
    signal, std = desk.panel.std.series()["poisson gaussian"]
    at = np.searchsorted(signal, 200)
    assert std[at] == pytest.approx(np.sqrt(signal[at] + READ / GAIN**2), rel=0.05)
    assert desk.panel.std.plot.getAxis("bottom").labelText == "signal (electrons)"
    desk.panel.units.setCurrentIndex(0)
    desk.settle()
    image = np.tile(np.linspace(150, 550, 64, dtype=np.float32), (64, 1))
    desk.viewer.add_image(image, name="cells")
    desk.panel.follow.setChecked(True)
    (callback,) = desk.viewer.mouse_move_callbacks
    for column in (10, 50):
        event = SimpleNamespace(
            position=(20.0, float(column)), view_direction=None, dims_displayed=[0, 1]
        )
        callback(desk.viewer, event)
        wanted = image[20, column]
        desk.qtbot.waitUntil(
            lambda wanted=wanted: abs(peak(desk, "poisson gaussian") - wanted) < 1
        )
        assert desk.panel.caption.text().startswith("under the mouse in cells")
    desk.panel.follow.setChecked(False)
    assert not desk.viewer.mouse_move_callbacks


def test_every_plot_is_saved_in_four_formats(desk, tmp_path, monkeypatch):
    where = {}
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (where["name"], ""))
    menu = desk.panel.save_button.menu()
    assert len(menu.actions()) == len(desk.panel.plots) == 6
    for number, plots in enumerate(menu.actions()):
        where["name"] = str(tmp_path / f"plot{number}")
        for action in plots.menu().actions():
            action.trigger()
    saved = {path.suffix for path in tmp_path.iterdir() if path.stat().st_size > 300}
    assert saved == {".csv", ".png", ".svg", ".pdf"}
    assert len(list(tmp_path.iterdir())) == 24


def test_results_in_the_viewer_are_added_and_the_panel_closes_with_the_dock(desk):
    curve = NoiseCurve.line(3.0, 10.0, 50, 800).to_json()
    for name in ("cells denoised", "cells noise std"):  # of one run
        metadata = {"selfdenoise": {"noise_curves": [curve]}}
        desk.viewer.add_image(np.zeros((8, 8)), name=name, metadata=metadata)
    menu = desk.panel.add_button.menu()
    menu.aboutToShow.emit()
    file, layer = menu.actions()
    assert (file.text(), layer.text()) == ("From a file…", "cells denoised")
    layer.trigger()
    desk.settle()
    assert "cells denoised" in desk.panel.std.series()
    desk.viewer.window.remove_dock_widget(desk.panel)
    desk.inspect()
    assert desk.panel.models.count() == 1 and desk.panel.std.series()
    desk.widget.close_down()
    assert desk.panel is None and TITLE not in desk.viewer.window.dock_widgets


def test_bootstrap_takes_the_last_denoised_layer_of_the_image(desk):
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:96, :96]
    light = 150 + 140 * np.sin(x / 15) * np.cos(y / 19)
    noisy = DARK + light + rng.normal(0, np.sqrt(GAIN * light + READ))
    layer = desk.viewer.add_image(noisy.astype(np.float32), name="cells")
    button = desk.widget.findChild(QPushButton, "bootstrap")
    desk.widget.controls.frames.setCurrentText("cells")
    button.click()
    assert "no denoised layer of cells" in desk.widget.controls.status.text()
    for run, estimator, offset in ((1, "auto", 500), (2, "blind_mean", 0)):
        result = (DARK + light + offset).astype(np.float32)
        origin = Origin("cells", str(layer.unique_id), "denoise", run)
        made = desk.viewer.add_image(result, name=f"cells denoised {run}")
        config = {"estimator": {"kind": estimator}}
        origin.mark(made, "cells denoised", {"config": config})
    desk.widget.controls.frames.setCurrentText("cells")
    button.click()
    desk.qtbot.waitUntil(lambda: desk.widget._run is None, timeout=60_000)
    found = desk.widget.fitted
    assert found.poisson_gaussian[0] == pytest.approx(GAIN, rel=0.15)
    assert found.provenance["signal"] == "cells denoised 2"
    assert "stronger than it is" in desk.widget.controls.findings.text()
    desk.inspect()
    assert "cells poisson gaussian, measured" in desk.panel.std.series()
