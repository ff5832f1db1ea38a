"""A config from a recipe, a settings file and flags: the latter override the former."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from napari_selfdenoise.cli.flags import config_changes, config_options, help_named
from napari_selfdenoise.config import (
    DESCRIPTIONS,
    RECIPES,
    TrainingConfig,
    parse_budget,
    recipe,
)
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import parse_json


def training_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the flags that decide a training."""
    recipes = " ".join(f"{name}: {text}" for name, text in DESCRIPTIONS.items())
    command = config_options(command)
    for option in (
        click.option(
            "--recipe",
            "recipe_name",
            type=click.Choice(list(RECIPES)),
            help=f"Settings to start from (default: fast). {recipes}",
        ),
        click.option(
            "--budget",
            help='Training time, such as "60s", "2min" or "until I stop" (Ctrl-C ends '
            "it and keeps what was learned). Default: the recipe's. With --steps too, "
            "training ends at whichever is first.",
        ),
        click.option(
            "--config",
            "config_file",
            type=click.Path(dir_okay=False),
            help="JSON file of settings; flags override it.",
        ),
        click.option(
            "--frame", type=int, help="Take this frame or plane of the stack, from 0."
        ),
    )[::-1]:
        command = option(command)
    return command


def run_config(
    values: dict[str, Any], resumed: TrainingConfig | None = None
) -> TrainingConfig:
    """Return the config of a verb's values, which are taken out of them.

    The recipe or the resumed settings, changed by the file, changed by the flags.

    Parameters
    ----------
    values : dict
        What click made of the flags of `training_options`, but for the frame; they
        are taken out.
    resumed : TrainingConfig, optional
        Settings of the model that is trained on.

    Raises
    ------
    RequestError
        If the file cannot be read, or a setting is not valid.
    """
    name, budget = values.pop("recipe_name"), values.pop("budget")
    content = _read_config(values.pop("config_file"))
    changes = config_changes(values)
    stored = content.pop("recipe", None)
    start = (
        resumed
        if resumed and not (name or stored)
        else recipe(name or stored or "fast")
    )
    if budget is not None:
        changes["budget_s"] = parse_budget(budget)
    with help_named("train"):
        return start.override(_flatten(content)).override(changes)


def _read_config(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        content = parse_json(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RequestError(
            f"The settings file {path} cannot be read: {error}.",
            'Give a JSON file such as {"recipe": "fast", "seed": 1}.',
        ) from error
    if not isinstance(content, dict):
        raise RequestError(
            f"The settings file {path} holds no settings.",
            'Give a JSON object such as {"recipe": "fast", "seed": 1}.',
        )
    return content


def _flatten(content: dict[str, Any]) -> dict[str, Any]:
    """Settings by dotted name, the kind of each part before its fields.

    What a field of a part holds stays whole, be it a dict: a noise curve is one value.
    """
    flat: dict[str, Any] = {}
    for name, value in content.items():
        if not isinstance(value, dict):
            flat[name] = value
            continue
        if "kind" in value:
            flat[name] = value["kind"]
        flat |= {f"{name}.{key}": v for key, v in value.items() if key != "kind"}
    return flat
