"""Denoising an image with a trained model, tile by tile."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from napari_selfdenoise.compute import (
    computing,
    device_errors_as_sentences,
    resolve_device,
)
from napari_selfdenoise.config import with_estimator
from napari_selfdenoise.defects import CleanImage, rounding_notes
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import (
    Coverage,
    Image,
    PlaneIndex,
    Tile,
    require_denoisable,
)
from napari_selfdenoise.long_work import Command, run_to_end
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.pairing import match_pair
from napari_selfdenoise.parts.estimators import Estimator
from napari_selfdenoise.prediction.findings import Findings
from napari_selfdenoise.prediction.grid import Grid
from napari_selfdenoise.prediction.image_planes import (
    ImagePlanes,
    TilePrediction,
    Wanted,
)
from napari_selfdenoise.prediction.on_device import copied_to
from napari_selfdenoise.prediction.plane_estimators import PlaneEstimators
from napari_selfdenoise.prediction.plane_state import PlaneState
from napari_selfdenoise.prediction.results import (
    Denoised,
    allocate,
    require_places,
    result_image,
    result_shapes,
)
from napari_selfdenoise.prediction.tile_size import tile_memory, tile_side

Prediction = Generator[TilePrediction, Command | None, Denoised]


def predict_tiles(
    image: Image,
    model: TrainedModel,
    *,
    into: Mapping[str, Any] | None = None,
    estimator: Estimator | None = None,
    device: str = "auto",
    max_memory: int | None = None,
    first: PlaneIndex | None = None,
    only: Collection[PlaneIndex] | None = None,
    within: tuple[slice, slice] | None = None,
    pair: Image | None = None,
    in_background: bool = False,
    grid: Grid | None = None,
    chunks: Collection[Tile] | None = None,
    states: Mapping[PlaneIndex, PlaneState] | None = None,
    clean: CleanImage | None = None,
) -> Prediction:
    """Denoise an image of any size.

    Parameters
    ----------
    image : Image
        With as many channels as the model; lazy arrays stay lazy.
    model : TrainedModel
        From `train` or `load_model`.
    into : mapping, optional
        Where to write which results: writable float32 arrays by the names and of the
        shapes that `result_shapes` gives. All are made where not given, in temporary
        files where they are large. What a stopped prediction did not reach is left as
        it was in arrays that are given, and NaN in those that are made.
    estimator : Estimator, optional
        In place of the one in the model's config.
    device : str
        Name of the device.
    max_memory : int, optional
        Bytes that a prediction may take besides what the libraries do; a fifth of what
        is free where it is not given.
    first : tuple of int, optional
        Plane to begin with; the others follow by their distance from it. The results
        are the same in any order.
    only : collection of tuple of int, optional
        Planes to denoise; the others are left as where a prediction is stopped.
    within : tuple of slice, optional
        Rows and columns of each plane to denoise: all tiles that hold some of them. The
        rest is left as where a prediction is stopped. What is denoised is the same as
        where all is.
    pair : Image, optional
        A second exposure of the scene, where the model was trained with one: the
        result is that of both together, in the brightness of the image.
    in_background : bool
        Compute at low priority, where a window shares the machine.
    grid : Grid, optional
        How planes are cut; else as time and memory allow.
    chunks : collection of Tile, optional
        Chunks of the grid to denoise, in place of whole planes.
    states : mapping, optional
        What is known of planes from `plane_state`, so that it is not learned again.
    clean : CleanImage, optional
        The image without its defects, so that they are not measured again.

    Yields
    ------
    TilePrediction
        Tile by tile, at least once a second. Send `STOP` to end early.

    Returns
    -------
    Denoised

    Raises
    ------
    RequestError
        If the image does not fit the model or cannot be denoised, or the estimator or
        the second exposure does not fit.
    DenoisingError
        If the device runs out of memory.

    References
    ----------
    Krull et al. 2019 (single pass); Krull et al. 2020 and Khademi et al. 2021
    (posterior); Goncharova et al. 2020 (deconvolved); Lehtinen et al. 2018 (pair).
    """
    model, second, found = ready(image, model, estimator, pair)
    target = resolve_device(device)
    model = copied_to(model, target)
    shapes = result_shapes(image, model.config)
    own = into is None
    if into is None:
        kept = max_memory and max_memory // (4 * len(shapes))
        into = {name: allocate(shape, kept) for name, shape in shapes.items()}
    require_places(into, shapes)
    with computing(in_background), device_errors_as_sentences("denoising a tile"):
        side = grid.side if grid else tile_side(model, target, tile_memory(max_memory))
        grid = grid or Grid.of(side, model.config.stride)
        limited = max_memory is not None
        how = target, second, states, limited, clean
        planes = ImagePlanes(image, model, into, grid, *how)
        yield from planes.predict(first, Wanted(only, within or _ALL, chunks))
    if own:
        for data in into.values():
            planes.coverage.blank_rest(data)
    return denoised_of(image, model, into, planes.findings, planes.coverage, found)


_ALL = (slice(None), slice(None))


def denoised_of(
    image: Image,
    model: TrainedModel,
    into: Mapping[str, Any],
    findings: Findings,
    coverage: Coverage,
    more: Sequence[str] = (),
) -> Denoised:
    """What a prediction gives back.

    Parameters
    ----------
    image : Image
        That was denoised.
    model : TrainedModel
        With the estimator that was used.
    into : mapping
        Arrays of the results, by name.
    findings : Findings
        What was found on the way.
    coverage : Coverage
        What was denoised.
    more : sequence of str
        Sentences on the image.
    """
    images = {name: result_image(image, name, data) for name, data in into.items()}
    curves = findings.noise_curves(image, model.noise_curves)
    notes = findings.notes(model.config, more)
    return Denoised(images, curves, coverage, findings.chosen(), notes)


def plane_state(
    image: Image,
    model: TrainedModel,
    plane: PlaneIndex,
    grid: Grid,
    *,
    device: str = "auto",
    clean: CleanImage | None = None,
) -> PlaneState | None:
    """Learn of a plane what its tiles have in common; None of a blank one.

    Parameters
    ----------
    image : Image
        As for `predict_tiles`.
    model : TrainedModel
        With the estimator that is to be used.
    plane : tuple of int
        Which one.
    grid : Grid
        How planes are cut.
    device : str
        Name of the device.
    clean : CleanImage, optional
        The image without its defects, so that they are not measured again.
    """
    target = resolve_device(device)
    model = copied_to(model, target)
    with computing(False), device_errors_as_sentences("measuring a plane"):
        planes = PlaneEstimators(image, model, target, clean=clean)
        return planes.learned(plane, grid)


def ready(
    image: Image,
    model: TrainedModel,
    estimator: Estimator | None,
    pair: Image | None,
) -> tuple[TrainedModel, Image | None, list[str]]:
    """Model with its estimator, second exposure, and sentences on both images.

    Raises
    ------
    RequestError
        If they do not go together.
    """
    require_denoisable(image)
    model.require_fits(image)
    second, found = _second(image, pair, model)
    if estimator is not None:
        model = replace(model, config=with_estimator(model.config, estimator))
    return model, second, [*found, *rounding_notes(image)]


def _second(
    image: Image, pair: Image | None, model: TrainedModel
) -> tuple[Image | None, list[str]]:
    """A second exposure in the brightness of the first, and sentences on it.

    Raises
    ------
    RequestError
        If it does not go with the image, or the model was not trained with one.
    """
    if pair is None:
        return None, []
    if model.config.supervision == "self":
        raise RequestError(
            "The model was trained on single exposures, so it cannot denoise two "
            "together.",
            "Train with the second exposure, or denoise without it.",
        )
    matched = match_pair(image, pair)
    return matched.image, list(matched.notes)


def denoise(image: Image, model: TrainedModel, **options: Any) -> Denoised:
    """Run `predict_tiles` to its end.

    See `predict_tiles` for the parameters and errors.
    """
    return run_to_end(predict_tiles(image, model, **options))
