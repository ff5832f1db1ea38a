"""Denoising an image with a trained model, tile by tile."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_selfdenoise.compute import (
    computing,
    free_memory,
    lacks_memory,
    memory_errors_as_sentences,
    resolve_device,
)
from napari_selfdenoise.config import with_estimator
from napari_selfdenoise.defects import (
    CleanImage,
    DefectCount,
    describe_defects,
    rounding_notes,
)
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import (
    Coverage,
    Image,
    PlaneIndex,
    Tile,
    require_denoisable,
    tile_grid,
)
from napari_selfdenoise.long_work import STOP, Command, run_to_end
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.pairing import match_pair
from napari_selfdenoise.parts.estimators import Estimator
from napari_selfdenoise.parts.noise_models import NoiseCurve
from napari_selfdenoise.prediction.blend_estimator import BlendEstimator
from napari_selfdenoise.prediction.pair_estimator import PairEstimator
from napari_selfdenoise.prediction.results import (
    Denoised,
    allocate,
    require_places,
    result_image,
    result_shapes,
)
from napari_selfdenoise.prediction.sure import Blend
from napari_selfdenoise.prediction.tile_estimator import PlainEstimator, TileEstimator
from napari_selfdenoise.prediction.tile_size import LEAST_TILE, margin_of, tile_side
from napari_selfdenoise.prediction.tile_views import Estimates, TileViews

Together = tuple[PlaneIndex, ...]
"""Planes that are predicted at once."""

_KEPT_ESTIMATORS = 4

Place = tuple[int | slice, ...]
"""Of a tile in an image's array."""


@dataclass(frozen=True, eq=False)
class TilePrediction:
    """A tile that has been denoised, or a moment on the way to it.

    Parameters
    ----------
    fraction : float
        Share that is done of the image, or of the planes that are to be denoised.
    index : tuple
        Place of the tile in the image's array; None between tiles.
    """

    fraction: float
    index: Place | None = None


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
        Bytes that the computation of a tile may take.
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
    require_denoisable(image)
    model.require_fits(image)
    second, found = _second(image, pair, model)
    found += rounding_notes(image)
    if estimator is not None:
        model = replace(model, config=with_estimator(model.config, estimator))
    target = resolve_device(device)
    model = model.to(target)
    shapes = result_shapes(image, model.config)
    own = into is None
    if into is None:
        into = {name: allocate(shape) for name, shape in shapes.items()}
    require_places(into, shapes)
    with computing(in_background), memory_errors_as_sentences("denoising a tile"):
        side = tile_side(model, target, max_memory)
        planes = _Planes(image, model, into, side, target, second, within)
        yield from planes.predict(first, only)
    if own:
        for data in into.values():
            planes.coverage.blank_rest(data)
    images = {name: result_image(image, name, data) for name, data in into.items()}
    notes = tuple(dict.fromkeys(filter(None, [*planes.notes(), *found])))
    how = planes.curves(), planes.coverage, planes.chosen()
    return Denoised(images, *how, notes)


def _without(planes: int) -> str:
    """Note on planes that lacked a channel; empty where there are none."""
    if not planes:
        return ""
    return (
        f"{planes} {'plane' if planes == 1 else 'planes'} had to be predicted without "
        "a channel that would have helped. It is blank there, shares their noise, or "
        "is far brighter or darker than in the training."
    )


class _Planes:
    """Denoises an image plane by plane, and keeps what was found of them."""

    def __init__(
        self,
        image: Image,
        model: TrainedModel,
        into: Mapping[str, Any],
        side: int,
        device: torch.device,
        second: Image | None = None,
        within: tuple[slice, slice] | None = None,
    ) -> None:
        self.image, self.model, self.into = image, model, into
        self._within = within or (slice(None), slice(None))
        subtract = model.config.line_offsets == "subtract"
        self.clean, self.count = CleanImage(image, subtract), DefectCount()
        self.second = None if second is None else CleanImage(second, subtract)
        self.side, self.device = side, device
        self.generator = torch.Generator(device).manual_seed(model.config.seed)
        self._numbers = {plane: n for n, plane in enumerate(image.planes())}
        self.coverage = Coverage(image)
        # Of the planes that were denoised together last: those of a volume.
        self._estimators: OrderedDict[Together, TileEstimator] = OrderedDict()
        self._prepared_for: Together = ()
        self._views: dict[int, TileViews] = {}
        self._views_now: TileViews | None = None
        self._lacking: set[PlaneIndex] = set()  # a channel that helps them
        self._curves: dict[PlaneIndex, NoiseCurve] = {}
        self._blends: dict[PlaneIndex, Blend] = {}

    def predict(
        self, first: PlaneIndex | None, only: Collection[PlaneIndex] | None
    ) -> Generator[TilePrediction, Command | None, None]:
        """Denoise all planes, or some; `STOP` ends it."""
        planes = _outward(self.image, first)
        if only is not None:
            wanted = set(only)
            planes = [plane for plane in planes if plane in wanted]
        shares, total = dict.fromkeys(planes, 0.0), 0.0
        for plane in planes:
            for share, index in self._predict_plane(plane):
                # What is prepared for a volume is prepared for all of its planes.
                for one in shares.keys() & {plane, *self._prepared_for}:
                    total += max(0.0, share - shares[one])
                    shares[one] = max(share, shares[one])
                done = round(total / len(planes), 9)  # exactly 1 in the end
                if (yield TilePrediction(done, index)) is STOP:
                    return

    def curves(self) -> tuple[NoiseCurve, ...]:
        """Noise of each channel: of its last plane, where it follows the image."""
        found = list(self.model.noise_curves)
        for plane in sorted(self._curves):
            found[self.image.channel_of(plane)] = self._curves[plane]
        return tuple(found)

    def notes(self) -> list[str]:
        """Sentences on the defects and patterns of the image."""
        defects = describe_defects(self.count, self.model.config.outliers)
        channels = range(self.image.channels)
        patterns = (str(self.clean.patterns(n)) for n in channels)
        return [defects, *patterns, _without(len(self._lacking))]

    def chosen(self) -> tuple[Blend, ...]:
        """Blends of the planes, in the order of the image."""
        return tuple(self._blends[plane] for plane in sorted(self._blends))

    def _predict_plane(self, plane: PlaneIndex) -> Iterator[tuple[float, Place | None]]:
        """Denoise a plane, in smaller tiles once the device had no room for them.

        Yields the share that is done, and where a tile was.
        """
        while True:
            try:
                yield from self._predict_tiles(plane)
                return
            except (RuntimeError, MemoryError) as error:
                if not lacks_memory(error) or self.side <= LEAST_TILE:
                    raise
            # Not above: there the error still holds what was computed.
            free_memory()
            self.side //= 2

    def _predict_tiles(self, plane: PlaneIndex) -> Iterator[tuple[float, Place | None]]:
        """Denoise a plane tile by tile; yields as `_predict_plane`."""
        image, into = self.image, self.into
        channel = image.channel_of(plane)
        if self.model.channels[channel].is_empty or self.clean.is_blank(plane):
            yield 1.0, self._pass_through(plane)
            return
        together, tiles = self._views_of(channel).together(plane), self._tiles(plane)
        estimator = self._estimators.get(together)
        if estimator is None:
            estimator = self._estimator(plane, channel)
            middle = together[len(together) // 2]
            self._begin(middle)
            self._prepared_for = together
            for share in estimator.prepare(self._tiles(middle)):
                yield share, None
            self._prepared_for = ()
            self._keep(together, estimator)
        if len(together) > 1:
            self._begin(plane)
        tiles = [tile for tile in tiles if self._is_wanted(tile)]
        self._curves[plane] = estimator.noise.curve
        if self._views_now and self._views_now.lacks_channels(plane):
            self._lacking.add(plane)
        if estimator.blend:
            self._blends[plane] = estimator.blend
        for place, tile in enumerate(tiles):
            for fraction, estimates in estimator.estimate(tile, into):
                share = (place + fraction) / len(tiles)
                index = None
                if estimates is not None:
                    index = image.slices(tile.plane, tile.rows, tile.columns)
                    _write(image, index, self._as_recorded(tile, estimates), into)
                    self.coverage.add(tile)
                yield estimator.prepared + (1 - estimator.prepared) * share, index

    def _estimator(self, plane: PlaneIndex, channel: int) -> TileEstimator:
        """What estimates the tiles of a plane: of both exposures, where there are."""
        views = self._views_now = self._views_of(channel)
        if self.second is None or self.second.is_blank(plane):
            return estimator_of(views)
        return PairEstimator(views, self._make_views(self.second, channel))

    def _make_views(self, clean: CleanImage, channel: int) -> TileViews:
        margin = margin_of(self.model)
        rng = self.generator
        return TileViews(clean, self.model, channel, self.device, rng, margin)

    def _views_of(self, channel: int) -> TileViews:
        """What predicts the planes of a channel; kept where they are volumes."""
        if channel in self._views:
            return self._views[channel]
        views = self._make_views(self.clean, channel)
        if self.model.config.context.volumetric:
            self._views[channel] = views
        return views

    def _keep(self, together: Together, estimator: TileEstimator) -> None:
        """Keep an estimator for the other planes that it was prepared for."""
        if len(together) > 1:
            self._estimators[together] = estimator
        while len(self._estimators) > _KEPT_ESTIMATORS:
            self._estimators.popitem(last=False)

    def _begin(self, plane: PlaneIndex) -> None:
        """Begin with the random numbers of a plane: the same samples in any order."""
        number = self._numbers[plane]
        self.generator.manual_seed(self.model.config.seed + number)

    def _tiles(self, plane: PlaneIndex) -> list[Tile]:
        stride = self.model.config.stride
        return list(tile_grid(plane, self.image.plane_shape, self.side, stride))

    def _is_wanted(self, tile: Tile) -> bool:
        """Whether a tile holds some of the rows and columns to denoise."""
        rows, columns = (
            range(*part.indices(length))
            for part, length in zip(self._within, self.image.plane_shape, strict=True)
        )
        ends = (tile.top, tile.bottom, rows), (tile.left, tile.right, columns)
        return all(low < part.stop and part.start < high for low, high, part in ends)

    def _as_recorded(self, tile: Tile, estimates: Estimates) -> Estimates:
        """Estimates of a tile with what the result keeps, and count its defects."""
        clean = self.clean.read(tile.plane, tile.rows, tile.columns)
        self.count += DefectCount.of([clean], 0)
        if clean.spotless:
            return estimates
        raw = self.image.read_plane(tile.plane, tile.rows, tile.columns)
        kept = {
            name: np.where(clean.missing, raw if name == "denoised" else np.nan, values)
            for name, values in estimates.items()
        }
        if "denoised" in kept and self.model.config.outliers == "keep":
            kept["denoised"] = np.where(clean.outliers, raw, kept["denoised"])
        return kept

    def _pass_through(self, plane: PlaneIndex) -> Place:
        """Write a plane with nothing to denoise as it is; returns its place."""
        index = self.image.slices(plane)
        raw = self.image.read_plane(plane)
        nothing = np.full_like(raw, np.nan)
        estimates = dict.fromkeys(self.into, nothing) | {"denoised": raw}
        _write(self.image, index, estimates, self.into)
        self.coverage.add(Tile(plane, 0, raw.shape[0], 0, raw.shape[1]))
        self.count += DefectCount(planes=1, blank=1)
        return index


def _outward(image: Image, first: PlaneIndex | None) -> list[PlaneIndex]:
    """The planes by their distance from the first one, at equal distance in order."""
    planes = list(image.planes())
    if first is None:
        return planes

    def distance(plane: PlaneIndex) -> int:
        return sum(abs(a - b) for a, b in zip(plane, first, strict=True))

    return sorted(planes, key=distance)


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


def estimator_of(views: TileViews) -> TileEstimator:
    """Make what estimates the tiles of a plane, as the config asks."""
    blends = views.config.estimator.blends
    return BlendEstimator(views) if blends else PlainEstimator(views)


def denoise(image: Image, model: TrainedModel, **options: Any) -> Denoised:
    """Run `predict_tiles` to its end.

    See `predict_tiles` for the parameters and errors.
    """
    return run_to_end(predict_tiles(image, model, **options))


def _write(
    image: Image,
    index: tuple[int | slice, ...],
    estimates: Mapping[str, NDArray[np.float32]],
    into: Mapping[str, Any],
) -> None:
    for name, values in estimates.items():
        if name in into:
            into[name][(..., *index)] = image.as_stored(values)
