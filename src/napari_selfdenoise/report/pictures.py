"""Planes as PNG images within a page, with a scale bar."""

from __future__ import annotations

import base64
import html

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.images import Image

Plane = NDArray[np.float32]
Range = tuple[float, float]

_WIDTH = 512  # px; larger planes are thinned
_PERCENTILES = (0.5, 99.8)
_ROUND = (1, 2, 5)


def contrast(plane: Plane) -> Range:
    """Values that are shown black and white; without the few extreme ones."""
    known = plane[np.isfinite(plane)]
    if not known.size:
        return 0.0, 1.0
    low, high = np.percentile(known, _PERCENTILES)
    return float(low), float(high if high > low else low + 1)


def picture(plane: Plane, shown: Range, caption: str, pixel_um: float | None) -> str:
    """Return a figure: the plane in grey, caption and scale bar.

    Parameters
    ----------
    plane : ndarray
        (Y, X); NaN is shown black.
    shown : tuple of float
        Values that are black and white.
    caption : str
        Plain text; it is escaped.
    pixel_um : float or None
        Pixel size in µm; None draws no scale bar.
    """
    every = max(1, -(-plane.shape[1] // _WIDTH))
    thin = plane[::every, ::every]
    scaled = (np.nan_to_num(thin, nan=shown[0]) - shown[0]) / (shown[1] - shown[0])
    grey = np.round(255 * np.clip(scaled, 0, 1)).astype(np.uint8)
    data = base64.b64encode(imagecodecs.png_encode(grey)).decode()
    text = html.escape(caption)
    bar = _scale_bar(plane.shape[1] * pixel_um) if pixel_um else ""
    return (
        f'<figure><div class="picture"><img alt="{text}" '
        f'src="data:image/png;base64,{data}">{bar}</div>'
        f"<figcaption>{text}</figcaption></figure>"
    )


def _scale_bar(width_um: float) -> str:
    """A bar of a round length, about a fifth of the width."""
    power = 10 ** np.floor(np.log10(width_um / 4))
    length = max(n * power for n in _ROUND if n * power <= width_um / 4)
    share = 100 * length / width_um
    return f'<span class="bar" style="width:{share:.2f}%">{length:g} µm</span>'


def pixel_size(image: Image) -> float | None:
    """Pixel size along X in µm; None where it is not known."""
    sizes = image.pixel_size_um
    return sizes[1] if sizes else None
