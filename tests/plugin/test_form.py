"""A form gives back the model it was given, and takes its words from the fields."""

from enum import StrEnum
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import (
    QApplication,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QLabel,
    QSpinBox,
)

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.plugin.forms.editors import TakeButton
from napari_selfdenoise.plugin.forms.fields import union_members
from napari_selfdenoise.plugin.forms.form import ChoiceForm, ModelForm


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


class Device(StrEnum):
    AUTO = "auto"
    CPU = "cpu"


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
    overlap: tuple[int, int] = Field((16, 24), json_schema_extra={"unit": "px"})
    steps: int | None = Field(None, gt=0, le=9000)
    loss: Literal["l1", "l2"] = "l2"
    device: Device = Device.AUTO
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
    overlap=(1, 2),
    steps=500,
    loss="l1",
    device=Device.CPU,
    augment=False,
    note="x",
    fitted=(0.1, 0.2),
)


@pytest.fixture
def form(qtbot):
    widget = ModelForm(Config)
    qtbot.addWidget(widget)
    return widget


def count(signal):
    calls = []
    signal.connect(lambda *_: calls.append(1))
    return calls


def test_shows_the_defaults(form):
    assert form.value() == Config()


def test_round_trip_of_every_type(form):
    for value in (OTHER, Config(), OTHER):
        form.setValue(value)
        assert form.value() == value
    assert form.value().device is Device.CPU


@pytest.mark.parametrize("member", union_members(Masking))
def test_round_trip_of_every_member(qtbot, member):
    choice = ChoiceForm(Masking)
    qtbot.addWidget(choice)
    choice.setValue(member())
    assert choice.value() == member()
    assert choice.has_fields() == (member is not NoMask)
    assert choice.fields.isHidden() == (member is NoMask)


@pytest.mark.parametrize("number", [0.0005, 1e-7, 1 / 3, 123456.789, 5e9, -2.5, 0.0])
def test_numbers_are_not_rounded(form, number):
    form.setValue(Config(offset=number))
    assert form.value().offset == number


def test_set_value_reports_once_and_only_changes(form):
    calls = count(form.valueChanged)
    form.setValue(OTHER)
    assert len(calls) == 1
    form.setValue(OTHER)
    assert len(calls) == 1
    form.setValue(OTHER.model_copy(update={"fitted": ()}))
    assert len(calls) == 2


def test_set_value_refuses_another_type(form, qtbot):
    with pytest.raises(TypeError, match="Config expected"):
        form.setValue(UNet())
    choice = ChoiceForm(Masking)
    qtbot.addWidget(choice)
    with pytest.raises(TypeError, match="not a member"):
        choice.setValue(UNet())


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda f: f.editor("patch_size").stepUp(), {"patch_size": 72}),
        (lambda f: f.editor("learning_rate").stepUp(), {"learning_rate": 0.0021}),
        (lambda f: f.editor("network.depth").stepUp(), {"network": UNet(depth=3)}),
        (lambda f: f.editor("loss").setCurrentIndex(0), {"loss": "l1"}),
        (lambda f: f.editor("augment").click(), {"augment": False}),
        (lambda f: f.editor("note").setText("y"), {"note": "y"}),
        (lambda f: f.editor("steps").automatic.click(), {"steps": 1}),
        (lambda f: f.editor("masking").combo.setCurrentIndex(2), {"masking": NoMask()}),
        (
            lambda f: f.editor("masking.fraction").setValue(0.5),
            {"masking": RandomMask(fraction=0.5)},
        ),
    ],
)
def test_one_edit_is_one_signal(form, edit, expected):
    calls = count(form.valueChanged)
    edit(form)
    assert len(calls) == 1
    assert form.value() == Config(**expected)


def test_typing_reports_when_it_is_entered(form, qtbot):
    box = form.editor("patch_size")
    calls = count(form.valueChanged)
    box.selectAll()
    qtbot.keyClicks(box, "128")
    assert not calls
    qtbot.keyClick(box, Qt.Key.Key_Return)
    assert len(calls) == 1
    assert form.value().patch_size == 128


def test_typed_and_not_entered_is_read_too(form, qtbot):
    for name, text in {"patch_size": "96", "learning_rate": "5e-4"}.items():
        form.editor(name).selectAll()
        qtbot.keyClicks(form.editor(name), text)
    assert form.value() == Config(patch_size=96, learning_rate=5e-4)


@pytest.mark.parametrize("text", ["0", "2", "-1", "abc", "1e", ""])
def test_float_out_of_bounds_is_not_taken(form, qtbot, text):
    box = form.editor("learning_rate")
    box.selectAll()
    qtbot.keyClicks(box, text)
    qtbot.keyClick(box, Qt.Key.Key_Return)
    assert 0 < form.value().learning_rate <= 1


def test_float_takes_a_comma(form, qtbot):
    box = form.editor("learning_rate")
    box.selectAll()
    qtbot.keyClicks(box, "0,01")
    assert form.value().learning_rate == 0.01
    assert box.text() == "0.01"


def test_bounds_come_from_the_field(form):
    assert form.editor("patch_size").minimum() == 16
    assert form.editor("patch_size").singleStep() == 8
    assert form.editor("network.depth").maximum() == 5
    assert form.editor("steps").inner.minimum() == 1
    assert form.editor("steps").inner.maximum() == 9000
    assert 0 < form.editor("masking.fraction").minimum() < 1e-9


def test_words_come_from_the_field(form):
    labels = {label.text(): label.toolTip() for label in form.findChildren(QLabel)}
    assert {"Masked fraction", "Patch size", "Learning rate"} <= set(labels)
    assert "Kind" not in labels and "Fitted" not in labels
    tip = form.editor("patch_size").toolTip()
    assert tip == labels["Patch size"]
    assert tip == "<p>Side. Unit: px. At least 16, a multiple of 8.</p>"
    assert "More than 0, at most 0.5." in form.editor("masking.fraction").toolTip()
    assert "at most 9000" in form.editor("steps").automatic.toolTip()
    assert form.editor("patch_size").suffix() == " px"
    assert form.findChild(QSpinBox, "overlap.1").suffix() == " px"


def test_editors_are_found_by_name(form):
    assert form.findChild(QSpinBox, "network.width").value() == 16
    assert form.findChild(QSpinBox, "steps") is form.editor("steps").inner
    assert form.findChild(QDoubleSpinBox, "masking.fraction").value() == 0.25
    assert form.findChild(QComboBox, "masking") is form.editor("masking").combo


def test_members_are_named_by_title_or_docstring(form):
    combo = form.editor("masking").combo
    texts = [combo.itemText(i) for i in range(combo.count())]
    assert texts == ["Random blind spots", "Regular grid", "No mask"]
    tip = combo.itemData(0, Qt.ItemDataRole.ToolTipRole)
    assert tip.endswith("Each step hides others.")


def test_members_remember_their_edits(form):
    choice = form.editor("masking")
    choice.editor("fraction").setValue(0.125)
    choice.combo.setCurrentIndex(1)
    assert form.value().masking == GridMask()
    choice.combo.setCurrentIndex(0)
    assert form.value().masking == RandomMask(fraction=0.125)


def test_values_that_do_not_fit_are_told_in_words(form):
    form.editor("masking").combo.setCurrentIndex(1)
    form.editor("masking.spacing_min").setValue(9)
    with pytest.raises(RequestError, match=r"^The largest spacing is below"):
        form.value()
    form.setValue(Config())
    form.editor("patch_size").setValue(65)
    with pytest.raises(RequestError, match=r"^Patch size: .* multiple of 8\.$"):
        form.value()


def test_part_of_a_model_keeps_the_rest(qtbot):
    form = ModelForm(Config, ["steps", "network"])
    qtbot.addWidget(form)
    assert list(form.values()) == ["steps", "network"]
    form.setValue(OTHER)
    assert form.value() == OTHER
    form.editor("network.width").setValue(7)
    assert form.value() == OTHER.model_copy(update={"network": UNet(width=7, depth=5)})


def test_type_without_editor_is_refused(qtbot):
    class Fitted(Frozen):
        weights: tuple[float, ...] = ()

    with pytest.raises(TypeError, match="No editor for weights"):
        ModelForm(Fitted)


class Bead(Frozen):
    """A bead."""

    kind: Literal["bead"] = "bead"
    file: str = Field("", json_schema_extra={"path": "image", "taken_from": "image"})
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

    widget = ChoiceForm(Bead | NoMask, name="psf", offers=offers)
    qtbot.addWidget(widget)
    return widget


def open_menu(form):
    menu = form.findChild(TakeButton, "psf.file.taken").menu()
    menu.aboutToShow.emit()
    return menu.actions()


def test_a_file_is_typed_or_looked_for(bead, monkeypatch):
    editor, asked = bead.editor("file"), []

    def dialog(parent, title, start, kinds):
        asked.append(kinds)
        return "/there/bead.tif", kinds

    monkeypatch.setattr(QFileDialog, "getOpenFileName", dialog)
    calls = count(bead.valueChanged)
    editor.browse.click()
    assert bead.value() == Bead(file="/there/bead.tif")
    assert asked == ["TIFF images (*.tif *.tiff)"] and len(calls) == 1
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: ("", ""))
    editor.browse.click()
    assert editor.value() == "/there/bead.tif"
    editor.line.setText(" here.tif ")
    assert bead.value() == Bead(file="here.tif")


def test_a_value_is_taken_from_a_layer_and_keeps_the_other_edits(bead):
    bead.editor("energy").setValue(0.5)
    bead.editor("file").setValue("old.tif")
    actions = open_menu(bead)
    assert [action.text() for action in actions] == ["a && b", "empty"]
    calls = count(bead.valueChanged)
    actions[0].trigger()
    assert bead.value() == Bead(energy=0.5, pixels=(1.0, 2.0))
    assert len(calls) == 1
    assert bead.editor("file").line.placeholderText() == "a & b"
    bead.editor("file").line.setText("new.tif")  # takes the place of the layer
    assert bead.value() == Bead(energy=0.5, file="new.tif")
    bead.setValue(Bead())
    assert bead.value() == Bead() and not bead.editor("file").line.placeholderText()


def test_a_layer_that_does_not_fit_is_told_and_changes_nothing(bead):
    told = []
    bead.refused.connect(told.append)
    open_menu(bead)[1].trigger()
    assert [str(error) for error in told] == ["There is no bead. Choose another layer."]
    assert bead.value() == Bead()


def test_without_layers_the_menu_says_so(qtbot):
    form = ChoiceForm(Bead | NoMask, name="psf", offers=lambda kind: [])
    qtbot.addWidget(form)
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
    form.show()
    box = form.editor(name)
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
    assert form.value() == Config()
