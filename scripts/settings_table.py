#!/usr/bin/env python
"""Print docs/settings.md from the fields that the settings are declared by.

.venv/bin/python scripts/settings_table.py > docs/settings.md
"""

from __future__ import annotations

import inspect
import re
import sys
import types
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types as at
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from napari_selfdenoise.config import DESCRIPTIONS, RECIPES, RULES, TrainingConfig

INTRODUCTION = """\
# Settings

Every setting of a training, as the program declares it. Where to change one:

- **In the window** by its title: recipe and time above, the main parts in "Method",
  the rest in "Advanced settings". Point at a row to read what it does.
- **On the command line** by `--` and its name, with `-` for `_`:
  `--masking.spacing-max 4`. Yes-or-no settings have two flags: `--flips` and
  `--no-flips`. A part is chosen by its name, `--masking grid`. The time budget is set
  by `--budget 2min`.
- **In a settings file** (`--config settings.json`) and **in Python**
  (`recipe("fast").override({"masking.fraction": 0.1})`) by its name.

Where a default is automatic, it is `null` in a settings file and `None` in Python.
Settings of a part hold only while that part is chosen: `masking.fraction` is refused
with `masking` `grid`. Each part has a page on how it works and when to use it: see the
[contents](index.md).

This page is made by `scripts/settings_table.py`.
"""

BOUNDS = {at.Ge: "at least", at.Gt: "above", at.Le: "at most", at.Lt: "below"}
HEADER = ("setting", "name", "default", "allowed", "what it does")


def page() -> str:
    """Return the whole page as Markdown."""
    return "\n".join([INTRODUCTION, *_recipes(), *_general(), *_rules(), *_parts()])


def _recipes() -> Iterator[str]:
    yield "## Recipes\n"
    yield "A recipe is a value of all settings. Where it departs from the defaults:\n"
    yield from _table(
        ("recipe", "what it is", "settings"),
        (
            (f"`{name}`", DESCRIPTIONS[name], _departures(config))
            for name, config in RECIPES.items()
        ),
    )


def _departures(config: TrainingConfig) -> str:
    plain = TrainingConfig().model_dump()
    flat, usual = _flat(config.model_dump()), _flat(plain)
    changed = {
        name: value
        for name, value in flat.items()
        if usual.get(name) != value and name != "recipe"
    }
    return ", ".join(f"`{n}` {_shown(v)}" for n, v in changed.items()) or "none"


def _flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix.rstrip(".") if name == "kind" else prefix + name] = value
    return flat


def _general() -> Iterator[str]:
    yield "## Training and prediction\n"
    yield from _table(HEADER, _rows(TrainingConfig, ""))


def _rules() -> Iterator[str]:
    yield "## What does not go together\n"
    yield "The window greys out what would break one of these rules; elsewhere it is"
    yield "refused with the reason.\n"
    yield from _table(
        ("settings", "why, and what to choose"),
        (
            (" and ".join(f"`{part}`" for part in rule.parts), _sentence(rule.reason))
            for rule in RULES
        ),
    )


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _parts() -> Iterator[str]:
    for name, field in TrainingConfig.model_fields.items():
        members = _members(field.annotation)
        if not members:
            continue
        yield f"## {field.title}\n"
        yield f"{field.description}\n"
        for member in members:
            kind = member.model_fields["kind"].default
            yield f"### {member.model_config['title']}\n"
            if len(members) > 1:
                yield f"Chosen by `{name}`: `{kind}`.\n"
            yield f"{_prose(member)}\n"
            if rows := list(_rows(member, f"{name}.")):
                yield from _table(HEADER, rows)


def _rows(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        members = _members(field.annotation)
        if name == "kind" or len(members) == 1 or _extra(field).get("hidden"):
            continue
        yield (
            field.title or name,
            f"`{prefix}{name}`",
            _default(field),
            " or ".join(f"`{m.model_fields['kind'].default}`" for m in members)
            or _allowed(field),
            field.description or "",
        )


def _members(annotation: Any) -> list[type[BaseModel]]:
    parts = get_args(annotation) if _is_union(annotation) else (annotation,)
    return [p for p in parts if isinstance(p, type) and issubclass(p, BaseModel)]


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, BaseModel):
        return f"`{value.model_dump()['kind']}`"
    if "path" in _extra(field):
        return "none"
    is_number = isinstance(value, int | float)
    return _with_unit(_shown(value), field) if is_number else _shown(value)


def _shown(value: Any) -> str:
    if value is None:
        return "automatic"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"`{value}`" if isinstance(value, str) else f"{value:g}"


def _allowed(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(field.annotation))
    if field.annotation is bool:
        return "yes or no"
    if "path" in _extra(field):
        return "a file"
    bounds = [
        f"{BOUNDS[type(bound)]} {_value(bound)}"
        for bound in field.metadata
        if type(bound) in BOUNDS
    ]
    automatic = ["automatic"] if type(None) in get_args(field.annotation) else []
    types_ = {field.annotation, *get_args(field.annotation)}
    if not bounds and float in types_:
        return " or ".join(["any", *automatic])
    found = ", ".join(bounds)
    return " or ".join(filter(None, [_with_unit(found, field), *automatic]))


def _value(bound: Any) -> Any:
    """Value of a bound such as ``Ge(ge=1)``."""
    (name,) = bound.__dataclass_fields__
    return getattr(bound, name)


def _with_unit(text: str, field: FieldInfo) -> str:
    unit = _extra(field).get("unit")
    return f"{text} {unit}" if unit and text else text


def _extra(field: FieldInfo) -> dict[str, Any]:
    extra = field.json_schema_extra
    return dict(extra) if isinstance(extra, dict) else {}


def _prose(member: type[BaseModel]) -> str:
    """Docstring, without its first line where that repeats the title."""
    whole = inspect.cleandoc(member.__doc__ or "")
    first, _, rest = whole.partition("\n")
    title = member.model_config.get("title") or ""
    repeats = _words(title) <= _words(first)
    return rest.strip() if repeats and rest else whole


def _words(text: str) -> set[str]:
    return set(re.findall(r"[\w-]+", text.lower()))


def _table(header: tuple[str, ...], rows: Any) -> Iterator[str]:
    for cells in (header, ("---",) * len(header), *rows):
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    yield ""


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    sys.stdout.write(page().rstrip() + "\n")
