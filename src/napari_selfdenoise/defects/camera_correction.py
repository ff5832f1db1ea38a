"""Corrections for the camera: dark frame, flat field, and a mask of missing pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.defects.rounding import rounding_notes
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import Image

_Planes = NDArray[np.float32]
"""One plane for each channel, or one for all: (channels, Y, X) in raw units."""


@dataclass(frozen=True, eq=False)
class Corrections:
    """Dark frame, flat field and mask that an image is corrected by.

    Parameters
    ----------
    dark : Image, optional
        Recorded without light; of a stack the mean is used.
    flat : Image, optional
        Of an evenly lit field; of a stack the mean is used.
    mask : Image, optional
        Zero where nothing was recorded.
    """

    dark: Image | None = None
    flat: Image | None = None
    mask: Image | None = None

    def __bool__(self) -> bool:
        return any(part is not None for part in (self.dark, self.flat, self.mask))

    def names(self) -> dict[str, str]:
        """Names of the images that are used, for the provenance of results."""
        parts = {"dark": self.dark, "flat": self.flat, "mask": self.mask}
        return {key: part.name for key, part in parts.items() if part is not None}

    def require_fits(self, image: Image) -> None:
        """Raise an error if a size is not the image's; pixels are not read.

        Raises
        ------
        RequestError
            If a size differs.
        """
        for what, part in (("dark frame", self.dark), ("flat field", self.flat)):
            if part is not None:
                _require_plane(what, part, image)
        if self.mask is not None and self.mask.shape != image.shape:
            _shared_sizes(self.mask, image)

    def apply(self, image: Image) -> Image:
        """Return the image corrected, and with its mask; lazy arrays stay lazy.

        Raises
        ------
        RequestError
            If a size differs.
        """
        self.require_fits(image)
        if self.dark is not None or self.flat is not None:
            image = corrected(image, self.dark, self.flat)
        if self.mask is not None:
            image = masked(image, self.mask)
        return image


def corrected(
    image: Image, dark: Image | None = None, flat: Image | None = None
) -> Image:
    """Return an image without the camera's fixed pattern.

    (image - dark) / (flat / mean of flat) + median of dark: that of the dark frame
    is added back, so that units and offset stay those of the camera. A flat field that
    is brighter than the dark frame was recorded with the same offset, which is taken
    out of it as well.

    Parameters
    ----------
    image : Image
        Raw units. Lazy arrays stay lazy.
    dark, flat : Image, optional
        One plane, or a stack of which the mean is used; with as many channels as the
        image, a plane for each. Raw units.

    Returns
    -------
    Image
        32-bit floats; NaN where the flat field has no light, with a note.

    Raises
    ------
    RequestError
        If the planes have another size than the image's, or its values are too far
        from zero.
    """
    notes = [*image.notes, *rounding_notes(image)]
    data, background, offset = as_floats(image), None, None
    if dark is not None:
        background = _mean_planes("dark frame", dark, image)
        # The mean would be that of its hot pixels.
        offset = np.nanmedian(background, axis=(1, 2), keepdims=True)
        empty = int(np.isnan(background).sum())
        data -= _spread(background, image)
        notes.append(f"The dark frame '{dark.name}' was subtracted.")
        notes += [_empty_note(empty)] if empty else []
    if flat is not None:
        light = _mean_planes("flat field", flat, image)
        gain, unlit = _relative(light, background)
        data /= _spread(gain, image)
        notes.append(f"The image was divided by the flat field '{flat.name}'.")
        notes += [_unlit_note(unlit)] if unlit else []
    if offset is not None:
        data += _spread(offset, image)
    return replace(image, data=data, notes=tuple(notes))


def masked(image: Image, mask: Image) -> Image:
    """Return the image with a mask: zero where nothing was recorded.

    Parameters
    ----------
    image : Image
        What it belongs to.
    mask : Image
        Of the shape of the image, of one of its planes, or of any of its axes.

    Raises
    ------
    RequestError
        If its shape is another, or it leaves no pixel.
    """
    if isinstance(mask.data, np.ndarray) and not mask.data.any():
        raise RequestError(
            f"The mask '{mask.name}' is 0 everywhere: it leaves no pixel.",
            "Label what was recorded; 0 marks what was not.",
        )
    return replace(image, mask=_aligned(mask, image))


def _require_plane(what: str, given: Image, image: Image) -> None:
    if "S" in given.axes:
        raise RequestError(
            f"The {what} '{given.name}' is an RGB image.", "Choose one of the camera."
        )
    if given.plane_shape != image.plane_shape:
        sizes = ["{} × {}".format(*one.plane_shape) for one in (given, image)]
        raise RequestError(
            f"The {what} '{given.name}' has {sizes[0]} pixels, the image "
            f"'{image.name}' {sizes[1]}.",
            f"Choose a {what} of the same camera region and binning.",
        )


def _mean_planes(what: str, given: Image, image: Image) -> _Planes:
    """Mean of all planes; for each channel, where there are as many as in the image."""
    _require_plane(what, given, image)
    each = given.channels > 1 and given.channels == image.channels
    means = []
    for channel in range(given.channels) if each else (None,):
        total, count = np.zeros(given.plane_shape, np.float64), 0
        for plane in given.planes(channel):
            total += given.read_plane(plane)
            count += 1
        means.append(total / count)
    return np.stack(means).astype(np.float32)


def _relative(light: _Planes, background: _Planes | None) -> tuple[_Planes, int]:
    """A flat field with a mean of one, NaN without light; and how often that is."""
    with np.errstate(invalid="ignore"):
        if background is not None and np.nanmedian(light) > np.nanmedian(background):
            light = light - background
        unlit = ~(np.isfinite(light) & (light > 0))
    if unlit.all(axis=(1, 2)).any():
        raise RequestError(
            "The flat field has no light at all.",
            "Choose the image of an evenly lit field.",
        )
    lit = np.where(unlit, np.nan, light)
    mean = np.nanmean(lit, axis=(1, 2), keepdims=True)
    return (lit / mean).astype(np.float32), int(unlit.sum())


def _unlit_note(count: int) -> str:
    counted, verb = _counted(count)
    return f"{counted} {verb} missing in the image: the flat field has no light there."


def _empty_note(count: int) -> str:
    counted, verb = _counted(count)
    return f"{counted} {verb} missing in the image: the dark frame has no number there."


def _counted(count: int) -> tuple[str, str]:
    return ("One pixel", "is") if count == 1 else (f"{count} pixels", "are")


def as_floats(image: Image) -> Any:
    """Pixels as 32-bit floats: whole, or as chunks of a plane where they are lazy."""
    if isinstance(image.data, np.ndarray) and not isinstance(image.data, np.memmap):
        return image.data.astype(np.float32)
    import dask.array

    chunks = tuple(
        length if axis in "YX" else 1
        for axis, length in zip(image.axes, image.shape, strict=True)
    )
    data = image.data
    if not isinstance(data, dask.array.Array):
        data = dask.array.from_array(data, chunks=chunks)
    return data.astype(np.float32)


def _spread(planes: _Planes, image: Image) -> NDArray[np.float32]:
    """Planes in the order of the image's axes, to be broadcast along all others."""
    order = ["CYX".index(axis) for axis in image.axes if axis in "CYX"]
    if "C" not in image.axes:
        planes, order = planes[0], [place - 1 for place in order]
    turned = planes.transpose(order)
    return turned[tuple(slice(None) if a in "CYX" else None for a in image.axes)]


def _shared_sizes(mask: Image, image: Image) -> dict[str, int]:
    """Axes of a mask, as long as those of the image; without those of length one."""
    sizes = {axis: n for axis, n in mask.sizes.items() if n > 1 or axis in image.axes}
    if any(image.sizes.get(axis) != length for axis, length in sizes.items()):
        raise RequestError(
            f"The mask '{mask.name}' is {mask.describe(False)}; the image "
            f"'{image.name}' is {image.describe(False)}.",
            "Choose a mask of the same size, or of one plane.",
        )
    return sizes


def _aligned(mask: Image, image: Image) -> Any:
    """A mask of the shape of the image, repeated along axes that it does not have."""
    if mask.shape == image.shape:
        # A copy, as a labels layer can be painted on; but not of what is on disk.
        return mask.data if isinstance(mask.data, np.memmap) else mask.data != 0
    sizes = _shared_sizes(mask, image)
    letters = "".join(sizes)
    pixels = (np.asarray(mask.data) != 0).reshape(tuple(sizes.values()))
    pixels = pixels.transpose([letters.index(a) for a in image.axes if a in sizes])
    spread = pixels[tuple(slice(None) if a in sizes else None for a in image.axes)]
    return np.broadcast_to(spread, image.shape)
