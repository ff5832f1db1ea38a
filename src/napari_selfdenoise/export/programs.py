"""Exported models as files of PyTorch and ONNX."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.export.denoiser import ExportedModel

OPSET = 18
"""Of ONNX; what readers of three years know."""

_AGREES = 1e-4
"""Largest difference that a file may make, as a share of the range."""

Images = list[NDArray[np.float32]]


def write_torchscript(
    module: ExportedModel, path: Path, example: torch.Tensor, about: Mapping[str, str]
) -> None:
    """Write a model as TorchScript, with texts beside it.

    Parameters
    ----------
    module : ExportedModel
        What is written.
    path : Path
        Where.
    example : Tensor
        (1, C, Y, X), raw units.
    about : mapping
        Texts by the names of files within the archive.
    """
    with quiet(), torch.no_grad():
        # The newer exporter takes minutes where sides are not known beforehand.
        traced: Any = torch.jit.trace(  # type: ignore[no-untyped-call]
            module, (example,), check_trace=False
        )
        # A file of its own: one that is named is not closed where the disk is full.
        with path.open("wb") as file:
            torch.jit.save(traced, file, _extra_files=dict(about))


def run_torchscript(path: Path, raw: torch.Tensor) -> Images:
    """What a file of TorchScript makes of images (1, C, Y, X)."""
    with quiet(), torch.no_grad():
        program: Any = torch.jit.load(str(path))  # type: ignore[no-untyped-call]
        return _arrays(program(raw))


def write_onnx(
    module: ExportedModel, path: Path, example: torch.Tensor, about: Mapping[str, str]
) -> None:
    """Write a model as ONNX; as `write_torchscript`.

    Raises
    ------
    RequestError
        If the package "onnx" is missing.
    DenoisingError
        If ONNX lacks something that the model needs.
    """
    require("onnx")
    import onnx

    names = ["denoised", "deconvolved"][: 1 + module.deconvolves]
    sides = {0: "batch", 2: "y", 3: "x"}
    try:
        # The exporter prints programs that it cannot translate.
        with quiet(), redirect_stdout(io.StringIO()), torch.no_grad():
            torch.onnx.export(
                module,
                (example,),
                str(path),
                dynamo=False,
                opset_version=OPSET,
                input_names=["raw"],
                output_names=names,
                dynamic_axes=dict.fromkeys(["raw", *names], sides),
            )
    except RuntimeError as error:
        # It prints the whole program behind the first line.
        reason = str(error).strip().partition("\n")[0]
        raise DenoisingError(
            f"ONNX cannot hold this model: {reason}",
            "Export it as TorchScript (.pt), or with --estimator single_pass.",
        ) from error
    written = onnx.load(str(path))
    onnx.helper.set_model_props(written, dict(about))
    path.write_bytes(written.SerializeToString())


def runs_onnx() -> bool:
    """Whether the package "onnxruntime" is there: without it, nothing is compared."""
    from importlib.util import find_spec

    return find_spec("onnxruntime") is not None


def run_onnx(path: Path, raw: torch.Tensor) -> Images | None:
    """What a file of ONNX makes of images; None without the package onnxruntime."""
    if not runs_onnx():
        return None
    import onnxruntime

    how = onnxruntime.SessionOptions()
    how.intra_op_num_threads = max(1, torch.get_num_threads())
    session = onnxruntime.InferenceSession(
        path.read_bytes(), how, providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, {"raw": raw.numpy()}))


def run_module(module: ExportedModel, raw: torch.Tensor) -> Images:
    """What the model itself makes of images (1, C, Y, X)."""
    with torch.no_grad():
        return _arrays(module(raw))


def require_agreement(name: str, expected: Images, found: Images | None) -> None:
    """Raise an error if a file makes something else of an image than the model.

    Raises
    ------
    DenoisingError
        If it does, by more than 1e-4 of the range of a channel, or if the model makes
        no finite numbers.
    """
    for mine, other in zip(expected, found or expected, strict=True):
        if not np.isfinite(mine).all():
            raise DenoisingError(
                "The model gives no finite numbers for grey values that it learned "
                "from.",
                "Train anew, or export another model.",
            )
        apart = max(map(_apart, mine[0], other[0]))
        if not apart <= _AGREES:
            raise DenoisingError(
                f"The {name} file gives other pixels than the model (by {apart:.2g} "
                "of the range), so it was not kept.",
                "Please report this, with the model file.",
            )


def _apart(mine: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Largest difference of two planes, as a share of the range.

    The last digit that a 32-bit number has beside a large offset is no difference.
    """
    digit = 4 * float(np.spacing(np.abs(mine).max()))
    off = float(np.abs(mine - other).max())
    if not np.isfinite(off):
        return np.inf
    return max(off - digit, 0.0) / max(float(np.ptp(mine)), 1e-30)


def require(package: str) -> None:
    """Raise a RequestError where a package is missing that exports need."""
    from importlib.util import find_spec

    if find_spec(package.partition(".")[0]) is None:
        raise RequestError(
            f'This format needs the package "{package}", which is not installed.',
            'Install it: pip install "napari-selfdenoise[export]".',
        )


def as_text(value: Any) -> str:
    """A value as JSON, for the texts of a file."""
    return json.dumps(value, indent=1)


def _arrays(results: torch.Tensor | tuple[torch.Tensor, ...]) -> Images:
    several = results if isinstance(results, tuple) else (results,)
    return [one.numpy() for one in several]


@contextmanager
def quiet() -> Iterator[None]:
    """Without warnings, of traces among others: the file is compared afterwards."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
