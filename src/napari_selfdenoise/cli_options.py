"""Command-line flags made from the config's fields."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterator
from typing import Any, Union, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from napari_selfdenoise.config import TrainingConfig

_OWN_FLAGS = ("recipe", "budget_s")
"""Fields that have a flag of their own, written by hand."""


def config_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command one flag for every field of `TrainingConfig`."""
    for name, description, choices in reversed(list(_fields(TrainingConfig, ""))):
        flag = f"--{name.replace('_', '-')}"
        declaration = f"{flag}/--no-{flag[2:]}" if choices == ["bool"] else flag
        kind = click.Choice(choices) if choices and choices != ["bool"] else None
        command = click.option(
            declaration,
            _identifier(name),
            default=None,
            type=kind,
            help=description,
            is_flag=choices == ["bool"],
        )(command)
    return command


def config_changes(values: dict[str, Any]) -> dict[str, Any]:
    """Take the config's flags out of a command's values: dotted name -> value."""
    changes = {}
    for name, _, _ in _fields(TrainingConfig, ""):
        value = values.pop(_identifier(name), None)
        if value is not None:
            changes[name] = value
    return changes


def _identifier(name: str) -> str:
    return name.replace(".", "__")


def _fields(
    model: type[BaseModel], prefix: str
) -> Iterator[tuple[str, str, list[str]]]:
    """Dotted name, help text and choices of each field, unions' members included."""
    seen: set[str] = set()
    for name, field in model.model_fields.items():
        if name == "kind" or (not prefix and name in _OWN_FLAGS):
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
