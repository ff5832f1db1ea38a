"""Ways out for images that cannot be denoised as they are, or not in full."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.defects.cleaning import CleanImage
from napari_selfdenoise.defects.missing import is_blank
from napari_selfdenoise.defects.rounding import (
    Rounding,
    measure_rounding,
    range_error,
    subtracted,
)
from napari_selfdenoise.defects.summary import nothing_to_learn
from napari_selfdenoise.images import Image, PlaneIndex

_LUMINANCE = (0.2126, 0.7152, 0.0722)
"""Weights of red, green and blue (Rec. 709)."""

_LOOK = 64
"""Pixels along each side of a plane that are read first, to see if it is not blank."""

Mending = Generator[float, object, Image]
"""Yields the share that is done; returns an image."""


def luminance_steps(image: Image) -> Mending:
    """Make the luminance of an RGB image, plane by plane.

    Parameters
    ----------
    image : Image
        With an axis S of red, green and blue; what follows them is left out.

    Yields
    ------
    float
        Share that is done.

    Returns
    -------
    Image
        float32, without the axis S, in the same units.
    """
    colours = image.axes.index("S")
    shape = image.shape[:colours] + image.shape[colours + 1 :]
    found = np.zeros(shape, np.float32)
    for number, weight in enumerate(_LUMINANCE[: image.shape[colours]]):
        yield number / 3
        part = (slice(None),) * colours + (number,)
        found += np.float32(weight) * np.asarray(image.data[part], np.float32)
    return _without_colours(image, found, f"{image.name} luminance")


def channels_of(image: Image) -> Image:
    """Return an RGB image with its colours as channels; an alpha channel is left out.

    Lazy arrays stay lazy, and no pixel is copied.
    """
    colours = image.axes.index("S")
    part = (slice(None),) * colours + (slice(0, 3),)
    data = image.data[part].transpose(
        colours, *(axis for axis in range(image.ndim) if axis != colours)
    )
    rest = _without_colours(image, data[0], image.name)
    return Image(
        data,
        "C" + rest.axes,
        (1.0, *rest.pixel_size),
        ("pixel", *rest.units),
        f"{image.name} channels",
    )


@dataclass(frozen=True)
class Findings:
    """What was found in the pixels of an image before it is denoised.

    Parameters
    ----------
    obstacle : str
        Why nothing can be learned from it, and what to try; empty where it can.
    missing : int
        How many pixels hold no number.
    rounding : Rounding or None
        How coarse it becomes as 32-bit floats, where that makes the result worse.
    """

    obstacle: str = ""
    missing: int = 0
    rounding: Rounding | None = None


def examine_steps(image: Image) -> Generator[float, object, Findings]:
    """Find out if an image can be learned from, and how many pixels are missing.

    Yields
    ------
    float
        Share that is done.

    Returns
    -------
    Findings
        One thing at a time. Of lazy images not all planes are read to see whether they
        are blank: the training says it as well.
    """
    if error := range_error(image):
        return Findings(str(error))
    if rounding := measure_rounding(image):
        coarse = str(rounding.error) if rounding.is_too_coarse else ""
        return Findings(coarse, rounding=rounding)
    if image.in_memory and (yield from blank_steps(image)):
        return Findings(str(nothing_to_learn(image)))
    return Findings(missing=(yield from missing_steps(image)))


def blank_steps(image: Image) -> Generator[float, object, bool]:
    """Find out if an image has no plane to learn from.

    Yields
    ------
    float
        Share that is done.

    Returns
    -------
    bool
        True where there is none.
    """
    clean = CleanImage(image)
    for number, plane in enumerate(image.planes()):
        yield number / image.plane_count
        if not _empty_at_first_sight(image, plane):
            return False
        if not clean.is_blank(plane):
            return False
    return True


def _empty_at_first_sight(image: Image, plane: PlaneIndex) -> bool:
    """Whether a few pixels from all over a plane may show nothing: of most, they do.

    Where some were never recorded, only all of them tell whether it is full of gaps.
    """
    every = [slice(None, None, max(1, n // _LOOK)) for n in image.plane_shape]
    pixels, recorded = image.read_exact(plane, *every), image.read_mask(plane, *every)
    gaps = not np.isfinite(pixels).all()
    gaps |= recorded is not None and not recorded.all()
    return gaps or is_blank(pixels)


def missing_steps(image: Image) -> Generator[float, object, int]:
    """Count pixels that hold no number, plane by plane.

    Yields
    ------
    float
        Share that is done.

    Returns
    -------
    int
        How many are NaN or infinite; 0 at once where whole numbers are stored.
    """
    count = 0
    if image.dtype.kind == "f":
        for number, plane in enumerate(image.planes()):
            yield number / image.plane_count
            count += int((~np.isfinite(image.read_plane(plane))).sum())
    return count


def fill_steps(image: Image) -> Mending:
    """Fill pixels that hold no number from their surroundings, plane by plane.

    Yields
    ------
    float
        Share that is done.

    Returns
    -------
    Image
        float32; all other pixels are as they were.
    """
    clean = CleanImage(image)

    def fill(plane: PlaneIndex) -> NDArray[np.float32]:
        pixels = image.read_plane(plane)
        holes = ~np.isfinite(pixels)
        if not holes.any():
            return pixels
        return np.where(holes, clean.read(plane).pixels, pixels)

    found = yield from _plane_by_plane(image, fill)
    return image.with_data(found, f"{image.name} filled")


def near_zero_steps(image: Image, level: int | float) -> Mending:
    """Subtract a value from an image, plane by plane, so that no digit is lost.

    Parameters
    ----------
    image : Image
        As it is stored.
    level : int or float
        As from `measure_rounding`, raw units.

    Yields
    ------
    float
        Share that is done.

    Returns
    -------
    Image
        float32.
    """

    def subtract(plane: PlaneIndex) -> NDArray[np.float32]:
        return subtracted(image.read_stored(plane), level)

    found = yield from _plane_by_plane(image, subtract)
    return image.with_data(found, f"{image.name} minus {level}")


def _plane_by_plane(
    image: Image, make: Callable[[PlaneIndex], NDArray[np.float32]]
) -> Generator[float, object, NDArray[np.float32]]:
    """Make an array like the image's of planes (Y, X); yields the share done."""
    found = np.empty(image.shape, np.float32)
    for number, plane in enumerate(image.planes()):
        yield number / image.plane_count
        found[image.slices(plane)] = image.as_stored(make(plane))
    return found


def ways_out(image: Image) -> dict[str, Callable[[], Mending]]:
    """Makers of images that can be denoised, by the text of their buttons."""
    if "S" not in image.axes:
        return {}
    return {
        "Use the luminance": lambda: luminance_steps(image),
        "Split channels": lambda: _at_once(channels_of, image),
    }


def _at_once(make: Callable[[Image], Image], image: Image) -> Mending:
    yield 0.0
    return make(image)


def _without_colours(image: Image, data: Any, name: str) -> Image:
    kept = [place for place, axis in enumerate(image.axes) if axis != "S"]
    return Image(
        data,
        "".join(image.axes[place] for place in kept),
        tuple(image.pixel_size[place] for place in kept),
        tuple(image.units[place] for place in kept),
        name,
    )
