"""Command-line flags made from the config's fields."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Union, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.errors import RequestError

_OWN_FLAGS = ("recipe", "budget_s")
"""Fields that have a flag of their own, written by hand."""

Command = Callable[..., Any]


class _Setting(NamedTuple):
    """A field as a flag: its dotted name, help text and choices.

    Attributes
    ----------
    kind : str
        Of the union's member that the field is of; empty outside unions.
    choices : tuple of str
        Empty for any value, ("bool",) for a switch.
    """

    name: str
    kind: str
    text: str
    choices: tuple[str, ...]


@contextmanager
def help_named(verb: str) -> Iterator[None]:
    """Add the help of a verb to the error of a setting that is refused."""
    try:
        yield
    except RequestError as error:
        more = f"See `selfdenoise {verb} --help` for the settings and their ranges."
        raise RequestError(error.message, f"{error.hint} {more}".strip()) from error


def config_options(command: Command, part: str = "") -> Command:
    """Give a command one flag for every field of `TrainingConfig`.

    Of one part only, such as "estimator", where it is named.
    """
    for setting in reversed(_config_settings(part)):
        command = _option(setting)(command)
    return command


def config_changes(values: dict[str, Any], part: str = "") -> dict[str, Any]:
    """Take the config's flags out of a command's values: dotted name -> value."""
    return _taken(values, _config_settings(part))


def member_options(union: Any, left_out: Sequence[str]) -> Callable[[Command], Command]:
    """Give a command a flag for every field of a union's members, and for their kind.

    Parameters
    ----------
    union : type
        Annotated union of models.
    left_out : sequence of str
        Kinds that are not offered.
    """
    members = _offered(union, left_out)

    def decorate(command: Command) -> Command:
        for setting in reversed(_member_settings(members)):
            command = _option(setting)(command)
        kinds = [_kind(member) for member in members]
        titles = "; ".join(
            f"{kind}: {member.model_config.get('title')}"
            for kind, member in zip(kinds, members, strict=True)
        )
        return click.option("--kind", type=click.Choice(kinds), help=f"{titles}.")(
            command
        )

    return decorate


def member_changes(
    values: dict[str, Any], union: Any, left_out: Sequence[str]
) -> dict[str, Any]:
    """Take the flags that `member_options` gave out of a command's values."""
    return _taken(values, _member_settings(_offered(union, left_out)))


def _offered(union: Any, left_out: Sequence[str]) -> list[type[BaseModel]]:
    members = _members(get_args(union)[0])
    return [member for member in members if _kind(member) not in left_out]


def _member_settings(members: Sequence[type[BaseModel]]) -> list[_Setting]:
    return _merged(setting for member in members for setting in _settings(member, ""))


def _config_settings(part: str) -> list[_Setting]:
    return _merged(
        setting
        for setting in _settings(TrainingConfig, "")
        if setting.name not in _OWN_FLAGS
        and (not part or setting.name.split(".")[0] == part)
    )


def _option(setting: _Setting) -> Callable[..., Any]:
    flag = f"--{setting.name.replace('_', '-')}"
    is_flag = setting.choices == ("bool",)
    choices = setting.choices if not is_flag else ()
    return click.option(
        f"{flag}/--no-{flag[2:]}" if is_flag else flag,
        _identifier(setting.name),
        default=None,
        type=click.Choice(choices) if choices else None,
        help=setting.text,
        is_flag=is_flag,
    )


def _taken(values: dict[str, Any], settings: Iterable[_Setting]) -> dict[str, Any]:
    found = {s.name: values.pop(_identifier(s.name), None) for s in settings}
    return {name: value for name, value in found.items() if value is not None}


def _identifier(name: str) -> str:
    return name.replace(".", "__")


def _settings(model: type[BaseModel], prefix: str) -> Iterator[_Setting]:
    """Fields of a model, unions and their members' fields included."""
    for name, field in model.model_fields.items():
        if name == "kind" or _is_hidden(field):
            continue
        members, place = _members(field.annotation), f"{prefix}{name}"
        if len(members) > 1:
            kinds = tuple(_kind(member) for member in members)
            yield _Setting(place, _kind(model), _help(field), kinds)
        elif not members:
            yield _Setting(place, _kind(model), _help(field), _choices(field))
        for member in members:
            yield from _settings(member, f"{place}.")


def _merged(settings: Iterable[_Setting]) -> list[_Setting]:
    """Make one setting of those that members of a union share by name."""
    shared: dict[str, list[_Setting]] = {}
    for setting in settings:
        shared.setdefault(setting.name, []).append(setting)
    return [
        group[0]._replace(text=_shared_text(group), choices=_shared_choices(group))
        for group in shared.values()
    ]


def _shared_text(group: Sequence[_Setting]) -> str:
    """Help text of a setting, by kind where it is not the same for all."""
    kinds: dict[str, list[str]] = {}
    for setting in group:
        kinds.setdefault(setting.text, []).append(setting.kind)
    if len(kinds) == 1:
        return group[0].text
    return " ".join(f"{', '.join(names)}: {text}" for text, names in kinds.items())


def _shared_choices(group: Sequence[_Setting]) -> tuple[str, ...]:
    """Choices of a setting, of all kinds; the config checks those of the chosen one."""
    if not all(setting.choices for setting in group):
        return ()
    return tuple(dict.fromkeys(c for setting in group for c in setting.choices))


def _kind(model: type[BaseModel]) -> str:
    field = model.model_fields.get("kind")
    return str(field.default) if field else ""


def _is_hidden(field: FieldInfo) -> bool:
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("hidden"))


def _members(annotation: Any) -> list[type[BaseModel]]:
    """The models that a field can hold: none for a plain value."""
    parts = get_args(annotation) if _is_union(annotation) else (annotation,)
    return [p for p in parts if isinstance(p, type) and issubclass(p, BaseModel)]


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def _choices(field: FieldInfo) -> tuple[str, ...]:
    if field.annotation is bool:
        return ("bool",)
    if get_origin(field.annotation) is typing.Literal:
        return tuple(str(value) for value in get_args(field.annotation))
    return ()


def _help(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    unit = str(extra["unit"]) if isinstance(extra, dict) and "unit" in extra else ""
    limits = " ".join(
        f"{sign} {getattr(bound, name):g}"
        for bound in field.metadata
        for name, sign in _SIGNS.items()
        if hasattr(bound, name)
    )
    noted = ", ".join(filter(None, (unit, limits)))
    return f"{field.description or field.title}{f' [{noted}]' if noted else ''}"


_SIGNS = {"gt": "above", "ge": "from", "lt": "below", "le": "to"}
