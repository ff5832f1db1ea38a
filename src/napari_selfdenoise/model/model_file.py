"""A trained model as one file: tensors and JSON in safetensors, no pickle."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from napari_selfdenoise.config import TrainingConfig, parse_config
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import Normalization, parse_json, saving
from napari_selfdenoise.model.integrity import checksum
from napari_selfdenoise.model.trained_model import (
    ChannelModel,
    LossHistory,
    TrainedModel,
)
from napari_selfdenoise.parts.noise_models import NoiseCurve, NoiseUnits
from napari_selfdenoise.parts.psf import Optics
from napari_selfdenoise.version import __version__

FORMAT = "napari-selfdenoise model"
VERSION = 2
SUFFIX = ".safetensors"
_CHECKSUM = "sha256"

_DOES_NOT_FIT = (
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
    ValueError,
    ArithmeticError,
)
"""Errors of a file whose content is not what `save_model` writes."""


def save_model(model: TrainedModel, path: str | os.PathLike[str]) -> Path:
    """Write a model to one file; an existing file is replaced only when all is written.

    Parameters
    ----------
    model : TrainedModel
        What to save.
    path : path
        Where; ".safetensors" is added if it is missing.

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
    path = Path(path)
    if not path.name:
        raise RequestError(
            f"{str(path)!r} names no model file.", f"Name one, such as model{SUFFIX}."
        )
    path = model_path(path)
    text, tensors = json.dumps(_description(model)), _tensors(model)
    metadata = {"selfdenoise": text, _CHECKSUM: checksum(text, tensors)}
    with saving(path, "model") as part:
        part.write_bytes(save(tensors, metadata))
    return path


def load_model(path: str | os.PathLike[str]) -> TrainedModel:
    """Read a model that `save_model` wrote.

    Raises
    ------
    RequestError
        If the file is not there, is no such model, or is damaged.
    """
    path = _found(Path(path))
    try:
        with safe_open(path, framework="pt") as file:
            description = _parse_description(path, file.metadata())
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            _require_whole(path, file.metadata(), tensors)
        return _rebuild(path, description, tensors)
    except RequestError:
        raise
    except (PermissionError, FileNotFoundError) as error:
        # The library says for both that it is not there.
        raise RequestError(
            f"{path} could not be opened: you may not read it, or it was just removed.",
            "Check its permissions.",
        ) from error
    except (SafetensorError, OSError) as error:
        raise _damaged(path, str(error)) from error
    except _DOES_NOT_FIT as error:
        raise _damaged(path, f"its content does not fit ({error})") from error


def model_digest(model: TrainedModel) -> str:
    """Digits that two models share only if they give the same predictions."""
    about = {key: _description(model)[key] for key in ("config", "channels")}
    found = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name, tensor in sorted(_tensors(model).items()):
        found.update(name.encode())
        found.update(tensor.contiguous().numpy().tobytes())
    return found.hexdigest()


def _found(path: Path) -> Path:
    """The file of a model that is named with its ending or without."""
    is_folder = False
    with suppress(OSError, ValueError):  # of names that no file can have
        is_folder = path.is_dir()
        for one in (path, model_path(path)):
            if one.is_file():
                return one
    if is_folder:
        raise RequestError(
            f"{path} is a folder, and no model file.", f"Choose a {SUFFIX} file."
        )
    raise RequestError(f"There is no model file {path}.", "Check its name.")


def model_path(path: Path) -> Path:
    """A path with the ending of model files."""
    return path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)


def _damaged(path: Path, why: str) -> RequestError:
    return RequestError(
        f"{path.name} is not a model that this plugin saved, or is damaged.",
        "Choose a .safetensors file that this program saved.",
    )


def _description(model: TrainedModel) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "config": model.config.model_dump(mode="json"),
        "channels": [
            {
                "normalization": {
                    "offset": channel.normalization.offset,
                    "scale": channel.normalization.scale,
                },
                "noise_curve": channel.noise_curve.to_json(),
                "noise_std_floor": channel.noise.std_floor if channel.noise else None,
                "background": float(channel.optics.background)
                if channel.optics
                else None,
                "empty": channel.is_empty,
            }
            for channel in model.channels
        ],
        "history": {
            "step": model.history.step.tolist(),
            "loss": model.history.loss.tolist(),
        },
        "provenance": model.provenance,
    }


def _tensors(model: TrainedModel) -> dict[str, Tensor]:
    tensors = {}
    for number, channel in enumerate(model.channels):
        parts = {"network": channel.network, "noise": channel.noise}
        for part, module in parts.items():
            for name, value in module.state_dict().items() if module else ():
                tensors[f"{number}.{part}.{name}"] = value.cpu().contiguous()
        if channel.optics:
            tensors[f"{number}.kernel"] = torch.from_numpy(channel.optics.kernel.copy())
    return tensors


def _parse_description(path: Path, metadata: dict[str, str] | None) -> dict[str, Any]:
    try:
        description: dict[str, Any] = parse_json((metadata or {})["selfdenoise"])
    except (KeyError, ValueError) as error:
        raise _damaged(path, "it holds no description of the model") from error
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise _damaged(path, "it holds something else")
    if description["version"] > VERSION:
        raise RequestError(
            f"{path.name} was written by a newer version of this program (format "
            f"{description['version']}; this one reads up to {VERSION}).",
            "Update napari-selfdenoise.",
        )
    return description


def _require_whole(
    path: Path, metadata: dict[str, str], tensors: dict[str, Tensor]
) -> None:
    """Refuse a file whose checksum does not agree; files of before have none."""
    written = metadata.get(_CHECKSUM)
    if written and written != checksum(metadata["selfdenoise"], tensors):
        raise RequestError(
            f"{path.name} is damaged: its checksum does not agree with its content.",
            "Copy it again from where it was saved, or train anew.",
        )


def _config(path: Path, description: dict[str, Any]) -> TrainingConfig:
    """Settings of a model, with a sentence for those of a later version."""
    try:
        return parse_config(_with_later_settings(description["config"]))
    except RequestError as error:
        made = description["provenance"]["versions"]["napari-selfdenoise"]
        raise RequestError(
            f"{path.name} was saved by version {made} of this program, with settings "
            f"that version {__version__} does not have. {error.message}",
            "Update napari-selfdenoise.",
        ) from error


def _rebuild(
    path: Path, description: dict[str, Any], tensors: dict[str, Tensor]
) -> TrainedModel:
    config = _config(path, description)
    channels = [
        _rebuild_channel(config, content, number, tensors)
        for number, content in enumerate(description["channels"])
    ]
    if not channels:
        raise ValueError("it has no channel")
    learned = {str(n) for n, one in enumerate(channels) if not one.is_empty}
    if {name.partition(".")[0] for name in tensors} != learned:
        raise ValueError("its tensors are those of other channels")
    history = description["history"]
    steps, losses = np.array(history["step"], np.int64), np.array(history["loss"])
    if steps.ndim != 1 or steps.shape != losses.astype(float).shape:
        raise ValueError("steps and losses differ in length")
    return TrainedModel(
        config,
        tuple(channels),
        LossHistory(steps, losses.astype(float)),
        _sound_provenance(description["provenance"]),
    )


def _sound_provenance(found: dict[str, Any]) -> dict[str, Any]:
    """What a file says of a training, if all that is shown has its type."""
    kinds: dict[str, Any] = {"steps": int, "seconds": int | float, "versions": dict}
    kinds |= {"images": list, "warnings": list, "continues": list}
    kinds |= dict.fromkeys(("precision", "finding", "few_steps", "device"), str)
    odd = [name for name in kinds if not isinstance(found.get(name), kinds[name])]
    if set(odd) & set(found):
        raise TypeError("the training is not described as it should be")
    texts = [*found.get("images", ()), *found.get("warnings", ())]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("names and warnings must be text")
    return found


def _with_later_settings(config: dict[str, Any]) -> dict[str, Any]:
    """A config in which settings that came later are as they were before."""
    context = config.get("context", {})
    if context.get("kind") == "neighbours" and "motion" not in context:
        return config | {"context": context | {"motion": False}}
    return config


def _rebuild_channel(
    config: TrainingConfig,
    content: dict[str, Any],
    number: int,
    tensors: dict[str, Tensor],
) -> ChannelModel:
    if content.get("empty"):
        return ChannelModel.empty()
    with torch.device("meta"):  # a file must hold the weights that its settings ask for
        _require_same(config.build_network(), tensors, f"{number}.network.")
    network = config.build_network()
    _fill(network, tensors, f"{number}.network.")
    norm, floor = Normalization(**content["normalization"]), content["noise_std_floor"]
    if not 0 < norm.scale < np.inf or not -np.inf < norm.offset < np.inf:
        raise ValueError("the normalisation is none")
    noise = None
    # One from a file is frozen: the curve says all, and the file may be gone.
    if floor is not None and not config.noise_model.is_given:
        if not 0 < floor < np.inf:
            raise ValueError("the least noise must be positive")
        units = NoiseUnits(norm.offset, norm.scale, floor)
        noise = config.noise_model.build(units)
    if noise is not None:
        _fill(noise.eval(), tensors, f"{number}.noise.")
    optics = None
    if config.psf.blurs:
        kernel = _sound_kernel(tensors[f"{number}.kernel"])
        optics = Optics.of(config.psf, kernel, float(content["background"]))
    curve = NoiseCurve.from_json(content["noise_curve"])
    return ChannelModel(network.eval(), noise, norm, curve, optics)


def _sound_kernel(kernel: Tensor) -> NDArray[np.float64]:
    """Kernel of a point spread function, (n, n) with n odd."""
    side = kernel.shape[-1]
    if kernel.shape != (side, side) or side % 2 == 0 or not kernel.is_floating_point():
        raise ValueError("the point spread function has no middle")
    if not bool(torch.isfinite(kernel).all()):
        raise ValueError("the point spread function is not finite")
    return np.asarray(kernel.double().numpy())


def _require_same(module: nn.Module, tensors: dict[str, Tensor], prefix: str) -> None:
    """Refuse tensors of other names, shapes or types than a module has."""
    state = {f"{prefix}{name}": v for name, v in module.state_dict().items()}
    wanted = {name: (v.shape, v.dtype) for name, v in state.items()}
    found = {n: (v.shape, v.dtype) for n, v in tensors.items() if n.startswith(prefix)}
    if wanted != found:
        raise ValueError(f"tensors of {prefix} are not those of its settings")


def _fill(module: nn.Module, tensors: dict[str, Tensor], prefix: str) -> None:
    state = {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
    _require_same(module, tensors, prefix)
    module.load_state_dict(state)
    if not all(bool(torch.isfinite(value).all()) for value in state.values()):
        raise ValueError(f"weights of {prefix} are not finite")
