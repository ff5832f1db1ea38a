"""Denoise the sample in a real napari window and keep a picture of it.

Run as ``python -m napari_selfdenoise.plugin.demo_window PICTURE BUDGET_S``.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path


def photograph(picture: Path, budget: str, timeout_s: float = 500) -> None:
    """Open the sample, train, wait for the layers, save a screenshot.

    Parameters
    ----------
    picture : Path
        PNG file to write.
    budget : str
        Training time, as typed in the window.
    timeout_s : float
        When to give up, in seconds.

    Raises
    ------
    TimeoutError
        If the layers have not come by then.
    """
    import napari

    viewer = napari.Viewer(show=True)
    viewer.window.resize(1500, 950)
    viewer.open_sample("napari-selfdenoise", "fish")
    _, dock = viewer.window.add_plugin_dock_widget("napari-selfdenoise", "Denoise")
    _wait(lambda: hasattr(dock, "controls"), 60)  # it opens before it is there
    source = dock.controls.layer.currentData()
    dock.controls.budget.setCurrentText(budget)
    dock.controls.train.click()
    result = f"{source.name} noise distribution"
    _wait(lambda: result in viewer.layers, timeout_s)
    _wait(lambda: False, 0.5)  # let it be drawn
    viewer.window.screenshot(str(picture), canvas_only=False, flash=False)
    viewer.close()


def _wait(done: Callable[[], bool], seconds: float) -> None:
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)
    if seconds > 1 and not done():
        raise TimeoutError(f"The window did not finish within {seconds:.0f} s.")


def main() -> None:
    """Run the demo without touching the user's napari settings."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_CONFIG"] = str(Path(folder) / "settings.yaml")
        photograph(Path(sys.argv[1]), f"{float(sys.argv[2]):g} s")


if __name__ == "__main__":
    main()
