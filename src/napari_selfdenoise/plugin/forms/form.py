"""Forms that are built from pydantic models: one row a field, nothing said twice.

Title, description, bounds, unit and default of a parameter stand on its field in the
core; label, tooltip, spin box limits and suffix are read from there. Every widget here
is the editor of one value: `value()`, `setValue()`, `valueChanged`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from enum import Enum
from functools import partial
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFormLayout,
    QGridLayout,
    QGroupBox,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.plugin.forms.editors import (
    BoolEdit,
    CalmComboBox,
    Composite,
    FloatEdit,
    IntEdit,
    OptionalEdit,
    OptionEdit,
    PathEdit,
    TakeButton,
    TextEdit,
    TupleEdit,
    bare,
    extra,
)
from napari_selfdenoise.plugin.forms.fields import (
    default,
    member_title,
    sentence,
    shown_fields,
    tooltip,
    union_members,
    without_none,
    words,
)

Offers = Callable[[str], Sequence[tuple[str, Callable[[], Any]]]]
"""What a value can be taken from now, by its kind: each with its name and data."""

LABEL_WIDTH = 100
"""Width of a label, so that the fields of all forms in a narrow dock line up."""

INDENT = 12


class ModelForm(Composite):
    """Editor of a frozen pydantic model, one row a field.

    Fields that are not shown keep the value of the last `setValue`, or their default.
    Not shown are Literals of one value (the `kind` of a union's member) and fields with
    ``json_schema_extra={"hidden": True}``.

    Parameters
    ----------
    model_type : type of BaseModel
        What is edited.
    fields : sequence of str, optional
        Names of the fields to show, in this order; all by default.
    parent : QWidget, optional
        Qt parent.
    name : str
        Put before the field names in the editors' object names: "network" gives
        "network.width".
    indent : int
        How far right of its neighbours the form stands, in pixels.
    offers : callable, optional
        What fields with ``json_schema_extra={"taken_from": kind}`` can be taken from;
        they have a menu then, and the model makes itself by its `taken(data)`.
    """

    def __init__(
        self,
        model_type: type[BaseModel],
        fields: Sequence[str] | None = None,
        parent: QWidget | None = None,
        *,
        name: str = "",
        indent: int = 0,
        offers: Offers | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self._offers = offers
        self.model_type = model_type
        self.editors: dict[str, Any] = {}
        self._unshown: dict[str, Any] = {}
        self._rows = _form_layout(self)
        self._label_width = LABEL_WIDTH - indent
        for key in shown_fields(model_type) if fields is None else fields:
            self._add_row(key, model_type.model_fields[key])

    def values(self) -> dict[str, Any]:
        """Return the values of the fields that are shown, by name."""
        return {key: editor.value() for key, editor in self.editors.items()}

    def value(self) -> Any:
        """Return the model.

        Raises
        ------
        RequestError
            If the values do not fit together, with the model's own message.
        """
        try:
            return self.model_type(**{**self._unshown, **self.values()})
        except ValidationError as error:
            raise RequestError(sentence(error, self.model_type)) from error

    def setValue(self, value: BaseModel) -> None:
        """Fill the rows from a model."""
        if type(value) is not self.model_type:
            raise TypeError(f"{self.model_type.__name__} expected, not {value!r}.")
        fields = {key: getattr(value, key) for key in self.model_type.model_fields}
        with self._one_change():
            for key, editor in self.editors.items():
                editor.setValue(fields.pop(key))
                self._say_source(key, "")
            self._stale |= fields != self._all_unshown()
            self._unshown = fields

    def editor(self, path: str) -> Any:
        """Return the editor at a dotted path, such as "network.width".

        In a union it is the one of the member that is chosen now.
        """
        key, _, rest = path.partition(".")
        found = self.editors[key]
        return found.editor(rest) if rest else found

    def asks(self) -> bool:
        """Return whether there is something to be looked for: a file or a layer."""
        fields = (self.model_type.model_fields[key] for key in self.editors)
        return any({"path", "taken_from"} & extra(field).keys() for field in fields)

    def take(self, key: str, name: str, data: Callable[[], Any]) -> None:
        """Take the model from elsewhere, and keep what that says nothing about.

        Parameters
        ----------
        key : str
            The field that is taken.
        name : str
            Where from, as the user calls it.
        data : callable
            Gives what the model's `taken` makes the model from.
        """
        try:
            taken = self.model_type.taken(data())  # type: ignore[attr-defined]
        except (RequestError, DenoisingError) as error:
            self.refused.emit(error)
            return
        shown = set(self.editors) - taken.model_fields_set - {key}
        kept = {name: self.editors[name].value() for name in shown}
        self.setValue(taken.model_copy(update=kept))
        self._say_source(key, name)

    def _forget_taken(self, key: str, path: str) -> None:
        """A file takes the place of what was taken from a layer."""
        if path and not self._loading:
            self._unshown = {}
            self._say_source(key, "")

    def _say_source(self, key: str, name: str) -> None:
        editor = self.editors[key]
        if isinstance(editor, PathEdit | TextEdit):
            editor.setPlaceholderText(name)

    def _all_unshown(self) -> dict[str, Any]:
        defaults = {
            key: default(field)
            for key, field in self.model_type.model_fields.items()
            if key not in self.editors
        }
        return {**defaults, **self._unshown}

    def _add_row(self, key: str, field: FieldInfo) -> None:
        name = ".".join(filter(None, [self.objectName(), key]))
        title, tip = field.title or words(key), tooltip(field)
        if union_members(field.annotation):
            editor = self._add_choice(title, tip, field, name)
        else:
            editor = editor_for(field, name, self._offers)
            self._add_editor(title, tip, editor, self._menu(key, field, name))
        if isinstance(editor, Composite):
            editor.refused.connect(self.refused)
        elif isinstance(editor, PathEdit):
            editor.valueChanged.connect(partial(self._forget_taken, key))
        if not field.is_required():
            editor.setValue(default(field))
        editor.valueChanged.connect(self._part_changed)
        self.editors[key] = editor

    def _add_editor(
        self, title: str, tip: str, editor: QWidget, menu: QWidget | None
    ) -> None:
        if isinstance(getattr(editor, "inner", editor), ModelForm | ChoiceForm):
            self._rows.addRow(_group(title, tip, editor))
        elif menu is not None or isinstance(editor, PathEdit):
            _set_tooltip(editor, tip)  # a path needs the whole width
            self._rows.addRow(_tall(title, tip, editor, menu))
        else:
            self._add_labelled(title, tip, editor)
            _set_tooltip(editor, tip)

    def _add_choice(self, title: str, tip: str, field: FieldInfo, name: str) -> Any:
        choice = ChoiceForm(
            field.annotation, self, name=name, separate=True, offers=self._offers
        )
        choice.hide()  # only its two parts are laid out
        self._add_labelled(title, tip, choice.combo)
        self._rows.addRow(choice.fields)
        return choice

    def _menu(self, key: str, field: FieldInfo, name: str) -> QWidget | None:
        kind = extra(field).get("taken_from")
        if kind is None or self._offers is None:
            return None
        button = TakeButton(partial(self._offers, kind), partial(self.take, key))
        button.setObjectName(f"{name}.taken")
        return button

    def _add_labelled(self, title: str, tip: str, widget: QWidget) -> None:
        label = QLabel(title)
        label.setToolTip(tip)
        label.setWordWrap(True)
        label.setFixedWidth(self._label_width)
        self._rows.addRow(label, widget)


class ChoiceForm(Composite):
    """Editor of one member of a union: which one, and its fields.

    Each member remembers its own edits while another one is chosen.

    Parameters
    ----------
    union : type
        Union of frozen models, annotated with a discriminator or not.
    parent : QWidget, optional
        Qt parent.
    name : str
        Object name of the combo box, put before the fields' names.
    separate : bool
        Lay out nothing: the caller places `combo` and `fields`, and keeps this object.
    offers : callable, optional
        What the members' fields can be taken from, as in `ModelForm`.
    without : sequence of str
        Fields that have no rows.

    Attributes
    ----------
    combo : QComboBox
        Which member.
    fields : QWidget
        Rows of the chosen member; hidden where it has none.
    """

    def __init__(
        self,
        union: Any,
        parent: QWidget | None = None,
        *,
        name: str = "",
        separate: bool = False,
        offers: Offers | None = None,
        without: Sequence[str] = (),
    ) -> None:
        super().__init__(parent)
        self.members = union_members(union)
        self.combo = CalmComboBox(self)
        self.combo.setObjectName(name)
        self.fields = QWidget(self)
        self._pages = [
            ModelForm(
                member,
                [key for key in shown_fields(member) if key not in without],
                self,
                name=name,
                indent=INDENT,
                offers=offers,
            )
            for member in self.members
        ]
        self._build_fields()
        self._build_combo()
        if not separate:
            column = bare(QVBoxLayout(self))
            column.addWidget(self.combo)
            column.addWidget(self.fields)

    def value(self) -> Any:
        """Return the chosen member with the values of its rows."""
        return self.page().value()

    def setValue(self, value: BaseModel) -> None:
        """Choose the value's member and fill its rows."""
        if type(value) not in self.members:
            raise TypeError(f"{value!r} is not a member of this union.")
        with self._one_change():
            self.combo.setCurrentIndex(self.members.index(type(value)))
            self.page().setValue(value)

    def page(self, index: int | None = None) -> ModelForm:
        """Return the form of a member, the chosen one by default."""
        return self._pages[self.combo.currentIndex() if index is None else index]

    def kinds(self) -> list[str]:
        """Return the discriminator of each member."""
        return [str(member.model_fields["kind"].default) for member in self.members]

    def refuse(self, reasons: Sequence[str | None]) -> None:
        """Grey out members, each with a reason; None where it can be chosen."""
        self.combo.refuse(reasons)
        self.combo.setToolTip(self.combo.currentData(Qt.ItemDataRole.ToolTipRole))

    def editor(self, path: str) -> Any:
        """Return an editor of the chosen member."""
        return self.page().editor(path)

    def has_fields(self) -> bool:
        """Return whether the chosen member has rows to show."""
        return bool(self.page().editors)

    def _build_combo(self) -> None:
        for index, member in enumerate(self.members):
            self.combo.addItem(member_title(member))
            doc = inspect.cleandoc(member.__doc__ or "")
            self.combo.setItemData(index, doc, Qt.ItemDataRole.ToolTipRole)
        self.combo.currentIndexChanged.connect(self._show_page)
        self.combo.currentIndexChanged.connect(self._part_changed)
        self._show_page()

    def _build_fields(self) -> None:
        column = bare(QVBoxLayout(self.fields))
        column.setContentsMargins(INDENT, 0, 0, 0)
        for page in self._pages:
            column.addWidget(page)
            page.valueChanged.connect(self._part_changed)
            page.refused.connect(self.refused)

    def _show_page(self) -> None:
        # Hidden pages, and not a QStackedWidget: that is as tall as its tallest page.
        for page in self._pages:
            page.setVisible(page is self.page())
        self.fields.setVisible(self.has_fields())
        doc = self.combo.currentData(Qt.ItemDataRole.ToolTipRole)
        self.combo.setToolTip(doc)


# From a field to its editor ----------------------------------------------------------


def editor_for(field: FieldInfo, name: str = "", offers: Offers | None = None) -> Any:
    """Return the editor of a field's type.

    Parameters
    ----------
    field : FieldInfo
        Type, bounds and unit.
    name : str
        Object name of the editor.
    offers : callable, optional
        As in `ModelForm`.

    Returns
    -------
    QWidget
        With `value()`, `setValue()` and `valueChanged`.
    """
    inner = without_none(field)
    if inner is not None and "path" not in extra(field):
        editor = OptionalEdit(editor_for(inner, name, offers))
        editor.automatic.setObjectName(f"{name}.automatic")
        return editor
    editor = _plain_editor(field, name, offers)
    if not isinstance(editor, ChoiceForm):  # there the combo box has the name
        editor.setObjectName(name)
    return editor


def _plain_editor(field: FieldInfo, name: str, offers: Offers | None) -> Any:
    kind, arguments = field.annotation, get_args(field.annotation)
    if union_members(kind):
        return ChoiceForm(kind, name=name, offers=offers)
    if "path" in extra(field):
        return PathEdit(extra(field)["path"])
    if get_origin(kind) is Literal:
        return OptionEdit(arguments)
    if get_origin(kind) is tuple and Ellipsis not in arguments:
        parts = enumerate(arguments)
        return TupleEdit([_part(a, field, f"{name}.{i}") for i, a in parts])
    if isinstance(kind, type) and issubclass(kind, Enum):
        return OptionEdit(list(kind))
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return ModelForm(kind, name=name, indent=INDENT, offers=offers)
    if kind in _PLAIN:
        return _PLAIN[kind](field)
    raise TypeError(
        f"No editor for {name} of type {kind}: leave it out of the fields, or set "
        'json_schema_extra={"hidden": True}.'
    )


_PLAIN: dict[Any, Callable[[FieldInfo], Any]] = {
    bool: lambda field: BoolEdit(),
    int: IntEdit,
    float: FloatEdit,
    str: lambda field: TextEdit(),
}


def _part(annotation: Any, field: FieldInfo, name: str) -> Any:
    part = FieldInfo.from_annotation(annotation)
    if part.json_schema_extra is None:  # the unit is written once, for all parts
        part.json_schema_extra = field.json_schema_extra
    return editor_for(part, name)


# Layout ------------------------------------------------------------------------------


def _form_layout(parent: QWidget) -> QFormLayout:
    rows = QFormLayout(parent)
    rows.setContentsMargins(0, 0, 0, 0)
    rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    return rows


def _group(title: str, tip: str, editor: QWidget) -> QGroupBox:
    group = QGroupBox(title)
    group.setToolTip(tip)
    column = QVBoxLayout(group)
    column.setContentsMargins(INDENT, 6, 6, 6)
    column.addWidget(editor)
    return group


def _tall(title: str, tip: str, editor: QWidget, menu: QWidget | None) -> QWidget:
    """A label above an editor, and a menu beside it."""
    tall = QWidget()
    grid = bare(QGridLayout(tall))
    label = QLabel(title)
    label.setToolTip(tip)
    grid.addWidget(label, 0, 0)
    grid.addWidget(editor, 1, 0)
    if menu is not None:
        grid.addWidget(menu, 1, 1)
    return tall


def _set_tooltip(editor: QWidget, tip: str) -> None:
    for widget in [editor, *editor.findChildren(QWidget)]:
        widget.setToolTip(tip)
