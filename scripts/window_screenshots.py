"""Pictures of the Denoise dock in a real napari window, in three sizes and two themes.

Run as ``python scripts/window_screenshots.py OUT``; without a screen, put
``xvfb-run -s "-screen 0 1920x1200x24"`` before it. In each window an image is opened,
denoised in a few seconds, and photographed before, meanwhile and afterwards.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIZES = ((1600, 1000), (1280, 800), (1100, 700))
THEMES = ("dark", "light")
BUDGET = "6 s"


def photograph(folder: Path, size: tuple[int, int], theme: str) -> None:
    """Open a window of a size and take its pictures.

    Parameters
    ----------
    folder : Path
        Where the PNG files go.
    size : tuple of int
        Width and height of the window, in pixels.
    theme : str
        Of napari: "dark" or "light".
    """
    import napari

    from napari_selfdenoise.images import fish_frame

    viewer = napari.Viewer(show=True)
    viewer.theme = theme
    viewer.window.resize(*size)
    image = fish_frame()
    viewer.add_image(image.data, name=image.name)
    _, dock = viewer.window.add_plugin_dock_widget("napari-selfdenoise", "Denoise")
    wait(lambda: hasattr(dock, "controls") and dock.controls.train.isEnabled(), 60)
    # A window that opened small was given its own size by its docks.
    viewer.window.resize(*size)
    wait(lambda: False, 1.0)
    name = f"{size[0]}x{size[1]}-{theme}"
    take(viewer, folder / f"{name}-1-opened.png")
    dock.controls.budget.setCurrentText(BUDGET)
    dock.controls.train.click()
    loss = dock.controls.loss_plot
    wait(lambda: len(loss.series()["loss"][0]) > 8, 60)
    take(viewer, folder / f"{name}-2-learning.png")
    wait(lambda: not dock.controls.stop.isEnabled(), 120)
    wait(lambda: False, 0.5)
    take(viewer, folder / f"{name}-3-done.png")
    report(name, viewer, dock)
    viewer.close()


def take(viewer: Any, path: Path) -> None:
    """Save a picture of the whole window."""
    take_parts(path, viewer.window._qt_window)


def take_parts(path: Path, *widgets: Any) -> None:
    """Save the part of the window that some widgets lie in, with 256 colours."""
    from qtpy.QtCore import QPoint, QRect

    wait(lambda: False, 0.3)
    window, part = widgets[0].window(), QRect()
    for widget in widgets:
        part |= QRect(widget.mapTo(window, QPoint(0, 0)), widget.size())
    window.grab(part).save(str(path), "PNG")
    reduce_colours(path)


def reduce_colours(path: Path) -> None:
    """Leave 256 colours in a picture, for a small file."""
    from PIL import Image

    with Image.open(path) as picture:
        # By the range of colours: by their frequency, curves would lose theirs.
        method, none = Image.Quantize.MAXCOVERAGE, Image.Dither.NONE
        few = picture.convert("RGB").quantize(256, method=method, dither=none)
    few.save(path, optimize=True)


def report(name: str, viewer: Any, dock: Any) -> None:
    """Print the sizes of window and dock, and how much of the plots is in sight."""
    window = viewer.window._qt_window
    port = dock.controls.viewport()
    seen = {}
    for plot in (dock.controls.loss_plot, dock.controls.noise_plot):
        top = plot.mapTo(port, plot.rect().topLeft()).y()
        bottom = min(top + plot.height(), port.height())
        seen[plot.objectName()] = f"{max(0, bottom - top)} of {plot.height()} px"
    shown = f"{window.width()} x {window.height()}"
    print(f"{name}: window {shown}, dock {dock.width()} px wide, in sight: {seen}")


def wait(done: Callable[[], bool], seconds: float) -> None:
    """Let the window work until something is done, or for so many seconds."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while time.monotonic() < end and not done():
        QApplication.processEvents()
        time.sleep(0.01)


def main() -> None:
    """Take all pictures, with napari's own settings left alone."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as config:
        os.environ["NAPARI_CONFIG"] = str(Path(config) / "settings.yaml")
        for size in SIZES:
            for theme in THEMES:
                photograph(folder, size, theme)


if __name__ == "__main__":
    main()
