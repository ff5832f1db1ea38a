"""All that a plane is predicted from besides itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.context.context_planes import ContextPlanes
from napari_selfdenoise.context.other_channels import OtherChannels
from napari_selfdenoise.defects import CleanImage
from napari_selfdenoise.images import PlaneIndex, Tile, sources
from napari_selfdenoise.parts.channels import Channels, JointChannels
from napari_selfdenoise.parts.context import Context, NeighbouringPlanes


class _Source(Protocol):
    """What gives further inputs of the network, one or more."""

    @property
    def image(self) -> CleanImage: ...

    def stack(
        self, plane: PlaneIndex, rows: slice, columns: slice
    ) -> NDArray[np.float32]: ...

    def noise_shares(self, plane: PlaneIndex) -> NDArray[np.float32]: ...

    def sequence(self, plane: PlaneIndex) -> PlaneIndex: ...


class ContextSources:
    """The planes around a plane, its other channels, or both.

    Parameters
    ----------
    found : sequence of ContextPlanes and OtherChannels
        In the order of the network's inputs, at least one.
    """

    def __init__(self, found: Sequence[_Source]) -> None:
        self._found = found

    @classmethod
    def of(
        cls, image: CleanImage, context: Context, channels: Channels
    ) -> ContextSources | None:
        """Those of all of an image; None where each plane is predicted by itself.

        Parameters
        ----------
        image : CleanImage
            Whose planes are read when they are needed.
        context : Context
            Volumes are not found here: their planes are not inputs side by side.
        channels : Channels
            Not automatic.
        """
        found: list[_Source] = []
        if isinstance(context, NeighbouringPlanes):
            found.append(ContextPlanes(image, context))
        if isinstance(channels, JointChannels) and channels.count:
            found.append(OtherChannels(image, channels))
        return cls(found) if found else None

    def stack(
        self, plane: PlaneIndex, rows: slice, columns: slice
    ) -> NDArray[np.float32]:
        """Pixels of a region of all of them, (N, Y, X), raw units of the plane.

        NaN where there is nothing that may be used.
        """
        return np.concatenate([one.stack(plane, rows, columns) for one in self._found])

    def read_padded(self, tile: Tile, margin: int, stride: int) -> NDArray[np.float32]:
        """Padded pixels around a tile; as `images.read_padded`.

        Returns
        -------
        ndarray
            As `stack`.
        """
        shape = self._found[0].image.plane_shape
        y, x = sources(tile, shape, margin, stride)
        top, left = int(y.min()), int(x.min())
        rows, columns = slice(top, int(y.max()) + 1), slice(left, int(x.max()) + 1)
        found = self.stack(tile.plane, rows, columns)
        return np.ascontiguousarray(found[:, (y - top)[:, None], x - left])

    def noise_shares(self, plane: PlaneIndex) -> NDArray[np.float32]:
        """Std of the noise of what `stack` gives, over that of the plane, (N,)."""
        return np.concatenate([one.noise_shares(plane) for one in self._found])

    def lacks_channels(self, plane: PlaneIndex) -> bool:
        """Whether a channel that would help to predict a plane may not be used."""
        others = (one for one in self._found if isinstance(one, OtherChannels))
        return any(one.lacks(plane) for one in others)

    def sequence(self, plane: PlaneIndex) -> PlaneIndex:
        """Sort key by which planes that are compared follow each other."""
        return self._found[0].sequence(plane)
