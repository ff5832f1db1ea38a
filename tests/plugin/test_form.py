"""A form gives back the model it was given, and takes its words from the fields."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QFileDialog,
    QLabel,
    QPushButton,
)

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.plugin.forms.fields import union_members
from napari_selfdenoise.plugin.forms.form import ModelForm, UnionForm


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RandomMask(Frozen):
    """Random blind spots (Noise2Void). Any pixel may be hidden.

    Each step hides others.
    """

    kind: Literal["random"] = "random"
    fraction: float = Field(
        0.25, gt=0, le=0.5, title="Masked fraction", description="Share of pixels."
    )
    fill: Literal["mean", "median", "uniform"] = "uniform"


class GridMask(Frozen):
    """A grid."""

    model_config = ConfigDict(title="Regular grid")
    kind: Literal["grid"] = "grid"
    spacing_min: int = Field(3, ge=2, json_schema_extra={"unit": "px"})
    spacing_max: int = Field(5, ge=2, json_schema_extra={"unit": "px"})

    @model_validator(mode="after")
    def _ordered(self):
        if self.spacing_max < self.spacing_min:
            raise ValueError("The largest spacing is below the smallest.")
        return self


class NoMask(Frozen):
    """No mask."""

    kind: Literal["none"] = "none"


Masking = Annotated[RandomMask | GridMask | NoMask, Field(discriminator="kind")]


class UNet(Frozen):
    width: int = Field(16, ge=1)
    depth: int = Field(2, ge=1, lt=6)


class Config(Frozen):
    masking: Masking = RandomMask()
    fallback: Masking | None = None
    network: UNet = UNet()
    teacher: UNet | None = None
    learning_rate: float = Field(0.002, gt=0, le=1, description="Adam's.")
    offset: float | None = None
    patch_size: int = Field(
        64, ge=16, multiple_of=8, json_schema_extra={"unit": "px"}, description="Side."
    )
    steps: int | None = Field(None, gt=0, le=9000)
    loss: Literal["l1", "l2"] = "l2"
    augment: bool = True
    note: str = ""
    fitted: tuple[float, ...] = Field((), json_schema_extra={"hidden": True})


OTHER = Config(
    masking=GridMask(spacing_min=4, spacing_max=4),
    fallback=NoMask(),
    network=UNet(width=32, depth=5),
    teacher=UNet(width=3),
    learning_rate=1 / 3e4,
    offset=-0.1,
    patch_size=128,
    steps=500,
    loss="l1",
    augment=False,
    note="x",
    fitted=(0.1, 0.2),
)


@pytest.fixture
def form(qtbot):
    widget = ModelForm(Config)
    qtbot.addWidget(widget.native)
    return widget


def shown(form, path):
    """What is seen of an editor."""
    return form.editor(path).native


def count(signal):
    calls = []
    signal.connect(lambda *_: calls.append(1))
    return calls


def test_shows_the_defaults(form):
    assert form.value == Config()


def test_round_trip_of_every_type(form):
    for value in (OTHER, Config(), OTHER):
        form.value = value
        assert form.value == value


@pytest.mark.parametrize("member", union_members(Masking))
def test_round_trip_of_every_member(qtbot, member):
    choice = UnionForm(Masking)
    qtbot.addWidget(choice.native)
    choice.value = member()
    assert choice.value == member()
    assert choice.has_fields() == (member is not NoMask)
    assert choice.fields.native.isHidden() == (member is NoMask)


@pytest.mark.parametrize("number", [0.0005, 1e-7, 1 / 3, 123456.789, 5e9, -2.5, 0.0])
def test_numbers_are_not_rounded(form, number):
    form.value = Config(offset=number)
    assert form.value.offset == number


def test_set_value_reports_once_and_only_changes(form):
    calls = count(form.changed)
    form.value = OTHER
    assert len(calls) == 1
    form.value = OTHER
    assert len(calls) == 1
    form.value = OTHER.model_copy(update={"fitted": ()})
    assert len(calls) == 2


def test_set_value_refuses_another_type(form, qtbot):
    with pytest.raises(TypeError, match="Config expected"):
        form.value = UNet()
    choice = UnionForm(Masking)
    qtbot.addWidget(choice.native)
    with pytest.raises(TypeError, match="not a member"):
        choice.value = UNet()


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda f: shown(f, "patch_size").stepUp(), {"patch_size": 72}),
        (
            lambda f: shown(f, "learning_rate").stepUp(),
            {"learning_rate": 0.0021},
        ),
        (
            lambda f: shown(f, "network.depth").stepUp(),
            {"network": UNet(depth=3)},
        ),
        (lambda f: f.editor("loss").combo.setCurrentIndex(0), {"loss": "l1"}),
        (lambda f: f.editor("augment").native.click(), {"augment": False}),
        (lambda f: f.editor("note").native.setText("y"), {"note": "y"}),
        (lambda f: f.editor("steps").automatic.native.click(), {"steps": 1}),
        (lambda f: f.editor("masking").combo.setCurrentIndex(2), {"masking": NoMask()}),
        (
            lambda f: f.editor("masking.fraction").native.setValue(0.5),
            {"masking": RandomMask(fraction=0.5)},
        ),
    ],
)
def test_one_edit_is_one_signal(form, edit, expected):
    calls = count(form.changed)
    edit(form)
    assert len(calls) == 1
    assert form.value == Config(**expected)


def test_typing_reports_when_it_is_entered(form, qtbot):
    box = shown(form, "patch_size")
    calls = count(form.changed)
    box.selectAll()
    qtbot.keyClicks(box, "128")
    assert not calls
    qtbot.keyClick(box, Qt.Key.Key_Return)
    assert len(calls) == 1
    assert form.value.patch_size == 128


def test_typed_and_not_entered_is_read_too(form, qtbot):
    for name, text in {"patch_size": "96", "learning_rate": "5e-4"}.items():
        form.editor(name).native.selectAll()
        qtbot.keyClicks(form.editor(name).native, text)
    assert form.value == Config(patch_size=96, learning_rate=5e-4)


@pytest.mark.parametrize("text", ["0", "2", "-1", "abc", "1e", ""])
def test_float_out_of_bounds_is_not_taken(form, qtbot, text):
    box = shown(form, "learning_rate")
    box.selectAll()
    qtbot.keyClicks(box, text)
    qtbot.keyClick(box, Qt.Key.Key_Return)
    assert 0 < form.value.learning_rate <= 1


def test_float_takes_a_comma(form, qtbot):
    box = shown(form, "learning_rate")
    box.selectAll()
    qtbot.keyClicks(box, "0,01")
    assert form.value.learning_rate == 0.01
    assert box.text() == "0.01"


def test_bounds_come_from_the_field(form):
    for name, low, high, step in (
        ("patch_size", 16, None, 8),
        ("network.depth", 1, 5, 1),
        ("steps", 1, 9000, 1),
    ):
        editor = form.editor(name)
        options = getattr(editor, "inner", editor).native.opts
        assert options["bounds"] == [low, high] and options["step"] == step
    low, high = form.editor("masking.fraction").native.opts["bounds"]
    assert 0 < low < 1e-9 and high == 0.5


def test_words_come_from_the_field(form):
    labels = {
        label.text(): label.toolTip() for label in form.native.findChildren(QLabel)
    }
    assert {"Masked fraction", "Patch size", "Learning rate"} <= set(labels)
    assert "Kind" not in labels and "Fitted" not in labels
    tip = form.editor("patch_size").tooltip
    assert tip == labels["Patch size"]
    assert tip == "<p>Side. Unit: px. At least 16, a multiple of 8.</p>"
    assert "More than 0, at most 0.5." in form.editor("masking.fraction").tooltip
    assert "at most 9000" in form.editor("steps").automatic.tooltip
    assert form.editor("patch_size").native.text() == "64 px"


def test_editors_are_found_by_name(form):
    for name in ("network.width", "masking.fraction"):
        assert form.native.findChild(QAbstractSpinBox, name) is form.editor(name).native
    steps = form.native.findChild(QAbstractSpinBox, "steps")
    assert steps is form.editor("steps").inner.native
    assert form.native.findChild(QComboBox, "masking") is form.editor("masking").combo


def test_members_are_named_by_title_or_docstring(form):
    combo = form.editor("masking").combo
    texts = [combo.itemText(i) for i in range(combo.count())]
    assert texts == ["Random blind spots", "Regular grid", "No mask"]
    tip = combo.itemData(0, Qt.ItemDataRole.ToolTipRole)
    assert tip.endswith("Each step hides others.")


def test_members_remember_their_edits(form):
    choice = form.editor("masking")
    choice.editor("fraction").value = 0.125
    choice.combo.setCurrentIndex(1)
    assert form.value.masking == GridMask()
    choice.combo.setCurrentIndex(0)
    assert form.value.masking == RandomMask(fraction=0.125)


def test_values_that_do_not_fit_are_told_in_words(form):
    form.editor("masking").combo.setCurrentIndex(1)
    form.editor("masking.spacing_min").value = 9
    with pytest.raises(RequestError, match=r"^The largest spacing is below"):
        form.get_value()
    form.value = Config()
    form.editor("patch_size").value = 65
    with pytest.raises(RequestError, match=r"^Patch size: .* multiple of 8\.$"):
        form.get_value()


def test_part_of_a_model_keeps_the_rest(qtbot):
    form = ModelForm(Config, ["steps", "network"])
    qtbot.addWidget(form.native)
    assert list(form.editors) == ["steps", "network"]
    form.value = OTHER
    assert form.value == OTHER
    form.editor("network.width").value = 7
    assert form.value == OTHER.model_copy(update={"network": UNet(width=7, depth=5)})


def test_type_without_editor_is_refused(qtbot):
    class Fitted(Frozen):
        weights: tuple[float, ...] = ()

    with pytest.raises(TypeError, match="No editor for weights"):
        ModelForm(Fitted)


class Bead(Frozen):
    """A bead."""

    kind: Literal["bead"] = "bead"
    file: Path | None = Field(
        None, json_schema_extra={"path": "image", "taken_from": "image"}
    )
    energy: float = Field(0.9, gt=0, le=1)
    pixels: tuple[float, ...] = Field((), json_schema_extra={"hidden": True})

    @classmethod
    def taken(cls, data):
        if not data:
            raise RequestError("There is no bead.", "Choose another layer.")
        return cls(pixels=data)


@pytest.fixture
def bead(qtbot):
    def offers(kind):
        assert kind == "image"
        return [("a & b", lambda: (1.0, 2.0)), ("empty", lambda: ())]

    widget = UnionForm(Bead | NoMask, name="psf", offers=offers)
    qtbot.addWidget(widget.native)
    return widget


def open_menu(form):
    menu = form.native.findChild(QPushButton, "psf.file.taken").menu()
    menu.aboutToShow.emit()
    return menu.actions()


def test_a_file_is_typed_or_looked_for(bead, monkeypatch):
    editor, asked = bead.editor("file"), []

    def dialog(parent, title, start, kinds):
        asked.append(kinds)
        return "/there/bead.tif", kinds

    monkeypatch.setattr(QFileDialog, "getOpenFileName", dialog)
    calls = count(bead.changed)
    editor.choose_btn.native.click()
    assert bead.value == Bead(file="/there/bead.tif")
    assert asked == ["TIFF images (*.tif *.tiff)"] and len(calls) == 1
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: ("", ""))
    editor.choose_btn.native.click()
    assert editor.value == Path("/there/bead.tif")
    editor.line_edit.native.setText(" here.tif ")
    assert bead.value == Bead(file="here.tif")


def test_a_value_is_taken_from_a_layer_and_keeps_the_other_edits(bead):
    bead.editor("energy").value = 0.5
    bead.editor("file").value = Path("old.tif")
    actions = open_menu(bead)
    assert [action.text() for action in actions] == ["a && b", "empty"]
    calls = count(bead.changed)
    actions[0].trigger()
    assert bead.value == Bead(energy=0.5, pixels=(1.0, 2.0))
    assert len(calls) == 1
    line = bead.editor("file").line_edit.native
    assert line.placeholderText() == "a & b"
    line.setText("new.tif")  # comes before what was taken: that is read at the start
    assert bead.value == Bead(energy=0.5, file="new.tif", pixels=(1.0, 2.0))
    bead.value = Bead()
    assert bead.value == Bead() and not line.placeholderText()


def test_a_layer_that_does_not_fit_is_told_and_changes_nothing(bead):
    told = []
    bead.refused.connect(told.append)
    open_menu(bead)[1].trigger()
    assert [str(error) for error in told] == ["There is no bead. Choose another layer."]
    assert bead.value == Bead()


def test_without_layers_the_menu_says_so(qtbot):
    form = UnionForm(Bead | NoMask, name="psf", offers=lambda kind: [])
    qtbot.addWidget(form.native)
    (action,) = open_menu(form)
    assert action.text() == "No layer fits" and not action.isEnabled()


def test_greyed_items_say_why_above_what_they_are(bead):
    bead.refuse([None, "it hides nothing"])
    item = bead.combo.model().item(1)
    assert not item.isEnabled()
    assert item.toolTip() == "Not now: it hides nothing\n\nNo mask."
    bead.refuse([None, None])
    assert item.isEnabled() and item.toolTip() == "No mask."


@pytest.mark.parametrize("name", ["patch_size", "learning_rate", "loss"])
def test_wheel_without_focus_changes_nothing(form, qtbot, name):
    form.native.show()
    box = shown(form, name)
    box.clearFocus()
    down = QWheelEvent(
        QPointF(5, 5),
        QPointF(box.mapToGlobal(QPoint(5, 5))),
        QPoint(),
        QPoint(0, -120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(box, down)
    assert not down.isAccepted()
    assert form.value == Config()
