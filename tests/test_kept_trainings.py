"""Trainings that were interrupted are found again, and nothing else is."""

from datetime import datetime

import pytest

from napari_selfdenoise import RequestError
from napari_selfdenoise.training import (
    KeptImage,
    KeptImages,
    KeptTraining,
    interrupted,
    last_interrupted,
)

CELLS = KeptImage("cells", "", 0, "YX", (64, 48), {})


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(interrupted.ELSEWHERE, str(tmp_path / "checkpoints"))
    return tmp_path / "checkpoints"


@pytest.mark.parametrize(
    ("day", "words"),
    [(2, "today 18:03"), (1, "yesterday 18:03"), (-1, "on 27 February 18:03")],
)
def test_a_moment_is_said_as_a_person_does(day, words):
    moment = datetime(2026, 3, day, 18, 3) if day > 0 else datetime(2026, 2, 27, 18, 3)
    now = datetime(2026, 3, 2, 23, 0)
    assert interrupted.moment_in_words(moment, now) == words


def test_images_are_named():
    assert str(KeptImages((CELLS,), {})) == "'cells'"
    assert str(KeptImages((CELLS,) * 3, {})) == "'cells' and 2 other images"


def test_a_name_is_no_path(folder):
    kept = KeptTraining.named("../a:b/ü")
    assert kept.folder.parent == folder
    assert kept.folder.name.startswith("a_b_ü-")


def test_what_has_no_checkpoint_leaves_nothing(folder):
    kept = KeptTraining.named("cells")
    kept.begin(KeptImages((CELLS,), {}))
    assert kept.about() == KeptImages((CELLS,), {})
    with pytest.raises(StopIteration):
        next(kept.steps(lambda **_: iter(())))
    assert not list(folder.iterdir())


def test_damaged_ones_are_not_offered(folder):
    kept = KeptTraining.named("cells")
    kept.begin(KeptImages((CELLS,), {}))
    kept.checkpoint.write_bytes(b"no checkpoint")
    with pytest.raises(RequestError, match="goes on in another window"):
        KeptTraining(kept.folder).reopen()
    kept.release()
    assert last_interrupted() is None
    assert kept.is_free()
