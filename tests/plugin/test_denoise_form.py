"""The settings in the Denoise dock."""

import re

import pytest
from qtpy.QtWidgets import QApplication, QLabel, QWidget

from napari_selfdenoise.config import RECIPES

pytestmark = pytest.mark.gl


def test_recipe_fills_the_form(desk):
    for name, recipe in reversed(RECIPES.items()):
        desk.controls.recipe.setCurrentIndex(list(RECIPES).index(name))
        desk.controls.device.setCurrentIndex(0)
        assert desk.controls.config() == recipe, name


def test_folded_section_shows_the_chosen_parts_fields(desk):
    controls = desk.controls
    assert not controls.folded.isExpanded()
    controls.recipe.setCurrentIndex(list(RECIPES).index("ollion"))
    field = desk.widget.findChild(QWidget, "masking.spacing_min")
    assert controls.folded.isAncestorOf(field)
    assert field.text().endswith(" px") and "Unit: px" in field.toolTip()
    width = desk.widget.findChild(QWidget, "noise_model.width")
    assert controls.folded.isAncestorOf(width)
    assert width.toolTip() and width.text().endswith(" channels")
    controls.recipe.setCurrentIndex(list(RECIPES).index("n2v"))
    assert desk.widget.findChild(QWidget, "masking.fraction").isVisibleTo(controls)
    assert not width.isVisibleTo(controls)


def test_experts_settings_are_folded(open_desk, noisy):
    """What everybody needs is in sight, the rest where it is looked for."""
    desk = open_desk(show=True)
    controls = desk.controls
    for name in ("layer", "recipe", "budget", "train", "stop", "denoise", "progress"):
        desk.until(desk.widget.findChild(QWidget, name).isVisible)
    parts = ("masking", "noise_model", "psf", "estimator", "device")
    for name in parts:
        assert not desk.widget.findChild(QWidget, name).visibleRegion().rectCount(), (
            name
        )
    controls.method.expand(animate=False)
    controls.folded.expand(animate=False)
    for name in parts:
        section = controls.folded if name == "device" else controls.method
        assert section.isAncestorOf(desk.widget.findChild(QWidget, name)), name


def test_recipes_explain_themselves(desk):
    recipe = desk.controls.recipe
    titles = [recipe.itemText(index) for index in range(recipe.count())]
    assert titles[:2] == ["Fast (1 min)", "Best (10 min)"]
    for title in titles[2:]:
        assert re.fullmatch(r".+ \(\w+ 20\d\d\)", title), title
    assert [recipe.itemData(n) for n in range(recipe.count())] == list(RECIPES)


def test_a_changed_recipe_says_so(desk):
    changed = desk.widget.findChild(QLabel, "changed")
    desk.choose_recipe("n2v")
    desk.until(changed.isHidden)
    desk.controls.budget.setCurrentText("2 min")  # has a row of its own
    QApplication.processEvents()
    assert changed.isHidden()
    desk.controls.advanced.editor("patch_size").value = 48
    desk.until(lambda: not changed.isHidden())
    assert changed.text() == "changed"
    desk.controls.recipe.activated.emit(desk.controls.recipe.currentIndex())
    desk.until(changed.isHidden)


def test_budget_that_is_none(desk, noisy):
    desk.viewer.add_image(noisy, name="cells")
    none, short = "is not a time. Type such as 45 s", "leaves no time to learn"
    for text, said in {"soon": none, "": none, "0 s": short, "-1 s": short}.items():
        desk.controls.say("")
        desk.controls.budget.setCurrentText(text)
        desk.press("train")
        assert said in desk.status(), text
        assert desk.names() == ["cells"] and desk.button("train").isEnabled()
    desk.controls.budget.setCurrentText("45 s")
    assert desk.status() == ""  # a complaint about a time that is no longer there
