"""Predictions on a cluster, with their progress."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_selfdenoise.cli.runs import Written, store_with_progress
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import Image


def require_for_cluster(files: dict[str, Path], pair: Any, device: str) -> None:
    """Refuse what a cluster cannot do.

    Raises
    ------
    RequestError
        If results are no OME-Zarrs, there is a second exposure, or a device is named.
    """
    if any(path.suffix.lower() != ".zarr" for path in files.values()):
        raise RequestError(
            "Workers of a cluster cannot write one TIFF together.",
            "Give OUTPUT a name that ends in .ome.zarr.",
        )
    if pair is not None:
        raise RequestError(
            "Two exposures are not denoised together on a cluster.",
            "Leave --scheduler out, or --pair.",
        )
    if device != "auto":
        raise RequestError(
            f"Workers choose their own devices, not {device}.",
            "Leave --device out: a worker with a GPU uses it.",
        )


def predict_on_cluster(
    opens: Callable[[], Image],
    model: Any,
    image: Image,
    files: dict[str, Path],
    scheduler: str,
    estimator: Any,
    memory: int | None,
    dtype: Any,
    source: str,
) -> Written:
    """Denoise into OME-Zarrs on the workers of a scheduler.

    Parameters
    ----------
    opens : callable
        Opens the image, on a worker, too.
    model : TrainedModel
        What denoises.
    image : Image
        The same, as it was opened here.
    files : dict
        OME-Zarr of each output.
    scheduler : str
        Address.
    estimator : Estimator
        Of the results.
    memory : int or None
        Bytes that each worker may take.
    dtype : dtype or None
        Whole numbers that images are rounded to.
    source : str
        File of the image.
    """
    from napari_selfdenoise.images import file_stamp
    from napari_selfdenoise.prediction import cluster_steps

    named = {key.replace("-", "_"): path for key, path in files.items()}
    how: Any = {"estimator": estimator, "max_memory": memory, "dtype": dtype}
    how["source"] = file_stamp(source)
    steps = cluster_steps(opens, model, named, scheduler, **how)
    return store_with_progress(steps, image)
