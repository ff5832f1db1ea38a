"""TIFF files: read with their axes and pixel size, written the way Fiji reads them."""

from napari_selfdenoise.images.series import series_names
from napari_selfdenoise.images.tiff_reading import axes_with_channels, read_image
from napari_selfdenoise.images.tiff_writing import ImageWriter, write_image

__all__ = [
    "ImageWriter",
    "axes_with_channels",
    "read_image",
    "series_names",
    "write_image",
]
