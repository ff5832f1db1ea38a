"""Read PNG: one grey image, or colours."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from napari_selfdenoise.images.formats.recorded import Listed, Recorded, native
from napari_selfdenoise.images.laziness import require_bounded

_SAMPLES = {1: 1, 2: 1, 3: 3, 4: 3}
"""How many samples are colours, without the opacity, by their number."""


def images_in(path: Path) -> list[Listed]:
    """The one image of a PNG."""
    return [Listed("", lambda: _read(path))]


def _read(path: Path) -> Recorded:
    import imagecodecs

    content = path.read_bytes()
    _require_bounded(content[16:26])
    data = native(imagecodecs.png_decode(content))
    if data.ndim == 2:
        return Recorded(data, ("Y", "X"))
    colours = data[..., : _SAMPLES[data.shape[-1]]]
    if _is_grey(colours):
        note = "The image is grey, although the file has colours or opacity."
        grey = np.ascontiguousarray(colours[..., 0])
        return Recorded(grey, ("Y", "X"), notes=(note,))
    return Recorded(data, ("Y", "X", "S"))


def _require_bounded(header: bytes) -> None:
    """Refuse a size that is declared before anything of that size is made."""
    width, height, bits, kind = struct.unpack(">IIBB", header.ljust(10, b"\0"))
    samples = 4 if kind & 4 or kind & 2 else 1
    require_bounded((height, width), width * height * samples * max(1, bits // 8))


def _is_grey(colours: Any) -> bool:
    return bool((colours == colours[..., :1]).all())
