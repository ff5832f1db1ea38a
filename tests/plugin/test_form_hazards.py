"""What a form may get wrong without a word: a layer, a number, a setting."""

import numpy as np
import pytest
from qtpy.QtWidgets import QWidget

from napari_selfdenoise.config import RECIPES, TrainingConfig
from napari_selfdenoise.plugin.forms.form import ModelForm

pytestmark = pytest.mark.gl


@pytest.fixture
def settings(desk):
    """All settings in one form, docked in the window."""
    form = ModelForm(TrainingConfig)
    desk.viewer.window.add_dock_widget(form.native, name="settings")
    return form


def test_renaming_the_chosen_layer_keeps_it_chosen(desk, noisy):
    for name in ("a", "b", "c"):
        desk.viewer.add_image(noisy, name=name)
    desk.choose("b")
    chosen = desk.layer("b")
    for name in ("z", "A", "b"):
        chosen.name = name
        assert desk.controls.layer.currentData() is chosen
        assert desk.controls.layer.currentText() == name


def test_a_name_that_passes_on_does_not_take_the_choice_along(desk, noisy):
    for name in ("a", "b"):
        desk.viewer.add_image(noisy, name=name)
    desk.choose("b")
    chosen, other = desk.layer("b"), desk.layer("a")
    chosen.name = "c"
    other.name = "b"
    assert desk.controls.layer.currentData() is chosen


def test_renaming_keeps_what_is_chosen_to_correct_with(desk, noisy):
    desk.viewer.add_image(noisy, name="cells")
    for name in ("one", "two"):
        desk.viewer.add_image(np.full_like(noisy, 3), name=name)
    desk.choose("cells")
    box = desk.controls.corrections.combos["dark"]
    box.setCurrentText("two")
    chosen = desk.layer("two")
    chosen.name = "dark"
    assert box.currentData() is chosen and box.currentText() == "dark"
    desk.viewer.layers.remove(chosen)
    assert box.currentData() is None and box.currentText() == "none"


@pytest.mark.parametrize(
    ("field", "number"),
    [
        ("learning_rate", 0.002),
        ("learning_rate", 1e-7),
        ("learning_rate", 0.1 / 3),
        ("noise_model.offset", 5e9),
        ("noise_model.offset", -0.002),
        ("noise_model.offset", 1e-7),
    ],
)
def test_numbers_come_back_as_they_went_in(desk, qtbot, settings, field, number):
    config = TrainingConfig().override({"noise_model": "poisson"})
    config = config.override({field: number})
    settings.value = config
    assert settings.value == config  # set
    settings.value = config.override({field: 0.05})
    box = settings.native.findChild(QWidget, field)
    box.selectAll()
    qtbot.keyClicks(box, repr(number))
    assert settings.value == config  # typed
    assert float(box.text().removesuffix(" counts")) == number  # shown


def test_every_recipe_comes_back_as_it_went_in_with_one_signal(settings):
    signals = []
    settings.changed.connect(lambda *_: signals.append(1))
    for name, config in reversed(RECIPES.items()):
        signals.clear()
        settings.value = config
        assert settings.value == config, name
        assert len(signals) == 1, name
        settings.value = config
        assert len(signals) == 1, name
