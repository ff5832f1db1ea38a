"""The pixel probe: what the estimate of any pixel is made of, from kept predictions."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from threading import Lock

import torch

from napari_selfdenoise.compute import (
    computing,
    device_errors_as_sentences,
    resolve_device,
)
from napari_selfdenoise.defects import CleanImage
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import (
    Image,
    PlaneIndex,
    Tile,
    require_denoisable,
    tile_grid,
)
from napari_selfdenoise.long_work import STOP, Command
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.parts.noise_models import TabulatedModule
from napari_selfdenoise.prediction.evidence import PixelEvidence
from napari_selfdenoise.prediction.on_device import copied_to
from napari_selfdenoise.prediction.probed_tile import PlaneNoise, ProbedTile
from napari_selfdenoise.prediction.tile_probing import TileProbing, tile_at
from napari_selfdenoise.prediction.tile_size import margin_of, tile_side
from napari_selfdenoise.prediction.tile_views import TileViews

_SIDES = {"cpu": 64, "gpu": 256}
"""Sides in px of the tiles that are predicted at a time: small ones come sooner."""

_KEPT_BYTES = 2**28
"""Memory that kept tiles may take; the one that was asked for last always stays."""


_PLANES = 4
"""Planes of which it is kept what the estimator learned of them."""


@dataclass(frozen=True)
class ProbeProgress:
    """A moment of the prediction of a tile.

    Parameters
    ----------
    text : str
        What is being done.
    ready : bool
        Whether there is more to show than before.
    """

    text: str
    ready: bool = False


Probing = Generator[ProbeProgress, Command | None, PixelEvidence | None]


class PixelProbe:
    """Answers what the estimate of a pixel is made of.

    Tiles are predicted by `predict_steps`, in a worker; `probe` reads what is kept of
    them, from any thread.

    Parameters
    ----------
    image : Image
        What is denoised, corrected as for `predict_tiles`.
    model : TrainedModel
        From `train` or `load_model`.
    denoised : Image, optional
        The complete result of `predict_tiles` for this image and model, where there is
        one: an estimator that looks at whole planes needs not do so again.
    device : str
        Name of the device.

    Raises
    ------
    RequestError
        If the image does not fit the model or cannot be denoised.
    """

    def __init__(
        self,
        image: Image,
        model: TrainedModel,
        *,
        denoised: Image | None = None,
        device: str = "auto",
    ) -> None:
        require_denoisable(image)
        model.require_fits(image)
        self.image, self.model, self.denoised = image, model, denoised
        self._device = resolve_device(device)
        self._side = _side(model, self._device)
        self._clean = CleanImage(image, model.config.line_offsets == "subtract")
        self._planes: OrderedDict[PlaneIndex, TileProbing] = OrderedDict()
        self._tiles: OrderedDict[Tile, ProbedTile] = OrderedDict()
        self._lock = Lock()
        self._on_device: TrainedModel | None = None

    # What is known --------------------------------------------------------------------

    def probe(self, plane: PlaneIndex, row: int, column: int) -> PixelEvidence | None:
        """Weigh a pixel from what is kept of its tile; None where nothing is yet."""
        tile = self._kept(self.tile_of(plane, row, column))
        if tile is None:
            return None
        known = tile.evidence(row, column)
        if self.denoised is None or known.kind in ("missing", "blank"):
            return known
        place = slice(row, row + 1), slice(column, column + 1)
        return replace(
            known, estimate=float(self.denoised.read_plane(plane, *place)[0, 0])
        )

    def is_complete(self, plane: PlaneIndex, row: int, column: int) -> bool:
        """Whether all is known of a pixel that a prediction would find out."""
        tile = self._kept(self.tile_of(plane, row, column))
        return tile is not None and tile.final and self._has_estimate(tile)

    def tile_of(self, plane: PlaneIndex, row: int, column: int) -> Tile:
        """The tile that a pixel is predicted with.

        Raises
        ------
        RequestError
            If there is no such pixel.
        """
        self._require_pixel(plane, row, column)
        return tile_at(plane, self.image.plane_shape, row, column, self._side)

    def _require_pixel(self, plane: PlaneIndex, row: int, column: int) -> None:
        lengths = [self.image.sizes[axis] for axis in self.image.outer_axes]
        lengths += self.image.plane_shape
        place = (*plane, row, column)
        inside = len(place) == len(lengths) and all(
            0 <= at < length for at, length in zip(place, lengths, strict=True)
        )
        if not inside:
            raise RequestError(
                f"There is no pixel {_listed(place)}: along the axes "
                f"{self.image.outer_axes}YX there are {_listed(lengths)}.",
                "Count from 0.",
            )

    def _has_estimate(self, tile: ProbedTile) -> bool:
        known = tile.denoised is not None or self.denoised is not None
        return known or tile.outputs is None

    def _kept(self, tile: Tile) -> ProbedTile | None:
        with self._lock:
            found = self._tiles.get(tile)
            if found is not None:
                self._tiles.move_to_end(tile)
        return found

    def _keep(self, found: ProbedTile) -> None:
        """Keep a tile, and forget those that were asked for longest ago."""
        with self._lock:
            self._tiles[found.tile] = found
            self._tiles.move_to_end(found.tile)
            while len(self._tiles) > 1 and self._bytes() > _KEPT_BYTES:
                self._tiles.popitem(last=False)

    def _bytes(self) -> int:
        return sum(tile.nbytes for tile in self._tiles.values())

    # What is predicted ----------------------------------------------------------------

    def predict_steps(
        self, plane: PlaneIndex, row: int, column: int, *, in_background: bool = False
    ) -> Probing:
        """Predict the tile of a pixel, and keep it.

        Parameters
        ----------
        plane : tuple of int
            Position along every axis but Y and X.
        row, column : int
            Of the pixel.
        in_background : bool
            Compute at low priority, where a window shares the machine.

        Yields
        ------
        ProbeProgress
            At least once a second. Send `STOP` to end early: what is known is kept.

        Returns
        -------
        PixelEvidence or None
            None where it was ended before anything was known of the pixel.

        Raises
        ------
        RequestError
            If there is no such pixel.
        DenoisingError
            If the device runs out of memory.
        """
        tile = self.tile_of(plane, row, column)
        with computing(in_background), device_errors_as_sentences("probing a pixel"):
            for progress in self._steps(tile):
                if (yield progress) is STOP:
                    break
        return self.probe(plane, row, column)

    def _steps(self, tile: Tile) -> Iterator[ProbeProgress]:
        yield ProbeProgress("Reading the image…")
        channel = self.image.channel_of(tile.plane)
        if self.model.channels[channel].is_empty or self._clean.is_blank(tile.plane):
            self._keep(self._blank(tile, channel))
            yield ProbeProgress("", ready=True)
            return
        probing = self._probing(tile.plane)
        if self.model.config.per_image:
            yield from _prepared(probing)  # the prior needs it
        kept = self._kept(tile)
        if kept is None or not kept.final:
            yield ProbeProgress("Predicting from the surroundings…")
            for found in probing.predict(tile):
                if found is not None:
                    self._keep(found)
                yield ProbeProgress("Predicting from the surroundings…", bool(found))
        yield from self._estimated(tile, probing)

    def _estimated(self, tile: Tile, probing: TileProbing) -> Iterator[ProbeProgress]:
        """Add to a kept tile what the estimator makes of it, if that is not known."""
        kept = self._kept(tile)
        if kept is None or self._has_estimate(kept):
            return
        yield from _prepared(probing)
        for values in probing.estimate(tile):
            if values is not None:
                self._keep(replace(kept, noise=probing.noise, denoised=values))
            yield ProbeProgress("Denoising…", values is not None)

    def _probing(self, plane: PlaneIndex) -> TileProbing:
        """What predicts the tiles of a plane; of a few planes it is kept."""
        if plane not in self._planes:
            self._planes[plane] = self._new_probing(plane)
            if len(self._planes) > _PLANES:
                self._planes.popitem(last=False)
        self._planes.move_to_end(plane)
        return self._planes[plane]

    def _new_probing(self, plane: PlaneIndex) -> TileProbing:
        if self._on_device is None:
            self._on_device = copied_to(self.model, self._device)
        model, shape = self._on_device, self.image.plane_shape
        number = list(self.image.planes()).index(plane)
        # As `predict_tiles` begins a plane: the same choices follow.
        generator = torch.Generator(self._device)
        generator.manual_seed(model.config.seed + number)
        views = TileViews(
            self._clean,
            model,
            self.image.channel_of(plane),
            self._device,
            generator,
            margin_of(model),
        )
        side = tile_side(model, self._device)
        return TileProbing(
            views, list(tile_grid(plane, shape, side, model.config.stride))
        )

    def _blank(self, tile: Tile, channel: int) -> ProbedTile:
        """A tile in which there is nothing to denoise."""
        raw = self.image.read_plane(tile.plane, tile.rows, tile.columns)
        clean = self._clean.read(tile.plane, tile.rows, tile.columns)
        known = self.model.channels[channel]
        module = TabulatedModule(known.noise_units(), known.noise_curve)
        noise = PlaneNoise(module)
        return ProbedTile(
            tile, self.model.config, known.normalization, noise, raw, clean
        )


def _side(model: TrainedModel, device: torch.device) -> int:
    """Side of the tiles in px: small, but not far below the margin around them."""
    least, stride = (
        _SIDES["cpu" if device.type == "cpu" else "gpu"],
        model.config.stride,
    )
    side = min(max(least, margin_of(model)), tile_side(model, device))
    return -(-side // stride) * stride


def _prepared(probing: TileProbing) -> Iterator[ProbeProgress]:
    """Let an estimator learn of its plane, if it has not yet."""
    if not probing.prepared:
        for share in probing.prepare():
            yield ProbeProgress(f"Looking at the whole image… {100 * share:.0f} %")


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))
