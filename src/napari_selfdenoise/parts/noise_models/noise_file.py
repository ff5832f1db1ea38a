"""A fitted noise model as one file: plain JSON, which any training can use."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import parse_json, saving
from napari_selfdenoise.parts.noise_models.curve import NoiseCurve
from napari_selfdenoise.parts.noise_models.fitted_noise import FittedNoise
from napari_selfdenoise.parts.noise_models.models import NoiseModel

FORMAT = "napari-selfdenoise noise model"
VERSION = 1
SUFFIX = ".noise.json"

_LARGEST = 2**27
"""Bytes of a file: those of this program are far smaller."""

_CONFIG: TypeAdapter[NoiseModel] = TypeAdapter(NoiseModel)


def save_noise_model(fitted: FittedNoise, path: str | os.PathLike[str]) -> Path:
    """Write a noise model to one file.

    An existing file is replaced only when all is written.

    Parameters
    ----------
    fitted : FittedNoise
        From `calibrate` or `fit_noise`.
    path : path
        Where; ".noise.json" is added if it is missing.

    Returns
    -------
    Path
        Where it was written.

    Raises
    ------
    RequestError
        If the folder is not there.
    DenoisingError
        If the file cannot be written.
    """
    path = noise_model_path(Path(path))
    text = json.dumps(_description(fitted), allow_nan=False)
    with saving(path, "noise model") as part:
        part.write_text(text, encoding="utf-8")
    return path


def load_noise_model(path: str | os.PathLike[str]) -> FittedNoise:
    """Read a noise model that `save_noise_model` wrote.

    Raises
    ------
    RequestError
        If the file is not there, is no such noise model, or is damaged.
    """
    path = Path(path)
    path = path if path.is_file() else noise_model_path(path)
    if not path.is_file():
        raise RequestError(f"There is no noise model file {path}.", "Check its name.")
    if path.stat().st_size > _LARGEST:
        raise _damaged(path, "it is far larger than one")
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
        _require_format(path, content)
        return _rebuild(content)
    except RequestError:
        raise
    except UnicodeDecodeError as error:
        raise _damaged(path, "it does not hold text") from error
    except json.JSONDecodeError as error:
        raise _damaged(path, "its text is cut off or was changed") from error
    except ValidationError as error:
        raise _damaged(path, "its settings are not known") from error
    except (OSError, LookupError, TypeError, AttributeError, ValueError) as error:
        raise _damaged(path, f"its content does not fit ({error})") from error


def noise_model_path(path: Path) -> Path:
    """A path with the ending of noise model files."""
    name = path.name.removesuffix(".json").removesuffix(".noise")
    return path.with_name(name + SUFFIX)


def _damaged(path: Path, why: str) -> RequestError:
    return RequestError(
        f"{path.name} is not a noise model that this plugin saved, or is damaged: "
        f"{why}.",
        f"Choose a {SUFFIX} file that this program saved.",
    )


def _description(fitted: FittedNoise) -> dict[str, Any]:
    curve = fitted.curve.to_json()
    return {
        "format": FORMAT,
        "version": VERSION,
        "kind": fitted.kind,
        "config": fitted.config.model_dump(mode="json"),
        "signal_range": fitted.signal_range,
        "poisson_gaussian": fitted.poisson_gaussian,
        "bits_per_pixel": fitted.bits_per_pixel,
        "provenance": fitted.provenance,
        "warnings": fitted.warnings,
        "notes": fitted.notes,
        "curve": curve,
    }


def _require_format(path: Path, content: Any) -> None:
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise _damaged(path, "it holds something else")
    if content["version"] > VERSION:
        raise RequestError(
            f"{path.name} was written by a newer version of this program (format "
            f"{content['version']}; this one reads up to {VERSION}).",
            "Update napari-selfdenoise.",
        )


def _rebuild(content: dict[str, Any]) -> FittedNoise:
    curve = NoiseCurve.from_json(content["curve"])
    _require_sound(curve)
    low, high = map(float, content["signal_range"])
    a, b = map(float, content["poisson_gaussian"])
    if not all(map(math.isfinite, (low, high, a, b))) or low > high:
        raise ValueError("its signals are no range, or its line is none")
    return FittedNoise(
        str(content["kind"]),
        _CONFIG.validate_python(content["config"]),
        curve,
        (low, high),
        (a, b),
        float(content["bits_per_pixel"]),
        dict(content["provenance"]),
        [str(text) for text in content["warnings"]],
        # Files of before have none.
        {str(name): str(text) for name, text in content.get("notes", {}).items()},
    )


def _require_sound(curve: NoiseCurve) -> None:
    """Refuse what no calibration has measured."""
    if not (np.diff(curve.signal) > 0).all():
        raise ValueError("the signals of the curve do not increase")
    if (curve.stds <= 0).any():
        raise ValueError("widths and weights must be positive")
