"""Whether two images of one scene go together, and the second one matched to the first.

What is learned from a pair is what both exposures have in common. So noise that they
share stays, and a shift blurs; both are looked for before anything is learned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.context import Brightness, PairOfPlanes, PlaneWaves
from napari_selfdenoise.defects import CleanImage
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import Image
from napari_selfdenoise.pairing.brightness import (
    Array,
    fit_noise_free,
    fit_pair,
    matched,
)
from napari_selfdenoise.pairing.shift import Shift, measure_shift

_PLANES = 4  # of each channel that are compared
_SIDE = 1024  # px; of larger planes the middle is compared

_MOST_SHIFT, _LEAST_SHIFT = 1.5, 0.5
"""Shift in px from which on a pair is refused, and from which on there is a note."""

_MOST_SHARED = 0.3
"""Correlation of the noise from which on a pair is refused: so much of it stays."""

_ALIKE = 0.25
"""Correlation of what two images show, at least: other fields of view have none."""

_OTHER_BRIGHTNESS = 0.1
"""Difference of brightness, in stds of the noise, from which on it is matched."""

_NOISY = 0.25
"""Variance of a noise-free image's finest variation over that of both, from which on it
is noisy: half is as noisy as the image."""

_FLAT = 0.25
"""Share of the blocks that noise is compared in: those with the least structure."""

_ORDER = np.add.outer(np.arange(8), np.arange(8))
_SHORT, _MIDDLE = _ORDER >= 9, (_ORDER >= 3) & (_ORDER <= 6)

_SECOND, _NOISE_FREE = "second exposure", "noise-free image"


class Matched(NamedTuple):
    """A second image of a scene, in the brightness of the first.

    Parameters
    ----------
    image : Image
        With the axes and shape of the first.
    notes : tuple of str
        What was found, in sentences for the user.
    """

    image: Image
    notes: tuple[str, ...]


def require_alike(image: Image, other: Image, what: str = _SECOND) -> None:
    """Refuse a second image of other axes or another shape; no pixel is read.

    Parameters
    ----------
    image, other : Image
        The one to denoise, and the one that belongs to it.
    what : str
        What the other one is called.

    Raises
    ------
    RequestError
        With both shapes.
    """
    if (image.axes, image.shape) == (other.axes, other.shape):
        return
    raise RequestError(
        f"The {what} is {other.describe(False)}; the image is {image.describe(False)}.",
        "Choose two recordings of one scene with the same axes and sizes.",
    )


def match_pair(image: Image, other: Image) -> Matched:
    """Match a second exposure of a scene to the first.

    Parameters
    ----------
    image, other : Image
        The exposures, raw units.

    Raises
    ------
    RequestError
        If their shapes differ, one is a copy of the other, they share noise, show
        different scenes or are shifted against each other.

    References
    ----------
    Lehtinen et al. 2018, Noise2Noise.
    """
    require_alike(image, other)
    by_channel, notes = [], []
    for number, planes in _sampled(image, other):
        compared = _Compared.of(planes, fit_pair)
        _refuse_copies(planes, _SECOND)
        notes += compared.require_independent()
        notes += compared.require_in_place(_SECOND)
        by_channel.append(compared.brightness)
        notes += compared.brightness_note(_SECOND, _dye(image, number))
    return Matched(matched(other, by_channel), tuple(dict.fromkeys(notes)))


def match_noise_free(image: Image, other: Image) -> Matched:
    """Match a noise-free image of a scene to the noisy one.

    Parameters
    ----------
    image, other : Image
        The noisy image, and the same scene without noise, such as a long exposure or
        the average of many; raw units.

    Raises
    ------
    RequestError
        If their shapes differ, both are the same, show different scenes or are shifted
        against each other.

    References
    ----------
    Weigert et al. 2018, CARE.
    """
    require_alike(image, other, _NOISE_FREE)
    by_channel, notes = [], []
    for number, planes in _sampled(image, other):
        compared = _Compared.of(planes, fit_noise_free)
        _refuse_copies(planes, _NOISE_FREE)
        notes += compared.require_in_place(_NOISE_FREE)
        by_channel.append(compared.brightness)
        notes += compared.brightness_note(_NOISE_FREE, _dye(image, number))
        notes += compared.noisy_note()
    return Matched(matched(other, by_channel), tuple(dict.fromkeys(notes)))


Planes = list[tuple[NDArray[np.float32], ...]]
"""Planes of both images, each (Y, X), raw units; NaN where nothing was recorded."""


def _sampled(image: Image, other: Image) -> Iterator[tuple[int, Planes]]:
    """The middle of some planes of each channel that neither image has blank."""
    both = CleanImage(image), CleanImage(other)
    place = tuple(_middle(length) for length in image.plane_shape)
    for channel in range(image.channels):
        planes = list(image.planes(channel))
        chosen = planes[:: max(1, len(planes) // _PLANES)][:_PLANES]
        yield (
            channel,
            [
                tuple(one.read(plane, *place).recorded for one in both)
                for plane in chosen
                if not any(one.is_blank(plane) for one in both)
            ],
        )


def _middle(length: int) -> slice:
    start = max(0, (length - _SIDE) // 2)
    return slice(start, start + min(length, _SIDE))


def _dye(image: Image, channel: int) -> str:
    return f" of channel {channel + 1}" if image.channels > 1 else ""


def _refuse_copies(planes: Planes, what: str) -> None:
    if planes and all(np.array_equal(a, b, equal_nan=True) for a, b in planes):
        raise RequestError(
            f"The {what} is the same picture as the image: their noise is equal, so "
            "nothing can be learned from it.",
            "Choose another recording of the scene, or none.",
        )


class _Compared(NamedTuple):
    """What was measured of the planes of one channel.

    Parameters
    ----------
    pairs : list of PairOfPlanes
        How the planes are alike.
    shift : Shift
        Of the second image.
    brightness : Brightness
        Of the second image, as it is to be matched; none where both are alike.
    noisy : float
        Variance of the second image's finest variation over that of the difference.
    """

    pairs: list[PairOfPlanes]
    shift: Shift
    brightness: Brightness
    noisy: float

    @classmethod
    def of(cls, planes: Planes, fit: Callable[[Array, Array], Brightness]) -> _Compared:
        """Compare planes; the brightness is found by `fit` from means of blocks."""
        waves = [tuple(PlaneWaves.of(plane) for plane in pair) for pair in planes]
        means = [np.stack([one.means.ravel() for one in pair]) for pair in waves]
        joined = np.concatenate([np.zeros((2, 0)), *means], axis=1)
        wanted, given = joined[:, np.isfinite(joined).all(axis=0)]
        found = fit(wanted, given)
        own, apart = _finest(waves, found.gain)
        moved = found.matched(given) - given
        differs = np.sqrt((moved**2).mean()) if len(moved) else 0.0
        alike = differs < _OTHER_BRIGHTNESS * np.sqrt(apart / 2)
        return cls(
            [PairOfPlanes.of(*pair) for pair in waves],
            measure_shift(planes),
            Brightness() if alike else found,
            own / apart if apart else 0.0,
        )

    def require_independent(self) -> list[str]:
        """Refuse noise that both share; a note where it is a little.

        Raises
        ------
        RequestError
            With how much it is.
        """
        if not self.pairs:
            return []
        shared = float(np.mean([pair.shared_noise for pair in self.pairs]))
        if shared > _MOST_SHARED:
            raise RequestError(
                f"Both exposures share noise (correlation {shared:.2f}): so much of it "
                "would stay in the result.",
                "Choose exposures that were recorded independently, neither averaged "
                "with each other nor compressed as a movie.",
            )
        if all(pair.independent for pair in self.pairs):
            return []
        return [
            f"Both exposures share a little noise (correlation {shared:.2f}), which "
            "stays in the result."
        ]

    def require_in_place(self, what: str) -> list[str]:
        """Refuse another scene and a large shift; a note on a small one.

        Raises
        ------
        RequestError
            With the shift in pixels.
        """
        shift = self.shift
        text = f"({shift.rows:+.1f}, {shift.columns:+.1f}) px (rows, columns)"
        if shift.length >= _MOST_SHIFT:
            raise RequestError(
                f"The {what} is shifted by {text} against the image: the result would "
                "be blurred.",
                "Register both first, or choose another recording.",
            )
        if self.pairs and all(pair.likeness < _ALIKE for pair in self.pairs):
            raise RequestError(
                f"The {what} shows another scene than the image.",
                "Choose a recording of the same scene, registered to the image.",
            )
        if shift.length < _LEAST_SHIFT:
            return []
        return [
            f"The {what} is shifted by {text}: the result is blurred by about as "
            "much. Register both first."
        ]

    def brightness_note(self, what: str, dye: str) -> list[str]:
        """A note where the brightness was matched."""
        if self.brightness == Brightness():
            return []
        return [
            f"The {what}{dye} is not as bright as the image: it is matched to it by "
            f"{self.brightness}."
        ]

    def noisy_note(self) -> list[str]:
        """A note where an image that should be noise-free is noisy."""
        if self.noisy < _NOISY:
            return []
        share = np.sqrt(min(1.0, self.noisy / max(1e-6, 1 - self.noisy)))
        return [
            f"The noise-free image is noisy itself, up to {share:.0%} as much as the "
            "image: give it as second exposure, and both are denoised together."
        ]


def _finest(waves: list[tuple[PlaneWaves, ...]], gain: float) -> tuple[float, float]:
    """Variance of the finest waves of flat blocks: of the second, of the difference."""
    own, apart = [], []
    for one, other in waves:
        known = np.isfinite(one.means) & np.isfinite(other.means)
        first, second = one.waves[known], gain * other.waves[known]
        power = (second[:, _MIDDLE] ** 2).sum(1)
        flat = np.argsort(power, kind="stable")[: max(1, round(_FLAT * len(power)))]
        own.append(second[flat][:, _SHORT] ** 2)
        apart.append((second - first)[flat][:, _SHORT] ** 2)
    if not sum(len(part) for part in own):
        return 0.0, 0.0
    return float(np.concatenate(own).mean()), float(np.concatenate(apart).mean())
