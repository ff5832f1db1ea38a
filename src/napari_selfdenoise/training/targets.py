"""What a network learns to predict where it is another image: a second exposure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from napari_selfdenoise.config import Supervision, TrainingConfig, supervised
from napari_selfdenoise.defects import CleanImage, CleanPlane, measure_clipping
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import Image
from napari_selfdenoise.pairing import match_noise_free, match_pair
from napari_selfdenoise.training.plane_reader import TrainingPlane

_AROUND = 5
"""Side in px of the squares that count as clipped where half of their pixels are: by
single pixels, those whose noise is high would be left out, and the mean come out low.
"""


class Teaching(NamedTuple):
    """What images are learned from besides themselves.

    Parameters
    ----------
    kind : str
        "self", "pair" or "noise_free".
    others : list of Image
        Second exposures, or noise-free images; none for "self".
    """

    kind: Supervision
    others: list[Image]

    def settings(self, config: TrainingConfig) -> TrainingConfig:
        """Settings that go with them.

        Raises
        ------
        RequestError
            If the config cannot be used so, or is one for images that are not given.
        """
        if self.kind == "self" and config.supervision != "self":
            raise RequestError(
                "These settings are for a second exposure, or a noise-free image, but "
                "none is given.",
                "Give it, or start from a recipe.",
            )
        return supervised(config, self.kind)

    def targets(self, images: Sequence[Image]) -> Targets | None:
        """Match them to the images; None where there are none.

        Raises
        ------
        RequestError
            If they do not go together.
        """
        if self.kind == "self":
            return None
        return Targets.of(images, self.others, self.kind)


def teaching(
    pair: Image | Sequence[Image] | None, noise_free: Image | Sequence[Image] | None
) -> Teaching:
    """Tell how images are learned from.

    Parameters
    ----------
    pair, noise_free : Image or sequence of Image, optional
        As for `train_steps`.

    Raises
    ------
    RequestError
        If both are given.
    """
    if pair is not None and noise_free is not None:
        raise RequestError(
            "Both a second exposure and a noise-free image were given.",
            "Give one of them.",
        )
    if pair is not None:
        return Teaching("pair", as_list(pair))
    if noise_free is not None:
        return Teaching("noise_free", as_list(noise_free))
    return Teaching("self", [])


def as_list(images: Image | Sequence[Image]) -> list[Image]:
    """One image or several, as a list."""
    return [images] if isinstance(images, Image) else list(images)


@dataclass(frozen=True, eq=False)
class Targets:
    """Second exposures, or noise-free images, of the images that are learned from.

    Parameters
    ----------
    kind : str
        "pair" or "noise_free".
    images : sequence of Image
        One for each image, in its brightness.
    notes : tuple of str
        What was found of them, in sentences.
    """

    kind: Supervision
    images: Sequence[Image]
    notes: tuple[str, ...]

    @classmethod
    def of(
        cls, images: Sequence[Image], others: Sequence[Image], kind: Supervision
    ) -> Targets:
        """Match images that are to be predicted to those that are learned from.

        Raises
        ------
        RequestError
            If they do not go together.
        """
        if len(images) != len(others):
            raise RequestError(
                f"There are {len(images)} images, but {len(others)} to pair them with.",
                "Give one for each image, in the same order.",
            )
        match = match_pair if kind == "pair" else match_noise_free
        found = [match(*both) for both in zip(images, others, strict=True)]
        notes = dict.fromkeys(note for one in found for note in one.notes)
        return cls(kind, [one.image for one in found], tuple(notes))

    def paired(
        self,
        planes: Sequence[TrainingPlane],
        images: Sequence[CleanImage],
        subtract: bool,
    ) -> list[TrainingPlane]:
        """Read the targets of the planes of one channel, at the same places.

        Parameters
        ----------
        planes : sequence of TrainingPlane
            That were read of the images.
        images : sequence of CleanImage
            That they are of.
        subtract : bool
            Whether offsets of lines are subtracted.

        Returns
        -------
        list of TrainingPlane
            Those that have a pixel in common with their target.
        """
        others = {
            id(image): CleanImage(other, subtract)
            for image, other in zip(images, self.images, strict=True)
        }
        found = [
            one._replace(target=_like(one, others[id(one.image)])) for one in planes
        ]
        return [
            one
            for one in found
            if one.target and (one.clean.good & one.target.good).any()
        ]


class PairedPlanes(NamedTuple):
    """Planes of one channel and what each of them is to predict.

    Parameters
    ----------
    planes : list of CleanPlane
        Those that are learned from first; good where their targets are.
    partners : ndarray or None
        Number of the plane that each of them predicts, (n, 1); None where that is
        itself.
    inputs : int
        How many of them are learned from.
    """

    planes: list[CleanPlane]
    partners: NDArray[np.int64] | None
    inputs: int | None

    @classmethod
    def alone(cls, planes: Sequence[TrainingPlane]) -> PairedPlanes:
        """Return planes that are predicted from themselves."""
        return cls([one.clean for one in planes], None, None)

    @classmethod
    def of(cls, planes: Sequence[TrainingPlane], both: bool) -> PairedPlanes:
        """Pair planes with their targets.

        Parameters
        ----------
        planes : sequence of TrainingPlane
            To learn from; each has a target.
        both : bool
            Whether targets are learned from, too, and predict the former.
        """
        pairs = [(one.clean, one.target) for one in planes if one.target]
        ahead = [_teaching(first, second) for first, second in pairs]
        back = [_teaching(second, first) for first, second in pairs]
        count = len(pairs)
        numbers = np.arange(2 * count, dtype=np.int64)
        partners = (numbers + count) % (2 * count)
        inputs = 2 * count if both else count
        return cls([*ahead, *back], partners[:, None], inputs)


def _like(one: TrainingPlane, other: CleanImage) -> CleanPlane:
    """The region of another image that lies where one was read."""
    rows, columns = (
        slice(start, start + length)
        for start, length in zip(one.corner, one.clean.pixels.shape, strict=True)
    )
    return other.read(one.plane, rows, columns)


def _teaching(plane: CleanPlane, target: CleanPlane) -> CleanPlane:
    """A plane that is good only where its target is."""
    unknown = ~target.good | (_clipped(target) & ~_clipped(plane))
    return plane._replace(outliers=plane.outliers | unknown & ~plane.missing)


def _clipped(plane: CleanPlane) -> NDArray[np.bool_]:
    """Regions of a plane (Y, X) that are saturated."""
    if not np.isfinite(plane.recorded).any():
        return np.zeros(plane.pixels.shape, np.bool_)
    found = measure_clipping([plane.recorded])
    if not found.high:
        return np.zeros(plane.pixels.shape, np.bool_)
    share = uniform_filter((plane.pixels >= found.highest).astype(np.float32), _AROUND)
    return np.asarray(share >= 0.5)
