"""The Noise model dock as a person uses it."""

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QLabel, QPushButton, QWidget
from superqt.utils import WorkerBase
from window_helpers import colours_around, colours_of

from conftest import PLUGIN, Desk
from napari_selfdenoise.noise.calibration import fit
from napari_selfdenoise.noise.inspection import inspect_fitted
from napari_selfdenoise.parts.noise_models import (
    FittedNoise,
    NoiseCurve,
    PoissonGaussianNoise,
    load_noise_model,
    save_noise_model,
)
from napari_selfdenoise.plugin.viewer.layers import METADATA_KEY

pytestmark = pytest.mark.gl

NAMES = ["frames", "signal", "noise_model", "calibrate", "stop", "save_noise_model"]
NAMES += [
    "bootstrap",
    "inspect",
    "load_noise_model",
    "use_for_denoising",
    "progress",
    "status",
    "noise_plot",
]

GAIN, OFFSET = 2.0, 100.0


class NoiseDesk(Desk):
    """A viewer with the Noise model dock."""

    def __init__(self, qtbot, viewer):
        self.qtbot, self.viewer = qtbot, viewer
        self.dock, self.widget = viewer.window.add_plugin_dock_widget(
            PLUGIN, "Noise model"
        )
        self.controls = self.widget.controls

    def kind(self, kind):
        choice = self.controls.kind
        choice.combo.setCurrentIndex(choice.kinds().index(kind))

    def calibrate(self):
        self.press("calibrate")
        self.finish()


@pytest.fixture
def open_noise_desk(make_napari_viewer, qtbot):
    yield lambda **options: NoiseDesk(qtbot, make_napari_viewer(**options))
    WorkerBase.await_workers(20_000)


@pytest.fixture
def desk(open_noise_desk):
    return open_noise_desk()


@pytest.fixture(scope="session")
def scene():
    """What the frames show, (64, 64)."""
    y, x = np.mgrid[:64, :64]
    return OFFSET + 300 + 250 * np.sin(x / 7) * np.cos(y / 9)


@pytest.fixture(scope="session")
def frames(scene):
    """Frames with variance = 2 (signal - 100) + 25, (12, 64, 64) uint16."""
    luck = np.random.default_rng(2)
    shot = GAIN * luck.poisson((scene - OFFSET) / GAIN, (12, *scene.shape))
    return np.rint(OFFSET + shot + luck.normal(0, 5, shot.shape)).astype(np.uint16)


def findings(desk):
    return desk.controls.findings.text()


def test_story(open_noise_desk, frames, tmp_path, monkeypatch):
    """Calibrate a stack, save it, train with it."""
    desk = open_noise_desk(show=True)
    desk.viewer.add_image(frames, name="camera", axis_labels=("t", "y", "x"))
    assert "12 time points" in desk.controls.axes.text()
    desk.kind("histogram")
    desk.calibrate()
    fitted = desk.widget.fitted
    a, b = fitted.poisson_gaussian
    assert a == pytest.approx(GAIN, rel=0.1)
    assert b == pytest.approx(25 - GAIN * OFFSET, rel=0.3)
    for said in (f"a = {a:.4g}", f"b = {b:.4g}", f"{fitted.bits_per_pixel:.3f} bits"):
        assert said in findings(desk)
    curve, dots = (
        desk.controls.noise_plot.series()[n] for n in ("predicted", "measured")
    )
    np.testing.assert_array_equal(curve[1], fitted.curve.std)
    truth = np.sqrt(GAIN * (dots[0] - OFFSET) + 25)
    np.testing.assert_allclose(dots[1], truth, rtol=0.25)
    layer = desk.layer("camera noise distribution")
    assert not layer.visible and layer.axis_labels == ("y", "x")
    assert layer.metadata[METADATA_KEY]["noise_curves"] == [fitted.curve.to_json()]

    path = tmp_path / "camera.noise.json"
    asked = []
    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", lambda *a: asked.append(a[2]) or (str(path), "")
    )
    desk.press("use_for_denoising")
    assert asked == ["camera.noise.json"] and path.is_file()
    other = Desk(desk.qtbot, desk.viewer)  # the dock that was opened
    assert other.controls.config().noise_model.file == path
    assert other.status() == "The next training uses the noise model camera.noise.json."
    other.choose("camera")
    other.train()
    made = desk.layer("camera denoised").metadata[METADATA_KEY]
    assert made["config"]["noise_model"]["file"] == str(path)
    desk.press("use_for_denoising")  # saved already: nothing is asked
    assert len(asked) == 1


def test_every_control_has_its_name_and_each_state_its_buttons(
    desk, frames, monkeypatch
):
    for name in NAMES:
        assert desk.widget.findChild(QWidget, name) is not None, name

    def enabled():
        buttons = desk.widget.findChildren(QPushButton)
        return {b.objectName() for b in buttons if b.isEnabled() and b.objectName()}

    assert enabled() == {"load_noise_model", "inspect"}
    desk.viewer.add_image(frames, name="camera")
    assert enabled() == {"calibrate", "bootstrap", "load_noise_model", "inspect"}
    desk.kind("network")
    with monkeypatch.context() as patch:
        patch.setattr(fit, "_STEPS", 100_000)  # not over before the stop
        desk.press("calibrate")
        assert enabled() == {"stop", "inspect"}
        desk.press("stop")
        desk.finish()
    assert desk.status() == "Stopped: nothing was measured."
    assert enabled() == {"calibrate", "bootstrap", "load_noise_model", "inspect"}
    desk.kind("gaussian")
    desk.calibrate()
    assert enabled() == {
        "bootstrap",
        "calibrate",
        "inspect",
        "save_noise_model",
        "load_noise_model",
        "use_for_denoising",
    }


def test_kinds_are_those_that_can_be_measured(desk):
    kinds = desk.controls.kind.kinds()
    assert {"histogram", "gaussian_mixture", "poisson_gaussian", "gaussian"} < set(
        kinds
    )
    assert not {"unmodelled", "file"} & set(kinds)
    desk.kind("poisson_gaussian")
    assert not desk.controls.kind.has_fields()  # they are of trainings


def test_a_measurement_replaces_the_one_before(desk, frames):
    """But what was renamed is the user's."""
    desk.viewer.add_image(frames, name="camera", axis_labels=("t", "y", "x"))
    for _ in range(2):
        desk.calibrate()
    assert desk.names() == ["camera", "camera noise distribution"]
    desk.viewer.layers[1].name = "mine"
    desk.viewer.layers.selection = set(desk.viewer.layers)
    desk.calibrate()
    assert sorted(desk.names()) == ["camera", "camera noise distribution", "mine"]
    selected = {layer.name for layer in desk.viewer.layers.selection}
    assert selected == {"camera", "mine"}


def test_another_layer_is_the_signal(desk, frames, scene):
    desk.viewer.add_image(frames, name="camera")
    desk.viewer.add_image(scene.astype(np.float32), name="truth")
    desk.controls.frames.setCurrentText("camera")
    desk.controls.signal.setCurrentText("truth")
    desk.calibrate()
    assert desk.widget.fitted.provenance["signal"] == "truth"
    assert desk.widget.fitted.poisson_gaussian[0] == pytest.approx(GAIN, rel=0.1)
    signal, std = desk.controls.noise_plot.series()["measured"]
    np.testing.assert_allclose(std, np.sqrt(GAIN * (signal - 100) + 25), rtol=0.25)
    desk.viewer.layers.remove("truth")
    assert desk.controls.signal.currentText() == "mean of the frames"


def test_one_frame_is_refused(desk, frames):
    desk.viewer.add_image(frames[0], name="one")
    desk.press("calibrate")
    desk.finish()
    assert "two or more frames" in desk.status()
    assert desk.names() == ["one"] and desk.widget.fitted is None


def test_frames_without_noise_are_told(desk):
    desk.viewer.add_image(np.full((3, 64, 64), 7, np.uint8), contrast_limits=(0, 9))
    desk.calibrate()
    assert "there is no noise in them" in findings(desk)
    assert len(desk.names()) == 1  # with nothing to show


def test_warnings_are_shown(desk, frames):
    clipped = np.minimum(frames, 500)
    desk.viewer.add_image(clipped, name="camera")
    desk.calibrate()
    (warning,) = [w for w in desk.widget.fitted.warnings if "clipped" in w]
    assert warning in findings(desk)


def test_findings_show_gain_and_warnings_and_fold_the_formula(open_noise_desk, frames):
    desk = open_noise_desk(show=True)
    shown, details = desk.controls.findings, desk.controls.findings.details
    assert not details.isVisible()
    desk.viewer.add_image(frames, name="camera")
    desk.calibrate()
    desk.until(details.isVisible)
    gain = desk.widget.fitted.poisson_gaussian[0]
    assert QLabel.text(shown) == f"Camera gain about {gain:.3g} grey values per photon."
    assert (
        QLabel.text(shown) == shown.shown()
    )  # folded on purpose, not for lack of room
    desk.qtbot.mouseClick(details, Qt.MouseButton.LeftButton)
    assert "Noise variance ≈ a · signal + b" in QLabel.text(shown)
    assert "bits per pixel" in QLabel.text(shown)
    desk.viewer.layers[0].data = np.minimum(frames, 500)
    desk.calibrate()
    details.setChecked(False)
    assert QLabel.text(shown).startswith("Noise of bright pixels is underestimated")


def test_saved_and_loaded_elsewhere(open_noise_desk, frames, tmp_path):
    desk, path = open_noise_desk(), tmp_path / "camera.noise.json"
    desk.viewer.add_image(frames, name="camera")
    desk.calibrate()
    assert desk.widget.save(path) and desk.status() == f"Saved {path}"
    other = open_noise_desk()
    assert other.drop(path)
    other.finish()
    assert other.status() == "Loaded a noise model of camera."
    assert findings(other) == findings(desk)
    curve = other.controls.noise_plot.series()["predicted"]
    np.testing.assert_array_equal(curve[1], load_noise_model(path).curve.std)
    assert not other.names()


def test_dropped_files(desk, frames, tmp_path):
    tifffile.imwrite(tmp_path / "camera.tif", frames)
    (tmp_path / "bad.noise.json").write_text("{}")
    (tmp_path / "notes.json").write_text("{}")
    assert desk.drop(tmp_path / "notes.json")
    assert desk.status().startswith("notes.json is no file that can be opened here")
    assert desk.drop(tmp_path / "camera.tif")
    desk.until(lambda: desk.controls.frames.currentText() == "camera")
    assert desk.drop(tmp_path / "bad.noise.json")
    desk.until(lambda: "is not a noise model" in desk.status())
    assert desk.widget.fitted is None


def test_a_noise_model_dropped_on_denoise_is_used(qtbot, make_napari_viewer, tmp_path):
    desk = Desk(qtbot, make_napari_viewer())
    curve = NoiseCurve.line(1.0, 0.0, 20.0, 150.0, 1.0)
    fitted = FittedNoise(
        "poisson_gaussian", PoissonGaussianNoise(), curve, (20, 150), (1, 0), 5, {}, []
    )
    path = save_noise_model(fitted, tmp_path / "camera.noise.json")
    desk.choose_recipe("n2v")
    assert desk.drop(path)
    assert desk.controls.config().noise_model.file == path
    desk.choose_recipe("pn2v")
    assert desk.drop(path)
    assert "camera.noise.json" in desk.status()


def test_cancelled_dialogs_change_nothing(desk, frames, monkeypatch):
    for name in ("getSaveFileName", "getOpenFileName"):
        monkeypatch.setattr(QFileDialog, name, lambda *_: ("", ""))
    desk.viewer.add_image(frames, name="camera")
    desk.calibrate()
    before = desk.status(), desk.widget.fitted
    for name in ("save_noise_model", "load_noise_model", "use_for_denoising"):
        desk.press(name)
    assert (desk.status(), desk.widget.fitted) == before
    assert len(desk.viewer.window.dock_widgets) == 1


def test_a_folder_that_is_gone_is_told(desk, frames, tmp_path):
    desk.viewer.add_image(frames, name="camera")
    desk.calibrate()
    assert not desk.widget.save(tmp_path / "gone" / "camera.noise.json")
    assert "is not there" in desk.status()


@pytest.mark.parametrize("close", ["dock", "napari"])
def test_closing_ends_the_worker(open_noise_desk, frames, qtbot, monkeypatch, close):
    desk = open_noise_desk(show=True)
    desk.viewer.add_image(np.tile(frames, (1, 4, 4)), name="camera")
    desk.kind("network")
    monkeypatch.setattr(fit, "_STEPS", 10_000)  # not over before the window is
    desk.press("calibrate")
    desk.until(lambda: desk.controls.progress.value() > 500)
    if close == "napari":
        desk.viewer.close()
    else:
        desk.dock.findChild(QPushButton, "QTitleBarCloseButton").click()
    qtbot.waitUntil(lambda: not WorkerBase._worker_set, timeout=10_000)
    qtbot.wait(50)


def test_the_frames_may_go_while_they_are_measured(desk, frames):
    desk.viewer.add_image(frames, name="camera")
    desk.kind("gaussian_mixture")
    desk.press("calibrate")
    desk.viewer.layers.clear()
    desk.finish()
    assert desk.widget.fitted is not None


def test_docks_share_their_place(open_desk, qtbot):
    desk = open_desk(show=True)
    dock, widget = desk.viewer.window.add_plugin_dock_widget(PLUGIN, "Noise model")
    main = widget.window()
    qtbot.waitUntil(lambda: bool(main.tabifiedDockWidgets(dock)))
    assert main.tabifiedDockWidgets(dock) == [desk.dock]


def test_the_plot_has_the_colours_of_the_dock_around_it(desk):
    for theme in ("light", "dark"):
        desk.viewer.theme = theme
        around = colours_around(desk.controls.widget())
        assert colours_of(desk.controls.noise_plot) == around


def test_kinds_are_compared_in_a_table_and_notes_go_into_the_file(
    desk, frames, tmp_path
):
    desk.viewer.add_image(frames, name="camera")
    desk.viewer.add_image(frames.mean(0), name="mean")
    controls = desk.controls
    comparing, box = controls.comparing, controls.comparing.wanted
    controls.frames.setCurrentText("camera")
    controls.signal.setCurrentText("mean")
    assert not box.isEnabled() and "mean of the frames" in box.toolTip()
    controls.signal.setCurrentIndex(0)
    assert box.isEnabled() and comparing.table.isHidden()
    box.click()
    desk.calibrate()
    table = comparing.table
    rows = [[table.item(r, c).text() for c in range(4)] for r in range(3)]
    best = next(n for n, row in enumerate(rows) if row[0].endswith(": best"))
    # Made of shot and read noise: nothing that is more flexible explains it better.
    assert rows[best][0].startswith("Shot and read noise")
    assert desk.widget.fitted.kind == "poisson_gaussian"
    assert inspect_fitted("camera", desk.widget.fitted).measured is not None
    assert "the best is selected" in desk.status()
    other = next(n for n, row in enumerate(rows) if row[0].startswith("Histogram"))
    table.selectRow(other)
    assert desk.widget.fitted.kind == "histogram"
    assert desk.layer("camera noise distribution") is not None
    for field, text in zip(("camera", "date", "conditions"), "abc", strict=True):
        getattr(controls.notes, field).setText(text)
    assert desk.widget.save(tmp_path / "camera.noise.json")
    noted = load_noise_model(tmp_path / "camera.noise.json").notes
    assert noted == {"camera": "a", "date": "b", "conditions": "c"}
    box.click()
    desk.calibrate()
    assert comparing.table.isHidden()
