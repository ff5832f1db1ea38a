"""One reader a file format, for `read_image`; a table says which reads what.

A reader lists the images of a file and reads one of them as it was recorded: pixels,
labels of axes, pixel size, names of channels. TIFF has files of its own, as it can be
written, too.
"""

from napari_selfdenoise.images.formats.ome_zarr import is_zarr
from napari_selfdenoise.images.formats.recorded import (
    INSTALL,
    Listed,
    Recorded,
    with_rows,
    without_length_one,
)
from napari_selfdenoise.images.formats.table import FORMATS, Format, format_of

__all__ = [
    "FORMATS",
    "INSTALL",
    "Format",
    "Listed",
    "Recorded",
    "format_of",
    "is_zarr",
    "with_rows",
    "without_length_one",
]
