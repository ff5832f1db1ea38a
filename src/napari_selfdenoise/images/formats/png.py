"""Read PNG: one grey image, or colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_selfdenoise.images.formats.recorded import Listed, Recorded, native

_SAMPLES = {1: 1, 2: 1, 3: 3, 4: 3}
"""How many samples are colours, without the opacity, by their number."""


def images_in(path: Path) -> list[Listed]:
    """The one image of a PNG."""
    return [Listed("", lambda: _read(path))]


def _read(path: Path) -> Recorded:
    import imagecodecs

    data = native(imagecodecs.png_decode(path.read_bytes()))
    if data.ndim == 2:
        return Recorded(data, ("Y", "X"))
    colours = data[..., : _SAMPLES[data.shape[-1]]]
    if _is_grey(colours):
        note = "The image is grey, although the file has colours or opacity."
        grey = np.ascontiguousarray(colours[..., 0])
        return Recorded(grey, ("Y", "X"), notes=(note,))
    return Recorded(data, ("Y", "X", "S"))


def _is_grey(colours: Any) -> bool:
    return bool((colours == colours[..., :1]).all())
