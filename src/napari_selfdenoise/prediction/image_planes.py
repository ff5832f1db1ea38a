"""The planes of an image, denoised one after the other, chunk by chunk."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from napari_selfdenoise.compute import (
    free_memory,
    give_back_memory,
    lacks_memory,
)
from napari_selfdenoise.defects import CleanImage, DefectCount
from napari_selfdenoise.errors import DenoisingError
from napari_selfdenoise.images import Coverage, Image, PlaneIndex, Tile
from napari_selfdenoise.long_work import STOP, Command
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.prediction.findings import Findings
from napari_selfdenoise.prediction.grid import Grid
from napari_selfdenoise.prediction.plane_estimators import PlaneEstimators
from napari_selfdenoise.prediction.plane_state import PlaneState
from napari_selfdenoise.prediction.tile_estimator import TileEstimator
from napari_selfdenoise.prediction.tile_size import LEAST_TILE
from napari_selfdenoise.prediction.tile_views import Estimates

Place = tuple[int | slice, ...]
"""Of a tile in an image's array."""


@dataclass(frozen=True, eq=False)
class TilePrediction:
    """A tile that has been denoised, or a moment on the way to it.

    Parameters
    ----------
    fraction : float
        Share that is done of the image, or of what is to be denoised of it.
    index : tuple
        Place of the tile in the image's array; None between tiles.
    chunk : Tile or None
        Chunk of the grid whose last tile this is, if it is one.
    found : Findings or None
        What was found in that chunk.
    finding : str
        What the user is to know at once, in sentences.
    learned : tuple or None
        A large plane of which all is known now that its tiles have in common, and what.
    """

    fraction: float
    index: Place | None = None
    chunk: Tile | None = None
    found: Findings | None = None
    finding: str = ""
    learned: tuple[PlaneIndex, PlaneState] | None = None


class Wanted(NamedTuple):
    """What is to be denoised of an image; all of it by default.

    Parameters
    ----------
    planes : collection of tuple of int, optional
        Some of its planes.
    within : tuple of slice
        All tiles that hold some of these rows and columns.
    chunks : collection of Tile, optional
        Some chunks of the grid.
    """

    planes: Collection[PlaneIndex] | None = None
    within: tuple[slice, slice] = (slice(None), slice(None))
    chunks: Collection[Tile] | None = None

    def by_plane(self) -> dict[PlaneIndex, list[Tile]] | None:
        """Chunks to denoise by their plane; None for all."""
        if self.chunks is None:
            return None
        found: dict[PlaneIndex, list[Tile]] = defaultdict(list)
        for chunk in self.chunks:
            found[chunk.plane].append(chunk)
        return found

    def holds(self, tile: Tile, shape: tuple[int, int]) -> bool:
        """Whether a tile of a plane (Y, X) has some of the rows and columns."""
        rows, columns = (
            range(*part.indices(length))
            for part, length in zip(self.within, shape, strict=True)
        )
        ends = (tile.top, tile.bottom, rows), (tile.left, tile.right, columns)
        return all(low < part.stop and part.start < high for low, high, part in ends)


class ImagePlanes:
    """Denoises an image plane by plane, and keeps what was found of them.

    Parameters
    ----------
    image : Image
        What is denoised.
    model : TrainedModel
        On the device.
    into : mapping
        Writable arrays by the names of results.
    grid : Grid
        How planes are cut.
    second : Image, optional
        A second exposure.
    states : mapping, optional
        What is known of planes from an earlier look at them.
    is_limited : bool
        Whether memory that is freed goes back to the system after each chunk.
    clean : CleanImage, optional
        The image without its defects from an earlier look at it.

    Attributes
    ----------
    coverage : Coverage
        What is denoised so far.
    """

    def __init__(
        self,
        image: Image,
        model: TrainedModel,
        into: Mapping[str, Any],
        grid: Grid,
        device: torch.device,
        second: Image | None = None,
        states: Mapping[PlaneIndex, PlaneState] | None = None,
        is_limited: bool = False,
        clean: CleanImage | None = None,
    ) -> None:
        self._is_limited = is_limited
        self.image, self.model, self.into, self.grid = image, model, into, grid
        self._estimators = PlaneEstimators(image, model, device, second, states, clean)
        self.clean = self._estimators.clean
        self.coverage = Coverage(image, grid.stride)
        self._finished: set[Tile] = set()
        self._found, self._in_chunk = Findings(), Findings()

    def predict(
        self, first: PlaneIndex | None, wanted: Wanted
    ) -> Generator[TilePrediction, Command | None, None]:
        """Denoise all planes, or some; `STOP` ends it."""
        planes, chunks = _outward(self.image, first), wanted.by_plane()
        only = wanted.planes if chunks is None else chunks
        if only is not None:
            some = set(only)
            planes = [plane for plane in planes if plane in some]
        shares, total = dict.fromkeys(planes, 0.0), 0.0
        for plane in planes:
            cut = chunks[plane] if chunks else self._chunks(plane)
            for share, one in self._predict_plane(plane, cut, wanted):
                # What is prepared for a volume is prepared for all of its planes.
                for each in shares.keys() & {plane, *self._estimators.preparing}:
                    total += max(0.0, share - shares[each])
                    shares[each] = max(share, shares[each])
                done = round(total / len(planes), 9)  # exactly 1 in the end
                if (yield TilePrediction(done, *one)) is STOP:
                    return

    @property
    def findings(self) -> Findings:
        """What was found so far, patterns of lines among it."""
        channels = range(self.image.channels)
        patterns = [str(self.clean.patterns(n)) for n in channels]
        found = Findings(patterns=patterns)
        found.add(self._found)
        found.add(self._in_chunk)
        return found

    # One plane ------------------------------------------------------------------------

    def _chunks(self, plane: PlaneIndex) -> list[Tile]:
        return list(self.grid.chunks(plane, self.image.plane_shape))

    def _predict_plane(
        self, plane: PlaneIndex, chunks: Sequence[Tile], wanted: Wanted
    ) -> Iterator[tuple[float, tuple[Any, ...]]]:
        """Denoise a plane, in smaller tiles once the device had no room for them.

        Yields the share that is done, and what a `TilePrediction` takes besides.
        """
        while True:
            try:
                yield from self._predict_chunks(plane, chunks, wanted)
                return
            except (RuntimeError, MemoryError) as error:
                if not lacks_memory(error) or self.grid.side <= LEAST_TILE:
                    raise
            # Not above: there the error still holds what was computed.
            free_memory()
            self.grid = self.grid.halved()

    def _predict_chunks(
        self, plane: PlaneIndex, chunks: Sequence[Tile], wanted: Wanted
    ) -> Iterator[tuple[float, tuple[Any, ...]]]:
        """Denoise a plane chunk by chunk; yields as `_predict_plane`."""
        estimator: TileEstimator | None = None
        if not self._estimators.is_empty(plane):
            learning = self._estimators.of(plane, self.grid)
            estimator = yield from _with_nothing(learning)
            if len(chunks) > 1:
                known = plane, estimator.state()
                yield estimator.prepared, (None, None, None, "", known)
        prepared = estimator.prepared if estimator else 0.0
        shape, done = self.image.plane_shape, 0
        cut = [
            (chunk, [t for t in self.grid.parts(chunk) if wanted.holds(t, shape)])
            for chunk in chunks
            if chunk not in self._finished
        ]
        count = sum(len(tiles) for _, tiles in cut)
        for chunk, tiles in cut:
            self._in_chunk = Findings()
            for tile in tiles:
                for fraction, index in self._denoise(tile, estimator):
                    share = prepared + (1 - prepared) * (done + fraction) / count
                    if index is None:
                        yield share, ()
                done += 1
                ends = (chunk, self._end(chunk)) if tile is tiles[-1] else ()
                yield share, (index, *ends)

    def _end(self, chunk: Tile) -> Findings:
        """What was found in a chunk, now that it is finished."""
        found, self._in_chunk = self._in_chunk, Findings()
        self._finished.add(chunk)
        if self._is_limited:
            give_back_memory()
        self._found.add(found)
        return found

    def _denoise(
        self, tile: Tile, estimator: TileEstimator | None
    ) -> Iterator[tuple[float, Place | None]]:
        """Denoise a tile; yields the share that is done, and at last its place."""
        if estimator is None:
            yield 1.0, self._pass_through(tile)
            return
        self._estimators.begin(tile.plane, tile.top, tile.left)
        for fraction, estimates in estimator.estimate(tile, self.into):
            if estimates is None:
                yield fraction, None
                continue
            kept = self._as_recorded(tile, estimates)
            index = self._write(tile, kept)
            self._note(tile.plane, estimator)
            yield 1.0, index

    def _note(self, plane: PlaneIndex, estimator: TileEstimator) -> None:
        """Keep what the results of a tile were made with."""
        found = self._in_chunk
        found.curves[plane] = estimator.noise.curve
        if self._estimators.lacks_channels(plane):
            found.lacking.add(plane)
        if estimator.blend:
            found.blends[plane] = estimator.blend

    # Pixels ---------------------------------------------------------------------------

    def _as_recorded(self, tile: Tile, estimates: Estimates) -> Estimates:
        """Estimates of a tile with what the result keeps, and count its defects."""
        clean = self.clean.read(tile.plane, tile.rows, tile.columns)
        self._in_chunk.defects += DefectCount.of([clean], 0)
        if clean.doubtful:
            self._in_chunk.doubtful.add(tile.plane)
        if clean.spotless:
            _require_numbers(estimates, True)
            return estimates
        _require_numbers(estimates, ~clean.missing)
        raw = self.image.read_plane(tile.plane, tile.rows, tile.columns)
        kept = {
            name: np.where(clean.missing, raw if name == "denoised" else np.nan, values)
            for name, values in estimates.items()
        }
        if "denoised" in kept and self.model.config.outliers == "keep":
            kept["denoised"] = np.where(clean.outliers, raw, kept["denoised"])
        return kept

    def _pass_through(self, tile: Tile) -> Place:
        """Write a tile with nothing to denoise as it is; returns its place."""
        raw = self.image.read_plane(tile.plane, tile.rows, tile.columns)
        nothing = np.full_like(raw, np.nan)
        self._in_chunk.blank.add(tile.plane)
        return self._write(tile, dict.fromkeys(self.into, nothing) | {"denoised": raw})

    def _write(self, tile: Tile, estimates: Mapping[str, NDArray[np.float32]]) -> Place:
        """Write a tile to where it is wanted; returns its place."""
        self._in_chunk.planes.add(tile.plane)
        index = self.image.slices(tile.plane, tile.rows, tile.columns)
        for name, values in estimates.items():
            if name in self.into:
                self.into[name][(..., *index)] = self.image.as_stored(values)
        self.coverage.add(tile)
        return index


def _require_numbers(estimates: Estimates, where: Any) -> None:
    """Raise an error where a result is no number, as with weights that were changed."""
    found = estimates.get("denoised")
    if found is not None and not (np.isfinite(found) | ~np.asarray(where)).all():
        raise DenoisingError(
            "The model predicts values that are no finite numbers.",
            "Its file may have been changed: train again, or choose another model.",
        )


def _with_nothing(
    learning: Generator[float, None, TileEstimator],
) -> Generator[tuple[float, tuple[Any, ...]], None, TileEstimator]:
    """Shares of the work with no tile."""
    while True:
        try:
            yield next(learning), ()
        except StopIteration as end:
            found: TileEstimator = end.value
            return found


def _outward(image: Image, first: PlaneIndex | None) -> list[PlaneIndex]:
    """The planes by their distance from the first one, at equal distance in order."""
    planes = list(image.planes())
    if first is None:
        return planes

    def distance(plane: PlaneIndex) -> int:
        return sum(abs(a - b) for a, b in zip(plane, first, strict=True))

    return sorted(planes, key=distance)
