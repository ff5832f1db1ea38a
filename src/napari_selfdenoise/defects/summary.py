"""Messages about the defects of an image."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.defects.cleaning import CleanPlane
from napari_selfdenoise.defects.missing import find_padding, is_blank
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import Image, PlaneIndex


@dataclass(frozen=True)
class DefectCount:
    """Numbers of bad pixels and planes.

    Parameters
    ----------
    pixels, outliers, missing : int
        Of planes that are not blank.
    planes, blank : int
        All planes, and those that hold nothing.
    doubtful : int
        Planes too small to distinguish outliers from structure.
    """

    pixels: int = 0
    outliers: int = 0
    missing: int = 0
    planes: int = 0
    blank: int = 0
    doubtful: int = 0

    @classmethod
    def of(cls, planes: Iterable[CleanPlane], blank: int) -> DefectCount:
        """Count in planes that are not blank, beside so many that are."""
        found = cls(planes=blank, blank=blank)
        for plane in planes:
            out, gone = int(plane.outliers.sum()), int(plane.missing.sum())
            found += cls(plane.pixels.size, out, gone, 1, doubtful=plane.doubtful)
        return found

    def __add__(self, other: DefectCount) -> DefectCount:
        """Count both together."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return DefectCount(*(one + two for one, two in pairs))


def describe_defects(count: DefectCount, outliers: str = "replace") -> str:
    """Sentences on the defects that were found, and what the result shows there.

    Parameters
    ----------
    count : DefectCount
        What was found.
    outliers : str
        Whether the result is to "replace" outliers or to "keep" them.
    """
    sentences = []
    if count.outliers:
        then = (
            "The result shows their surroundings instead."
            if outliers == "replace"
            else "The result keeps them as they are."
        )
        sentences.append(
            f"{_pixels(count.outliers, count.pixels, 'outlier pixel')} "
            f"{_were(count.outliers)} left out, such as cosmic rays, hot or dead "
            f"pixels. {then}"
        )
    if count.doubtful:
        sentences.append(
            "Hot pixels may remain: the image is too small to distinguish them from "
            "bright structure."
        )
    if count.missing:
        sentences.append(
            f"{_pixels(count.missing, count.pixels, 'pixel')} {_were(count.missing)} "
            "never recorded (padding of one value, no number, or outside the mask): "
            "left out, and kept as they are."
        )
    if count.blank == count.planes == 1:
        sentences.append(
            "The image is kept as it is: it is blank, saturated or full of gaps."
        )
    elif count.blank:
        sentences.append(
            f"{count.blank} of {count.planes} planes {_were(count.blank)} blank, "
            "saturated or full of gaps: left out, and kept as they are."
        )
    return " ".join(sentences)


def nothing_to_learn(image: Image) -> RequestError:
    """Return the error that says why nothing can be learned from an image."""
    values: set[float] = set()
    for plane in image.planes():
        known, uneven = _recorded(image, plane)
        if not is_blank(uneven):
            return _TOO_FEW
        values.update(np.unique(known)[:2].tolist())
    if not values:
        return RequestError(
            "No pixel holds a number: there is no signal and no noise to learn from.",
            "Choose an image that was recorded.",
        )
    text = f"All pixels are {min(values):g}"
    if len(values) > 1:
        text = f"Regions of one value each, such as {min(values):g}, fill the image"
    return RequestError(
        f"{text}: there is no signal and no noise to learn from.",
        "Choose an image that was exposed.",
    )


def require_numbers(image: Image) -> None:
    """Raise the error of an image in which no pixel holds a number.

    Parameters
    ----------
    image : Image
        Planes are read until one holds a number.

    Raises
    ------
    RequestError
        If none does: such a file was begun, and never written to.
    """
    whole = np.dtype(image.dtype).kind in "biu"
    if not whole and not any(
        np.isfinite(image.read_plane(plane)).any() for plane in image.planes()
    ):
        raise nothing_to_learn(image)


_TOO_FEW = RequestError(
    "Too few pixels were recorded next to each other: a network learns what a pixel is "
    "from the pixels around it.",
    "Choose an image with fewer gaps, or average blocks of pixels first, so that the "
    "gaps close.",
)


def _recorded(
    image: Image, plane: PlaneIndex
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixels of a plane that hold a number, (n,); those outside of padding, (m,)."""
    pixels, recorded = image.read_exact(plane), image.read_mask(plane)
    known = np.isfinite(pixels) if recorded is None else np.isfinite(pixels) & recorded
    padding = find_padding(np.where(known, pixels, np.nan)) if known.any() else ~known
    return pixels[known], pixels[known & ~padding]


def _pixels(count: int, total: int, noun: str) -> str:
    share = 100 * count / total
    percent = f"{share:.{3 if share >= 99 else 2}g}"
    percent = percent if share >= 0.001 else "below 0.001"
    return f"{count} {noun}{'' if count == 1 else 's'} ({percent} %)"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"
