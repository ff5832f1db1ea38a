"""Pictures of the docks that show noise, in a real napari window, for the docs.

Run as ``python scripts/noise_dock_screenshots.py OUT``; without a screen, put
``xvfb-run -s "-screen 0 1600x1000x24"`` before it. Takes a few minutes. A name after
OUT makes the pictures of one part alone: ``image`` or ``camera``. Each is taken in both
themes.

``image``: a part of the shipped image is diagnosed, evaluated as if the average of 50
frames were its result, denoised twice, and compared with what became of it. ``camera``:
noise models are compared and inspected, of simulated frames.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from noise_plot_pictures import healthy
from window_screenshots import THEMES, take, take_parts, wait

SIDE = 256
WINDOW = 1400, 900
IN_UM = {"scale": (0.2, 0.2), "units": ("um", "um")}
LINE = ((38, 28), (46, 48))
"""Ends of the profile line, in µm."""

TRAINING = {
    "network.width": 8,
    "network.depth": 1,
    "patch_size": 32,
    "batch_size": 4,
    "precision": "float32",
}
STEPS = 40, 200
CAMERA_PX, CAMERA_FRAMES = 64, 8


def photograph_image(viewer: Any, folder: Path) -> None:
    """Diagnose, evaluate, denoise, and compare."""
    noisy, average = _pixels()
    viewer.add_image(average, name="average", visible=False, **IN_UM)
    viewer.add_image(noisy, name="fish", **IN_UM)
    denoise = open_dock(viewer, "Denoise")
    denoise.controls.layer.setCurrentText("fish")
    denoise.controls.diagnose.click()
    wait(lambda: denoise._diagnoser.table is not None, 60)
    both(viewer, lambda name: take(viewer, folder / name), "diagnose")
    evaluate = open_dock(viewer, "Evaluate")
    measure(evaluate, "average", "none")
    beside = around(viewer, evaluate)
    both(viewer, lambda name: take_parts(folder / name, *beside), "evaluate")
    for steps in STEPS:
        train(denoise, steps)
        measure(evaluate, "fish denoised", "average")
    front(evaluate)
    evaluate.controls.show_runs.click()
    both(viewer, lambda name: take_parts(folder / name, docked(evaluate.runs)), "runs")
    viewer.layers["fish residual"].visible = False
    evaluate.controls.swipe.click()
    both(viewer, lambda name: take_parts(folder / name, *beside), "swipe")
    evaluate.controls.swipe.click()
    draw_line(evaluate)
    bar = evaluate.controls.verticalScrollBar()
    bar.setValue(bar.maximum())
    both(viewer, lambda name: take_parts(folder / name, *beside), "profile")


def photograph_camera(viewer: Any, folder: Path) -> None:
    """Compare kinds of noise model, and inspect the best."""
    frames = healthy().frames[:CAMERA_FRAMES, :CAMERA_PX, :CAMERA_PX]
    look = {"axis_labels": tuple("tyx")}
    viewer.add_image(frames.astype(np.uint16), name="camera", **look)
    noise = open_dock(viewer, "Noise model")
    controls = noise.controls
    controls.comparing.wanted.setChecked(True)
    controls.calibrate.click()
    wait(lambda: not controls.stop.isEnabled(), 500)
    wait(lambda: False, 1)
    controls.ensureWidgetVisible(controls.findings, 0, 60)
    both(viewer, lambda name: take_parts(folder / name, docked(noise)), "comparison")
    controls.inspect.click()
    wait(lambda: not noise.inspector.busy, 60)
    panel = noise.inspector.panel
    below = docked(panel)
    for page, name in enumerate(("inspect", "inspect-shape", "inspect-maps")):
        panel.views.setCurrentIndex(page)
        both(viewer, lambda name: take_parts(folder / name, below), name)


def open_dock(viewer: Any, name: str) -> Any:
    """Open one of the docks; returns what it holds."""
    _, dock = viewer.window.add_plugin_dock_widget("napari-selfdenoise", name)
    wait(lambda: hasattr(dock, "controls"), 60)
    viewer.window.resize(*WINDOW)
    wait(lambda: False, 2)
    return dock


def docked(widget: Any) -> Any:
    """The dock that holds a widget."""
    from napari_selfdenoise.plugin.docks.places import dock_of

    return dock_of(widget)


def front(widget: Any) -> None:
    """Bring the dock of a widget to the front."""
    docked(widget).raise_()
    wait(lambda: False, 0.5)


def around(viewer: Any, widget: Any) -> tuple[Any, Any]:
    """The image, and the dock of a widget."""
    return viewer.window._qt_window.centralWidget(), docked(widget)


def both(viewer: Any, photograph: Callable[[str], None], name: str) -> None:
    """Take a picture in both themes."""
    for theme in THEMES:
        viewer.theme = theme
        forget_notes(viewer)
        wait(lambda: False, 1)
        photograph(f"{name}-{theme}.png")
        print(f"{name}-{theme}.png", flush=True)


def forget_notes(viewer: Any) -> None:
    """Close what napari tells over the image."""
    from qtpy.QtWidgets import QDialog

    for dialog in viewer.window._qt_window.findChildren(QDialog):
        if type(dialog).__name__ == "NapariQtNotification":
            dialog.close()


def train(denoise: Any, steps: int) -> None:
    """Train and denoise with the smallest of networks."""
    controls = denoise.controls
    for name, value in (TRAINING | {"steps": steps}).items():
        controls.advanced.editor(name).value = value
    controls.budget.setCurrentText("until I stop")
    wait(controls.train.isEnabled, 60)
    controls.train.click()
    wait(lambda: not controls.stop.isEnabled(), 300)
    wait(lambda: False, 0.5)


def measure(evaluate: Any, result: str, reference: str) -> None:
    """Evaluate a result of the fish."""
    controls = evaluate.controls
    front(evaluate)
    controls.noisy.setCurrentText("fish")
    controls.result.setCurrentText(result)
    controls.reference.setCurrentText(reference)
    controls.evaluate.click()
    wait(lambda: not controls.stop.isEnabled(), 300)
    wait(lambda: False, 1)


def draw_line(evaluate: Any) -> None:
    """Draw the profile line, as a mouse does."""
    evaluate.controls.profile.click()
    line = evaluate._profiler._line
    line.add(np.array(LINE, float), shape_type="line")
    line.mode = "pan_zoom"
    wait(lambda: bool(evaluate.controls.profile_plot.series()), 60)


def _pixels() -> tuple[Any, Any]:
    """A part of the noisy frame, and of the average of 50."""
    from napari_selfdenoise.images import fish_average, fish_frame

    part = slice(SIDE // 2, 3 * SIDE // 2), slice(SIDE // 2, 3 * SIDE // 2)
    return fish_frame().data[part], fish_average().data[part]


PARTS = {"image": photograph_image, "camera": photograph_camera}


def main() -> None:
    """Take all pictures, with napari's own settings left alone."""
    folder, wanted = Path(sys.argv[1]), sys.argv[2:] or list(PARTS)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        os.environ["NAPARI_CONFIG"] = str(Path(place) / "settings.yaml")
        import napari

        for name in wanted:
            viewer = napari.Viewer(show=True)
            viewer.window.resize(*WINDOW)
            PARTS[name](viewer, folder)
            viewer.close()


if __name__ == "__main__":
    main()
