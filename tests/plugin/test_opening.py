"""A dock opens at once in a napari that has not imported PyTorch yet."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.gl

FRESH = """
import os, sys, time
from pathlib import Path
os.environ["NAPARI_CONFIG"] = str(Path(sys.argv[1]) / "settings.yaml")
import napari, numpy as np, tifffile
from qtpy.QtWidgets import QApplication, QPushButton

def until(truth):
    end = time.monotonic() + 90
    while not truth() and time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)
    assert truth()

viewer = napari.Viewer(show=True)
"""

OPENS = """
path = Path(sys.argv[1]) / "cells.tif"
tifffile.imwrite(path, np.random.default_rng(0).poisson(9, (64, 64)).astype("u2"))
assert "torch" not in sys.modules
_, dock = viewer.window.add_plugin_dock_widget("napari-selfdenoise", "Denoise")
assert dock.dock is None and "Starting" in dock.label.text()
dock.open_files([path])
until(lambda: dock.dock is not None)
assert "torch" in sys.modules
until(lambda: dock.controls.layer.currentText() == "cells")
assert dock.controls.train.isEnabled() and dock.label.isHidden()
inner, docks = dock.dock, viewer.window.dock_widgets
viewer.window.remove_dock_widget(dock)
QApplication.processEvents()
assert inner._closed
_, again = viewer.window.add_plugin_dock_widget("napari-selfdenoise", "Denoise")
assert again.controls.train.isEnabled()  # at once
"""

CLOSED = """
_, dock = viewer.window.add_plugin_dock_widget("napari-selfdenoise", "Noise model")
viewer.window.remove_dock_widget(dock)
until(lambda: "napari_selfdenoise.plugin.noise_model.widget" in sys.modules)
from superqt.utils import WorkerBase
until(lambda: not WorkerBase._worker_set)
QApplication.processEvents()
"""


@pytest.mark.parametrize("story", [OPENS, CLOSED], ids=["opens", "closed before"])
def test_in_a_fresh_napari(tmp_path, story):
    ending = "\nviewer.close()\nprint('as it should be')\n"
    run = subprocess.run(
        [sys.executable, "-c", FRESH + story + ending, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert "as it should be" in run.stdout, run.stderr
