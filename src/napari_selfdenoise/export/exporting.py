"""From a model to a file that other programs run, step by step."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.export.bioimage import (
    halo_of,
    require_authors,
    require_licence,
    require_passes,
    tile_step,
    write_package,
)
from napari_selfdenoise.export.card import model_card
from napari_selfdenoise.export.denoiser import ExportedModel
from napari_selfdenoise.export.estimators import exportable
from napari_selfdenoise.export.programs import (
    Images,
    as_text,
    require_agreement,
    run_module,
    run_onnx,
    run_torchscript,
    runs_onnx,
    write_onnx,
    write_torchscript,
)
from napari_selfdenoise.images import require_no_folder, saving
from napari_selfdenoise.long_work import run_to_end
from napari_selfdenoise.model import ChannelModel, TrainedModel
from napari_selfdenoise.parts.estimators import Estimator

FORMATS = {
    ".zip": "BioImage.IO package",
    ".onnx": "ONNX",
    ".pt": "TorchScript",
    ".md": "model card",
}
"""Formats by the ending of a file's name."""

_LEAST_SIDE = 64


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    Parameters
    ----------
    path : Path
        Where it is.
    kind : str
        Its format.
    notes : tuple of str
        What the user should know of it.
    """

    path: Path
    kind: str
    notes: tuple[str, ...]


Exporting = Generator[str, Any, Exported]


def export_steps(
    model: TrainedModel,
    path: str | Path,
    *,
    estimator: Estimator | None = None,
    licence: str = "",
    authors: Sequence[str] = (),
) -> Exporting:
    """Write a model for other programs, and check that it gives the same pixels.

    Images go in and come out in raw units, in float32, with the axes (batch, channel,
    y, x), of any size: normalisation, borders, orientations and, where the estimator
    asks for it, the posterior are in the file. Defects are not looked for.

    Parameters
    ----------
    model : TrainedModel
        From `train` or `load_model`.
    path : path
        Where; its ending says the format: one of `FORMATS`.
    estimator : Estimator, optional
        In place of the model's. What cannot be exported becomes the network's mean, or
        the posterior mean; the notes say so.
    licence : str
        Under which the model may be used: an SPDX identifier such as "CC-BY-4.0".
    authors : sequence of str
        Who trained it.

    Yields
    ------
    str
        What is done next.

    Returns
    -------
    Exported

    Raises
    ------
    RequestError
        If the ending is unknown, a package is missing, the licence or the name of an
        author suits no package, a folder has the name of the file, or the model
        predicts from other planes or channels.
    DenoisingError
        If the file cannot be written, or gives other pixels than the model.
    """
    path = Path(path)
    kind = format_of(path)
    ending = path.suffix.lower()
    require_no_folder(path)
    if ending == ".zip":
        require_licence(licence)
        require_authors(authors)
    model, notes = exportable(model.to(torch.device("cpu")), estimator)
    if ending in (".zip", ".onnx") and not runs_onnx():
        notes.append(_NOT_COMPARED)
    card = model_card(model, licence=licence, authors=authors, notes=[*_USE, *notes])
    work = _Work(model, card, licence, tuple(authors))
    yield f"writing the {kind}"
    with saving(path, kind) as part:
        yield from _WRITERS[ending](work, part)
    return Exported(path, kind, tuple(notes))


def export_model(model: TrainedModel, path: str | Path, **options: Any) -> Exported:
    """Run `export_steps` to its end.

    See `export_steps` for the parameters and errors.
    """
    return run_to_end(export_steps(model, path, **options))


def format_of(path: Path) -> str:
    """Name of the format that a file's name asks for.

    Raises
    ------
    RequestError
        If it has no known ending.
    """
    if path.suffix.lower() in FORMATS:
        return FORMATS[path.suffix.lower()]
    known = ", ".join(f"{end} ({name})" for end, name in FORMATS.items())
    raise RequestError(
        f"{path} does not say in which format to export.",
        f"End its name with one of {known}.",
    )


_NOT_COMPARED = (
    'The ONNX program was not compared with the model, as the package "onnxruntime" '
    "is not installed."
)

_USE = (
    "Pixels go in and come out as grey values, float32, with the axes batch, channel, "
    "y, x, of any size.",
    "Normalisation, borders and orientations are in the file.",
    "Hot pixels, offsets of lines and pixels without a value are not looked for: "
    "napari-selfdenoise does so before it denoises.",
    "A pixel without a value (NaN) spoils the pixels around it. Blank images are "
    "denoised like others, where napari-selfdenoise keeps them as they are.",
)


@dataclass(frozen=True, eq=False)
class _Work:
    """What is written."""

    model: TrainedModel
    card: str
    licence: str
    authors: tuple[str, ...]

    @property
    def about(self) -> dict[str, str]:
        """Texts that lie in the file."""
        made = as_text(self.model.provenance)
        config = as_text(self.model.config.model_dump(mode="json"))
        return {"README.md": self.card, "training.json": made, "config.json": config}


def _write_card(work: _Work, path: Path) -> Generator[str, Any, None]:
    path.write_text(work.card, "utf-8")
    yield "written"


def _write_torchscript(work: _Work, path: Path) -> Generator[str, Any, None]:
    module, raw = ExportedModel(work.model), _example(work.model)
    write_torchscript(module, path, raw[..., :_LEAST_SIDE, :-8], work.about)
    yield "comparing it with the model"
    require_agreement(
        "TorchScript", run_module(module, raw), run_torchscript(path, raw)
    )


def _write_onnx(work: _Work, path: Path) -> Generator[str, Any, None]:
    module, raw = ExportedModel(work.model), _example(work.model)
    write_onnx(module, path, raw[..., :_LEAST_SIDE, :-8], work.about)
    yield "comparing it with the model"
    require_agreement("ONNX", run_module(module, raw), run_onnx(path, raw))


def _write_bioimage(work: _Work, path: Path) -> Generator[str, Any, None]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "README.md").write_text(work.card, "utf-8")
        yield "writing TorchScript"
        yield from _write_torchscript(work, folder / "model.pt")
        yield "writing ONNX"
        yield from _write_onnx(work, folder / "model.onnx")
        yield "packing"
        target = folder / "package.zip"
        write_package(
            folder, target, work.model, _test_images(work), work.licence, work.authors
        )
        yield "testing it with bioimageio.core"
        require_passes(target)
        path.write_bytes(target.read_bytes())


_WRITERS = {
    ".zip": _write_bioimage,
    ".onnx": _write_onnx,
    ".pt": _write_torchscript,
    ".md": _write_card,
}


def _test_images(work: _Work) -> tuple[np.ndarray[Any, Any], Images]:
    """An image with the noise of the model, and what the model makes of it."""
    raw = _example(work.model)
    return raw.numpy(), run_module(ExportedModel(work.model), raw)


def _example(model: TrainedModel) -> torch.Tensor:
    """An image that looks like those the model learned from, (1, C, Y, X)."""
    least = max(_LEAST_SIDE + 8, 2 * halo_of(model) + 1)
    side = -(-least // tile_step(model)) * tile_step(model)
    rng = np.random.default_rng(0)
    planes = [_noisy(channel, side, rng) for channel in model.channels]
    return torch.from_numpy(np.stack(planes)[None].astype(np.float32))


def _noisy(
    channel: ChannelModel, side: int, rng: np.random.Generator
) -> np.ndarray[Any, Any]:
    """Smooth hills over the signals of a channel's noise curve, with its noise."""
    curve = channel.noise_curve
    hills = gaussian_filter(rng.random((side, side)), 4, mode="wrap")
    share = (hills - hills.min()) / np.ptp(hills)
    signal = curve.signal[0] + share * (curve.signal[-1] - curve.signal[0])
    std = curve.std_at(signal.astype(np.float32))
    # Not rounded: images of small numbers would be blank, and show no difference.
    return np.asarray(signal + std * rng.standard_normal(signal.shape))
