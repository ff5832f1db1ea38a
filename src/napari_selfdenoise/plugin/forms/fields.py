"""What the fields of pydantic models say to a form."""

from __future__ import annotations

import html
import inspect
import math
import re
import types
from dataclasses import astuple
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types as at
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo


def extra(field: FieldInfo) -> dict[str, Any]:
    """Return what the field says beyond pydantic, such as its unit."""
    extra = field.json_schema_extra
    return dict(extra) if isinstance(extra, dict) else {}


def without_none(field: FieldInfo) -> FieldInfo | None:
    """Return the field without its None, or None where it has none."""
    if get_origin(field.annotation) not in (Union, types.UnionType):
        return None
    arguments = get_args(field.annotation)
    rest = [a for a in arguments if a is not type(None)]
    if len(rest) == len(arguments):
        return None
    union: Any = Union[tuple(rest)]  # noqa: UP007
    inner = FieldInfo.from_annotation(union)
    inner.metadata = [*inner.metadata, *field.metadata]
    inner.json_schema_extra = inner.json_schema_extra or field.json_schema_extra
    return inner


def shown_fields(model_type: type[BaseModel]) -> list[str]:
    """Return the names of the fields a form has rows for."""
    fields = model_type.model_fields.items()
    return [key for key, field in fields if not is_hidden(field)]


def union_members(union: Any) -> list[type[BaseModel]]:
    """Return the models of a union, or an empty list where it is none of models."""
    if get_origin(union) is Annotated:
        return union_members(get_args(union)[0])
    if get_origin(union) not in (Union, types.UnionType):
        return []
    members = list(get_args(union))
    models = [m for m in members if isinstance(m, type) and issubclass(m, BaseModel)]
    return models if models == members else []


def member_title(member: type[BaseModel]) -> str:
    """Return what a user calls a member: its title, or its docstring's first words."""
    title = member.model_config.get("title")
    first = inspect.cleandoc(member.__doc__ or "").partition("\n")[0]
    return title or re.split(r"\.(?!\d)|\s*\(", first)[0] or words(member.__name__)


def is_hidden(field: FieldInfo) -> bool:
    """Whether a form has no row for a field."""
    constant = get_origin(field.annotation) is Literal and (
        len(get_args(field.annotation)) == 1
    )
    return constant or bool(extra(field).get("hidden"))


def default(field: FieldInfo) -> Any:
    """What a field is where nothing is said of it."""
    return field.get_default(call_default_factory=True, validated_data={})


def bounds(field: FieldInfo) -> tuple[float | None, float | None, float | None]:
    """Return the lowest and the highest number of a field, and its step."""
    found: dict[type, Any] = {type(m): m for m in field.metadata}
    gap = 1 if field.annotation is int else None
    low = found[at.Ge].ge if at.Ge in found else None
    high = found[at.Le].le if at.Le in found else None
    if at.Gt in found:
        low = _above(found[at.Gt].gt, gap)
    if at.Lt in found:
        high = -_above(-found[at.Lt].lt, gap)
    step = found[at.MultipleOf].multiple_of if at.MultipleOf in found else None
    return low, high, step


def _above(bound: float, gap: int | None) -> float:
    """The least number that a field may be above an open bound."""
    return math.floor(bound) + gap if gap else math.nextafter(bound, math.inf)


# Words -------------------------------------------------------------------------------


_ABBREVIATIONS = {"sure": "SURE"}


def words(name: str) -> str:
    """Write a name as words: `budget_s` as Budget s."""
    text = name.replace("_", " ").strip()
    return text[:1].upper() + text[1:]


def choice_words(value: str) -> str:
    """Write a value that can be chosen as words: `sure` as SURE."""
    return _ABBREVIATIONS.get(value, value.replace("_", " "))


def tooltip(field: FieldInfo) -> str:
    """Return description, unit and bounds; as rich text, since only that wraps."""
    unit = extra(field).get("unit")
    parts = [field.description or "", f"Unit: {unit}." if unit else ""]
    parts += [_bounds_in_words(without_none(field) or field)]
    text = " ".join(filter(None, parts))
    return f"<p>{html.escape(text, quote=False)}</p>" if text else ""


def _bounds_in_words(field: FieldInfo) -> str:
    words = {at.Ge: "at least", at.Gt: "more than", at.Le: "at most"}
    words |= {at.Lt: "less than", at.MultipleOf: "a multiple of"}
    sentence = [
        f"{words[type(m)]} {astuple(m)[0]}" for m in field.metadata if type(m) in words
    ]
    return f"{', '.join(sentence)}.".capitalize() if sentence else ""


def sentence(error: ValidationError, model_type: type[BaseModel]) -> str:
    """Say what is wrong with values, by the titles of their fields."""
    return " ".join(_complaint(e, model_type) for e in error.errors())


def _complaint(error: Any, model_type: type[BaseModel]) -> str:
    message = error["msg"].removeprefix("Value error, ").rstrip(".")
    field = model_type.model_fields.get(str(next(iter(error["loc"]), "")))
    if field is None:
        return f"{message}."
    return f"{field.title or words(str(error['loc'][0]))}: {message}."
