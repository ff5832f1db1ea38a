"""A dock in a real viewer, and what a person does to it."""

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kept_viewer import KeptViewer
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QPushButton
from superqt.utils import WorkerBase

from napari_selfdenoise.model import library
from napari_selfdenoise.noise.calibration import fit
from napari_selfdenoise.parts.noise_models import (
    FittedNoise,
    NoiseCurve,
    PoissonGaussianNoise,
    save_noise_model,
)
from napari_selfdenoise.plugin.denoise import forecast
from napari_selfdenoise.plugin.denoise.widget import DenoiseWidget
from napari_selfdenoise.plugin.docks.dock import ignore
from napari_selfdenoise.training import interrupted, training_loop

# The first optimiser of a process imports for seconds: no test is to wait for it.
importlib.import_module("torch._dynamo")
# Docks open at once where they are imported already, as all but a test's first.
importlib.import_module("napari_selfdenoise.plugin.noise_model.widget")

PLUGIN = "napari-selfdenoise"
UNTIL_I_STOP = "until I stop"
PATIENCE_MS = 60_000


@pytest.fixture(autouse=True)
def no_worker_stays() -> Iterator[None]:
    """Nothing computes when a test is over."""
    yield
    WorkerBase.await_workers(20_000)
    QApplication.processEvents()
    assert not WorkerBase._worker_set


@pytest.fixture(autouse=True)
def short_settling(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window does the same, however well the noise was measured."""
    monkeypatch.setattr(fit, "_STEPS", 200)
    for effort in ("THOROUGH", "BRIEF"):
        monkeypatch.setattr(training_loop, effort, training_loop.Effort(1e8, 10))


@pytest.fixture(autouse=True)
def no_forecast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is tried out that no test asks for: two cores are few."""
    monkeypatch.setattr(forecast, "WAIT_MS", 10**8)


@pytest.fixture(autouse=True)
def checkpoints(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Trainings keep what they need to go on in a folder of the test."""
    monkeypatch.setenv(library.ELSEWHERE, str(tmp_path / "collection"))
    folder = tmp_path / "checkpoints"
    monkeypatch.setenv(interrupted.ELSEWHERE, str(folder))
    return folder


class Desk:
    """A viewer with the dock, and the hands of the person before it."""

    def __init__(self, qtbot: Any, viewer: Any) -> None:
        self.qtbot, self.viewer = qtbot, viewer
        self.dock, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Denoise")
        self.widget: DenoiseWidget = widget
        self.controls = widget.controls
        self.hurry(steps=12)

    def hurry(self, steps: int | None) -> None:
        """Set the form to the smallest training; None lasts for the budget."""
        values = {"network.width": 8, "network.depth": 1, "patch_size": 32}
        values |= {"batch_size": 2, "precision": "float32", "flips": False}
        for name, value in (values | {"steps": steps}).items():
            self.controls.advanced.editor(name).value = value
        if steps is not None:  # a time budget would end it by the clock
            self.controls.budget.setCurrentText(UNTIL_I_STOP)
        self.controls.device.setCurrentIndex(self.controls.device.findData("cpu"))

    def choices(self, part: str) -> Any:
        """The editor of a choice such as "psf" or "objective"."""
        parts = "masking", "noise_model", "context", "channels", "psf", "estimator"
        if part in parts:
            return self.controls.part(part)
        return self.controls.advanced.editor(part)

    def item(self, part: str, kind: str) -> Any:
        """One item of a choice, once the window has greyed out what it must."""
        QApplication.processEvents()
        editor = self.choices(part)
        kinds = editor.kinds() if hasattr(editor, "kinds") else editor.options
        combo = getattr(editor, "combo", editor)
        return combo.model().item(kinds.index(kind))

    def pick(self, **kinds: str) -> None:
        """Choose what is not greyed out, in this order."""
        for part, kind in kinds.items():
            item = self.item(part, kind)
            assert item.isEnabled(), item.toolTip()
            editor = self.choices(part)
            getattr(editor, "combo", editor).setCurrentIndex(item.row())

    def why_not(self, part: str, kind: str) -> str:
        """What the tooltip of a greyed item says; nothing where it can be chosen."""
        item = self.item(part, kind)
        return "" if item.isEnabled() else " ".join(item.toolTip().split())

    def take(self, field: str, layer: str) -> None:
        """Take a field from a layer, by the menu beside it."""
        button = self.widget.findChild(QPushButton, f"{field}.taken")
        button.menu().aboutToShow.emit()
        (action,) = (a for a in button.menu().actions() if a.text() == layer)
        action.trigger()

    def endless(self) -> None:
        """Set the form to train until Stop."""
        self.hurry(steps=None)
        self.controls.budget.setCurrentText(UNTIL_I_STOP)

    def button(self, name: str) -> QPushButton:
        """Find a button as an assistive tool does."""
        found = self.widget.findChild(QPushButton, name)
        assert found is not None, name
        return found

    def press(self, name: str) -> None:
        """Press a button that can be pressed."""
        button = self.button(name)
        assert button.isEnabled(), name
        if button.isVisible():
            self.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        else:
            button.click()

    def begin(self) -> None:
        """Press Train and wait until it trains."""
        self.press("train")
        self.until(lambda: len(self.controls.loss_plot.series()["loss"][0]) > 1)

    def finish(self) -> None:
        """Wait for the end of what is going on."""
        self.until(lambda: not self.button("stop").isEnabled())

    def train(self) -> None:
        """Train on the chosen layer, to the last layer of results."""
        self.press("train")
        self.finish()

    def choose(self, name: str) -> None:
        """Choose a layer by its name."""
        self.controls.layer.setCurrentText(name)
        assert self.controls.layer.currentText() == name

    def choose_recipe(self, name: str) -> None:
        """Choose a recipe by its key, such as "pn2v"."""
        recipe = self.controls.recipe
        recipe.setCurrentIndex(recipe.findData(name))
        assert recipe.currentData() == name

    def is_narrow(self) -> bool:
        """Whether nothing is cut on the dock, and the image has its room."""
        inside = self.controls.viewport().width()
        return self.controls.widget().width() <= inside <= self.widget.width() <= 300

    def until(self, truth: Callable[[], Any]) -> None:
        self.qtbot.waitUntil(lambda: bool(truth()), timeout=PATIENCE_MS)

    def layer(self, name: str) -> Any:
        return self.viewer.layers[name]

    def names(self) -> list[str]:
        return [layer.name for layer in self.viewer.layers]

    def status(self) -> str:
        return str(self.controls.status.text())

    def drop(self, *paths: Any, on: Any = None) -> bool:
        """Drag files over the dock and let go, if it will have them."""
        mime, none = QMimeData(), Qt.KeyboardModifier.NoModifier
        mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
        target = on or self.widget
        action, left = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton
        enter = QDragEnterEvent(QPoint(5, 5), action, mime, left, none)
        QApplication.sendEvent(target, enter)
        if enter.isAccepted():
            drop = QDropEvent(QPointF(5, 5), action, mime, left, none)
            QApplication.sendEvent(target, drop)
        return enter.isAccepted()


@pytest.fixture(scope="session")
def kept_viewer() -> Iterator[KeptViewer]:
    """A viewer for the tests that do not look at the viewer itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari._qt.threads.status_checker.StatusChecker.start", ignore)
        # Older versions of napari have no such warning.
        warning = "napari._qt.qt_main_window.SHOW_QT_WARNING"
        patch.setattr(warning, False, raising=False)
        kept = KeptViewer()
        yield kept
        kept.close()


@pytest.fixture
def no_kept_viewer(kept_viewer: KeptViewer) -> None:
    """No viewer is open: napari's own fixture insists on that."""
    kept_viewer.close()


@pytest.fixture
def make_napari_viewer(no_kept_viewer: None, make_napari_viewer: Any) -> Any:
    """Open viewers of this test alone, which are closed and looked for afterwards."""
    return make_napari_viewer


@pytest.fixture
def open_desk(make_napari_viewer: Any, qtbot: Any) -> Iterator[Callable[..., Desk]]:
    """Open a viewer with the dock; `show=True` where pixels on screen matter."""

    def make(**options: Any) -> Desk:
        return Desk(qtbot, make_napari_viewer(**options))

    yield make
    let_workers_end()


@pytest.fixture
def desk(kept_viewer: KeptViewer, qtbot: Any) -> Iterator[Desk]:
    """The dock in a viewer that was cleared."""
    with kept_viewer.lent() as viewer:
        yield Desk(qtbot, viewer)
        let_workers_end()


def let_workers_end() -> None:
    """Wait for what runs on, before the viewer goes that it would hold."""
    WorkerBase.await_workers(20_000)
    QApplication.processEvents()


@pytest.fixture(scope="session")
def noisy() -> np.ndarray:
    """Blobs under Poisson noise, (64, 64) uint16."""
    y, x = np.mgrid[:64, :64]
    light = 60 + 50 * np.sin(x / 7) * np.cos(y / 9)
    return np.random.default_rng(1).poisson(light).astype(np.uint16)


@pytest.fixture
def noise_file(tmp_path: Path) -> Path:
    """A noise model as a file."""
    curve = NoiseCurve.line(1.0, 0.0, 20.0, 150.0, 1.0)
    fitted = FittedNoise(
        "poisson_gaussian", PoissonGaussianNoise(), curve, (20, 150), (1, 0), 5, {}, []
    )
    return save_noise_model(fitted, tmp_path / "camera.noise.json")
