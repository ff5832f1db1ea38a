"""All settings of a run as one frozen value; recipes, time budgets, files.

Knows images and parts. For every room from model upwards.
"""

from napari_selfdenoise.config.budget import budget_text, parse_budget
from napari_selfdenoise.config.files import resolve_files
from napari_selfdenoise.config.recipes import DESCRIPTIONS, RECIPES, TITLES, recipe
from napari_selfdenoise.config.rules import RULES, Rule
from napari_selfdenoise.config.supervision import supervised
from napari_selfdenoise.config.training_config import (
    Supervision,
    TrainingConfig,
    noise_model,
    parse_config,
    why_not,
    with_estimator,
)
from napari_selfdenoise.config.volumes import PlanesReach, patches_a_step

__all__ = [
    "DESCRIPTIONS",
    "RECIPES",
    "RULES",
    "TITLES",
    "PlanesReach",
    "Rule",
    "Supervision",
    "TrainingConfig",
    "budget_text",
    "noise_model",
    "parse_budget",
    "parse_config",
    "patches_a_step",
    "recipe",
    "resolve_files",
    "supervised",
    "why_not",
    "with_estimator",
]
