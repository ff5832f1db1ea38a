"""Files that a config names become values, once, at the start of a run.

So a config means the same whatever becomes of the files, and parts compute without
reading any.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_selfdenoise.config.training_config import TrainingConfig
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import Image, read_image, require_denoisable
from napari_selfdenoise.parts.noise_models import NoiseFromFile, load_noise_model
from napari_selfdenoise.parts.psf import MeasuredPSF, PixelSize, bead_light, in_focus


def resolve_files(
    config: TrainingConfig,
    pixel_size: PixelSize = None,
    known: TrainingConfig | None = None,
) -> TrainingConfig:
    """Read the noise model and the bead that a config names.

    Parameters
    ----------
    config : TrainingConfig
        What is to be trained.
    pixel_size : (float, float), optional
        Height and width of a pixel of the image to denoise, in micrometres. Where the
        bead's are known too, they must agree.
    known : TrainingConfig, optional
        Of the model to continue from: files that it has read are not read again.

    Returns
    -------
    TrainingConfig
        With the values of the files, whose names stay for the record.

    Raises
    ------
    RequestError
        If a file cannot be read, is no noise model, or does not show one whole bead of
        the image's pixel size.
    """
    changes: dict[str, Any] = {}
    noise_model, psf = config.noise_model, config.psf
    if isinstance(noise_model, NoiseFromFile) and noise_model.file is not None:
        changes["noise_model"] = _noise_model(noise_model, known)
    if isinstance(psf, MeasuredPSF) and psf.file is not None:
        changes["psf"] = _bead(psf, known, pixel_size)
    return config.model_copy(update=changes)


def _noise_model(
    noise_model: NoiseFromFile, known: TrainingConfig | None
) -> NoiseFromFile:
    before = known.noise_model if known else None
    if (
        isinstance(before, NoiseFromFile)
        and before.curve
        and before.file == noise_model.file
    ):
        return noise_model.model_copy(update={"curve": before.curve})
    return read_noise_model(noise_model)


def _bead(
    psf: MeasuredPSF, known: TrainingConfig | None, pixel_size: PixelSize
) -> MeasuredPSF:
    before = known.psf if known else None
    if isinstance(before, MeasuredPSF) and before.file == psf.file and before.values:
        return psf.model_copy(update={"values": before.values})
    return read_bead(psf, pixel_size)


def read_noise_model(noise_model: NoiseFromFile) -> NoiseFromFile:
    """Return a noise model with the curve of its file; errors as `resolve_files`."""
    if noise_model.file is None:
        return noise_model
    curve = load_noise_model(noise_model.file).curve.to_json()
    return noise_model.model_copy(update={"curve": curve})


def read_bead(psf: MeasuredPSF, pixel_size: PixelSize = None) -> MeasuredPSF:
    """Return a point spread function with the light of its bead image.

    Of a stack, the plane where the bead is brightest is taken. Parameters and errors
    are those of `resolve_files`.
    """
    if psf.file is None:
        return psf
    bead = read_image(psf.file)
    require_denoisable(bead)
    _require_same_pixels(bead, pixel_size)
    light = bead_light(in_focus(bead.read_plane(plane) for plane in bead.planes()))
    values = tuple(map(tuple, (light / light.max()).tolist()))
    return psf.model_copy(update={"values": values})


def _require_same_pixels(bead: Image, pixel_size: PixelSize) -> None:
    steps = bead.pixel_size_um
    if pixel_size is None or steps is None:
        return
    if not np.allclose(steps, pixel_size, rtol=0.05):
        raise RequestError(
            f"The bead was recorded with pixels of {steps[0]:.4g} × {steps[1]:.4g} µm, "
            f"the image with {pixel_size[0]:.4g} × {pixel_size[1]:.4g} µm.",
            "Record the bead like the image, or resample it to the image's pixels.",
        )
