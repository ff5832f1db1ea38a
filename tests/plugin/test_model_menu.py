"""More: a model is exported from the window, and the last ones are found again."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtWidgets import QFileDialog

from napari_selfdenoise.model import ModelLibrary, load_model
from napari_selfdenoise.model.library import _KEPT

DATA = Path(__file__).parents[1] / "data"

pytestmark = pytest.mark.gl


def actions(desk):
    """Texts of the menu as it would open now, by their actions."""
    desk.controls.model_menu.menu().aboutToShow.emit()
    return {one.text(): one for one in desk.controls.model_menu.menu().actions()}


def answer(monkeypatch, path, chosen):
    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", lambda *_, **__: (str(path), chosen)
    )


def test_a_trained_model_is_exported_and_found_again(
    desk, noisy, tmp_path, monkeypatch
):
    assert not actions(desk)["Export model…"].isEnabled()
    assert not actions(desk)["None yet: train one."].isEnabled()
    desk.viewer.add_image(noisy, name="cells & co")
    desk.train()
    denoised = desk.layer("cells & co denoised").data.copy()
    # Exported, with the ending of the format that was chosen.
    answer(monkeypatch, tmp_path / "cells", "model card (*.md)")
    actions(desk)["Export model…"].trigger()
    desk.until(lambda: "Exported" in desk.status())
    assert "cells & co" in (tmp_path / "cells.md").read_text("utf-8")
    answer(monkeypatch, tmp_path / "none" / "cells.pt", "TorchScript (*.pt)")
    actions(desk)["Export model…"].trigger()
    desk.until(lambda: "is not there" in desk.status())
    # Found again in another session.
    desk.widget.model = None
    (entry,) = [text for text in actions(desk) if "cells && co" in text]
    assert re.match(r"\d\d \w+ 20\d\d, \d\d:\d\d: cells && co, fast$", entry)
    actions(desk)[entry].trigger()
    desk.until(lambda: desk.widget.model is not None)
    desk.until(lambda: "Loaded a model" in desk.status())
    desk.press("denoise")
    desk.finish()
    np.testing.assert_allclose(desk.layer("cells & co denoised").data, denoised)


def test_a_file_with_the_ending_added_is_not_replaced_unasked(
    desk, tmp_path, monkeypatch
):
    (tmp_path / "cells.md").write_text("mine")
    starts, typed = [], [tmp_path / "cells", ""]

    def dialog(parent, title, start, kinds):
        starts.append(start)
        return str(typed[len(starts) - 1]), "model card (*.md)"

    monkeypatch.setattr(QFileDialog, "getSaveFileName", dialog)
    desk.widget.export_model()
    assert starts == ["model.zip", str(tmp_path / "cells.md")]
    assert (tmp_path / "cells.md").read_text() == "mine"


def test_files_of_the_user_in_the_folder_stay(tmp_path):
    files = [tmp_path / f"mine {number}.safetensors" for number in range(_KEPT + 3)]
    for file in files:
        file.write_bytes((DATA / "fast.safetensors").read_bytes())
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.safetensors")
    library, model = ModelLibrary(tmp_path), load_model(files[0])
    for number in range(_KEPT + 3):
        model.provenance["images"] = [f"image\n{number} " + 300 * "x"]
        library.add(model)
    assert all(file.is_file() for file in files)
    found = library.models()
    assert len(found) == _KEPT
    assert all("\n" not in str(one) and len(str(one)) < 100 for one in found)
    assert len(list(tmp_path.glob("image-*"))) == _KEPT


def test_the_last_models_stay_and_the_oldest_go(desk, noisy, tmp_path):
    desk.viewer.add_image(noisy, name="cells")
    desk.train()
    library = ModelLibrary(tmp_path / "library")
    model = load_model(ModelLibrary().models()[0].path)
    for number in range(_KEPT + 3):
        made = {**model.provenance, "images": [f"image {number}"]}
        library.add(type(model)(model.config, model.channels, model.history, made))
    (tmp_path / "library" / "broken.safetensors").write_bytes(b"none")
    names = [one.image for one in library.models()]
    assert len(names) == _KEPT and f"image {_KEPT + 2}" in names
    assert "image 0" not in names
