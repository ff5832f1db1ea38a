"""Pictures of the first denoising, for docs/start-here.md, in a real napari window.

Run as ``python scripts/start_screenshots.py docs/images/start``; without a screen, put
``xvfb-run -s "-screen 0 1600x1000x24"`` before it. The sample image is opened, trained
on, and what was removed is checked, as the page says. Takes some minutes.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from noise_dock_screenshots import forget_notes, front, open_dock
from window_screenshots import take, wait

WINDOW = 1280, 800
BUDGET = "3 min"  # half of one suffices where nothing else computes


def photograph(viewer: Any, folder: Path) -> None:
    """Take the pictures of the page, in the order of its steps."""
    viewer.open_sample("napari-selfdenoise", "fish")
    denoise = open_dock(viewer, "Denoise")
    viewer.window.resize(*WINDOW)
    controls = denoise.controls
    wait(controls.train.isEnabled, 60)
    wait(lambda: "forecast" not in controls.forecast.text(), 5)
    take(viewer, folder / "1-opened.png")
    controls.budget.setCurrentText(BUDGET)
    controls.train.click()
    wait(lambda: len(controls.loss_plot.series()["loss"][0]) > 12, 60)
    take(viewer, folder / "2-learning.png")
    wait(lambda: not controls.stop.isEnabled(), 900)
    wait(lambda: False, 1)
    forget_notes(viewer)
    take(viewer, folder / "3-done.png")
    evaluate = open_dock(viewer, "Evaluate")
    viewer.window.resize(*WINDOW)
    front(evaluate)
    evaluate.controls.evaluate.click()
    wait(lambda: not evaluate.controls.stop.isEnabled(), 600)
    wait(lambda: False, 1)
    forget_notes(viewer)
    take(viewer, folder / "4-evaluated.png")


def main() -> None:
    """Take all pictures, with napari's own settings left alone."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        os.environ["NAPARI_CONFIG"] = str(Path(place) / "settings.yaml")
        import napari

        viewer = napari.Viewer(show=True)
        viewer.window.resize(*WINDOW)
        photograph(viewer, folder)
        viewer.close()


if __name__ == "__main__":
    main()
