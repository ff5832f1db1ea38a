"""Pictures of every screen in a napari window of 1100 x 700 px, in both themes.

Run as ``python scripts/small_window_screenshots.py OUT``; without a screen, put
``xvfb-run -s "-screen 0 1100x700x24"`` before it. Takes some minutes. A part of the
shipped image is opened, diagnosed, denoised, probed and evaluated, and the noise of
simulated frames is measured, so that each dock and panel is there once with content.
Names after OUT make the pictures of some parts alone: ``denoise``, ``evaluate``,
``noise``.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import noise_dock_screenshots as docks
import numpy as np
from noise_plot_pictures import healthy
from probe_screenshots import point
from window_screenshots import reduce_colours, take, wait

docks.WINDOW = 1100, 700
STEPS = 60
PARTS_OF_PROBE = {
    "signal": "mixture",
    "noise_model": "poisson_gaussian",
    "objective": "likelihood",
}


def shot(viewer: Any, folder: Path, name: str) -> None:
    """Take a picture of the whole window in both themes."""
    docks.both(viewer, lambda name: take(viewer, folder / name), name)


def photograph_denoise(viewer: Any, folder: Path) -> None:
    """All states of the Denoise dock."""
    noisy, _ = docks._pixels()
    layer = viewer.add_image(noisy, name="fish", **docks.IN_UM)
    dock = docks.open_dock(viewer, "Denoise")
    controls = dock.controls
    wait(controls.train.isEnabled, 60)
    wait(lambda: False, 4)
    shot(viewer, folder, "denoise-1-opened")
    controls.diagnose.click()
    wait(lambda: dock._diagnoser.table is not None, 60)
    shot(viewer, folder, "denoise-2-diagnosis")
    panel = docks.docked(dock._diagnoser.table)
    panel.hide()
    _unfold(controls)
    for share, name in ((0.45, "method"), (0.75, "corrections"), (1.0, "advanced")):
        bar = controls.verticalScrollBar()
        bar.setValue(round(share * bar.maximum()))
        shot(viewer, folder, f"denoise-3-{name}")
    for section in _sections(controls):
        section.collapse(False)
    controls.verticalScrollBar().setValue(0)
    _train_with_curves(dock)
    wait(lambda: len(controls.loss_plot.series()["loss"][0]) > 3, 60)
    shot(viewer, folder, "denoise-4-learning")
    wait(lambda: not controls.stop.isEnabled(), 300)
    wait(lambda: False, 1)
    take(viewer, folder / "denoise-5-done-with-note.png")
    shot(viewer, folder, "denoise-5-done")
    controls.status.details.click()
    shot(viewer, folder, "denoise-6-details")
    controls.status.details.click()
    point(viewer, dock, layer)
    shot(viewer, folder, "denoise-7-probe")
    controls.probe.box.click()
    for theme in docks.THEMES:
        viewer.theme = theme
        _menu(controls.model_menu, folder / f"denoise-8-menu-{theme}.png")
    controls.doubt.click()
    wait(lambda: "fish where not to trust" in viewer.layers, 300)
    wait(lambda: False, 1)
    shot(viewer, folder, "denoise-9-where-not-to-trust")


def photograph_evaluate(viewer: Any, folder: Path) -> None:
    """The Evaluate dock, its runs, its swipe line and its profile."""
    noisy, average = docks._pixels()
    viewer.add_image(average, name="average", visible=False, **docks.IN_UM)
    viewer.add_image(noisy, name="fish", **docks.IN_UM)
    denoise = docks.open_dock(viewer, "Denoise")
    evaluate = docks.open_dock(viewer, "Evaluate")
    shot(viewer, folder, "evaluate-1-opened")
    docks.front(denoise)
    docks.train(denoise, STEPS)
    docks.measure(evaluate, "fish denoised", "average")
    shot(viewer, folder, "evaluate-2-measured")
    bar = evaluate.controls.verticalScrollBar()
    bar.setValue(bar.maximum())
    shot(viewer, folder, "evaluate-3-plots")
    bar.setValue(0)
    evaluate.controls.show_runs.click()
    shot(viewer, folder, "evaluate-4-runs")
    docks.docked(evaluate.runs).hide()
    viewer.layers["fish residual"].visible = False
    evaluate.controls.swipe.click()
    shot(viewer, folder, "evaluate-5-swipe")
    evaluate.controls.swipe.click()
    docks.draw_line(evaluate)
    bar.setValue(bar.maximum())
    shot(viewer, folder, "evaluate-6-profile")


def photograph_noise(viewer: Any, folder: Path) -> None:
    """The Noise model dock, and the panel that shows noise models."""
    frames = healthy().frames[
        : docks.CAMERA_FRAMES, : docks.CAMERA_PX, : docks.CAMERA_PX
    ]
    viewer.add_image(frames.astype(np.uint16), name="camera", axis_labels=tuple("tyx"))
    noise = docks.open_dock(viewer, "Noise model")
    shot(viewer, folder, "noise-1-opened")
    controls = noise.controls
    controls.comparing.wanted.setChecked(True)
    controls.calibrate.click()
    wait(lambda: not controls.stop.isEnabled(), 500)
    wait(lambda: False, 1)
    shot(viewer, folder, "noise-2-compared")
    bar = controls.verticalScrollBar()
    bar.setValue(bar.maximum())
    shot(viewer, folder, "noise-3-findings")
    controls.inspect.click()
    wait(lambda: not noise.inspector.busy, 60)
    panel = noise.inspector.panel
    for page, name in enumerate(("curve", "shape", "maps")):
        panel.views.setCurrentIndex(page)
        shot(viewer, folder, f"noise-4-inspect-{name}")


def _sections(controls: Any) -> list[Any]:
    from superqt import QCollapsible

    return [
        controls.findChild(QCollapsible, name)
        for name in ("method", "corrections", "advanced")
    ]


def _unfold(controls: Any) -> None:
    for section in _sections(controls):
        section.expand(False)
    wait(lambda: False, 0.5)


def _train_with_curves(dock: Any) -> None:
    """Train with a signal head that the pixel probe can draw."""
    controls = dock.controls
    settings = docks.TRAINING | PARTS_OF_PROBE | {"steps": STEPS}
    controls.apply(settings)
    controls.budget.setCurrentText("until I stop")
    wait(controls.train.isEnabled, 60)
    controls.train.click()


def _menu(button: Any, path: Path) -> None:
    """Open the menu of a button, and take a picture of the screen with it."""
    from qtpy.QtCore import QPoint
    from qtpy.QtWidgets import QApplication

    wait(lambda: False, 0.5)
    menu = button.menu()
    menu.popup(button.mapToGlobal(QPoint(0, button.height())))
    wait(lambda: False, 0.7)
    QApplication.primaryScreen().grabWindow(0).save(str(path), "PNG")
    reduce_colours(path)
    menu.close()


PARTS = {
    "denoise": photograph_denoise,
    "evaluate": photograph_evaluate,
    "noise": photograph_noise,
}


def main() -> None:
    """Take all pictures, with napari's own settings left alone."""
    folder, wanted = Path(sys.argv[1]), sys.argv[2:] or list(PARTS)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        os.environ["NAPARI_CONFIG"] = str(Path(place) / "settings.yaml")
        os.environ["SELFDENOISE_MODELS"] = str(Path(place) / "models")
        os.environ["SELFDENOISE_CHECKPOINTS"] = str(Path(place) / "checkpoints")
        import napari

        for name in wanted:
            viewer = napari.Viewer(show=True)
            viewer.window.resize(*docks.WINDOW)
            PARTS[name](viewer, folder)
            viewer.close()


if __name__ == "__main__":
    main()
