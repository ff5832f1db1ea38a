"""Forms that are built from pydantic models: one row a field, nothing said twice.

Title, description, bounds, unit and default of a parameter stand on its field in the
core; label, tooltip, limits and suffix are read from there. Every form is a magicgui
container with a `value` and `changed`. Rows are found by the names of their fields, in
`editors`, never as attributes: a field may be called `width`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, get_args, get_origin

from magicgui.widgets import CheckBox, Container, Label, LineEdit, PushButton
from magicgui.widgets.bases import ValuedContainerWidget, Widget
from psygnal import Signal
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from qtpy.QtWidgets import QMenu, QSizePolicy, QWidget

from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.plugin.forms.choices import Choice, ChosenFile
from napari_selfdenoise.plugin.forms.fields import (
    choice_words,
    default,
    extra,
    member_title,
    sentence,
    shown_fields,
    tooltip,
    union_members,
    without_none,
    words,
)
from napari_selfdenoise.plugin.forms.numbers import Number

Offers = Callable[[str], Sequence[tuple[str, Callable[[], Any]]]]
"""What a value can be taken from now, by its kind: each with its name and data."""

LABEL_WIDTH = 100
"""Width of a label, so that the fields of all forms in a narrow dock line up."""

INDENT = 12


class Parts(ValuedContainerWidget):
    """Editor of a value that has parts; setting it is one `changed` at most."""

    refused = Signal(object)
    """What was to be taken from elsewhere does not fit: the error."""

    def __init__(self, *widgets: Widget, **options: Any) -> None:
        super().__init__(widgets=widgets, labels=False, **options)
        bare(self)

    def set_value(self, value: Any) -> None:
        """Fill the parts."""
        with self.changed.paused(lambda first, last: last):
            self._fill(value)

    def _fill(self, value: Any) -> None:
        raise NotImplementedError

    def _watch(self, part: Any) -> None:
        part.changed.connect(self._part_changed)
        if isinstance(part, Parts):
            part.refused.connect(self._part_refused)

    def _part_changed(self, *_: Any) -> None:
        self.changed.emit(self)

    # A method of its own: psygnal tries out the `emit` of a signal as it connects it.
    def _part_refused(self, error: Exception) -> None:
        self.refused.emit(error)


class OptionalValue(Parts):
    """A value, or None where the box "auto" is checked."""

    def __init__(self, inner: Any, name: str) -> None:
        self.automatic, self.inner = CheckBox(text="auto"), inner
        self.automatic.native.setObjectName(f"{name}.automatic")
        super().__init__(self.automatic, inner, layout="horizontal")
        # napari gives a spin box 90 px: too much beside the box in a narrow dock.
        self.native.setStyleSheet("QAbstractSpinBox { min-width: 56px; }")
        self.native.layout().setStretch(1, 1)
        self.automatic.native.toggled.connect(inner.native.setHidden)
        self._watch(self.automatic)
        self._watch(inner)

    def get_value(self) -> Any:
        """Return the inner value, or None for automatic."""
        return None if self.automatic.value else self.inner.value

    def _fill(self, value: Any) -> None:
        """Show the value; None hides the number that was there and keeps it."""
        self.automatic.value = value is None
        if value is not None:
            self.inner.value = value


class ModelForm(Parts):
    """Editor of a frozen pydantic model, one row a field.

    Fields that are not shown keep the value that was set last, or their default.
    Not shown are Literals of one value (the `kind` of a union's member) and fields with
    ``json_schema_extra={"hidden": True}``.

    Parameters
    ----------
    model_type : type of BaseModel
        What is edited.
    fields : sequence of str, optional
        Names of the fields to show, in this order; all by default.
    name : str
        Put before the field names in the editors' object names: "network" gives
        "network.width".
    indent : int
        How far right of its neighbours the form stands, in pixels.
    offers : callable, optional
        What fields with ``json_schema_extra={"taken_from": kind}`` can be taken from;
        they have a menu then, and the model makes itself by its `taken(data)`.

    Attributes
    ----------
    editors : dict
        Editor of each field that has a row, by its name.
    """

    def __init__(
        self,
        model_type: type[BaseModel],
        fields: Sequence[str] | None = None,
        *,
        name: str = "",
        indent: int = 0,
        offers: Offers | None = None,
    ) -> None:
        self.model_type = model_type
        self.editors: dict[str, Any] = {}
        self._prefix, self._label_width = name, LABEL_WIDTH - indent
        self._offers = offers
        keys = shown_fields(model_type) if fields is None else fields
        super().__init__(*[self._row(key) for key in keys])
        self._unshown = {
            key: default(field)
            for key, field in model_type.model_fields.items()
            if key not in self.editors
        }

    def get_value(self) -> Any:
        """Return the model.

        Raises
        ------
        RequestError
            If the values do not fit together, with the model's own message.
        """
        values = {key: editor.value for key, editor in self.editors.items()}
        try:
            return self.model_type(**self._unshown, **values)
        except ValidationError as error:
            raise RequestError(sentence(error, self.model_type)) from error

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

    def take(self, key: str, name: str, data: Callable[[], Any], *_: Any) -> None:
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
        kept = {name: self.editors[name].value for name in shown}
        self.value = taken.model_copy(update=kept)
        self._show_source(key, name)

    def _fill(self, value: BaseModel) -> None:
        if type(value) is not self.model_type:
            raise TypeError(f"{self.model_type.__name__} expected, not {value!r}.")
        fields = {key: getattr(value, key) for key in self.model_type.model_fields}
        for key, editor in self.editors.items():
            editor.value = fields.pop(key)
            self._show_source(key, "")
        if fields != self._unshown:
            self._part_changed()
        self._unshown = fields

    def _show_source(self, key: str, name: str) -> None:
        line = getattr(self.editors[key], "line_edit", self.editors[key])
        if isinstance(line, LineEdit):
            line.native.setPlaceholderText(name)

    # ---- Rows ----

    def _row(self, key: str) -> Widget:
        field = self.model_type.model_fields[key]
        name = ".".join(filter(None, [self._prefix, key]))
        title, tip = field.title or words(key), tooltip(field)
        editor = editor_for(field, name, self._offers)
        self.editors[key] = editor
        if not field.is_required():
            editor.value = default(field)
        self._watch(editor)
        return self._laid_out(title, tip, editor, self._menu(key, field, name))

    def _laid_out(self, title: str, tip: str, editor: Any, menu: Any) -> Widget:
        if isinstance(editor, UnionForm):
            head = labelled(title, tip, editor.choice, self._label_width)
            return _column(head, editor)
        if isinstance(getattr(editor, "inner", editor), ModelForm | UnionForm):
            return _column(_label(title, tip), editor)
        _set_tooltip(editor, tip)
        if menu is None and not isinstance(editor, ChosenFile):
            return labelled(title, tip, editor, self._label_width)
        return _column(_label(title, tip), _line(*filter(None, [editor, menu])))

    def _menu(self, key: str, field: FieldInfo, name: str) -> PushButton | None:
        kind = extra(field).get("taken_from")
        if kind is None or self._offers is None:
            return None
        button = PushButton(text="Layer…", tooltip="Take it from a layer.")
        button.native.setObjectName(f"{name}.taken")
        menu = QMenu(button.native)
        menu.aboutToShow.connect(partial(self._list_offers, menu, key, kind))
        button.native.setMenu(menu)
        return button

    def _list_offers(self, menu: QMenu, key: str, kind: str) -> None:
        """List what the field can be taken from now."""
        menu.clear()
        for name, data in self._offers(kind) if self._offers else ():
            take = partial(self.take, key, name, data)
            menu.addAction(name.replace("&", "&&")).triggered.connect(take)
        if menu.isEmpty():
            menu.addAction("No layer fits").setEnabled(False)


class UnionForm(Parts):
    """Editor of one member of a union: which one, and its fields.

    Each member keeps its own edits while another one is chosen. The caller may lay out
    `choice` and `fields` elsewhere, and keeps this object then.

    Parameters
    ----------
    union : type
        Union of frozen models, annotated with a discriminator or not.
    name : str
        Object name of the combo box, put before the fields' names.
    offers : callable, optional
        What the members' fields can be taken from, as in `ModelForm`.
    without : sequence of str
        Fields that have no rows.

    Attributes
    ----------
    choice : Choice
        Which member; its `combo` is the QComboBox.
    fields : Container
        Rows of the chosen member; hidden where it has none.
    """

    def __init__(
        self,
        union: Any,
        *,
        name: str = "",
        offers: Offers | None = None,
        without: Sequence[str] = (),
    ) -> None:
        self.members = {m.model_fields["kind"].default: m for m in union_members(union)}
        members = self.members.items()
        self.choice = Choice(
            [(member_title(member), kind) for kind, member in members],
            [inspect.cleandoc(member.__doc__ or "") for _, member in members],
            name=name,
        )
        self.combo = self.choice.combo
        self._name, self._offers, self._without = name, offers, without
        self._pages: dict[str, ModelForm] = {}
        self.fields: Container[Any] = Container(labels=False)
        super().__init__(self.choice, self.fields)
        bare(self.fields, INDENT)
        self.choice.changed.connect(self._show_page)
        self._watch(self.choice)
        self._show_page()

    def get_value(self) -> Any:
        """Return the chosen member with the values of its rows."""
        return self.page().value

    def _fill(self, value: Any) -> None:
        if type(value) not in self.members.values():
            raise TypeError(f"{value!r} is not a member of this union.")
        self.choice.value = value.kind
        self.page().value = value

    def page(self, kind: str | None = None) -> ModelForm:
        """Return the form of a member, the chosen one by default."""
        kind = self.choice.value if kind is None else kind
        if kind not in self._pages:
            self._pages[kind] = self._make_page(kind)
        return self._pages[kind]

    def made_page(self, kind: str) -> ModelForm | None:
        """Return the form of a member that was chosen before, None for others."""
        return self._pages.get(kind)

    def _make_page(self, kind: str) -> ModelForm:
        """Make the rows of a member, which takes long: only once it is looked at."""
        member = self.members[kind]
        keys = [key for key in shown_fields(member) if key not in self._without]
        page = ModelForm(
            member, keys, name=self._name, indent=INDENT, offers=self._offers
        )
        self._watch(page)
        self.fields.append(page)
        return page

    def kinds(self) -> list[str]:
        """Return the discriminator of each member."""
        return list(self.members)

    def refuse(self, reasons: Sequence[str | None]) -> None:
        """Grey out members, each with a reason; None where it can be chosen."""
        self.choice.refuse(reasons)

    def editor(self, path: str) -> Any:
        """Return an editor of the chosen member."""
        return self.page().editor(path)

    def has_fields(self) -> bool:
        """Return whether the chosen member has rows to show."""
        return bool(self.page().editors)

    def _show_page(self, *_: Any) -> None:
        # Hidden pages, and not a stack: that is as tall as its tallest page.
        chosen = self.page()
        for page in self._pages.values():
            page.native.setVisible(page is chosen)
        self.fields.native.setVisible(self.has_fields())


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
    magicgui widget
        With `value` and `changed`.
    """
    kind, inner = field.annotation, without_none(field)
    if "path" in extra(field):
        editor: Any = ChosenFile(extra(field)["path"])
    elif inner is not None:
        editor = OptionalValue(editor_for(inner, name, offers), name)
        name = ""
    elif union_members(kind):
        editor = UnionForm(kind, name=name, offers=offers)
        name = ""  # the combo box has it
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        editor = ModelForm(kind, name=name, indent=INDENT, offers=offers)
    else:
        editor = _plain_editor(field, name)
    editor.native.setObjectName(name)
    return editor


def _plain_editor(field: FieldInfo, name: str) -> Any:
    kind: Any = field.annotation
    if kind in (int, float):
        return Number(field)
    if kind is bool:
        return CheckBox(text="")
    if kind is str:
        return LineEdit()
    if get_origin(kind) is Literal:
        options = [(choice_words(str(o)), o) for o in get_args(kind)]
        return Choice(options, name=name)
    raise TypeError(
        f"No editor for {name} of type {kind}: leave it out of the fields, or set "
        'json_schema_extra={"hidden": True}.'
    )


# Layout ------------------------------------------------------------------------------


def bare(container: Any, left: int = 0) -> None:
    """Leave no room around a container, but to the left of it."""
    container.margins = (left, 0, 0, 0)


def labelled(title: str, tip: str, editor: Any, width: int = LABEL_WIDTH) -> Container:
    """A label of a fixed width, and an editor beside it."""
    label = _label(title, tip)
    label.native.setFixedWidth(width)
    return _line(label, editor, wide=1)


def _column(*widgets: Any) -> Container:
    column = Container(widgets=widgets, labels=False)
    bare(column)
    return column


def _line(*widgets: Any, wide: int = 0) -> Container:
    line = Container(widgets=widgets, layout="horizontal", labels=False)
    line.native.layout().setStretch(wide, 1)
    bare(line)
    return line


def _label(title: str, tip: str) -> Label:
    label = Label(value=title, tooltip=tip)
    label.native.setWordWrap(True)
    label.native.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
    return label


def _set_tooltip(editor: Any, tip: str) -> None:
    for widget in [editor.native, *editor.native.findChildren(QWidget)]:
        widget.setToolTip(tip)
