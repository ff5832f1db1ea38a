"""More: a model is exported from the window, and the last ones are found again."""

import re

import numpy as np
import pytest
from qtpy.QtWidgets import QFileDialog

from napari_selfdenoise.model import ModelLibrary, load_model
from napari_selfdenoise.model.library import _KEPT

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
