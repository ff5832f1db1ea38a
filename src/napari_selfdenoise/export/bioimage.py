"""Models as packages of the BioImage Model Zoo."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.export.card import model_name
from napari_selfdenoise.export.programs import OPSET, Images, quiet, require
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.version import __version__

_HOME = "https://github.com/napari-selfdenoise/napari-selfdenoise"
_PAPERS = (
    ("Krull et al., Noise2Void, CVPR 2019", "10.1109/CVPR.2019.00223"),
    (
        "Krull et al., Probabilistic Noise2Void, Front. Comput. Sci. 2020",
        "10.3389/fcomp.2020.00005",
    ),
)
_ALLOWED = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+- ()")


def write_package(
    folder: Path,
    target: Path,
    model: TrainedModel,
    tensors: tuple[np.ndarray[Any, Any], Images],
    licence: str,
    authors: Sequence[str],
) -> None:
    """Pack files of a folder for the BioImage Model Zoo.

    Parameters
    ----------
    folder : Path
        Where "model.pt", "model.onnx" and "README.md" are; others are added.
    target : Path
        The zip file.
    model : TrainedModel
        What is described.
    tensors : tuple
        An image (1, C, Y, X) and what the model makes of it.
    licence : str
        SPDX identifier; empty where there is none.
    authors : sequence of str
        Who trained it.

    Raises
    ------
    RequestError
        If the package "bioimageio.core" is missing.
    DenoisingError
        If it does not take the model.
    """
    require("bioimageio.core")
    from bioimageio.core import save_bioimageio_package

    raw, results = tensors
    names = ["denoised", "deconvolved"][: len(results)]
    np.save(folder / "raw.npy", raw)
    for name, pixels in zip(names, results, strict=True):
        np.save(folder / f"{name}.npy", pixels)
    with quiet(), _refusals_as_sentences():
        described = _described(folder, model, names, licence, authors)
        save_bioimageio_package(described, output_path=target)
        del described
        gc.collect()  # the library leaves files open


@contextmanager
def _refusals_as_sentences() -> Iterator[None]:
    """Raise a DenoisingError where the library finds a description invalid."""
    from pydantic import ValidationError

    try:
        yield
    except ValidationError as error:
        reasons = "; ".join(one["msg"] for one in error.errors())
        raise DenoisingError(
            f"The BioImage Model Zoo does not take this model: {reasons}.",
            "Export it as ONNX or TorchScript. Where values are too small, multiply "
            "the grey values before training.",
        ) from error


def require_passes(package: Path) -> None:
    """Raise an error if a package fails the test run of bioimageio.core.

    Raises
    ------
    DenoisingError
        With what it says.
    """
    from bioimageio.core import test_model
    from loguru import logger

    logger.disable("bioimageio")
    with quiet():
        summary = test_model(package)
        gc.collect()
    if summary.status != "passed":
        found = [error.msg for detail in summary.details for error in detail.errors]
        raise DenoisingError(
            "bioimageio.core does not accept the package: "
            f"{'; '.join(found) or summary.status}.",
            "Please report this, with the model file.",
        )


def require_licence(licence: str) -> None:
    """Raise a RequestError for a licence that has no SPDX identifier."""
    require("bioimageio.core")
    from bioimageio.spec.model import v0_5 as spec

    try:
        spec.LicenseId(licence or "CC-BY-4.0")
    except ValueError as error:
        raise RequestError(
            f"{licence!r} is no licence that the BioImage Model Zoo knows.",
            "Give an SPDX identifier, such as CC-BY-4.0, CC0-1.0 or BSD-3-Clause.",
        ) from error


def require_authors(authors: Sequence[str]) -> None:
    """Raise a RequestError for a name that a package cannot hold."""
    require("bioimageio.core")
    from bioimageio.spec.model import v0_5 as spec

    for name in authors:
        try:
            spec.Author(name=name)
        except ValueError as error:
            raise RequestError(
                f"{name!r} cannot be the name of an author in the BioImage Model Zoo.",
                "Write it without slashes; for several authors, name each by itself.",
            ) from error


def halo_of(model: TrainedModel) -> int:
    """Pixels at each border of a tile that depend on what lies beyond it."""
    step = tile_step(model)
    return -(-model.margin // step) * step


def _described(
    folder: Path,
    model: TrainedModel,
    names: Sequence[str],
    licence: str,
    authors: Sequence[str],
) -> Any:
    """The description of a package, as its library holds it."""
    from bioimageio.spec.model import v0_5 as spec

    weights = spec.WeightsDescr(
        torchscript=spec.TorchscriptWeightsDescr(
            source=folder / "model.pt", pytorch_version=spec.Version(_torch_version())
        ),
        onnx=spec.OnnxWeightsDescr(
            source=folder / "model.onnx", opset_version=OPSET, parent="torchscript"
        ),
    )
    people: Any = [spec.Author(name=name) for name in authors] or None
    return spec.ModelDescr(
        name="".join(c if c in _ALLOWED else "_" for c in model_name(model))[:64],
        description="Denoises microscopy images, trained without noise-free ones.",
        authors=people or [spec.Author(name="not given")],
        cite=[spec.CiteEntry(text=text, doi=spec.Doi(doi)) for text, doi in _PAPERS],
        license=spec.LicenseId(licence) if licence else None,
        documentation=spec.FileDescr(source=folder / "README.md"),
        tags=["denoising", "self-supervised", "napari-selfdenoise", "2d"],
        links=[],
        git_repo=spec.HttpUrl(_HOME),
        version=spec.Version("1"),
        inputs=[_input(spec, folder, model)],
        outputs=[_output(spec, folder, model, name) for name in names],
        weights=weights,
        config=spec.Config(**{"napari-selfdenoise": {"version": __version__}}),
    )


def _torch_version() -> str:
    import torch

    return torch.__version__.partition("+")[0]


def _input(spec: Any, folder: Path, model: TrainedModel) -> Any:
    step = tile_step(model)
    least = -(-(2 * halo_of(model) + 1) // step) * step
    size = spec.ParameterizedSize(min=least, step=step)
    return spec.InputTensorDescr(
        id=spec.TensorId("raw"),
        description="Grey values as the camera gave them.",
        axes=[
            spec.BatchAxis(),
            _channels(spec, model),
            *(spec.SpaceInputAxis(id=spec.AxisId(axis), size=size) for axis in "yx"),
        ],
        test_tensor=spec.FileDescr(source=folder / "raw.npy"),
        data=spec.IntervalOrRatioDataDescr(type="float32"),
        pad=_padding(spec, model),
    )


def _padding(spec: Any, model: TrainedModel) -> Any:
    """What lies beyond the borders, as for a prediction by this program.

    Its mirror image; nothing, which normalised is 0, for networks that are blind.
    """
    if not model.config.network.blind:
        # The mode has to be named: the file would lack it, and is read as another.
        return spec.ReflectPadding(mode="reflect")
    offset = model.channels[0].normalization.offset
    return spec.ConstantPadding(mode="constant", value=offset)


def _output(spec: Any, folder: Path, model: TrainedModel, name: str) -> Any:
    sides = [
        spec.SpaceOutputAxisWithHalo(
            id=spec.AxisId(axis),
            halo=halo_of(model),
            size=spec.SizeReference(
                tensor_id=spec.TensorId("raw"), axis_id=spec.AxisId(axis)
            ),
        )
        for axis in "yx"
    ]
    return spec.OutputTensorDescr(
        id=spec.TensorId(name),
        description="Denoised grey values."
        if name == "denoised"
        else "The image before the blur of the microscope.",
        axes=[spec.BatchAxis(), _channels(spec, model), *sides],
        test_tensor=spec.FileDescr(source=folder / f"{name}.npy"),
        data=spec.IntervalOrRatioDataDescr(type="float32"),
    )


def _channels(spec: Any, model: TrainedModel) -> Any:
    names = [spec.Identifier(f"channel{n}") for n in range(len(model.channels))]
    return spec.ChannelAxis(channel_names=names)


def tile_step(model: TrainedModel) -> int:
    """What corners of tiles have to be multiples of, to give the pixels of a whole.

    Of the network's stride and, where pixels are masked, of the distance of those that
    are masked together.
    """
    config = model.config
    lattice = config.masking.lattice if config.estimator.masks_pixels else (1, 1)
    return math.lcm(config.stride, *lattice)
