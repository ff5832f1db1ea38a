"""A window that is used for long keeps its size."""

import importlib
import itertools
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
    """As `benchmarks/endurance.py` counts them over many more.

    What grows with each run grows in each pair of runs; other tests in the same viewer
    may leave something that comes and goes once.
    """
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    desk.viewer.add_image(noisy, name="cells")
    for run in ("train", "denoise"):
        counts = []
        for _ in range(4):
            desk.press(run)
            desk.finish()
            counts.append(endurance.count())
        pairs = list(itertools.pairwise(counts[1:]))  # the first run fills caches

        def growth(name, pairs=pairs):
            return min(getattr(b, name) - getattr(a, name) for a, b in pairs)

        for name in ("windows", "qt_objects", "threads", "open_files"):
            assert growth(name) <= 0, name
        # But for what the record of the viewer keeps of a run: its settings.
        assert growth("python_objects") < 100
