"""What denoises the tiles of each plane, and the random numbers it does so with."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator, Iterator, Mapping

import numpy as np
import torch

from napari_selfdenoise.defects import CleanImage
from napari_selfdenoise.images import Image, PlaneIndex
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.prediction.blend_estimator import BlendEstimator
from napari_selfdenoise.prediction.grid import Grid
from napari_selfdenoise.prediction.pair_estimator import PairEstimator
from napari_selfdenoise.prediction.plane_state import PlaneState
from napari_selfdenoise.prediction.tile_estimator import PlainEstimator, TileEstimator
from napari_selfdenoise.prediction.tile_size import margin_of
from napari_selfdenoise.prediction.tile_views import TileViews

Together = tuple[PlaneIndex, ...]
"""Planes that are predicted at once."""

_KEPT_ESTIMATORS = 4


class PlaneEstimators:
    """Makes the estimators of an image's planes; those of a volume are kept.

    Parameters
    ----------
    image : Image
        What is denoised.
    model : TrainedModel
        On the device.
    second : Image, optional
        A second exposure.
    states : mapping, optional
        What is known of planes from an earlier look at them.
    clean : CleanImage, optional
        The image without its defects from an earlier look at it.

    Attributes
    ----------
    clean : CleanImage
        The image without its defects.
    preparing : tuple
        Planes that something is being learned of.
    """

    def __init__(
        self,
        image: Image,
        model: TrainedModel,
        device: torch.device,
        second: Image | None = None,
        states: Mapping[PlaneIndex, PlaneState] | None = None,
        clean: CleanImage | None = None,
    ) -> None:
        self.model, self._device, self._states = model, device, states or {}
        self.clean = clean or without_defects(image, model)
        self._second = None if second is None else without_defects(second, model)
        self._generator = torch.Generator(device).manual_seed(model.config.seed)
        self._numbers = {plane: n for n, plane in enumerate(image.planes())}
        # Of the planes that were denoised together last: those of a volume.
        self._estimators: OrderedDict[Together, TileEstimator] = OrderedDict()
        self.preparing: Together = ()
        self._views: dict[int, TileViews] = {}
        self._views_now: TileViews | None = None

    def is_empty(self, plane: PlaneIndex) -> bool:
        """Whether there is nothing to denoise in a plane, or no network for it."""
        channel = self.clean.image.channel_of(plane)
        return self.model.channels[channel].is_empty or self.clean.is_blank(plane)

    def lacks_channels(self, plane: PlaneIndex) -> bool:
        """Whether the plane of the last estimator lacks a channel that would help."""
        return self._views_now is not None and self._views_now.lacks_channels(plane)

    def begin(self, plane: PlaneIndex, *place: int) -> None:
        """Begin with the random numbers of a place: the same samples in any order.

        So they are, too, where a run goes on with the rest, or many share the work.
        """
        seeds = self.model.config.seed, self._numbers[plane], *place
        state = np.random.SeedSequence(seeds).generate_state(1, np.uint64)
        self._generator.manual_seed(int(state[0]))

    def of(
        self, plane: PlaneIndex, grid: Grid
    ) -> Generator[float, None, TileEstimator]:
        """What estimates the tiles of a plane, once it knows the plane.

        Yields
        ------
        float
            Share of all work on the plane that is done.

        Returns
        -------
        TileEstimator
        """
        channel = self.clean.image.channel_of(plane)
        together = self._views_of(channel).together(plane)
        estimator = self._estimators.get(together)
        if estimator is not None:
            return estimator
        estimator = self._estimator(plane, channel)
        if plane in self._states:
            estimator.restore(self._states[plane])
        else:
            self.preparing = together
            yield from self._prepare(estimator, together[len(together) // 2], grid)
            self.preparing = ()
        self._keep(together, estimator)
        return estimator

    def learned(self, plane: PlaneIndex, grid: Grid) -> PlaneState | None:
        """Learn of a plane what its tiles have in common; None of a blank one."""
        if self.is_empty(plane):
            return None
        estimator = self._estimator(plane, self.clean.image.channel_of(plane))
        for _ in self._prepare(estimator, plane, grid):
            pass
        return estimator.state()

    def _prepare(
        self, estimator: TileEstimator, plane: PlaneIndex, grid: Grid
    ) -> Iterator[float]:
        """Let an estimator learn of a plane what its tiles have in common."""
        self.begin(plane)
        return estimator.prepare(grid.tiles(plane, self.clean.plane_shape))

    def _estimator(self, plane: PlaneIndex, channel: int) -> TileEstimator:
        """What estimates the tiles of a plane: of both exposures, where there are."""
        views = self._views_now = self._views_of(channel)
        if self._second is None or self._second.is_blank(plane):
            return estimator_of(views)
        return PairEstimator(views, self._make_views(self._second, channel))

    def _make_views(self, clean: CleanImage, channel: int) -> TileViews:
        margin = margin_of(self.model)
        rng = self._generator
        return TileViews(clean, self.model, channel, self._device, rng, margin)

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


def without_defects(image: Image, model: TrainedModel) -> CleanImage:
    """Make the image that a model denoises: without defects, as its config says."""
    return CleanImage(image, model.config.line_offsets == "subtract")


def estimator_of(views: TileViews) -> TileEstimator:
    """Make what estimates the tiles of a plane, as the config asks."""
    blends = views.config.estimator.blends
    return BlendEstimator(views) if blends else PlainEstimator(views)
