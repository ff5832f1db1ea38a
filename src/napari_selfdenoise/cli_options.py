"""Command-line flags made from the config's fields."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Union, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from napari_selfdenoise.config import TrainingConfig

_OWN_FLAGS = ("recipe", "budget_s")
"""Fields that have a flag of their own, written by hand."""


Command = Callable[..., Any]


def config_options(command: Command, part: str = "") -> Command:
    """Give a command one flag for every field of `TrainingConfig`.

    Of one part only, such as "estimator", where it is named.
    """
    for name, description, choices in reversed(list(_config_fields(part))):
        command = _option(name, description, choices)(command)
    return command


def config_changes(values: dict[str, Any], part: str = "") -> dict[str, Any]:
    """Take the config's flags out of a command's values: dotted name -> value."""
    names = (name for name, _, _ in _config_fields(part))
    return _taken(values, names)


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
        for name, description, choices in reversed(list(_member_fields(members))):
            command = _option(name, description, choices)(command)
        kinds = [member.model_fields["kind"].default for member in members]
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
    names = [name for name, _, _ in _member_fields(_offered(union, left_out))]
    return _taken(values, names)


def _offered(union: Any, left_out: Sequence[str]) -> list[type[BaseModel]]:
    return [
        member
        for member in _members(get_args(union)[0])
        if member.model_fields["kind"].default not in left_out
    ]


def _member_fields(
    members: Sequence[type[BaseModel]],
) -> Iterator[tuple[str, str, list[str]]]:
    entries = (entry for member in members for entry in _fields(member, ""))
    return iter({entry[0]: entry for entry in entries}.values())


def _config_fields(part: str) -> Iterator[tuple[str, str, list[str]]]:
    for entry in _fields(TrainingConfig, ""):
        name = entry[0]
        if name not in _OWN_FLAGS and (not part or name.split(".")[0] == part):
            yield entry


def _option(name: str, description: str, choices: list[str]) -> Callable[..., Any]:
    flag = f"--{name.replace('_', '-')}"
    is_flag = choices == ["bool"]
    return click.option(
        f"{flag}/--no-{flag[2:]}" if is_flag else flag,
        _identifier(name),
        default=None,
        type=click.Choice(choices) if choices and not is_flag else None,
        help=description,
        is_flag=is_flag,
    )


def _taken(values: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    found = {name: values.pop(_identifier(name), None) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def _identifier(name: str) -> str:
    return name.replace(".", "__")


def _fields(
    model: type[BaseModel], prefix: str
) -> Iterator[tuple[str, str, list[str]]]:
    """Dotted name, help text and choices of each field, unions' members included."""
    seen: set[str] = set()
    for name, field in model.model_fields.items():
        if name == "kind" or _is_hidden(field):
            continue
        members = _members(field.annotation)
        if len(members) > 1:
            kinds = [m.model_fields["kind"].default for m in members]
            yield f"{prefix}{name}", _help(field), kinds
        elif not members:
            yield f"{prefix}{name}", _help(field), _choices(field.annotation)
        for member in members:
            for entry in _fields(member, f"{prefix}{name}."):
                if entry[0] not in seen:
                    seen.add(entry[0])
                    yield entry


def _is_hidden(field: FieldInfo) -> bool:
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("hidden"))


def _members(annotation: Any) -> list[type[BaseModel]]:
    """The models that a field can hold: none for a plain value."""
    parts = get_args(annotation) if _is_union(annotation) else (annotation,)
    return [p for p in parts if isinstance(p, type) and issubclass(p, BaseModel)]


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def _choices(annotation: Any) -> list[str]:
    if annotation is bool:
        return ["bool"]
    if get_origin(annotation) is typing.Literal:
        return [str(value) for value in get_args(annotation)]
    return []


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
