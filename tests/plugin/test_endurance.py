"""A window that is used for long keeps its size."""

import importlib
import tempfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.gl, pytest.mark.slow]

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def endurance(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("endurance")


def test_trainings_and_predictions_leave_no_objects(
    desk, noisy, endurance, monkeypatch, tmp_path
):
    """As `benchmarks/endurance.py` counts them over many more."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    desk.viewer.add_image(noisy, name="cells")
    for run in ("train", "denoise"):
        counts = []
        for _ in range(3):
            desk.press(run)
            desk.finish()
            counts.append(endurance.count())
        first, *later = counts[1:]  # the first run fills caches, and makes threads
        for found in later:
            assert found.windows == first.windows
            assert found.qt_objects == first.qt_objects
            assert found.threads <= first.threads
            assert found.open_files <= first.open_files
            # But for what the record of the viewer keeps of a run: its settings.
            assert found.python_objects - first.python_objects < 100
