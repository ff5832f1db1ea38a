"""How a model came about: what is kept with it for the record."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch

from napari_selfdenoise.images import Image
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.training.plan import TrainingPlan
from napari_selfdenoise.version import __version__


def provenance_of(
    plan: TrainingPlan,
    images: Sequence[Image],
    start: TrainedModel | None,
    steps: int,
    seconds: float,
    warnings: list[str],
    processes: int = 1,
) -> dict[str, Any]:
    """Describe a training in plain values.

    Parameters
    ----------
    plan : TrainingPlan
        What was trained.
    images : sequence of Image
        That it learned from.
    start : TrainedModel or None
        That it went on from.
    steps : int
        Steps done.
    seconds : float
        Since the start.
    warnings : list of str
        What the user should know of the result.
    processes : int
        That trained together.
    """
    acquired = images[0].acquisition
    made: dict[str, Any] = {
        "images": [image.name for image in images],
        "axes": images[0].describe(),
        "microscope": acquired.microscope if acquired else "",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "recipe": plan.config.recipe,
        "seed": plan.config.seed,
        "steps": steps,
        "seconds": round(seconds, 3),
        "device": str(plan.device),
        "precision": str(plan.dtype).removeprefix("torch."),
        "warnings": warnings,
        "versions": _versions(),
        "finding": plan.finding,
    }
    # With several, each step learned from as many batches.
    made |= {"processes": processes} if processes > 1 else {}
    return made | ({"continues": _earlier(start)} if start else {})


def _versions() -> dict[str, str]:
    return {
        "napari-selfdenoise": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def _earlier(start: TrainedModel) -> list[dict[str, Any]]:
    """Trainings that a model has behind it, the first one first."""
    made = start.provenance
    names = ("images", "recipe", "seed", "steps", "seconds", "versions", "processes")
    last = {name: made[name] for name in names if name in made}
    return [*made.get("continues", []), last]
