"""Pictures of Diagnose and of the Evaluate dock in a real napari window, for the docs.

Run as ``python scripts/noise_dock_screenshots.py OUT``; without a screen, put
``xvfb-run -s "-screen 0 1600x1000x24"`` before it. A part of the shipped image is
diagnosed, and evaluated as if the average of 50 frames were its result.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from window_screenshots import THEMES, take, wait

SIDE = 256


def photograph(folder: Path, theme: str) -> None:
    """Diagnose and evaluate in a theme, with a picture of each."""
    import napari

    viewer = napari.Viewer(show=True)
    viewer.theme = theme
    viewer.window.resize(1400, 900)
    noisy, average = _pixels()
    viewer.add_image(average, name="average", visible=False)
    viewer.add_image(noisy, name="fish")
    dock = _open(viewer, "Denoise")
    dock.controls.layer.setCurrentText("fish")
    dock.controls.diagnose.click()
    wait(lambda: False, 8)
    take(viewer, folder / f"diagnose-{theme}.png")
    evaluate = _open(viewer, "Evaluate").controls
    evaluate.noisy.setCurrentText("fish")
    evaluate.result.setCurrentText("average")
    evaluate.evaluate.click()
    wait(lambda: False, 15)
    take(viewer, folder / f"evaluate-{theme}.png")
    viewer.close()


def _open(viewer: Any, name: str) -> Any:
    _, dock = viewer.window.add_plugin_dock_widget("napari-selfdenoise", name)
    wait(lambda: hasattr(dock, "controls"), 60)
    wait(lambda: False, 2)
    return dock


def _pixels() -> tuple[Any, Any]:
    """A part of the noisy frame, and of the average of 50."""
    from napari_selfdenoise.images import fish_average, fish_frame

    part = slice(SIDE // 2, 3 * SIDE // 2), slice(SIDE // 2, 3 * SIDE // 2)
    return fish_frame().data[part], fish_average().data[part]


def main() -> None:
    """Take all pictures, with napari's own settings left alone."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        os.environ["NAPARI_CONFIG"] = str(Path(place) / "settings.yaml")
        for theme in THEMES:
            photograph(folder, theme)


if __name__ == "__main__":
    main()
